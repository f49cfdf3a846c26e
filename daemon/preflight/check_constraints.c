/*
 * A CHECK can refuse what a rule writes: "L_123" where a name has letters only.  Each contact would fail then.  So each
 * CHECK of a column that set or clear changes, and each domain, is tried on the first rows, as the rules would leave
 * them; a CHECK over several columns sees the others as they are.  Of an empty table nothing is known, and the next job
 * tries again.
 *
 * A CHECK that cannot be tried refuses nothing: it may call a function that finds its tables only under the CRM's
 * search_path, which is in force when the rows are changed.
 */
#include "preflight/check_constraints.h"

#include "base/mem.h"
#include "base/sql.h"

/*
 * A row for each CHECK of the table $1 that uses one of the columns $2, and for each of these whose type is a domain:
 * the condition under which the row x is refused, or an expression that fails.
 */
static const char checks_sql[] =
	"SELECT format('CHECK %I', con.conname) AS what, min(a.attname) AS column,\n"
	"       format('(%s) IS FALSE', pg_get_expr(con.conbin, con.conrelid)) AS refused,\n"
	"       left(': ' || pg_get_expr(con.conbin, con.conrelid), 300) AS text\n"
	"  FROM pg_constraint AS con\n"
	"  JOIN pg_attribute AS a ON a.attrelid = con.conrelid AND a.attnum = ANY (con.conkey)\n"
	"   AND a.attname = ANY ($2::text[])\n"
	" WHERE con.contype = 'c' AND con.conrelid = $1::oid\n"
	"   AND (to_jsonb(con) ->> 'conenforced')::bool IS NOT FALSE\n"
	" GROUP BY con.oid, con.conname, con.conbin, con.conrelid\n"
	" UNION ALL\n"
	"SELECT format('domain %s', format_type(t.oid, NULL)), a.attname,\n"
	"       format('num_nulls(x.%I::%s) > 1', a.attname, format_type(t.oid, NULL)), ''\n"
	"  FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid AND t.typtype = 'd'\n"
	" WHERE a.attrelid = $1::oid AND a.attnum > 0 AND a.attname = ANY ($2::text[])\n"
	" ORDER BY 1, 2";

/* A condition that fails on the rows' values refuses more rows than there are. */
#define REFUSED_ALL INT64_MAX

/* Counts the rows that the condition refuses. */
static bool count_refused(struct db *db, const char *rows, const char *condition, int64_t *ret,
			  struct error *err)
{
	AUTO(char_p)
	char *sql = xprintf("SELECT count(*) AS n FROM (%s) AS x WHERE %s", rows, condition);
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error one = {0};

	if (db_query_apart(db, sql, 0, NULL, &res, &one)) {
		*ret = db_int(res, 0, "n");
		return true;
	}
	if (!db_alive(db) || one.class == ERR_ENVIRONMENT || one.class == ERR_STOPPED ||
	    one.class == ERR_BUSY)
		return fail(err, one.class, "%s", one.text);
	db_rollback(db);
	*ret = strncmp(one.sqlstate, "23", 2) == 0 || strncmp(one.sqlstate, "22", 2) == 0
		       ? REFUSED_ALL
		       : 0;
	return true;
}

/*
 * Would more rows be refused than are now?  A row that is older than its constraint (NOT VALID) is refused whatever the
 * rules write, and is the journal's to tell.
 */
static bool is_refused(struct db *db, const struct plan *plan, const struct table *t,
		       const char *condition, bool *ret, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	int64_t after = 0, before = 0;

	if (!count_refused(db, plan_tried_rows(ctx, plan, t, true), condition, &after, err) ||
	    (after > 0 &&
	     !count_refused(db, plan_tried_rows(ctx, plan, t, false), condition, &before, err)))
		return false;
	*ret = after > before;
	return true;
}

static bool try_table(struct db *db, const struct plan *plan, const struct table *t,
		      struct complaints *c, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *columns = plan_tried_columns(ctx, plan, t);
	const char *const values[] = {t_printf(ctx, "%u", plan->catalog->relations[t->index].oid),
				      columns};
	AUTO(result) PGresult *res = NULL;

	if (!columns)
		return true;
	if (!db_query(db, checks_sql, 2, values, &res, err))
		return false;
	for (int row = 0; row < PQntuples(res); row++) {
		const char *column = db_value(res, row, "column");
		const struct column_rule *rule = model_rule(t, column);
		bool refused = false;

		if (!is_refused(db, plan, t, db_value(res, row, "refused"), &refused, err))
			return false;
		if (refused)
			complain(
				c, rule ? &rule->place : &t->place,
				"table \"%s\": %s refuses what the rules write into \"%s\"%s; choose "
				"another value, or change the constraint",
				t->name, db_value(res, row, "what"), column,
				db_value(res, row, "text"));
	}
	return true;
}

bool check_constraints(struct db *db, const struct plan *plan, struct complaints *c,
		       struct error *err)
{
	for (size_t i = 0; i < plan->n_steps; i++)
		if (!try_table(db, plan, plan->steps[i].table, c, err))
			return false;
	return true;
}
