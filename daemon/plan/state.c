/*
 * What the catalog says of the tables, as text that can be compared: so that a table that changes under a job is
 * noticed before another row is erased.
 *
 * Where tables have partitions, the question has two forms:
 *
 *   all      every table and every partition, at every level.  It takes some 30 microseconds for each of them, so
 *            it is asked once, when the catalog is read, and again when a batch has failed.
 *   touched  the model's tables, and of their partitions those that this transaction has written to.  It is asked in
 *            each batch, so it must not grow with partitions that the batch leaves alone.
 *
 * The second form notices as much about what the batch has done.  PostgreSQL locks every partition before a statement, a
 * trigger or a foreign key's query uses it, and holds the lock to the transaction's end.  The lock of a write keeps away
 * a new trigger, rule, column or foreign key, row-level security and DETACH.  The question comes last, in a new
 * snapshot: what it sees is what was in force while the statements ran.  A lock is released earlier only with a
 * savepoint that is rolled back, and with the lock goes what was done under it.
 * A partition that is only read has nothing of its own that counts: its columns, rules and row-level security are those
 * of the table that the statement names, and triggers fire for writes.  It matters, because a foreign key's check of
 * one row locks all partitions of the referencing table, to read (a generic plan).
 *
 * Each partitioned table that is described lists its partitions, so that one that is attached, detached, created or
 * dropped is noticed, whether it was locked or not.  That takes a microsecond for each of them.
 *
 * Citus locks the shards on their nodes, where pg_locks of this one does not see them: all is asked there.
 */
#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"
#include "model/catalog_sql.h"

static const char all_sql[] =
	"WITH RECURSIVE relation (i, oid) AS (\n"
	"  SELECT w.i, to_regclass(w.name)::oid FROM (VALUES {tables}) AS w(i, name)\n"
	"   UNION\n"
	"  SELECT NULL::int, h.inhrelid FROM relation AS r JOIN pg_inherits AS h ON h.inhparent = r.oid)\n";

static const char touched_sql[] =
	"WITH relation (i, oid) AS (\n"
	"  SELECT w.i, to_regclass(w.name)::oid FROM (VALUES {tables}) AS w(i, name)\n"
	"   UNION ALL\n"
	"  SELECT NULL::int, c.oid FROM pg_class AS c JOIN (\n"
	"         SELECT l.relation, bool_or(l.mode NOT IN ('AccessShareLock', 'RowShareLock')) AS written\n"
	"           FROM pg_locks AS l WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation'\n"
	"          GROUP BY 1) AS l ON l.relation = c.oid\n"
	"   WHERE c.relispartition AND (l.written AND c.relkind IN ('r', 'f') OR c.relkind = 'p'))\n";

/*
 * Finds the tables by indexes alone, because it is asked in each batch: a foreign key that references a table is a
 * trigger of it.
 *
 * A partition has the columns of its table.
 */
static const char state_sql[] =
	"SELECT r.i, r.oid, r.oid::regclass::text AS name, concat_ws(' ',\n"
	"  (SELECT concat_ws(',', c.oid, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.relreplident)\n"
	"     FROM pg_class AS c WHERE c.oid = r.oid),\n"
	"  (SELECT string_agg(concat_ws(':', h.inhrelid, nullif(h.pending, false)), ' ' ORDER BY h.inhrelid)\n"
	"     FROM " CATALOG_CHILDREN(
		"= r.oid") "),\n"
			   "  (SELECT string_agg(concat_ws(',', quote_ident(a.attname), a.atttypid, a.atttypmod, a.attcollation,\n"
			   "                               a.attnotnull, a.attgenerated, a.attidentity), ' ' ORDER BY a.attnum)\n"
			   "     FROM pg_attribute AS a WHERE r.i IS NOT NULL AND a.attrelid = r.oid AND a.attnum > 0\n"
			   "      AND NOT a.attisdropped),\n"
			   "  l.triggers,\n"
			   "  (SELECT string_agg(concat_ws(',', u.oid, u.ev_type, u.ev_enabled), ' ' ORDER BY u.oid)\n"
			   "     FROM pg_rewrite AS u WHERE u.ev_class = r.oid),\n"
			   "  (SELECT string_agg(DISTINCT quote_ident(a.attname), ' ')\n"
			   "     FROM pg_index AS x JOIN pg_attribute AS a ON a.attrelid = r.oid AND " CATALOG_IDENTIFIES
			   "\n"
			   "    WHERE x.indrelid = r.oid AND (r.i, a.attname::text) IN (VALUES {naming})),\n"
			   "  (SELECT string_agg(DISTINCT x.indkey::text, ';') FROM pg_index AS x\n"
			   "    WHERE x.indrelid = r.oid AND " CATALOG_IDENTIFIES_TOGETHER
			   " AND r.i IN ({naming_together}))) AS state,\n"
			   "  coalesce(l.keys, '') AS keys\n"
			   "  FROM relation AS r\n"
			   " CROSS JOIN LATERAL (\n"
			   "  SELECT string_agg(concat_ws(',', g.oid, g.tgenabled, g.tgtype, g.tgfoid, g.tgdeferrable),\n"
			   "                    ' ' ORDER BY g.oid) FILTER (WHERE k.oid IS NULL) AS triggers,\n"
			   "         string_agg(concat_ws(',', k.oid, nullif(g.tgenabled, 'O')), ' ' ORDER BY k.oid, g.oid) AS keys\n"
			   "    FROM pg_trigger AS g\n"
			   "    LEFT JOIN pg_constraint AS k ON k.oid = g.tgconstraint AND k.confdeltype IN ('a', 'r')\n"
			   "                                AND k.contype = 'f'\n"
			   "   WHERE g.tgrelid = r.oid) AS l\n"
			   " ORDER BY r.i, r.oid";

/* The columns name rows of t. */
static void add_naming(const struct table *t, const struct columns *columns, char **one,
		       char **together)
{
	if (columns->n == 1)
		t_list(one, ", ", "(%zu, %s)", t->index, sql_literal(*one, columns->names[0]));
	else
		t_list(together, ", ", "%zu", t->index);
}

static char *fill(void *ctx, const struct model *model, const char *which)
{
	char *tables = t_strdup(ctx, "");
	/* The columns that name rows: they have to identify them. */
	char *naming = t_strdup(ctx, "(NULL::int, NULL::text)");
	/* The tables whose rows several columns name. */
	char *together = t_strdup(ctx, "NULL::int");

	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *t = &model->tables[i];

		t_list(&tables, ", ", "(%zu, %s)", i, sql_literal(ctx, plan_table(ctx, t)));
		if (t->key)
			add_naming(t, t->key, &naming, &together);
		if (t->of && t->from)
			add_naming(t->of, t->from, &naming, &together);
	}
	return sql_fill(ctx, t_printf(ctx, "%s%s", which, state_sql), {"tables", tables},
			{"naming", naming}, {"naming_together", together});
}

char *plan_state_sql(void *ctx, const struct model *model)
{
	return fill(ctx, model, all_sql);
}

void plan_state(struct plan *p)
{
	const bool all = p->catalog->n_partitions == 0 || p->catalog->citus;

	p->state_sql = plan_state_sql(p, p->model);
	p->touched_sql = all ? p->state_sql : fill(p, p->model, touched_sql);
}
