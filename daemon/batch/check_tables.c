/* Compares the tables with what the job's catalog had read of them: see plan/state.c. */
#include "batch/batch.h"

static const struct partition_state *find_partition(const struct catalog *catalog, unsigned int oid)
{
	size_t low = 0, high = catalog->n_partitions;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (catalog->partitions[middle].oid < oid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < catalog->n_partitions && catalog->partitions[low].oid == oid
		       ? &catalog->partitions[low]
		       : NULL;
}

/*
 * Do foreign keys count that only refuse?  Such a one does so itself, but not to a replica.  Where there is a shard, the
 * keys prove that each row holds its contact's.
 */
static bool keys_count(const struct plan *plan)
{
	return plan->opts.by_set || plan->catalog->relations[plan->model->contact->index].shard;
}

/* The row's relation is not what it was. */
static bool differs(const PGresult *res, int row, const char *state, const char *loud_keys,
		    bool with_keys)
{
	return strcmp(db_value(res, row, "state"), state) != 0 ||
	       (with_keys && strcmp(db_value(res, row, "keys"), loud_keys) != 0);
}

static bool fail_changed(const char *name, struct error *err)
{
	return fail(
		err, ERR_CHANGED,
		"table %s is not what it was when the job looked at it (its columns, their types, "
		"keys, triggers, rules, partitions): the batch is rolled back, and the model is "
		"checked anew",
		name);
}

static bool check(struct db *db, const struct plan *plan, const char *sql, struct error *err)
{
	const struct catalog *catalog = plan->catalog;
	const bool with_keys = keys_count(plan);
	const int n = (int)plan->model->n_tables;
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result) PGresult *res = NULL;

	if (!db_query_kept(db, sql, 0, NULL, &res, err))
		return false;
	for (int row = 0; row < n; row++) {
		const struct table *t = &plan->model->tables[row];
		const struct relation *r = &catalog->relations[row];

		if (differs(res, row, r->state, r->loud_keys, with_keys))
			return fail_changed(t_printf(ctx, "%s.%s", t->schema, t->table), err);
	}
	for (int row = n; row < PQntuples(res); row++) {
		const struct partition_state *p =
			find_partition(catalog, (unsigned int)db_int(res, row, "oid"));

		/* One that is not known is another table's, that the CRM's triggers have written to: see plan/state.c. */
		if (p && differs(res, row, p->state, p->loud_keys, with_keys))
			return fail_changed(db_text(res, row, "name"), err);
	}
	return true;
}

bool batch_check_tables(struct db *db, const struct plan *plan, struct error *err)
{
	return check(db, plan, plan->state_sql, err);
}

bool batch_check_touched(struct db *db, const struct plan *plan, struct error *err)
{
	return check(db, plan, plan->touched_sql, err);
}
