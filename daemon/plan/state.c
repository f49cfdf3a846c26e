#include "plan/state.h"

#include "base/mem.h"
#include "base/sql.h"

/* A key that references a table is a trigger of it: so all is found by indexes, for it is asked in each batch. */
static const char state_sql[] =
	"WITH RECURSIVE tree AS (\n"
	"  SELECT w.i, to_regclass(w.name)::oid AS oid\n"
	"    FROM unnest(%s::text[]) WITH ORDINALITY AS w(name, i)\n"
	"   UNION ALL\n"
	"  SELECT t.i, h.inhrelid FROM tree AS t JOIN pg_inherits AS h ON h.inhparent = t.oid)\n"
	"SELECT concat_ws(' ',\n"
	"  (SELECT string_agg(concat_ws(',', c.oid, c.relkind, c.relrowsecurity, c.relforcerowsecurity,\n"
	"                               c.relreplident), ' ' ORDER BY c.oid)\n"
	"     FROM tree AS t JOIN pg_class AS c ON c.oid = t.oid WHERE t.i = r.i),\n"
	"  (SELECT string_agg(concat_ws(',', quote_ident(a.attname), a.atttypid, a.atttypmod, a.attcollation,\n"
	"                               a.attnotnull, a.attgenerated, a.attidentity), ' ' ORDER BY a.attnum)\n"
	"     FROM pg_attribute AS a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped),\n"
	"  (SELECT string_agg(concat_ws(',', g.oid, g.tgenabled, g.tgtype, g.tgfoid, g.tgdeferrable),\n"
	"                     ' ' ORDER BY g.oid)\n"
	"     FROM tree AS t JOIN pg_trigger AS g ON g.tgrelid = t.oid\n"
	"     LEFT JOIN pg_constraint AS k ON k.oid = g.tgconstraint\n"
	"    WHERE t.i = r.i AND (k.confdeltype IN ('a', 'r') AND k.contype = 'f') IS NOT TRUE),\n"
	"  (SELECT string_agg(concat_ws(',', u.oid, u.ev_type, u.ev_enabled), ' ' ORDER BY u.oid)\n"
	"     FROM tree AS t JOIN pg_rewrite AS u ON u.ev_class = t.oid WHERE t.i = r.i)) AS state,\n"
	"  coalesce((SELECT string_agg(k.oid::text, ' ' ORDER BY k.oid)\n"
	"     FROM tree AS t JOIN pg_trigger AS g ON g.tgrelid = t.oid\n"
	"     JOIN pg_constraint AS k ON k.oid = g.tgconstraint\n"
	"    WHERE t.i = r.i AND k.confdeltype IN ('a', 'r') AND k.contype = 'f'), '') AS keys\n"
	"  FROM (SELECT DISTINCT ON (i) i, oid FROM tree ORDER BY i) AS r ORDER BY r.i";

char *plan_state_sql(void *ctx, const struct model *model)
{
	const char **names = t_array(ctx, const char *, model->n_tables + 1);

	for (size_t i = 0; i < model->n_tables; i++)
		names[i] = sql_table(ctx, model->tables[i].schema, model->tables[i].table);
	return t_printf(ctx, state_sql, sql_literal(ctx, sql_array(ctx, names, model->n_tables)));
}
