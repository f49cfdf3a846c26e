/*
 * The loop around the batches: what a failure means (struct error's class) is decided here.
 *
 *   DATA         halve the batch until the key at fault stands alone; it is journalled, the rest
 *                goes on.
 *   BUSY         the same halving; a single key that is busy is left for a later sweep.
 *   ENVIRONMENT  roll back, back off, ask the database what it has committed, go on.
 *   CONFIG       a right or a table has changed under us: end, a person is needed.
 *   STOPPED      end.
 *
 * A worker remembers nothing that matters: after any trouble it reads the committed lengths and the
 * list again.
 */
#include "worker.h"

#include "journal.h"
#include "mem.h"
#include "units.h"

#include <inttypes.h>
#include <sys/eventfd.h>
#include <time.h>

#define LOCK_TIMEOUT_MS 500 /* below deadlock_timeout (1 s): we are the one who gives way */
#define STATEMENT_TIMEOUT_MS 60000
#define LONGEST_STATEMENT_MS 3600000
#define FIRST_WEIGHT 600 /* about a hundred contacts with five requests each */
#define MOST_KEYS 5000
#define PERSON_ROWS 1000 /* of one table; a person with fewer is never cut */
#define SLICE_MIN_ROWS 100
#define SWEEPS_MAX_PAUSE_MS 5000
#define SIBLINGS_MS 50
#define SWEEPS_IN_VAIN 2 /* locked: perhaps by our own siblings; then it is the first one's alone */
#define SWEEP_PATIENCE_MS 600000 /* a key that stays locked this long waits for the next pass */
#define BACKOFF_MIN_MS 250
#define BACKOFF_MAX_MS 30000
#define GIVE_UP_MS 60000
#define FAILURES_IN_A_ROW 100

struct state {
	struct worker *worker;
	struct crew *crew;
	struct db *db;
	struct archive_writer *writer;
	int64_t weight; /* what the next batch may weigh */
	double rows_a_weight; /* measured: rows of all tables behind a unit of weight */
	struct key_window window;
	int64_t left; /* keys that this sweep had to leave */
	int64_t backoff_ms;
	int64_t refused; /* of those left: a foreign key points at them from elsewhere */
	int64_t treated_before; /* by all workers, when this sweep began */
	int in_vain; /* sweeps in a row in which nobody has treated anything */
	bool alone; /* no sibling is left: the whole list is this worker's */
	bool last_chance; /* a sweep has changed nothing: what is refused now has failed */
	int64_t away_ms; /* how long the surroundings have failed us */
	int statement_timeout_ms;
	int64_t slice_rows; /* what the next slice may take of a table */
	int64_t first_rows; /* what the first may, where it has timed out; 0: most_rows() */
	bool slicing; /* the key under way has lost a slice */
	bool whole; /* and cannot go on in slices */
	bool locked; /* told to the crew: its last sweep left rows that others have locked */
	bool measure; /* the keys under way are part of a batch that was too large */
};

struct db_opts worker_db_opts(const struct config *config, int statement_timeout_ms)
{
	return (struct db_opts){
		.conninfo = config->conninfo,
		.timezone = config->timezone,
		.application_name = "retention-job",
		.lock_timeout_ms = LOCK_TIMEOUT_MS,
		.statement_timeout_ms = statement_timeout_ms,
	};
}

static void disconnect(struct state *s)
{
	stop_watch(s->crew->stop, s->worker->number + 1, NULL);
	archive_writer_close(s->writer);
	s->writer = NULL;
	db_close(s->db);
	s->db = NULL;
}

/*
 * The worker's segments.  Only once there is a key to work on: when all are done, an earlier attempt
 * may have joined the segments already.
 */
static bool open_writer(struct state *s, struct error *err)
{
	struct crew *crew = s->crew;
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	int64_t *bytes = t_array(ctx, int64_t, crew->n_files + 1);

	if (!crew->archive_name || s->writer)
		return true;
	return journal_lengths(s->db, crew->batch->id, s->worker->number, crew->labels,
			       crew->n_files, bytes, NULL, err) &&
	       archive_writer_open(crew->config->directory, crew->archive_name, s->worker->number,
				   crew->files, crew->n_files, bytes, &s->writer, err);
}

