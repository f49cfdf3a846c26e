#include "preflight/date_triggers.h"

#include "base/sql.h"

/* tgtype: a row (1), before (2), UPDATE (16).  A column list that none of the written columns is in keeps a trigger quiet. */
static const char triggers_sql[] =
	"SELECT DISTINCT t.tgname AS name FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid\n"
	" WHERE t.tgrelid IN (SELECT to_regclass($1) UNION SELECT relid FROM pg_partition_tree(to_regclass($1)))\n"
	"   AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype & 19 = 19\n"
	"   AND (t.tgattr::text = '' OR EXISTS (SELECT FROM pg_attribute a\n"
	"          WHERE a.attrelid = t.tgrelid AND a.attnum = ANY(t.tgattr) AND a.attname = ANY($3::text[])))\n"
	"   AND (f.prosrc ~* ('\\m' || regexp_replace($2, '(\\W)', '\\\\\\1', 'g') || '\\M')\n"
	"        OR position(convert_to($2, getdatabaseencoding()) IN t.tgargs) > 0)\n"
	" ORDER BY 1";

static size_t add_rules(const char **columns, size_t n, const struct column_rule *rules,
			size_t n_rules)
{
	for (size_t i = 0; i < n_rules; i++)
		if (rules[i].kind != RULE_KEEP)
			columns[n++] = rules[i].column;
	return n;
}

/* The columns of the request's table that an action writes, under any of the table's names. */
static const char **written(void *ctx, const struct model *model, size_t *ret_n)
{
	const struct table *r = model->request;
	const char **columns = t_array(ctx, const char *, 1);
	size_t n = 0;

	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *t = &model->tables[i];
		const bool detaches = t->by && t->on_delete == ON_DELETE_DETACH;

		if (strcmp(t->schema, r->schema) != 0 || strcmp(t->table, r->table) != 0)
			continue;
		columns = t_grow(ctx, columns, const char *,
				 n + t->n_rules + t->on_detach.n + (detaches ? t->by->n : 0) + 1);
		n = add_rules(columns, n, t->rules, t->n_rules);
		n = add_rules(columns, n, t->on_detach.list, t->on_detach.n);
		for (size_t b = 0; detaches && b < t->by->n; b++)
			columns[n++] = t->by->names[b];
	}
	*ret_n = n;
	return columns;
}

bool date_triggers_read(struct db *db, const struct model *model, void *ctx,
			const char *const **ret, size_t *ret_n, struct error *err)
{
	const struct table *r = model->request;
	AUTO(result) PGresult *res = NULL;
	const char *values[3] = {sql_table(ctx, r->schema, r->table), r->date, NULL};
	const char **names, **columns;
	size_t n = 0;

	columns = written(ctx, model, &n);
	*ret_n = 0;
	if (n == 0)
		return true;
	values[2] = sql_array(ctx, columns, n);
	if (!db_query(db, triggers_sql, 3, values, &res, err))
		return false;
	names = t_array(ctx, const char *, PQntuples(res) + 1);
	for (int row = 0; row < PQntuples(res); row++)
		names[(*ret_n)++] = t_strdup(ctx, db_value(res, row, "name"));
	*ret = names;
	return true;
}
