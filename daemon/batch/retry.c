/*
 * A worker's keys, batch by batch: how large the next one is, and what a failure means (struct error's class).
 *
 *   DATA         halve the batch until the key at fault stands alone; it is journalled, the rest
 *                goes on.  Where a foreign key refuses, the database is asked first who may go.
 *   BUSY         the same halving; a single key that is busy is left for a later sweep.
 *   ENVIRONMENT, CONFIG, STOPPED  the sweep's (batch/worker.c).
 */
#include "batch/worker_state.h"

#include "journal/journal.h"
#include "base/mem.h"
#include "base/units.h"

#define LONGEST_STATEMENT_MS 3600000
#define MOST_ALONG 5000 /* beyond those that were dealt */
#define FAMILY 16 /* so many are tried together again and again */
#define FAILURES_IN_A_ROW 100

/* A foreign key: somebody's row points at ours. */
static bool is_refusal(const struct error *err)
{
	return err->class == ERR_DATA && strcmp(err->sqlstate, "23503") == 0;
}

#define REFUSED                                                                                                       \
	"; a row that stays, or could not go with it, points at it: where it should let go, map its table once more " \
	"with delete = \"detach\""

static bool record_failure(struct state *s, const struct keys *keys, const struct error *cause,
			   struct error *err)
{
	struct worker_pool *pool = s->pool;
	const bool replica = pool->batch->plan->orphans.sql;
	AUTO(char_p) char *text = NULL;

	if (asprintf(&text, "%s%s", cause->text, is_refusal(cause) ? REFUSED : "") < 0)
		must_alloc(NULL);
	/* The journal's chain is a trigger (batch/batch.c, as_origin). */
	if ((replica && !db_exec(s->db, AS_ORIGIN, err)) ||
	    !journal_key_failed(s->db, pool->batch->id, keys->array, text, cause->sqlstate, err) ||
	    (replica && !db_exec(s->db, AS_REPLICA, err)))
		return false;
	if (atomic_fetch_add(&pool->failed, 1) + 1 >= FAILURES_IN_A_ROW &&
	    atomic_load(&pool->treated) + pool->done_before == 0)
		return fail(err, ERR_CONFIG,
			    "the first %d keys failed, each by itself, and none went well: %s",
			    FAILURES_IN_A_ROW, text);
	return true;
}

static bool run_batches(struct state *s, const struct keys *keys, void *ctx, struct error *err);

static bool run_free(struct state *s, const struct keys *keys, void *ctx, struct error *err);

/* Each is a batch like others: the brakes are asked. */
static bool run_halves(struct state *s, const struct keys *keys, void *ctx, struct error *err)
{
	struct keys half[2];

	return keys_halve(s->db, keys, ctx, half, err) && worker_pass_throttle(s, err) &&
	       worker_run_keys(s, &half[0], ctx, err) && worker_pass_throttle(s, err) &&
	       worker_run_keys(s, &half[1], ctx, err);
}

/* A statement that timed out: fewer rows next time; a single key that cannot be cut is given more time. */
static void ease(struct state *s, const struct keys *keys, bool sliced)
{
	if (keys->n > 1) {
		batch_size_ease(&s->size, keys->weight);
		return;
	}
	if (sliced &&
	    batch_size_ease_slice(&s->size,
				  s->slicing ? s->slice_rows : batch_size_first_slice(&s->size)))
		return;
	if (s->statement_timeout_ms < LONGEST_STATEMENT_MS)
		s->statement_timeout_ms *= 2;
	worker_disconnect(s); /* the new time-out comes with the new session */
}

static void note_key(const struct state *s, const struct keys *keys, const char *what,
		     const char *why)
{
	AUTO(char_p) char *text = NULL;

	if (asprintf(&text, "key %s: %s%s", keys->array, what, why) < 0)
		must_alloc(NULL);
	report_note(s->pool->report, text);
}