#define AS_REPLICA "SET session_replication_role = replica"
#define AS_ORIGIN "SET session_replication_role = origin"

/*
 * Keys come in arrays of any length: a plan that reads a whole table of the CRM is never the better one for
 * those who work beside it, even where it were faster.
 */
static const char session_sql[] = "SET enable_seqscan = off; SET jit = off;";

/*
 * integrity = "set", for the session.  Where everybody's sessions are replicas, nobody's foreign keys speak,
 * and ours would ask in vain.
 */
static bool become_replica(struct state *s, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!s->crew->batch->plan->orphans.sql)
		return true;
	if (!db_query(s->db, "SELECT current_setting('session_replication_role') AS role", 0, NULL,
		      &res, err))
		return false;
	if (strcmp(db_text(res, 0, "role"), "origin") != 0)
		return batch_refuse_role(db_text(res, 0, "role"), err);
	return db_exec(s->db, AS_REPLICA, err);
}

/* A session whose worker has no batch under way elsewhere. */
static bool connect(struct state *s, struct error *err)
{
	const struct db_opts opts = worker_db_opts(s->crew->config, s->statement_timeout_ms);

	if (s->db && db_alive(s->db))
		return true;
	disconnect(s);
	if (!db_open(&opts, &s->db, err))
		return false;
	stop_watch(s->crew->stop, s->worker->number + 1, db_conn(s->db));
	if (!db_exec(s->db, session_sql, err) || !become_replica(s, err))
		return false;
	/* An older session's batch may still be committing: its end comes before its lengths. */
	return batch_settle(s->crew->batch, s->worker->number, s->db, err);
}

/*
 * Holds the batch's duration near batch_time: shrinks at once, grows slowly.  Where somebody waited for it,
 * half of it would have been enough.
 */
static void adapt(struct state *s, const struct keys *keys, const struct batch_result *result,
		  int64_t took_ms)
{
	const int64_t rows = result->rows;
	const struct config *config = s->crew->config;
	const double aim = (double)courtesy_aim_ms(s->crew->courtesy, config->batch_time_ms);
	const double ratio = aim / (double)(took_ms > 0 ? took_ms : 1);
	double weight = (double)s->weight;
	double most;

	if (keys->weight > 0)
		s->rows_a_weight =
			0.8 * s->rows_a_weight + 0.2 * ((double)rows / (double)keys->weight);
	if (result->blocked > 0)
		weight = (double)keys->weight / 2;
	else if (ratio < 0.9)
		weight *= ratio < 0.3 ? 0.3 : ratio;
	else if (ratio > 1.25 && keys->weight * 2 > s->weight)
		weight *= ratio > 2 ? 1.25 : 1.1;
	most = (double)config->batch_rows / (s->rows_a_weight > 0.1 ? s->rows_a_weight : 0.1);
	if (weight > most)
		weight = most;
	s->weight = weight < 1 ? 1 : (int64_t)weight;
}

static bool record_failure(struct state *s, const struct keys *keys, const struct error *cause,
			   struct error *err)
{
	struct crew *crew = s->crew;
	const bool replica = crew->batch->plan->orphans.sql;

	/* The journal's chain is a trigger (batch.c, as_origin). */
	if ((replica && !db_exec(s->db, AS_ORIGIN, err)) ||
	    !journal_key_failed(s->db, crew->batch->id, keys->array, cause->text, cause->sqlstate,
				err) ||
	    (replica && !db_exec(s->db, AS_REPLICA, err)))
		return false;
	if (atomic_fetch_add(&crew->failed, 1) + 1 >= FAILURES_IN_A_ROW &&
	    atomic_load(&crew->treated) + crew->done_before == 0)
		return fail(err, ERR_CONFIG,
			    "the first %d keys failed, each by itself, and none went well: %s",
			    FAILURES_IN_A_ROW, cause->text);
	return true;
}

static bool run_keys(struct state *s, const struct keys *keys, void *ctx, struct error *err);

static bool pass_throttle(struct state *s, struct error *err);

/* Each is a batch like others: the brakes are asked. */
static bool run_halves(struct state *s, const struct keys *keys, void *ctx, struct error *err)
{
	struct keys half[2];

	return keys_halve(s->db, keys, ctx, half, err) && pass_throttle(s, err) &&
	       run_keys(s, &half[0], ctx, err) && pass_throttle(s, err) &&
	       run_keys(s, &half[1], ctx, err);
}

