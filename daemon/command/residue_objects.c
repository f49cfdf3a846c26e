#include "command/residue_objects.h"

#include "base/mem.h"
#include "base/sql.h"
#include "plan/preview.h"

/* The objects of a column, in the rows that the action erases. */
static const char column_sql[] =
	"SELECT c.object FROM {table} AS t CROSS JOIN LATERAL ({reached}) AS x\n"
	" CROSS JOIN LATERAL (VALUES ({name}, {column}::oid)) AS c(name, object)\n"
	" WHERE {covered}";

/* The objects that go with the rows of the contacts $1: the model is refused where they would not. */
static char *covered_objects(void *ctx, const struct plan *plan)
{
	const struct model *m = plan->model;
	const char *due = plan_chosen_query(ctx, plan->catalog, m->contact, "x.k",
					    " FROM unnest($1::text[]) AS x(k)");
	char *list = t_strdup(ctx, "");
	const char *with = "";

	for (size_t i = 0; i < m->n_tables; i++) {
		const struct table *t = &m->tables[i];
		const struct relation *r = &plan->catalog->relations[i];

		for (size_t j = 0; j < r->n_columns; j++) {
			const struct column *column = &r->columns[j];
			const char *reached = NULL, *covered = NULL;

			if (column->category == 'A' || !catalog_refers_to_objects(t, column))
				continue;
			with = plan_reach_sql(plan, due, r->oid, &reached, &covered);
			t_list(&list, "\nUNION ALL\n", "%s",
			       sql_fill(ctx, column_sql, {"table", plan_table(ctx, t)},
					{"reached", reached},
					{"name", sql_literal(ctx, column->name)},
					{"column", plan_column(ctx, "t", column->name)},
					{"covered", covered}));
		}
	}
	return t_printf(
		ctx, "%sSELECT coalesce(array_agg(y.object), '{}')::text AS objects FROM (%s) AS y",
		with, *list ? list : "SELECT NULL::oid AS object WHERE $1::text[] IS NULL");
}

#define MAY_READ                                                                                   \
	"(current_setting('lo_compat_privileges')::boolean OR pg_has_role(m.lomowner, 'USAGE')\n"  \
	"  OR EXISTS (SELECT FROM aclexplode(m.lomacl) AS a WHERE a.privilege_type = 'SELECT'\n"   \
	"                AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE'))))"

static const char closed_sql[] =
	"SELECT count(*) AS n FROM pg_largeobject_metadata AS m WHERE NOT " MAY_READ;

/*
 * Reads an object in pieces of 1 MiB that overlap by 4 KiB, so that no value is cut.  Compares bytes, in
 * the form in which a text can carry them; only ASCII letters are folded.
 */
static const char search_sql[] =
	"SELECT 'data' AS column, v.name AS of, 0 AS exact, count(DISTINCT m.oid) AS inside, 0 AS covered\n"
	"  FROM pg_largeobject_metadata AS m\n"
	" CROSS JOIN LATERAL (WITH RECURSIVE piece AS (\n"
	"   SELECT 0::bigint AS n, lo_get(m.oid, 0, 1048576) AS bytes\n"
	"    UNION ALL\n"
	"   SELECT p.n + 1, lo_get(m.oid, (p.n + 1) * 1044480, 1048576) FROM piece AS p\n"
	"    WHERE length(p.bytes) = 1048576)\n"
	"   SELECT lower(encode(p.bytes, 'escape') COLLATE \"C\") AS bytes FROM piece AS p) AS x\n"
	"  JOIN (SELECT u.name, encode(convert_to(u.value, 'UTF8'), 'escape') AS value\n"
	"          FROM unnest(current_setting('retention.values')::text[],\n"
	"                      current_setting('retention.names')::text[]) AS u(value, name)) AS v\n"
	"    ON strpos(x.bytes, v.value) > 0\n"
	" WHERE m.oid <> ALL ($1::oid[]) AND " MAY_READ "\n"
	" GROUP BY v.name ORDER BY v.name";

bool residue_search_objects(struct db *db, const struct plan *plan, const char *keys,
			    PGresult **ret, int64_t *n_closed, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result) PGresult *covered = NULL;
	const char *objects;

	if (!db_query_int(db, closed_sql, 0, NULL, n_closed, err) ||
	    !db_query(db, covered_objects(ctx, plan), 1, &keys, &covered, err))
		return false;
	objects = db_text(covered, 0, "objects");
	return db_query(db, search_sql, 1, &objects, ret, err);
}
