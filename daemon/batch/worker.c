/*
 * The loop around the batches: sweep after sweep over the list, until it holds none of the worker's keys.
 * The class of a failure says what follows:
 *
 *   DATA, BUSY   the keys' own trouble (batch/retry.c).
 *   ENVIRONMENT  roll back, back off, ask the database what it has committed, go on.
 *   CONFIG       a right or a table has changed meanwhile: end, a person is needed.
 *   STOPPED      end.
 *
 * A worker remembers nothing that matters: after any trouble it reads the committed lengths and the
 * list again.
 */
#include "batch/worker_state.h"

#include <sys/eventfd.h>

#define STATEMENT_TIMEOUT_MS 60000
#define SWEEPS_MIN_PAUSE_MS 100
#define SWEEPS_MAX_PAUSE_MS 5000
#define SIBLINGS_MS 50
/* With locked rows, perhaps by the other workers: then one goes on alone. */
#define SWEEPS_IN_VAIN 2
#define SWEEP_PATIENCE_MS 600000 /* a key that stays locked this long waits for the next pass */

/* Runs one batch from the list.  *ret_more: the list had keys for this worker. */
static bool next_batch(struct worker_state *w, bool *ret_more, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct session *session = &w->session;
	struct keys keys;

	*ret_more = false;
	if (stop_asked(w->pool->stop))
		return fail(err, ERR_STOPPED, "asked to stop");
	if (!session_open(session, err) || !session_wait_for_throttle(session, err) ||
	    !keys_take(session->db, &w->sweep.page, batch_size_weight(&w->size), ctx, &keys, err))
		return false;
	*ret_more = keys.n > 0;
	if (keys.n == 0 || (w->sweep.away && strcmp(w->sweep.away_group, keys.group) == 0))
		return true;
	if (!session_open_archive(session, err) || !retry_run(w, &keys, ctx, err))
		return false;
	report_waiting(w->pool->report, WAIT_COURTESY, courtesy_reason(w->pool->courtesy));
	return true;
}

static void begin_sweep(struct worker_state *w)
{
	w->sweep.treated_before = atomic_load(&w->pool->treated);
	w->sweep.left = w->sweep.refused = 0;
	w->sweep.met_locks = false;
	keys_rewind(&w->sweep.page);
}

/*
 * The sweep has passed over the list.  *ret: keys are left because a server is away over which Citus has spread the
 * rows, and only they are.
 */
static bool take_away(struct worker_state *w, struct error *ret)
{
	if (!w->sweep.away)
		return false;
	(void)fail(ret, ERR_ENVIRONMENT, "%s", w->sweep.away);
	free(w->sweep.away);
	free(w->sweep.away_group);
	w->sweep.away = w->sweep.away_group = NULL;
	begin_sweep(w);
	return true;
}

/* Runs all batches of one sweep, across failures of the server, the network and the disk. */
static bool run_sweep(struct worker_state *w, struct error *err)
{
	bool more = true;

	while (more) {
		AUTO(error) struct error one = {0};
		const int64_t treated = atomic_load(&w->pool->treated);

		if (next_batch(w, &more, &one)) {
			if (!w->sweep.away || atomic_load(&w->pool->treated) > treated)
				w->session.backoff_ms = w->session.away_ms = 0;
			if (more || !take_away(w, &one))
				continue;
		}
		if (one.class != ERR_ENVIRONMENT && one.class != ERR_BUSY)
			return fail(err, one.class, "%s", one.text);
		keys_rewind(&w->sweep.page); /* what was under way is in the list, or it is done */
		if (!session_back_off(&w->session, &one, err))
			return false;
		more = true;
	}
	return true;
}

/* Tells the others that rows are locked: a key of theirs may be referred to by one that this worker had to leave. */
static void tell_locked(struct worker_state *w, bool locked)
{
	if (locked != w->sweep.told_locked)
		(void)atomic_fetch_add(&w->pool->locked, locked ? 1 : -1);
	w->sweep.told_locked = locked;
}

/* Pauses before the next sweep, longer each time while rows are locked. */
static bool pause_sweep(struct worker_state *w, bool locked, struct error *err)
{
	struct sweep *s = &w->sweep;

	if (locked)
		report_waiting(w->pool->report, WAIT_LOCKS,
			       "rows that are locked, by another session or another worker");
	if (stop_sleep_ms(w->pool->stop, s->pause_ms))
		return fail(err, ERR_STOPPED, "asked to stop");
	if (!locked)
		return true;
	s->waited_ms += s->pause_ms;
	s->pause_ms = s->pause_ms * 2 < SWEEPS_MAX_PAUSE_MS ? s->pause_ms * 2 : SWEEPS_MAX_PAUSE_MS;
	return true;
}