/* Of one table in one batch: up to twice what it aims at is a person among others, more is cut. */
static int64_t most_rows(const struct state *s)
{
	const int64_t most = 2 * (int64_t)s->crew->config->batch_rows;

	return most > PERSON_ROWS ? most : PERSON_ROWS;
}

/* The first slice knows no other measure, unless it has timed out before. */
static int64_t first_rows(const struct state *s)
{
	return s->first_rows > 0 ? s->first_rows : most_rows(s);
}

/* A statement that timed out: fewer rows next time; a single key that cannot be cut is given more time. */
static void ease(struct state *s, const struct keys *keys, bool sliced)
{
	if (keys->n > 1) {
		s->weight = keys->weight / 2 > 0 ? keys->weight / 2 : 1;
		return;
	}
	if (sliced && s->slicing && s->slice_rows > SLICE_MIN_ROWS) {
		s->slice_rows /= 2;
		return;
	}
	if (sliced && !s->slicing && first_rows(s) > SLICE_MIN_ROWS) {
		s->first_rows = first_rows(s) / 2;
		return;
	}
	if (s->statement_timeout_ms < LONGEST_STATEMENT_MS)
		s->statement_timeout_ms *= 2;
	disconnect(s); /* the new time-out comes with the new session */
}

static void note_key(const struct state *s, const struct keys *keys, const char *what,
		     const char *why)
{
	AUTO(char_p) char *text = NULL;

	if (asprintf(&text, "key %s: %s%s", keys->array, what, why) < 0)
		must_alloc(NULL);
	report_note(s->crew->report, text);
}

/* A slice has committed: the next one aims at batch_time, too. */
static void adapt_slice(struct state *s, const struct keys *keys, int64_t took_ms)
{
	const double aim =
		(double)courtesy_aim_ms(s->crew->courtesy, s->crew->config->batch_time_ms);
	const double ratio = aim / (double)(took_ms > 0 ? took_ms : 1);
	double rows = (double)(s->slicing ? s->slice_rows : first_rows(s)) * ratio;

	if (!s->slicing)
		note_key(s, keys, "it has too many rows for one transaction and goes in slices",
			 "");
	if (rows > (double)most_rows(s))
		rows = (double)most_rows(s);
	s->slice_rows = rows < SLICE_MIN_ROWS ? SLICE_MIN_ROWS : (int64_t)rows;
	s->slicing = true;
}

static void account(struct state *s, const struct keys *keys, const struct batch_result *result,
		    int64_t took_ms)
{
	if (result->sliced)
		adapt_slice(s, keys, took_ms);
	else if (!s->slicing)
		adapt(s, keys, result, took_ms);
	report_batch(s->crew->report,
		     &(struct metrics_batch){.ms = took_ms,
					     .rows = result->rows,
					     .next_rows = s->slicing ? s->slice_rows
								     : (int64_t)((double)s->weight *
										 s->rows_a_weight),
					     .most_rows = s->crew->config->batch_rows,
					     .blocked = result->blocked});
	throttle_spend(s->crew->throttle, result->rows);
	(void)atomic_fetch_add(&s->crew->treated, result->treated);
	(void)atomic_fetch_add(&s->crew->rows, result->rows);
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
	if (result->large && db_alive(s->db)) {
		if (strcmp(one->sqlstate, "57014") == 0)
			ease(s, keys, sliced);
		s->measure = true;
		return run_halves(s, keys, ctx, err);
	}
	if ((one->class == ERR_DATA || one->class == ERR_BUSY) && keys->n > 1)
		return run_halves(s, keys, ctx, err);
	if (one->class == ERR_DATA && sliced && !s->whole) {
		/* A row that points from one slice to another, perhaps. */
		note_key(s, keys,
			 "it goes as a whole, however large, since slices fail: ", one->text);
		s->whole = *ret_again = true;
		return true;
	}
	if (one->class == ERR_DATA && strcmp(one->sqlstate, "23503") == 0 && !s->last_chance) {
		/*
		 * A client has attached a row since the keys were collected, or another contact of
		 * this list refers to this one and goes later: the next sweep will tell.
		 */
		s->left++;
		s->refused++;
		return true;
	}
	if (one->class == ERR_DATA)
		return record_failure(s, keys, one, err);
	if (one->class == ERR_BUSY) {
		s->left++;
		return true;
	}
	if (one->class == ERR_ENVIRONMENT && strcmp(one->sqlstate, "57014") == 0)
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
				 .most_rows = s->whole       ? 0
					      : s->slicing   ? s->slice_rows
					      : keys->n == 1 ? first_rows(s)
							     : most_rows(s),
				 .slicing = s->slicing,
				 .measure = s->measure || keys->n == 1,
				 .statement_timeout_ms = s->statement_timeout_ms};
	struct batch_result result = {0};
	AUTO(error) struct error one = {0};
	int64_t begun_ms, took_ms;
	bool turn, ok;

	*ret_again = false;
	if (stop_asked(s->crew->stop))
		return fail(err, ERR_STOPPED, "asked to stop");
	courtesy_enter(s->crew->courtesy, &turn);
	if (turn && stop_asked(s->crew->stop)) { /* while it waited for its turn */
		courtesy_leave(s->crew->courtesy, turn, 0, s->crew->stop);
		return fail(err, ERR_STOPPED, "asked to stop");
	}
	begun_ms = monotonic_ms();
	ok = batch_run(s->crew->batch, &w, keys, &result, &one);
	took_ms = monotonic_ms() - begun_ms;
	courtesy_leave(s->crew->courtesy, turn, took_ms, s->crew->stop);
	if (!ok)
		return judge(s, keys, &result, &one, ctx, ret_again, err);
	*ret_again = result.sliced;
	account(s, keys, &result, took_ms);
	return true;
}

