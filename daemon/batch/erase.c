/*
 * Step 4 of a batch: runs each table's statement in the plan's order, sends its bytes on their way into the file, and
 * asks whether rows have come or gone meanwhile.  batch/batch.c says what happens after a crash.
 */
#include "batch/batch_state.h"

#include "base/failpoint.h"
#include "base/sql.h"

#include <inttypes.h>

#define UNMEASURED_TIMEOUT_MS 5000

/* Draws as many numbers from retention.number as the array has keys. */
static bool fresh_numbers(struct batch *b, const char *keys, struct key_set *ret, struct error *err)
{
	static const char sql[] =
		"SELECT coalesce(array_agg(nextval('retention.number')), '{}')::text AS keys,\n"
		"       count(*) AS n FROM unnest($1::text[])";

	return batch_ask_keys(b, sql, 1, &keys, ret, err);
}

/*
 * The CRM's triggers have run, and nothing of ours may be parsed under their search_path (plan_fires()), or run with a
 * setting that they have left.
 */
static bool after_triggers(struct batch *b, struct error *err)
{
	return !b->plan->catalog->runs_code || db_check_settings(b->db, SQL_OWN_PATH, err);
}

struct sink {
	struct archive_writer *writer;
	size_t file;
};

static bool to_archive(void *arg, const char *bytes, size_t n, struct error *err)
{
	const struct sink *sink = arg;

	return archive_append(sink->writer, sink->file, bytes, n, err);
}

static bool run_archived(struct batch *b, const struct step *s, const char *const arrays[2],
			 int64_t *ret_rows, struct error *err)
{
	struct sink sink = {.writer = b->worker->writer, .file = s->file_number};
	const bool slice = b->slicing && s->slice_sql && b->unfinished[s->table->index];
	const char *sql = batch_with_arrays(b, slice ? s->slice_copy_sql : s->copy_sql, arrays);

	if (!sql)
		return fail(err, ERR_ENVIRONMENT, "cannot quote the keys of table \"%s\"",
			    s->table->name);
	return db_copy_out(b->db, sql, to_archive, &sink, ret_rows, err) &&
	       after_triggers(b, err) && archive_push(b->worker->writer, s->file_number, err);
}

static bool fail_put_back(const struct step *s, struct error *err)
{
	return fail(err, ERR_DATA, "table \"%s\": a trigger of %s.%s put back what the %s cleared",
		    s->table->name, s->table->schema, s->table->table,
		    s->disposition == DISPOSITION_DETACH ? "detachment" : "anonymization");
}

static bool run_update(struct batch *b, const struct step *s, const char *keys, int64_t *ret_rows,
		       struct error *err)
{
	struct key_set numbers = {0};
	const char *values[2] = {keys};
	AUTO(result) PGresult *res = NULL;

	if (s->numbered && !fresh_numbers(b, keys, &numbers, err))
		return false;
	values[1] = numbers.array;
	if (!batch_query(b, s->sql, s->numbered ? 2 : 1, values, &res, err) ||
	    !after_triggers(b, err))
		return false;
	*ret_rows = db_int(res, 0, "rows");
	return db_int(res, 0, "dirty") == 0 || fail_put_back(s, err);
}

/*
 * Looks for rows that are as they were.  A BEFORE trigger may return NULL: the row then stays without an error.  An
 * AFTER UPDATE trigger may write the old values back, which RETURNING does not see.
 */
static bool verify_step(struct batch *b, const struct step *s, const char *keys, struct error *err)
{
	int64_t n;

	if (!batch_count(b, s->left_sql, 1, &keys, &n, err))
		return false;
	if (n > 0 && s->disposition != DISPOSITION_DELETE)
		return fail_put_back(s, err);
	return n == 0 ||
	       fail(err, ERR_DATA,
		    "table \"%s\": a trigger of %s.%s kept %" PRId64 " rows from being deleted",
		    s->table->name, s->table->schema, s->table->table, n);
}

/* A client has added rows to the table, or moved rows of it. */
static bool fail_clients(const struct step *s, const char *did, struct error *err)
{
	return fail(err, ERR_BUSY,
		    "table \"%s\": a client has %s %s.%s while they were being erased",
		    s->table->name, did, s->table->schema, s->table->table);
}

/*
 * Checks that the rows were those that were collected.  More: a client has attached some, and the rows below
 * those were not asked for.  Fewer: it has deleted some, or moved them to another subject.  The rows below a moved one
 * are gone in this transaction, which therefore does not commit.
 */