static void account(struct state *s, const struct keys *keys, const struct batch_result *result,
		    int64_t took_ms)
{
	const struct config *config = s->pool->config;
	const int64_t aim_ms = courtesy_aim_ms(s->pool->courtesy, config->batch_time_ms);

	if (result->sliced && !s->slicing)
		note_key(s, keys, "it has too many rows for one transaction and goes in slices",
			 "");
	if (result->sliced) {
		s->slice_rows = batch_size_next_slice(
			&s->size, s->slicing ? s->slice_rows : batch_size_first_slice(&s->size),
			took_ms, aim_ms);
		s->slicing = true;
	} else if (!s->slicing)
		batch_size_adapt(&s->size, &(struct batch_took){.ms = took_ms,
								.aim_ms = aim_ms,
								.weight = keys->weight,
								.rows = result->rows,
								.blocked = result->blocked > 0});
	report_batch(s->pool->report,
		     &(struct metrics_batch){.ms = took_ms,
					     .rows = result->rows,
					     .next_rows = s->slicing ? s->slice_rows
								     : batch_size_rows(&s->size),
					     .most_rows = config->batch_rows,
					     .blocked = result->blocked});
	throttle_spend(s->pool->throttle, result->rows);
	(void)atomic_fetch_add(&s->pool->treated, result->treated);
	(void)atomic_fetch_add(&s->pool->rows, result->rows);
	s->left += result->left;
}

/* A table, a column, a function is gone, or gives another type than it did: it was there when the model was checked. */
static bool is_change(const struct error *err)
{
	static const char *const states[] = {"42P01", "42703", "42704", "42804", "42883", "0A000"};

	for (size_t i = 0; err->class == ERR_CONFIG && i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(err->sqlstate, states[i]) == 0)
			return true;
	return err->class == ERR_CHANGED;
}

static bool is_timeout(const struct error *err)
{
	return strcmp(err->sqlstate, "57014") == 0;
}

/* Not in the batch that run_along() has made of them: then as they were dealt. */
static bool run_apart(struct state *s, void *ctx, struct error *err)
{
	const struct keys *dealt = s->dealt;
	const bool apart = s->apart;
	bool ok;

	s->dealt = NULL;
	s->entire = false;
	s->apart = true;
	ok = dealt->n > 1 ? run_halves(s, dealt, ctx, err)
			  : worker_pass_throttle(s, err) && run_batches(s, dealt, ctx, err);
	s->apart = apart;
	return ok;
}

/*
 * A batch of run_along() has failed.  It may have been stopped for lack of a measure alone: then once more, measured.
 * Otherwise without those who go along.
 */
static bool judge_joined(struct state *s, const struct keys *keys, bool large, void *ctx,
			 struct error *err)
{
	if (!large || s->measure)
		return run_apart(s, ctx, err);
	s->measure = true;
	return worker_pass_throttle(s, err) && run_batches(s, keys, ctx, err);
}

/*
 * Who refers to whom.  Should that not be answered (a statement that takes too long, a right that is missing), the loop
 * starts anew and never asks again: halving finds the same, in more steps.
 */
static bool ask_along(struct state *s, const struct keys *keys, int64_t limit, void *ctx,
		      struct along *ret, struct error *err)
{
	const struct batch_job *batch = s->pool->batch;
	AUTO(error) struct error one = {0};

	if (keys_along(s->db, batch->plan, batch->id, keys, limit, ctx, ret, &one))
		return true;
	if (one.class == ERR_STOPPED || one.class == ERR_BUSY)
		return fail(err, one.class, "%s", one.text);
	s->unasked = db_alive(s->db);
	return fail(err, ERR_ENVIRONMENT, "%s", one.text);
}

static bool may_ask(const struct state *s)
{
	return s->pool->batch->plan->along_sql && !s->unasked;
}

/*
 * A foreign key: a client has attached a row since the keys were collected, or another contact of this list refers to
 * this one and goes later: the next sweep will tell.
 */
static bool leave_refused(struct state *s, const struct keys *keys, const struct error *cause,
			  struct error *err)
{
	if (s->last_chance)
		return record_failure(s, keys, cause, err);
	s->left++;
	s->refused++;
	return true;
}