/* Waits as long as the brakes say.  false: err, or asked to stop. */
static bool pass_throttle(struct state *s, struct error *err)
{
	const struct crew *crew = s->crew;

	return courtesy_look(crew->courtesy, s->db, err) &&
	       throttle_wait(crew->throttle, s->db, crew->stop, crew->report, NULL, err);
}

/* One batch, or the slices of a single subject. */
static bool run_keys(struct state *s, const struct keys *keys, void *ctx, struct error *err)
{
	bool again = true, ok = true;

	s->slicing = s->whole = false;
	while (ok && again)
		ok = run_batch(s, keys, ctx, &again, err) && (!again || pass_throttle(s, err));
	if (ok && s->slicing)
		s->first_rows = 0;
	s->slicing = s->whole = false;
	return ok;
}

/* One batch from the list.  *ret_more: the list had something for us. */
static bool next_batch(struct state *s, bool *ret_more, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct keys keys;

	if (stop_asked(s->crew->stop))
		return fail(err, ERR_STOPPED, "asked to stop");
	if (!connect(s, err) || !pass_throttle(s, err) ||
	    !keys_take(s->db, s->crew->batch->id, s->worker->number,
		       s->alone ? 1 : s->crew->workers, &s->window, s->weight,
		       s->weight < MOST_KEYS ? s->weight : MOST_KEYS, ctx, &keys, err))
		return false;
	*ret_more = keys.n > 0;
	if (keys.n == 0)
		return true;
	s->measure = false;
	if (!open_writer(s, err) || !run_keys(s, &keys, ctx, err))
		return false;
	report_waiting(s->crew->report, courtesy_reason(s->crew->courtesy));
	return true;
}

/* The surroundings failed us: wait, longer each time.  false: end. */
static bool back_off(struct state *s, const struct error *cause, struct error *err)
{
	if (!s->crew->patient && s->away_ms > GIVE_UP_MS)
		return fail(err, ERR_ENVIRONMENT, "%s", cause->text);
	report_waiting(s->crew->report, cause->text);
	disconnect(s);
	s->backoff_ms = s->backoff_ms ? s->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (s->backoff_ms > BACKOFF_MAX_MS)
		s->backoff_ms = BACKOFF_MAX_MS;
	s->away_ms += s->backoff_ms;
	keys_rewind(&s->window); /* what was under way is in the list, or it is done */
	if (stop_sleep_ms(s->crew->stop, s->backoff_ms))
		return fail(err, ERR_STOPPED, "asked to stop");
	return true;
}

/* What this worker had to leave is what another's key may be referred to by. */
static void tell_locked(struct state *s, bool locked)
{
	if (locked != s->locked)
		(void)atomic_fetch_add(&s->crew->locked, locked ? 1 : -1);
	s->locked = locked;
}

