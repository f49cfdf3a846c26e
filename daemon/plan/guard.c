/*
 * What protects a batch in addition to the lock on its subjects.  It protects against clients that
 * change requests, that add requests where no foreign key prevents it, or that change the schema
 * while a job runs.
 */
#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"
#include "model/catalog_sql.h"

/*
 * A request that a client is changing right now may be reopened, redated or on its way to another
 * contact, and its lock does not touch the contact's.  So the requests are locked too, before the
 * re-check.  A contact is left for a later sweep where one of its requests cannot be locked, or has
 * just moved.
 */
static const char lock_requests_sql[] =
	"WITH every AS MATERIALIZED (\n"
	"  SELECT {link} AS link, count(*) AS n FROM {requests} AS t WHERE {selection} GROUP BY 1),\n"
	"held AS MATERIALIZED (SELECT h.link, count(*) AS n FROM (\n"
	"  SELECT {link} AS link FROM {requests} AS t WHERE {selection} FOR UPDATE SKIP LOCKED) AS h\n"
	"  GROUP BY 1),\n"
	"busy AS MATERIALIZED (SELECT e.link FROM every AS e LEFT JOIN held AS h\n"
	"  ON h.link = e.link WHERE h.n IS DISTINCT FROM e.n)\n"
	"SELECT coalesce(array_agg({text}), '{}')::text AS keys, count(*) AS n\n"
	"  FROM (SELECT {key} FROM {contacts} AS c WHERE {among_keys}\n"
	"           AND NOT EXISTS (SELECT FROM busy WHERE busy.link = {linked})\n"
	"         ORDER BY {order}) AS x";

/*
 * Finds the tables by indexes alone, because it is asked in each batch: a foreign key that
 * references a table is a trigger of it.
 */
static const char state_sql[] =
	"WITH RECURSIVE tree AS (\n"
	"  SELECT w.i, to_regclass(w.name)::oid AS oid\n"
	"    FROM (VALUES {tables}) AS w(i, name)\n"
	"   UNION ALL\n"
	"  SELECT t.i, h.inhrelid FROM tree AS t JOIN pg_inherits AS h ON h.inhparent = t.oid)\n"
	"SELECT concat_ws(' ',\n"
	"  (SELECT string_agg(concat_ws(',', c.oid, c.relkind, c.relrowsecurity, c.relforcerowsecurity,\n"
	"                               c.relreplident), ' ' ORDER BY c.oid)\n"
	"     FROM tree AS t JOIN pg_class AS c ON c.oid = t.oid WHERE t.i = r.i),\n"
	"  (SELECT string_agg(concat_ws(',', quote_ident(a.attname), a.atttypid, a.atttypmod, a.attcollation,\n"
	"                               a.attnotnull, a.attgenerated, a.attidentity), ' ' ORDER BY a.attnum)\n"
	"     FROM pg_attribute AS a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped),\n"
	"  l.triggers,\n"
	"  (SELECT string_agg(concat_ws(',', u.oid, u.ev_type, u.ev_enabled), ' ' ORDER BY u.oid)\n"
	"     FROM tree AS t JOIN pg_rewrite AS u ON u.ev_class = t.oid WHERE t.i = r.i),\n"
	"  (SELECT string_agg(DISTINCT quote_ident(a.attname), ' ')\n"
	"     FROM pg_index AS x JOIN pg_attribute AS a ON a.attrelid = r.oid AND " CATALOG_IDENTIFIES
	"\n"
	"    WHERE x.indrelid = r.oid AND (r.i, a.attname::text) IN (VALUES {naming})),\n"
	"  (SELECT string_agg(DISTINCT x.indkey::text, ';') FROM pg_index AS x\n"
	"    WHERE x.indrelid = r.oid AND " CATALOG_IDENTIFIES_TOGETHER
	" AND r.i IN ({naming_together}))) AS state,\n"
	"  coalesce(l.keys, '') AS keys\n"
	"  FROM (SELECT DISTINCT ON (i) i, oid FROM tree ORDER BY i) AS r\n"
	" CROSS JOIN LATERAL (\n"
	"  SELECT string_agg(concat_ws(',', g.oid, g.tgenabled, g.tgtype, g.tgfoid, g.tgdeferrable),\n"
	"                    ' ' ORDER BY g.oid) FILTER (WHERE k.oid IS NULL) AS triggers,\n"
	"         string_agg(k.oid::text, ' ' ORDER BY k.oid) AS keys\n"
	"    FROM tree AS t JOIN pg_trigger AS g ON g.tgrelid = t.oid\n"
	"    LEFT JOIN pg_constraint AS k ON k.oid = g.tgconstraint AND k.confdeltype IN ('a', 'r')\n"
	"                                AND k.contype = 'f'\n"
	"   WHERE t.i = r.i) AS l\n"
	" ORDER BY r.i";

