#include "batch/keys.h"

#include "base/sql.h"

#include <inttypes.h>

/* A worker takes runs of neighbours, not every second key, because neighbours of the list lie in the same disk pages. */
#define RUN 256

#define PAGE 4096
#define MOST_KEYS 5000 /* in one batch */

bool keys_list(struct db *db, const struct plan *plan, int job, const char *from,
	       const char *cutoff, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *const id = t_printf(ctx, "%d", job);
	const char *const values[] = {from, cutoff, id};

	return db_command(db, "DELETE FROM retention.candidate WHERE job = $1::int", 1, &id, NULL,
			  err) &&
	       db_command(db, plan->list_sql, 3, values, NULL, err);
}

/*
 * Reads the keys of a few dozen batches at once.  Right after the listing the planner knows nothing of the table, and
 * sorts the whole rest of it for each question.
 */
static bool read_page(struct db *db, struct key_page *page, struct error *err)
{
	static const char sql[] =
		"SELECT n, key, weight, shard, shard_group FROM retention.candidate\n"
		" WHERE job = $1::int AND n > $2::bigint AND n / $3::bigint % $4::bigint = $5::bigint\n"
		" ORDER BY n LIMIT $6::bigint";
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *const values[] = {
		t_printf(ctx, "%d", page->job),    t_printf(ctx, "%" PRId64, page->after_n),
		t_printf(ctx, "%d", RUN),          t_printf(ctx, "%d", page->workers),
		t_printf(ctx, "%d", page->worker), t_printf(ctx, "%d", PAGE)};

	PQclear(page->rows);
	page->rows = NULL;
	page->next = 0;
	return db_query(db, sql, 6, values, &page->rows, err);
}

/* Has the column the same value in both rows of the page? */
static bool same(const struct key_page *page, int a, int b, const char *column)
{
	return strcmp(db_value(page->rows, a, column), db_value(page->rows, b, column)) == 0;
}

/* Has the list the shards of the column that the plan has? */
static bool is_by_shard(const struct key_page *page, int row)
{
	const char *group = db_value(page->rows, row, "shard_group");
	const size_t n = page->shard ? strlen(page->shard) : 0;

	return page->shard && strncmp(group, page->shard, n) == 0 && group[n] == ' ';
}

bool keys_take(struct db *db, struct key_page *page, int64_t weight, void *ctx, struct keys *ret,
	       struct error *err)
{
	const char **taken, **shards;
	size_t n_shards = 0;
	int last, first;

	*ret = (struct keys){.array = t_strdup(ctx, "{}"), .group = ""};
	if ((!page->rows || page->next == PQntuples(page->rows)) && !read_page(db, page, err))
		return false;
	last = PQntuples(page->rows);
	if (page->next == last)
		return true;
	taken = t_array(ctx, const char *, last - page->next);
	shards = t_array(ctx, const char *, last - page->next);
	first = page->next;
	ret->group = t_strdup(ctx, db_value(page->rows, first, "shard_group"));
	ret->first_n = db_int(page->rows, page->next, "n");
	while (page->next < last && ret->n < MOST_KEYS) {
		const int64_t one = db_int(page->rows, page->next, "weight");

		if (ret->n > 0 &&
		    (ret->weight + one > weight || !same(page, first, page->next, "shard_group")))
			break;
		/* Neighbours of one group stand in the order of their shards. */
		if (ret->n == 0 || !same(page, page->next - 1, page->next, "shard"))
			shards[n_shards++] = db_value(page->rows, page->next, "shard");
		taken[ret->n++] = db_text(page->rows, page->next, "key");
		ret->weight += one;
		ret->last_n = page->after_n = db_int(page->rows, page->next, "n");
		page->next++;
	}
	ret->array = sql_array(ctx, taken, (size_t)ret->n);
	if (is_by_shard(page, first))
		ret->shards = sql_array(ctx, shards, n_shards);
	return true;
}

void keys_rewind(struct key_page *page)
{
	PQclear(page->rows);
	page->rows = NULL;
	page->next = 0;
	page->after_n = -1;
}

/* n keys of whole.  Their weight is an estimate: its share. */
static struct keys part_of(const struct keys *whole, void *ctx, const char *array, int64_t n)
{
	struct keys part = *whole;

	part.array = t_strdup(ctx, array);
	part.n = n;
	part.weight = whole->n > 0 ? whole->weight * n / whole->n : 0;
	return part;
}

bool keys_ask_references(struct db *db, const struct reference_question *question, void *ctx,
			 struct references *ret, struct error *err)
{
	const struct keys *keys = question->keys;
	const bool all = question->most_others > 0;
	const char *const values[] = {keys->array, t_printf(ctx, "%d", question->job),
				      t_printf(ctx, "%" PRId64, question->most_others),
				      t_printf(ctx, "%" PRId64, all ? 0 : keys->first_n),
				      t_printf(ctx, "%" PRId64, all ? INT64_MAX : keys->last_n)};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, question->plan->crossref_sql, 5, values, &res, err))
		return false;
	ret->kept = part_of(keys, ctx, db_text(res, 0, "kept"), db_int(res, 0, "n_kept"));
	ret->via = t_strdup(ctx, db_value(res, 0, "via"));
	ret->own = part_of(keys, ctx, db_text(res, 0, "own"), db_int(res, 0, "n_own"));
	ret->together = (struct keys){
		.array = t_strdup(ctx, db_value(res, 0, "together")),
		.n = db_int(res, 0, "n_together"),
		.weight = db_int(res, 0, "weight"),
		.shards = keys->shards ? t_strdup(ctx, db_value(res, 0, "shards")) : NULL,
		.group = keys->group,
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
	const char *const values[] = {whole->array, t_printf(ctx, "%" PRId64, half)};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, sql, 2, values, &res, err))
		return false;
	ret[0] = part_of(whole, ctx, db_text(res, 0, "left_half"), half);
	ret[1] = part_of(whole, ctx, db_text(res, 0, "right_half"), whole->n - half);
	return true;
}