static void begin_sweep(struct state *s)
{
	s->treated_before = atomic_load(&s->crew->treated);
	keys_rewind(&s->window);
	s->left = s->refused = 0;
}

/*
 * Subjects that refer to one another go in one batch or not at all, and may have been dealt to two workers, who refuse
 * them for each other, or lock each other out: what is stuck is left to the first, who takes it up alone when the others
 * have ended.  *ret: that is us, and there is some.
 */
static bool take_over(struct state *s, bool stuck, bool *ret, struct error *err)
{
	struct crew *crew = s->crew;

	*ret = false;
	if (s->alone)
		return true;
	if (stuck)
		(void)atomic_fetch_add(&crew->stuck, 1);
	if (s->worker->number > 0)
		return true;
	tell_locked(s, false);
	while (atomic_load(&crew->running) > 1)
		if (stop_sleep_ms(crew->stop, SIBLINGS_MS))
			return fail(err, ERR_STOPPED, "asked to stop");
	*ret = s->alone = atomic_load(&crew->stuck) > 0;
	if (*ret)
		begin_sweep(s);
	return true;
}

/*
 * Before the next sweep: a pause, longer each time where rows are locked.  Those that a sweep without any progress still
 * found referred to get one last chance; not while what refers to them may be what somebody has locked.
 */
static bool rest(struct state *s, int64_t *pause_ms, int64_t *waited_ms, bool *ret_stuck,
		 struct error *err)
{
	const int64_t treated = atomic_load(&s->crew->treated);
	bool locked = s->refused < s->left;

	tell_locked(s, locked);
	locked = locked || atomic_load(&s->crew->locked) > 0;
	s->in_vain = treated == s->treated_before ? s->in_vain + 1 : 0;
	*ret_stuck = !s->alone && s->in_vain >= (locked ? SWEEPS_IN_VAIN : 1);
	s->last_chance = s->last_chance || (s->alone && !locked && s->in_vain > 0);
	if (locked)
		report_waiting(s->crew->report,
			       "rows that are locked, by another session or another worker");
	if (stop_sleep_ms(s->crew->stop, *pause_ms))
		return fail(err, ERR_STOPPED, "asked to stop");
	if (locked) {
		*waited_ms += *pause_ms;
		*pause_ms =
			*pause_ms * 2 < SWEEPS_MAX_PAUSE_MS ? *pause_ms * 2 : SWEEPS_MAX_PAUSE_MS;
	}
	begin_sweep(s);
	return true;
}

/* All keys of a sweep; then those that were left, until there is none. */
static bool sweep(struct state *s, struct error *err)
{
	int64_t pause_ms = 100, waited_ms = 0;

	for (;;) {
		AUTO(error) struct error one = {0};
		bool more = false, stuck = false;

		if (!next_batch(s, &more, &one)) {
			if (one.class != ERR_ENVIRONMENT && one.class != ERR_BUSY)
				return fail(err, one.class, "%s", one.text);
			if (!back_off(s, &one, err))
				return false;
			continue;
		}
		s->backoff_ms = s->away_ms = 0;
		if (more)
			continue;
		if (s->left > 0 && waited_ms < SWEEP_PATIENCE_MS) {
			if (!rest(s, &pause_ms, &waited_ms, &stuck, err))
				return false;
			if (!stuck)
				continue;
		}
		if (!take_over(s, stuck, &more, err) || !more)
			return err->class == ERR_NONE;
	}
}

void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct state s = {
		.worker = w,
		.crew = w->crew,
		.weight = FIRST_WEIGHT,
		.rows_a_weight = 6,
		.alone = w->crew->workers == 1,
		.window = {.after_n = -1},
		.statement_timeout_ms = STATEMENT_TIMEOUT_MS,
	};

	if (!sweep(&s, &w->err) && w->err.class == ERR_CONFIG)
		stop_ask(w->crew->stop); /* the siblings would only find the same */
	tell_locked(&s, false);
	disconnect(&s);
	keys_rewind(&s.window);
	(void)atomic_fetch_sub(&w->crew->running, 1);
	(void)eventfd_write(w->crew->ended, 1); /* cannot fail below 2^64 workers */
	return NULL;
}