/* A single key that would go in slices: not where its own row would be refused at the end, and the rest be gone. */
static bool judge_giant(struct state *s, const struct keys *keys, void *ctx, bool *ret_again,
			struct error *err)
{
	AUTO(error) struct error kept = {0};
	struct along along;

	if (!ask_along(s, keys, MOST_ALONG, ctx, &along, err))
		return false;
	s->may_slice = *ret_again = along.kept.n == 0;
	if (s->may_slice)
		return true;
	(void)fail(
		&kept, ERR_DATA,
		"rows of %s point at it: it has too many rows for one transaction, and was not begun "
		"with",
		along.via);
	(void)snprintf(kept.sqlstate, sizeof(kept.sqlstate), "23503"); /* 5 + NUL */
	return leave_refused(s, keys, &kept, err);
}

/* What the failure of a batch that went back entirely means.  false: err says what the loop has to do. */
static bool judge(struct state *s, const struct keys *keys, const struct batch_result *result,
		  const struct error *one, void *ctx, bool *ret_again, struct error *err)
{
	const bool sliced = result->sliced;

	/* The siblings find the same by themselves: each batch asks. */
	if (is_change(one))
		return fail(err, ERR_CHANGED, "%s", one->text);
	if (one->class == ERR_CONFIG || one->class == ERR_STOPPED)
		return fail(err, one->class, "%s", one->text);
	if (s->writer && db_alive(s->db) && !archive_rollback(s->writer, err))
		return false;
	if (result->giant)
		return judge_giant(s, keys, ctx, ret_again, err);
	if (s->dealt && (one->class != ERR_ENVIRONMENT || is_timeout(one)))
		return judge_joined(s, keys, result->large, ctx, err);
	if (result->large && db_alive(s->db)) {
		if (is_timeout(one))
			ease(s, keys, sliced);
		s->measure = true;
		return run_halves(s, keys, ctx, err);
	}
	if (is_refusal(one) && keys->n > 1 && !s->along && !s->last_chance && may_ask(s))
		return run_free(s, keys, ctx, err);
	if ((one->class == ERR_DATA || one->class == ERR_BUSY) && keys->n > 1)
		return run_halves(s, keys, ctx, err);
	if (one->class == ERR_DATA && sliced && !s->whole) {
		/* A row that points from one slice to another, perhaps. */
		note_key(s, keys,
			 "it goes as a whole, however large, since slices fail: ", one->text);
		s->whole = *ret_again = true;
		return true;
	}
	if (is_refusal(one))
		return leave_refused(s, keys, one, err);
	if (one->class == ERR_DATA)
		return record_failure(s, keys, one, err);
	if (one->class == ERR_BUSY) {
		s->left++;
		return true;
	}
	if (one->class == ERR_ENVIRONMENT && is_timeout(one))
		ease(s, keys, sliced);
	return fail(err, one->class, "%s", one->text);
}

/* *ret_again: the key is not done, but may go on at once. */
static bool run_batch(struct state *s, const struct keys *keys, void *ctx, bool *ret_again,
		      struct error *err)
{
	struct batch_worker w = {.number = s->worker->number,
				 .db = s->db,
				 .writer = s->writer,
				 .most_rows = s->whole || s->entire ? 0
					      : s->slicing          ? s->slice_rows
					      : keys->n == 1 ? batch_size_first_slice(&s->size)
							     : batch_size_table_rows(&s->size),
				 .slicing = s->slicing,
				 .may_slice = s->may_slice,
				 .measure = s->measure || s->entire || keys->n == 1,
				 .statement_timeout_ms = s->statement_timeout_ms};
	struct batch_result result = {0};
	AUTO(error) struct error one = {0};
	int64_t begun_ms, took_ms;
	bool turn, ok;