static bool verify_linked(struct batch *b, const struct step *s, int64_t rows, const char *keys,
			  struct error *err)
{
	int64_t n;

	if (rows > b->collected[s->table->index])
		return fail_clients(s, "added rows to", err);
	return batch_count(b, s->left_sql, 1, &keys, &n, err) &&
	       (n == 0 || fail_clients(s, "moved rows of", err));
}

/* Queues the files' names in this transaction, so that they are removed only after it has committed (job/outbox.c). */
static bool queue_files(struct batch *b, const struct step *s, const char *keys, struct error *err)
{
	const char *const values[] = {keys, b->id};

	return batch_command(b, s->outbox_sql, 2, values, NULL, err);
}

/* Runs a statement without a result (plan_fires()), and says how many rows it has deleted or detached. */
static bool run_counted(struct batch *b, const char *sql, int n, const char *const values[],
			int64_t *ret_rows, struct error *err)
{
	if (!b->plan->catalog->runs_code)
		return batch_command(b, sql, n, values, ret_rows, err);
	return batch_count(b, sql, n, values, ret_rows, err) && after_triggers(b, err);
}

/* Runs a step of a subject that goes in slices: on a number of its rows, or on those that were collected. */
static bool run_slice(struct batch *b, const struct step *s, int64_t *ret_rows, struct error *err)
{
	const char *const values[] = {batch_array(b, s->parent), batch_slice_own(b, s)};

	if ((s->outbox_sql && !queue_files(b, s, batch_array(b, s->from), err)) ||
	    !batch_as_origin(b, false, err))
		return false;
	return (s->archived ? run_archived(b, s, values, ret_rows, err)
			    : run_counted(b, s->slice_sql, 2, values, ret_rows, err)) &&
	       batch_verify_slice(b, s, *ret_rows, err);
}

static bool run_gather(struct batch *b, const struct step *s, int64_t *ret_rows, struct error *err)
{
	const char *const values[] = {batch_array(b, s->parent),
				      t_printf(b->ctx, "%" PRId64, b->worker->most_rows)};
	AUTO(result) PGresult *res = NULL;

	if (!batch_as_origin(b, false, err) ||
	    !batch_query(b, s->gather->gather_sql, 2, values, &res, err) || !after_triggers(b, err))
		return false;
	batch_keep_arrays(b, s->gather, res);
	*ret_rows = b->collected[s->table->index];
	return true;
}

/* Looks for rows below those in hand that were not collected: a client has added them. */
static bool verify_link(struct batch *b, const struct step *s, struct error *err)
{
	const char *const parents[] = {batch_array(b, s->parent)};
	int64_t n;

	return batch_count(b, s->link_sql, 1, parents, &n, err) &&
	       (n == 0 || fail_clients(s, "added rows to", err));
}

static bool run_step(struct batch *b, const struct step *s, int64_t *ret_rows, struct error *err)
{
	const char *keys = batch_array(b, s->from);
	const char *const values[] = {s->linked || s->by_parent ? batch_array(b, s->parent) : keys,
				      keys};

	if (b->slicing && batch_waits(b, s))
		return true;
	if (b->slicing && !batch_may_go(b, s, err))
		return false;
	/* A table whose last rows are taken is worked on as in every batch, because nothing of it may be left behind. */
	if (b->slicing && s->slice_sql && b->unfinished[s->table->index])
		return run_slice(b, s, ret_rows, err);
	if (s->gather && batch_gathers(b))
		return run_gather(b, s, ret_rows, err);
	if ((s->outbox_sql && !queue_files(b, s, keys, err)) ||
	    !batch_as_origin(b, s->disposition != DISPOSITION_DELETE, err))
		return false;
	if (s->archived ? !run_archived(b, s, values, ret_rows, err)
	    : s->disposition == DISPOSITION_UPDATE
		    ? !run_update(b, s, keys, ret_rows, err)
		    : !run_counted(b, s->sql, s->by_own ? 2 : 1, values, ret_rows, err))
		return false;
	if (s->verify && !verify_step(b, s, keys, err))
		return false;
	if (s->linked && !(s->exact && *ret_rows == b->collected[s->table->index]) &&
	    !verify_linked(b, s, *ret_rows, keys, err))
		return false;
	if (s->link_sql && !verify_link(b, s, err))
		return false;
	if (s->table == b->plan->subject && s->disposition == DISPOSITION_DELETE &&
	    *ret_rows != b->due.n)
		return fail(err, ERR_DATA, "%" PRId64 " of %" PRId64 " rows of %s.%s were deleted",
			    *ret_rows, b->due.n, s->table->schema, s->table->table);
	return true;
}

