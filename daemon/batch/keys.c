#include "batch/keys.h"

#include "base/mem.h"
#include "base/sql.h"

#include <inttypes.h>

/* Neighbours of the list lie in the same pages: a worker takes runs of them, not each second one. */
#define RUN 256

#define WINDOW 4096

bool keys_list(struct db *db, const struct plan *plan, int job, const char *from,
	       const char *cutoff, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *const id = t_printf(ctx, "%d", job);
	const char *const one[] = {id};
	const char *const values[] = {from, cutoff, id};

	return db_command(db, "DELETE FROM retention.candidate WHERE job = $1::int", 1, one, NULL,
			  err) &&
	       db_command(db, plan->list_sql, 3, values, NULL, err);
}

/*
 * Some dozen batches' keys at once: right after the listing the planner knows nothing of the table, and
 * sorts all that is left of it for each question.
 */
static bool read_window(struct db *db, int job, int worker, int workers, struct key_window *w,
			struct error *err)
{
	static const char sql[] =
		"SELECT n, key, weight FROM retention.candidate\n"
		" WHERE job = $1::int AND n > $2::bigint AND n / $3::bigint % $4::bigint = $5::bigint\n"
		" ORDER BY n LIMIT $6::bigint";
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *const values[] = {
		t_printf(ctx, "%d", job),    t_printf(ctx, "%lld", (long long)w->after_n),
		t_printf(ctx, "%d", RUN),    t_printf(ctx, "%d", workers),
		t_printf(ctx, "%d", worker), t_printf(ctx, "%d", WINDOW)};

	PQclear(w->rows);
	w->rows = NULL;
	w->next = 0;
	return db_query(db, sql, 6, values, &w->rows, err);
}

bool keys_take(struct db *db, int job, int worker, int workers, struct key_window *window,
	       int64_t weight, int64_t limit, void *ctx, struct keys *ret, struct error *err)
{
	const char **taken;
	int last;

	*ret = (struct keys){.array = t_strdup(ctx, "{}")};
	if ((!window->rows || window->next == PQntuples(window->rows)) &&
	    !read_window(db, job, worker, workers, window, err))
		return false;
	last = PQntuples(window->rows);
	if (window->next == last)
		return true;
	taken = t_array(ctx, const char *, last - window->next);
	ret->first_n = db_int(window->rows, window->next, "n");
	while (window->next < last && ret->n < limit) {
		const int64_t one = db_int(window->rows, window->next, "weight");

		if (ret->n > 0 && ret->weight + one > weight)
			break;
		taken[ret->n++] = db_text(window->rows, window->next, "key");
		ret->weight += one;
		ret->last_n = window->after_n = db_int(window->rows, window->next, "n");
		window->next++;
	}
	ret->array = sql_array(ctx, taken, (size_t)ret->n);
	return true;
}

void keys_rewind(struct key_window *window)
{
	PQclear(window->rows);
	*window = (struct key_window){.after_n = -1};
}

bool keys_along(struct db *db, const struct plan *plan, int job, const struct keys *keys,
		int64_t limit, void *ctx, struct along *ret, struct error *err)
{
	const bool all = limit > 0;
	const char *const values[] = {keys->array, t_printf(ctx, "%d", job),
				      t_printf(ctx, "%" PRId64, limit),
				      t_printf(ctx, "%" PRId64, all ? 0 : keys->first_n),
				      t_printf(ctx, "%" PRId64, all ? INT64_MAX : keys->last_n)};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, plan->along_sql, 5, values, &res, err))
		return false;
	ret->own = ret->kept = *keys;
	ret->own.array = t_strdup(ctx, db_text(res, 0, "own"));
	ret->own.n = db_int(res, 0, "n_own");
	ret->kept.array = t_strdup(ctx, db_text(res, 0, "kept"));
	ret->kept.n = db_int(res, 0, "n_kept");
	ret->via = t_strdup(ctx, db_text(res, 0, "via"));
	ret->free = (struct keys){.array = t_strdup(ctx, db_text(res, 0, "free")),
				  .n = db_int(res, 0, "n_free"),
				  .weight = db_int(res, 0, "weight"),
				  .first_n = db_int(res, 0, "first_n"),
				  .last_n = db_int(res, 0, "last_n")};
	return true;
}

bool keys_halve(struct db *db, const struct keys *whole, void *ctx, struct keys ret[2],
		struct error *err)
{
	static const char sql[] = "SELECT a.keys[1:$2::int]::text AS left_half, a.keys[$2::int + "
				  "1:]::text AS right_half\n"
				  "  FROM (SELECT $1::text[] AS keys) AS a";
	const int64_t half = whole->n / 2;
	const char *const values[] = {whole->array, t_printf(ctx, "%lld", (long long)half)};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, sql, 2, values, &res, err))
		return false;
	for (int i = 0; i < 2; i++) {
		ret[i] = *whole;
		ret[i].n = i == 0 ? half : whole->n - half;
		ret[i].weight = whole->weight * ret[i].n / whole->n;
		ret[i].array = t_strdup(ctx, db_text(res, 0, i == 0 ? "left_half" : "right_half"));
	}
	return true;
}

bool keys_except(struct db *db, const char *a, const char *b, void *ctx, char **ret_array,
		 int64_t *ret_n, struct error *err)
{
	static const char sql[] =
		"SELECT coalesce(array_agg(x.k), '{}')::text AS keys, count(*) AS n\n"
		"  FROM (SELECT unnest($1::text[]) EXCEPT SELECT unnest($2::text[])) AS x(k)";
	const char *const values[] = {a, b};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, sql, 2, values, &res, err))
		return false;
	*ret_array = t_strdup(ctx, db_text(res, 0, "keys"));
	*ret_n = db_int(res, 0, "n");
	return true;
}
