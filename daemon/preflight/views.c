#include "preflight/views.h"

#include "base/sql.h"
#include "model/catalog_sql.h"
#include "model/disposition.h"

static const char views_sql[] =
	"WITH RECURSIVE named AS (\n"
	"  SELECT to_regclass(u.sql)::oid AS oid, u.name,\n"
	"         bool_or(u.refresh) OVER (PARTITION BY to_regclass(u.sql)) AS refresh\n"
	"    FROM unnest($1::text[], $2::text[], $3::boolean[]) AS u(sql, name, refresh)),\n"
	"touched AS (SELECT DISTINCT n.oid AS root FROM named AS n WHERE n.oid IS NOT NULL),\n"
	"" CATALOG_READERS "\n"
	"SELECT c.oid::regclass::text AS name, pg_get_userbyid(c.relowner) AS owner,\n"
	"       " CATALOG_MAY_MAINTAIN " AS may, bool_or(n.refresh) AS refreshed,\n"
	"       string_agg(DISTINCT '\"' || n.name || '\"', ', ') FILTER (WHERE NOT n.refresh)\n"
	"         AS lacking\n"
	"  FROM reader AS b JOIN pg_class AS c ON c.oid = b.oid AND c.relkind = 'm'\n"
	"  JOIN named AS n ON n.oid = b.root GROUP BY c.oid, c.relowner ORDER BY 1";

static bool is_changed(const struct table *t)
{
	for (enum action a = ACTION_DELETE_CONTACTS; a < ACTION_COUNT; a++)
		if (disposition_of(t, a, ARCHIVE_NONE) >= DISPOSITION_UPDATE)
			return true;
	return false;
}

bool views_read(struct db *db, const struct model *model, void *ctx, struct view **ret,
		size_t *ret_n, struct error *err)
{
	const char **cells[3];
	const char *values[3];
	AUTO(result) PGresult *res = NULL;
	size_t n = 0;

	for (int i = 0; i < 3; i++)
		cells[i] = t_array(ctx, const char *, model->n_tables + 1);
	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *t = &model->tables[i];

		if (!is_changed(t))
			continue;
		cells[0][n] = sql_table(ctx, t->schema, t->table);
		cells[1][n] = t->name;
		cells[2][n++] = t->refresh ? "true" : "false";
	}
	for (int i = 0; i < 3; i++)
		values[i] = sql_array(ctx, cells[i], n);
	if (!db_query(db, views_sql, 3, values, &res, err))
		return false;
	*ret_n = (size_t)PQntuples(res);
	*ret = t_array(ctx, struct view, *ret_n + 1);
	for (int i = 0; i < PQntuples(res); i++)
		(*ret)[i] = (struct view){.name = db_text_copy(ctx, res, i, "name"),
					  .owner = db_text_copy(ctx, res, i, "owner"),
					  .lacking = db_text_copy(ctx, res, i, "lacking"),
					  .refreshed = db_bool(res, i, "refreshed"),
					  .may = db_bool(res, i, "may")};
	return true;
}