/* integrity = "set" without slices: parents go first, which settles most foreign keys by itself. */
static bool goes_top_down(const struct batch *b)
{
	return b->plan->top_down && !b->slicing;
}

/* integrity = "set": looks for what the server's triggers would have refused row by row. */
static bool find_orphans(struct batch *b, struct error *err)
{
	const bool loose = goes_top_down(b) && batch_gathers(b);
	const struct question *q = loose ? &b->plan->loose : &b->plan->orphans;
	const char **values = t_array(b->ctx, const char *, q->n_sources + 1);
	AUTO(result) PGresult *res = NULL;

	if (!q->sql)
		return true;
	for (size_t i = 0; i < q->n_sources; i++)
		values[i] = batch_array(b, q->sources[i]);
	if (!batch_query(b, q->sql, (int)q->n_sources, values, &res, err))
		return false;
	if (PQntuples(res) == 0)
		return true;
	(void)snprintf(err->sqlstate, sizeof(err->sqlstate), "23503"); /* 5 + NUL */
	return fail(err, ERR_DATA, "rows of %s still refer to rows that were deleted",
		    db_text(res, 0, "name"));
}

/* Looks for what no lock and no foreign key could keep out of the batch. */
static bool check_guards(struct batch *b, struct error *err)
{
	const struct plan *plan = b->plan;
	const char *const values[] = {b->due.array};
	int64_t strays = 0;

	if (plan->strays_sql && b->complete &&
	    !batch_count(b, plan->strays_sql, 1, values, &strays, err))
		return false;
	if (strays > 0)
		return fail(
			err, ERR_BUSY,
			"a client has added requests to contacts that were being deleted, which no "
			"foreign key keeps out");
	/*
	 * The tables are locked here, so that no change can follow before the batch has ended.  The exception is a
	 * table that inherits from one of these, or is attached to it, but of that one the batch has seen nothing.
	 */
	return batch_check_touched(b->db, plan, err);
}

/* Looks for rows that the model keeps and a foreign key would delete: their contact is no candidate, so it stays. */
static bool check_kept(struct batch *b, struct error *err)
{
	const char *const values[] = {b->due.array};
	AUTO(result) PGresult *res = NULL;

	if (!b->plan->kept_sql)
		return true;
	if (!batch_query(b, b->plan->kept_sql, 1, values, &res, err))
		return false;
	return PQntuples(res) == 0 ||
	       fail(err, ERR_DATA,
		    "%" PRId64
		    " rows of %s stay by delete = \"keep\", and the foreign key would delete "
		    "them with their contact: let where of \"contact\" leave this contact out, or use "
		    "delete = \"delete\" or \"detach\"",
		    db_int(res, 0, "n"), db_value(res, 0, "name"));
}

/* Step 4, in the plan's order or in reverse.  The CRM's own triggers run here, under their search_path (base/sql.h). */
bool batch_erase(struct batch *b, struct error *err)
{
	const struct plan *plan = b->plan;

	if (!check_kept(b, err) ||
	    !db_execf(b->db, err, SQL_NOTE_PATH "; SET LOCAL statement_timeout = %d",
		      b->worker->measure ? b->worker->statement_timeout_ms : UNMEASURED_TIMEOUT_MS))
		return false;
	if (plan->defer && !db_exec(b->db, "SET CONSTRAINTS ALL DEFERRED", err))
		return false;
	for (size_t i = 0; i < plan->n_steps; i++) {
		const size_t k = goes_top_down(b) ? plan->n_steps - 1 - i : i;

		if (!run_step(b, &plan->steps[k], &b->rows[k], err) ||
		    !batch_stays_small(b, &plan->steps[k], b->rows[k], err))
			return false;
		failpoint("batch-mid-erase");
	}
	if (!batch_advances(b, err) || !batch_as_origin(b, false, err))
		return false;
	/* Deferred keys are checked now, while halving still helps, not at COMMIT. */
	if (plan->defer && !db_exec(b->db, SQL_CRM_PATH "; SET CONSTRAINTS ALL IMMEDIATE", err))
		return false;
	return db_execf(b->db, err, SQL_OWN_PATH "; SET LOCAL statement_timeout = %d",
			b->worker->statement_timeout_ms) &&
	       find_orphans(b, err) && check_guards(b, err);
}
