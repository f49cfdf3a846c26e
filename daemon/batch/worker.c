/*
 * The loop around the batches: sweep after sweep over the list, until it holds no key of the worker's.
 * What a failure means (struct error's class):
 *
 *   DATA, BUSY   the keys' own trouble (batch/retry.c).
 *   ENVIRONMENT  roll back, back off, ask the database what it has committed, go on.
 *   CONFIG       a right or a table has changed under us: end, a person is needed.
 *   STOPPED      end.
 *
 * A worker remembers nothing that matters: after any trouble it reads the committed lengths and the
 * list again.
 */
#include "batch/worker_state.h"

#include "journal/journal.h"
#include "base/mem.h"

#include <sys/eventfd.h>

#define LOCK_TIMEOUT_MS 500 /* below deadlock_timeout (1 s): we are the one who gives way */
#define STATEMENT_TIMEOUT_MS 60000
#define MOST_KEYS 5000
#define SWEEPS_MAX_PAUSE_MS 5000
#define SIBLINGS_MS 50
#define SWEEPS_IN_VAIN 2 /* locked: perhaps by our own siblings; then it is the first one's alone */
#define SWEEP_PATIENCE_MS 600000 /* a key that stays locked this long waits for the next pass */
#define BACKOFF_MIN_MS 250
#define BACKOFF_MAX_MS 30000
#define GIVE_UP_MS 60000

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

void worker_disconnect(struct state *s)
{
	stop_watch(s->pool->stop, s->worker->number + 1, NULL);
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
	struct worker_pool *pool = s->pool;
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct committed committed;

	if (!pool->archive->name || s->writer)
		return true;
	return journal_committed(s->db, pool->batch->id, pool->labels, ctx, &committed, err) &&
	       archive_writer_open(pool->archive, s->worker->number,
				   journal_bytes_of(&committed, s->worker->number, ctx), &s->writer,
				   err);
}

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

	if (!s->pool->batch->plan->orphans.sql)
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
	const struct db_opts opts = worker_db_opts(s->pool->config, s->statement_timeout_ms);

	if (s->db && db_alive(s->db))
		return true;
	worker_disconnect(s);
	if (!db_open(&opts, &s->db, err))
		return false;
	stop_watch(s->pool->stop, s->worker->number + 1, db_conn(s->db));
	if (!db_exec(s->db, session_sql, err) || !become_replica(s, err))
		return false;
	/* An older session's batch may still be committing: its end comes before its lengths. */
	return batch_settle(s->pool->batch, s->worker->number, s->db, err);
}

/* One batch from the list.  *ret_more: the list had something for us. */
static bool next_batch(struct state *s, bool *ret_more, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct keys keys;

	if (stop_asked(s->pool->stop))
		return fail(err, ERR_STOPPED, "asked to stop");
	if (!connect(s, err) || !worker_pass_throttle(s, err) ||
	    !keys_take(s->db, s->pool->batch->id, s->worker->number,
		       s->alone ? 1 : s->pool->workers, &s->window, batch_size_weight(&s->size),
		       MOST_KEYS, ctx, &keys, err))
		return false;
	*ret_more = keys.n > 0;
	if (keys.n == 0)
		return true;
	s->measure = false;
	if (!open_writer(s, err) || !worker_run_keys(s, &keys, ctx, err))
		return false;
	report_waiting(s->pool->report, WAIT_COURTESY, courtesy_reason(s->pool->courtesy));
	return true;
}

/* The surroundings failed us: wait, longer each time.  false: end. */
static bool back_off(struct state *s, const struct error *cause, struct error *err)
{
	if (!s->pool->patient && s->away_ms > GIVE_UP_MS)
		return fail(err, ERR_ENVIRONMENT, "%s", cause->text);
	report_waiting(s->pool->report, WAIT_OTHER, cause->text);
	worker_disconnect(s);
	s->backoff_ms = s->backoff_ms ? s->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (s->backoff_ms > BACKOFF_MAX_MS)
		s->backoff_ms = BACKOFF_MAX_MS;
	s->away_ms += s->backoff_ms;
	keys_rewind(&s->window); /* what was under way is in the list, or it is done */
	if (stop_sleep_ms(s->pool->stop, s->backoff_ms))
		return fail(err, ERR_STOPPED, "asked to stop");
	return true;
}

/* What this worker had to leave is what another's key may be referred to by. */
static void tell_locked(struct state *s, bool locked)
{
	if (locked != s->locked)
		(void)atomic_fetch_add(&s->pool->locked, locked ? 1 : -1);
	s->locked = locked;
}

static void begin_sweep(struct state *s)
{
	s->treated_before = atomic_load(&s->pool->treated);
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
	struct worker_pool *pool = s->pool;

	*ret = false;
	if (s->alone)
		return true;
	if (stuck)
		(void)atomic_fetch_add(&pool->stuck, 1);
	if (s->worker->number > 0)
		return true;
	tell_locked(s, false);
	while (atomic_load(&pool->running) > 1)
		if (stop_sleep_ms(pool->stop, SIBLINGS_MS))
			return fail(err, ERR_STOPPED, "asked to stop");
	*ret = s->alone = s->along = atomic_load(&pool->stuck) > 0;
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
	const int64_t treated = atomic_load(&s->pool->treated);
	bool locked = s->refused < s->left;

	tell_locked(s, locked);
	locked = locked || atomic_load(&s->pool->locked) > 0;
	s->in_vain = treated == s->treated_before ? s->in_vain + 1 : 0;
	*ret_stuck = !s->alone && s->in_vain >= (locked ? SWEEPS_IN_VAIN : 1);
	s->along = s->along || (s->alone && s->refused > 0);
	s->last_chance = s->last_chance || (s->alone && !locked && s->in_vain > 0);
	if (locked)
		report_waiting(s->pool->report, WAIT_LOCKS,
			       "rows that are locked, by another session or another worker");
	if (stop_sleep_ms(s->pool->stop, *pause_ms))
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
		.pool = w->pool,
		.size = batch_size_new(w->pool->config->batch_rows),
		.alone = w->pool->workers == 1,
		.window = {.after_n = -1},
		.statement_timeout_ms = STATEMENT_TIMEOUT_MS,
	};

	if (!sweep(&s, &w->err) && w->err.class == ERR_CONFIG)
		stop_ask(w->pool->stop); /* the siblings would only find the same */
	tell_locked(&s, false);
	worker_disconnect(&s);
	keys_rewind(&s.window);
	(void)atomic_fetch_sub(&w->pool->running, 1);
	(void)eventfd_write(w->pool->ended, 1); /* cannot fail below 2^64 workers */
	return NULL;
}
