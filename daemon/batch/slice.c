/*
 * A batch that is too large.  Several subjects are halved by the caller.  A single one goes in slices; plan/slice.h
 * explains why that leaves nothing behind.  A crash has the same effect as in every batch (batch/batch.c),
 * because a slice is a transaction of its own with its bytes, their lengths and its counters.  Its subject stays in
 * the list.
 */
#include "batch/batch_state.h"

#include <inttypes.h>

bool batch_too_large(struct batch *b, const struct table *t, struct error *err)
{
	/* Several: those that are due no longer would drop out with each slice of another. */
	if (b->keys->n > 1)
		b->result->fit = BATCH_TOO_LARGE;
	else if (b->worker->slice == SLICE_NOT_CLEARED)
		b->result->fit = BATCH_NEEDS_SLICES;
	if (b->result->fit != BATCH_FITS)
		return fail(err, ERR_BUSY,
			    "table \"%s\": %" PRId64 " rows or more belong to this batch", t->name,
			    b->worker->most_rows);
	b->unfinished[t->index] = true;
	b->slicing = true;
	return true;
}

bool batch_stays_small(struct batch *b, const struct step *s, int64_t rows, struct error *err)
{
	if (b->worker->measure || !s->slice_sql || rows <= b->worker->most_rows)
		return true;
	b->result->fit = BATCH_TOO_LARGE;
	return fail(err, ERR_BUSY, "table \"%s\": %" PRId64 " rows belong to this batch",
		    s->table->name, rows);
}

bool batch_measure(struct batch *b, struct error *err)
{
	const struct plan *plan = b->plan;
	const char **values = t_array(b->ctx, const char *, plan->n_steps + 1);
	AUTO(result) PGresult *res = NULL;
	size_t n = 0;

	if (!plan->sizes_sql || b->worker->most_rows == 0 || !b->worker->measure)
		return true;
	/* Counts one more than is taken, so that a count of exactly most_rows is known to be all. */
	values[n++] = t_printf(b->ctx, "%" PRId64, b->worker->most_rows + 1);
	for (const struct step *s = plan->steps; s < plan->steps + plan->n_steps; s++)
		if (s->sized)
			values[n++] = batch_array(b, s->parent);
	if (!batch_query(b, plan->sizes_sql, (int)n, values, &res, err))
		return false;
	n = 0;
	for (const struct step *s = plan->steps; s < plan->steps + plan->n_steps; s++)
		if (s->sized &&
		    db_int(res, 0, t_printf(b->ctx, "c%zu", n++)) > b->worker->most_rows &&
		    !batch_too_large(b, s->table, err))
			return false;
	return true;
}

bool batch_waits(struct batch *b, const struct step *s)
{
	const bool subject = s->table == b->plan->subject;
	bool waits = false;

	for (size_t i = 0; i < b->plan->model->n_tables; i++)
		waits = waits || (b->unfinished[i] && (subject || s->waits_for[i]));
	if (waits)
		b->unfinished[s->table->index] = true;
	b->complete = !(waits && subject) && b->complete;
	return waits;
}

bool batch_may_go(const struct batch *b, const struct step *s, struct error *err)
{
	const struct plan *plan = b->plan;

	if (s->table != plan->model->request || b->unfinished[s->table->index] ||
	    !plan->after_requests)
		return true;
	for (size_t i = 0; i < plan->model->n_tables; i++)
		if (plan->after_requests[i] && b->unfinished[i])
			return fail(
				err, ERR_DATA,
				"table \"%s\": its rows go after the requests, because of which the contact is due",
				plan->model->tables[i].name);
	return true;
}

const char *batch_slice_own(const struct batch *b, const struct step *s)
{
	const char *own = b->arrays[s->table->index][0];

	return own ? own : t_printf(b->ctx, "%" PRId64, b->worker->most_rows);
}

/*
 * DATA, where rows are missing for a reason that will not pass by itself.  The subject is then worked on in one
 * transaction, which finds the reason.
 */
bool batch_verify_slice(struct batch *b, const struct step *s, int64_t rows, struct error *err)
{
	const bool collected = b->arrays[s->table->index][0];
	const enum error_class class = s->verify ? ERR_DATA : ERR_BUSY;

	if (collected && rows != b->collected[s->table->index])
		return fail(err, class,
			    "table \"%s\": %" PRId64 " of %" PRId64 " rows of %s.%s were deleted",
			    s->table->name, rows, b->collected[s->table->index], s->table->schema,
			    s->table->table);
	if (!collected && rows == 0)
		return fail(err, class, "table \"%s\": no rows of %s.%s were deleted",
			    s->table->name, s->table->schema, s->table->table);
	return true;
}

bool batch_advances(const struct batch *b, struct error *err)
{
	bool rows = b->complete;

	for (size_t i = 0; i < b->plan->n_steps; i++)
		rows = rows || b->rows[i] > 0;
	return rows || fail(err, ERR_DATA, "its tables wait for one another");
}