/* The columns name rows of t. */
static void add_naming(const struct table *t, const struct columns *columns, char **one,
		       char **together)
{
	if (columns->n == 1)
		t_list(one, ", ", "(%zu, %s)", t->index, sql_literal(*one, columns->names[0]));
	else
		t_list(together, ", ", "%zu", t->index);
}

char *plan_state_sql(void *ctx, const struct model *model)
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
	return sql_fill(ctx, state_sql, {"tables", tables}, {"naming", naming},
			{"naming_together", together});
}

/* The value of a link in the row alias: the column, or the row's literal of several. */
static char *link_value(const struct plan *p, const char *alias, const struct columns *columns)
{
	return columns->n == 1 ? plan_key(p, alias, columns) : plan_key_text(p, alias, columns);
}

void plan_guards(struct plan *p)
{
	const enum action action = p->opts.action;
	const struct table *c = p->model->contact, *r = p->model->request;
	const char *contacts = plan_table(p, c), *link = link_value(p, "t", r->by);
	const char *among_keys =
		t_printf(p, "%s%s", plan_among(p, c, "c", c->key, plan_array(p, c, c->key, "$1")),
			 plan_in_shards(p, c, "c"));
	const char *linked = link_value(p, "c", model_parent_columns(r));
	const char *type = plan_key_type(p->catalog, r, r->by);
	const struct columns *names = plan_names(p, "k", c->key->n);
	const bool by_key = columns_equal(model_parent_columns(r), c->key);
	/* The values of the contacts $1 that requests point at. */
	const char *links = by_key ? t_printf(p, "$1::%s[]", type)
				   : t_printf(p, "ARRAY(SELECT %s::%s FROM %s AS c WHERE %s)",
					      linked, type, contacts, among_keys);
	const char *selection = t_printf(p, "%s%s%s", plan_among(p, r, "t", r->by, links),
					 plan_and(p, r->where), plan_in_shards(p, r, "t"));

	if (p->subject != r && action != ACTION_EXPORT)
		p->lock_requests_sql =
			sql_fill(p, lock_requests_sql, {"link", link},
				 {"requests", plan_table(p, r)}, {"selection", selection},
				 {"contacts", contacts}, {"key", plan_named(p, "c", c->key, "k")},
				 {"order", plan_columns(p, "c", c->key->names, c->key->n)},
				 {"text", plan_key_text(p, "x", names)}, {"among_keys", among_keys},
				 {"linked", t_printf(p, "%s::%s", linked, type)});
	/* Without a foreign key nothing keeps a client from attaching a request to a contact that goes. */
	if (action == ACTION_DELETE_CONTACTS && by_key && !plan_has_key_to_parent(p, r))
		p->strays_sql = t_printf(p, "SELECT count(*) AS n FROM %s AS t WHERE %s",
					 plan_table(p, r), selection);
	p->state_sql = plan_state_sql(p, p->model);
}
