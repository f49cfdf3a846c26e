#include "batch/batch_state.h"

static bool says_shards(const char *sql)
{
	return strchr(sql, PLAN_SHARDS);
}

bool batch_query(struct batch *b, const char *sql, int n, const char *const values[],
		 PGresult **ret_res, struct error *err)
{
	return says_shards(sql) ? db_query(b->db, plan_with_shards(b->ctx, sql, b->shards), n,
					   values, ret_res, err)
				: db_query_kept(b->db, sql, n, values, ret_res, err);
}

bool batch_command(struct batch *b, const char *sql, int n, const char *const values[],
		   int64_t *ret_rows, struct error *err)
{
	return says_shards(sql) ? db_command(b->db, plan_with_shards(b->ctx, sql, b->shards), n,
					     values, ret_rows, err)
				: db_command_kept(b->db, sql, n, values, ret_rows, err);
}

char *batch_with_arrays(struct batch *b, const char *copy_sql, const char *const arrays[2])
{
	/* All in one pass: a value may hold the byte of a mark. */
	static const char marks[] = {PLAN_KEYS, PLAN_OWN, PLAN_SHARDS, '\0'};
	PGconn *conn = db_conn(b->db);
	char *sql = t_strdup(b->ctx, "");

	while (*copy_sql) {
		const size_t plain = strcspn(copy_sql, marks);
		const char mark = copy_sql[plain];
		const char *array = mark && mark != PLAN_SHARDS ? arrays[mark == PLAN_OWN] : NULL;
		char *literal = array ? PQescapeLiteral(conn, array, strlen(array)) : NULL;

		if (array && !literal)
			return NULL;
		t_append(&sql, "%.*s%s", (int)plain, copy_sql,
			 literal ? literal
			 : mark  ? b->shards
				 : "");
		PQfreemem(literal);
		copy_sql += plain + (mark ? 1 : 0);
	}
	return sql;
}

bool batch_as_origin(struct batch *b, bool on, struct error *err)
{
	if (!b->plan->orphans.sql || b->origin == on)
		return true;
	b->origin = on;
	return db_exec(b->db,
		       on ? "SET LOCAL session_replication_role = origin"
			  : "SET LOCAL session_replication_role = replica",
		       err);
}

bool batch_ask_keys(struct batch *b, const char *sql, int n, const char *const values[],
		    struct key_set *ret, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!batch_query(b, sql, n, values, &res, err))
		return false;
	ret->array = t_strdup(b->ctx, db_value(res, 0, "keys"));
	ret->n = db_int(res, 0, "n");
	return true;
}

bool batch_count(struct batch *b, const char *sql, int n, const char *const values[], int64_t *ret,
		 struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!batch_query(b, sql, n, values, &res, err))
		return false;
	*ret = db_int(res, 0, "n");
	return true;
}

bool batch_gathers(const struct batch *b)
{
	return b->plan->top_down && !b->worker->measure;
}

void batch_keep_arrays(struct batch *b, const struct collect *c, const PGresult *res)
{
	b->collected[c->table->index] = db_int(res, 0, "n");
	for (size_t s = 0; s < b->plan->n_slots[c->table->index]; s++) {
		const char *const column = t_printf(b->ctx, "c%zu", s);

		b->arrays[c->table->index][s] = t_strdup(b->ctx, db_value(res, 0, column));
	}
}