/*
 * Decides what the next sweep tries, and pauses before it.  A refused key gets a last chance after a sweep without any
 * progress, but not while the row that refers to it may be one that another session has locked.
 * *ret_stuck: another sweep beside the other workers is useless.
 */
static bool prepare_sweep(struct worker_state *w, bool *ret_stuck, struct error *err)
{
	struct sweep *s = &w->sweep;
	bool locked = s->refused < s->left || s->met_locks;

	tell_locked(w, locked);
	locked = locked || atomic_load(&w->pool->locked) > 0;
	s->in_vain = atomic_load(&w->pool->treated) == s->treated_before ? s->in_vain + 1 : 0;
	*ret_stuck = s->stage == STAGE_SHARED && s->in_vain >= (locked ? SWEEPS_IN_VAIN : 1);
	if (s->stage == STAGE_ALONE && s->refused > 0)
		s->stage = STAGE_TOGETHER;
	if (s->stage == STAGE_TOGETHER && !locked && s->in_vain > 0)
		s->stage = STAGE_LAST;
	if (!pause_sweep(w, locked, err))
		return false;
	begin_sweep(w);
	return true;
}

/*
 * Subjects that refer to one another go in one batch or not at all.  They may have been dealt to two workers, whose
 * batches refuse them for each other, or lock each other out.  So keys that are stuck are left to the first worker, which
 * takes the whole list when the others have ended.  *ret_go_on: this worker takes it.
 */
static bool take_over(struct worker_state *w, bool stuck, bool *ret_go_on, struct error *err)
{
	struct worker_pool *pool = w->pool;

	*ret_go_on = false;
	if (w->sweep.stage != STAGE_SHARED)
		return true;
	if (stuck)
		(void)atomic_fetch_add(&pool->stuck, 1);
	if (w->session.worker > 0)
		return true;
	tell_locked(w, false);
	while (atomic_load(&pool->running) > 1)
		if (stop_sleep_ms(pool->stop, SIBLINGS_MS))
			return fail(err, ERR_STOPPED, "asked to stop");
	if (atomic_load(&pool->stuck) == 0)
		return true;
	*ret_go_on = true;
	w->sweep.stage = STAGE_TOGETHER;
	w->sweep.page.workers = 1;
	begin_sweep(w);
	return true;
}

/* Runs all keys of the list, then those that were left, until none is left or nothing helps. */
static bool run_sweeps(struct worker_state *w, struct error *err)
{
	bool go_on = true;

	while (go_on) {
		bool stuck = false;

		if (!run_sweep(w, err))
			return false;
		if (w->sweep.left > 0 && w->sweep.waited_ms < SWEEP_PATIENCE_MS) {
			if (!prepare_sweep(w, &stuck, err))
				return false;
			if (!stuck)
				continue;
		}
		if (!take_over(w, stuck, &go_on, err))
			return false;
	}
	return true;
}

/* The rows of all tables that the action changes, for each contact and request: the planner's estimates. */
static double average_rows(const struct plan *plan)
{
	const struct model *model = plan->model;
	const struct relation *relations = plan->catalog->relations;
	const int64_t weight = relations[model->contact->index].rows +
			       (model->request ? relations[model->request->index].rows : 0);
	int64_t rows = 0;

	for (size_t i = 0; i < plan->n_steps; i++)
		if (plan->steps[i].sql)
			rows += relations[plan->steps[i].table->index].rows;
	return weight > 0 ? (double)rows / (double)weight : 0;
}

void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct worker_pool *pool = worker->pool;
	struct worker_state w = {
		.pool = pool,
		.session = {.pool = pool,
			    .worker = worker->number,
			    .statement_timeout_ms = STATEMENT_TIMEOUT_MS},
		.size = batch_size_new(pool->config->batch_rows, average_rows(pool->batch->plan)),
		.sweep = {.stage = pool->workers == 1 ? STAGE_ALONE : STAGE_SHARED,
			  .page = {.job = pool->batch->id,
				   .worker = worker->number,
				   .workers = pool->workers,
				   .shard = plan_shard(pool->batch->plan),
				   .after_n = -1},
			  .pause_ms = SWEEPS_MIN_PAUSE_MS},
	};

	if (!run_sweeps(&w, &worker->err) && worker->err.class == ERR_CONFIG)
		stop_ask(pool->stop); /* the other workers would only find the same */
	tell_locked(&w, false);
	session_close(&w.session);
	keys_rewind(&w.sweep.page);
	free(w.sweep.away);
	free(w.sweep.away_group);
	(void)atomic_fetch_sub(&pool->running, 1);
	(void)eventfd_write(pool->ended, 1); /* cannot fail below 2^64 workers */
	return NULL;
}
