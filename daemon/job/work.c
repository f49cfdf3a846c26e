/*
 * Step "work" of a job: starts the workers' threads; meanwhile this thread keeps the claim and tells progress.
 */
#include "job/job_state.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>

#define TICK_MS 200
#define PING_MS 1000

static void tell_progress(struct job *j, const struct worker_pool *pool, int64_t begun_s)
{
	const int64_t done = atomic_load(&pool->treated);
	const int64_t due = j->row.candidates;
	const int64_t left = due - j->done_before - done;
	const int64_t took_s = (int64_t)time(NULL) - begun_s;

	report_progress(j->opts->report,
			&(struct job_progress){
				.done = j->done_before + done,
				.due = due,
				.eta_s = done > 0 && took_s > 0 ? left * took_s / done : -1});
}

/* While the threads work: keeps the claim, notes in the journal why they wait, and tells progress. */
static bool watch(struct job *j, struct worker_pool *pool, struct error *err)
{
	const int64_t begun_s = (int64_t)time(NULL);
	AUTO(char_p) char *told = NULL;
	bool first = true; /* an earlier attempt may have noted what it waited for */
	int64_t since_ping_ms = 0;

	while (atomic_load(&pool->running) > 0) {
		AUTO(error) struct error one = {0};
		enum wait_reason reason;
		AUTO(char_p) char *waiting = report_waits_for(j->opts->report, &reason);
		struct pollfd ended = {.fd = pool->ended, .events = POLLIN};
		eventfd_t n;

		if ((first || strcmp(waiting ? waiting : "", told ? told : "") != 0) &&
		    db_alive(j->db) &&
		    journal_note(j->db, j->row.id, waiting, waiting ? wait_words[reason] : NULL,
				 NULL, &one)) {
			first = false;
			free(told);
			told = waiting ? xstrdup(waiting) : NULL;
		}
		if (since_ping_ms >= PING_MS) {
			since_ping_ms = 0;
			if (j->ledger)
				(void)ledger_sync(j->ledger, &one); /* for good at the end */
			error_clear(&one);
			tell_progress(j, pool, begun_s);
			if (!claim_keep(j, &one) && one.class == ERR_STOPPED) {
				stop_ask(pool->stop);
				(void)fail(err, ERR_STOPPED, "%s", one.text); /* told below */
			}
		}
		courtesy_own(j->courtesy, j->db);
		if (poll(&ended, 1, TICK_MS) > 0) /* early, or failed, is fine */
			(void)eventfd_read(pool->ended, &n);
		else
			since_ping_ms += TICK_MS;
	}
	tell_progress(j, pool, begun_s);
	return err->class == ERR_NONE;
}

/* Ranks failures: the higher one explains better why the work ended early. */
static int weight_of(const struct error *err)
{
	return err->class == ERR_STOPPED ? 1 : err->class == ERR_CHANGED ? 2 : 3;
}

/* Makes err the first of the weightiest failures. */
static bool worst_of(struct worker *workers, int n, struct error *err)
{
	const struct error *worst = NULL;

	for (int i = 0; i < n; i++)
		if (workers[i].err.class != ERR_NONE &&
		    (!worst || weight_of(&workers[i].err) > weight_of(worst)))
			worst = &workers[i].err;
	if (worst)
		(void)fail(err, worst->class, "%s", worst->text);
	for (int i = 0; i < n; i++)
		error_clear(&workers[i].err);
	return err->class == ERR_NONE;
}

bool job_work(struct job *j, struct error *err)
{
	const int n = j->opts->config->workers;
	struct worker_pool pool = {
		.config = j->opts->config,
		.batch = &j->batch,
		.archive = &j->archive,
		.labels = job_labels(j),
		.workers = n,
		.patient = !j->opts->once,
		.done_before = j->done_before,
		.stop = j->opts->stop,
		.report = j->opts->report,
		.throttle = throttle_new(j->opts->config, j->row.id,
					 catalog_is_spread(j->plan->model, j->plan->catalog)),
		.courtesy = j->courtesy,
		.ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	struct worker *workers = t_array(j->ctx, struct worker, n);
	pthread_t *threads = t_array(j->ctx, pthread_t, n);
	int started = 0;
	bool ok;

	if (pool.ended < 0) {
		throttle_free(pool.throttle);
		return fail(err, ERR_ENVIRONMENT, "cannot watch over threads: %m");
	}
	courtesy_own(j->courtesy, j->db); /* before a worker looks */
	atomic_store(&pool.running, n);
	for (; started < n; started++) {
		workers[started] = (struct worker){.pool = &pool, .number = started};
		if (pthread_create(&threads[started], NULL, worker_main, &workers[started]) != 0) {
			(void)fail(err, ERR_ENVIRONMENT, "cannot start a thread");
			stop_ask(j->opts->stop);
			(void)atomic_fetch_sub(&pool.running, n - started);
			break;
		}
	}
	(void)watch(j, &pool, err); /* its failure is in err */
	for (int i = 0; i < started; i++)
		(void)pthread_join(threads[i], NULL);
	ok = worst_of(workers, started, err) && err->class == ERR_NONE;
	throttle_free(pool.throttle);
	(void)close(pool.ended); /* nothing was written that could be lost */
	return ok;
}