	*ret_again = false;
	if (stop_asked(s->pool->stop))
		return fail(err, ERR_STOPPED, "asked to stop");
	courtesy_enter(s->pool->courtesy, &turn);
	if (turn && stop_asked(s->pool->stop)) { /* while it waited for its turn */
		courtesy_leave(s->pool->courtesy, turn, 0, s->pool->stop);
		return fail(err, ERR_STOPPED, "asked to stop");
	}
	begun_ms = monotonic_ms();
	ok = batch_run(s->pool->batch, &w, keys, &result, &one);
	took_ms = monotonic_ms() - begun_ms;
	courtesy_leave(s->pool->courtesy, turn, took_ms, s->pool->stop);
	if (!ok)
		return judge(s, keys, &result, &one, ctx, ret_again, err);
	*ret_again = result.sliced;
	account(s, keys, &result, took_ms);
	return true;
}

bool worker_pass_throttle(struct state *s, struct error *err)
{
	const struct worker_pool *pool = s->pool;

	return courtesy_look(pool->courtesy, s->db, err) &&
	       throttle_wait(pool->throttle, s->db, pool->stop, pool->report, NULL, err);
}

/* One batch, or the slices of a single subject. */
static bool run_batches(struct state *s, const struct keys *keys, void *ctx, struct error *err)
{
	bool again = true, ok = true;

	s->slicing = s->whole = false;
	s->may_slice = !may_ask(s);
	while (ok && again)
		ok = run_batch(s, keys, ctx, &again, err) &&
		     (!again || worker_pass_throttle(s, err));
	if (ok && s->slicing)
		s->size.first_slice_rows = 0;
	s->slicing = s->whole = false;
	return ok;
}

/* Something that stays points at them.  Once that is certain, each is tried by itself, to be told what refuses it. */
static bool run_kept(struct state *s, const struct keys *keys, void *ctx, struct error *err)
{
	struct keys half[2];

	if (keys->n == 0)
		return true;
	if (!s->last_chance) {
		s->left += keys->n;
		s->refused += keys->n;
		return true;
	}
	if (keys->n == 1)
		return worker_pass_throttle(s, err) && run_batches(s, keys, ctx, err);
	return keys_halve(s->db, keys, ctx, half, err) && run_kept(s, &half[0], ctx, err) &&
	       run_kept(s, &half[1], ctx, err);
}

/* A foreign key has refused them together: those at whom nobody else points, now; the others in a later sweep. */
static bool run_free(struct state *s, const struct keys *keys, void *ctx, struct error *err)
{
	struct along along;

	if (!ask_along(s, keys, 0, ctx, &along, err))
		return false;
	if (along.kept.n == 0)
		return run_halves(s, keys, ctx, err);
	return (along.free.n == 0 ||
		(worker_pass_throttle(s, err) && run_batches(s, &along.free, ctx, err))) &&
	       run_kept(s, &along.kept, ctx, err);
}

/* Some more of an attempt that has failed before: key by key, if need be, and nobody goes along. */
static bool run_plain(struct state *s, const struct keys *keys, void *ctx, struct error *err)
{
	bool ok;

	s->plain = true;
	ok = run_batches(s, keys, ctx, err);
	s->plain = false;
	return ok;
}

/*
 * Those of keys at whom nothing points that stays, and with them who points at them; then the others.  Some of keys may
 * have gone along with others already.  At the last chance those who hang together go in one transaction however large.
 */
static bool run_along(struct state *s, const struct keys *keys, void *ctx, struct error *err)
{
	struct along along;
	bool joined, ok = true;

	if (!ask_along(s, keys, MOST_ALONG, ctx, &along, err))
		return false;
	joined = along.free.n > along.own.n - along.kept.n;
	if (joined && s->apart && along.free.n > 2 * along.own.n + FAMILY)
		return run_plain(s, &along.own, ctx, err);
	if (along.free.n > 0) {
		s->dealt = joined ? &along.own : NULL;
		s->entire = joined && s->last_chance;
		ok = run_batches(s, &along.free, ctx, err);
		s->entire = false;
		if (joined && !s->dealt)
			return ok; /* all of own, one by one */
		s->dealt = NULL;
	}
	return ok && run_kept(s, &along.kept, ctx, err);
}

bool worker_run_keys(struct state *s, const struct keys *keys, void *ctx, struct error *err)
{
	return s->along && !s->plain && may_ask(s) ? run_along(s, keys, ctx, err)
						   : run_batches(s, keys, ctx, err);
}
