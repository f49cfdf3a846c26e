#include "batch/throttle.h"

#include "batch/limits.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

/* The server is asked at most this often, however many batches there are. */
#define LAG_INTERVAL_MS 500
#define PAUSE_MS 500
#define LONGEST_PAUSE_MS 1000 /* a lag can end sooner than expected */

struct throttle {
	const struct config *config;
	int job;
	atomic_bool expect_pause;
	pthread_mutex_t lock; /* of the following */
	int64_t next_ms; /* rows_per_second: when the next batch may begin */
	int64_t asked_ms;
	struct limits *limits;
	struct wait wait; /* of the server: standbys, WAL, snapshots */
	bool blind; /* a missing right keeps wait.reason from being checked */
};

struct throttle *throttle_new(const struct config *config, int job, bool nodes)
{
	struct throttle *t = xcalloc(1, sizeof(*t));

	t->config = config;
	t->job = job;
	t->limits = limits_new(config, nodes);
	(void)pthread_mutex_init(&t->lock, NULL);
	return t;
}

void throttle_free(struct throttle *t)
{
	if (!t)
		return;
	limits_free(t->limits);
	wait_clear(&t->wait);
	(void)pthread_mutex_destroy(&t->lock);
	free(t);
}

static bool outside_window(const struct throttle *t, int64_t *ret_wait_ms, struct wait *ret_wait)
{
	const time_t now = time(NULL);
	char text[32];
	struct tm tm;

	if (!t->config->has_window || !localtime_r(&now, &tm) ||
	    window_holds(&t->config->window, tm.tm_hour * 60 + tm.tm_min))
		return false;
	window_print(&t->config->window, text, sizeof(text));
	wait_set(ret_wait, WAIT_WINDOW, "the window %s", text);
	*ret_wait_ms = 1000LL * (60 - tm.tm_sec);
	return true;
}

void throttle_expect_pause(struct throttle *t)
{
	atomic_store(&t->expect_pause, true);
}

/* Comes last, so that a job that waits for something else as well says that it is paused. */
static bool check_pause(struct throttle *t, struct db *db, int64_t *ret_wait_ms,
			struct wait *ret_wait, struct error *err)
{
	static const char sql[] = "SELECT p.paused_by, p.everything\n"
				  "  FROM retention.paused_action AS p WHERE p.job = $1::int";
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *const values[] = {t_printf(ctx, "%d", t->job)};
	AUTO(result) PGresult *res = NULL;

	if (*ret_wait_ms == 0 && !atomic_load(&t->expect_pause))
		return true;
	if (!db_query(db, sql, 1, values, &res, err))
		return false;
	if (PQntuples(res) == 0) {
		if (*ret_wait_ms == 0)
			atomic_store(&t->expect_pause, false);
		return true;
	}
	wait_set(ret_wait, WAIT_PAUSED, "a pause%s by %s",
		 db_bool(res, 0, "everything") ? " of everything" : "",
		 db_text(res, 0, "paused_by"));
	*ret_wait_ms = PAUSE_MS;
	return true;
}

/* Asks for all limits of the servers at once. */
static bool ask_server(struct throttle *t, struct db *db, struct error *err)
{
	t->asked_ms = monotonic_ms();
	return limits_ask(t->limits, db, &t->wait, &t->blind, err);
}

static bool check_server(struct throttle *t, struct db *db, int64_t *ret_wait_ms,
			 struct wait *ret_wait, struct error *err)
{
	bool ok = true;

	(void)pthread_mutex_lock(&t->lock);
	if (monotonic_ms() - t->asked_ms >= LAG_INTERVAL_MS || t->asked_ms == 0)
		ok = ask_server(t, db, err);
	if (ok && t->wait.text) {
		wait_set(ret_wait, t->wait.reason, "%s", t->wait.text);
		*ret_wait_ms = LAG_INTERVAL_MS;
	}
	(void)pthread_mutex_unlock(&t->lock);
	return ok;
}

static void check_rate(struct throttle *t, int64_t *ret_wait_ms, struct wait *ret_wait)
{
	int64_t ahead_ms;

	(void)pthread_mutex_lock(&t->lock);
	ahead_ms = t->next_ms - monotonic_ms();
	(void)pthread_mutex_unlock(&t->lock);
	if (t->config->rows_per_second == 0 || ahead_ms <= 0)
		return;
	*ret_wait_ms = ahead_ms;
	wait_set(ret_wait, WAIT_RATE, "rows_per_second");
}

/* How long to wait, and for what; 0: go. */
static bool check(struct throttle *t, struct db *db, int64_t *ret_wait_ms, struct wait *ret_wait,
		  struct error *err)
{
	*ret_wait_ms = 0;
	if (outside_window(t, ret_wait_ms, ret_wait))
		return true;
	if (!check_server(t, db, ret_wait_ms, ret_wait, err))
		return false;
	if (*ret_wait_ms == 0)
		check_rate(t, ret_wait_ms, ret_wait);
	return check_pause(t, db, ret_wait_ms, ret_wait, err);
}

bool throttle_wait(struct throttle *t, struct db *db, struct stop *stop, struct report *report,
		   int64_t *patience_ms, struct error *err)
{
	for (;;) {
		AUTO(wait) struct wait wait = {0};
		int64_t wait_ms;

		if (!check(t, db, &wait_ms, &wait, err))
			return false;
		if (wait_ms == 0)
			return true;
		if (patience_ms && *patience_ms <= 0)
			return fail(err, ERR_BUSY, "it had to wait for %s", wait.text);
		report_waiting(report, wait.reason, wait.text);
		wait_ms = wait_ms < LONGEST_PAUSE_MS ? wait_ms : LONGEST_PAUSE_MS;
		if (patience_ms)
			*patience_ms -= wait_ms;
		if (stop_sleep_ms(stop, wait_ms))
			return fail(err, ERR_STOPPED, "asked to stop");
	}
}

bool throttle_blind(const struct config *config, bool nodes, struct db *db, char **ret_why,
		    struct error *err)
{
	struct throttle *t = throttle_new(config, 0, nodes);
	const bool ok = ask_server(t, db, err);

	if (ok && t->blind)
		*ret_why = xprintf("limits: %s: %s",
				   t->wait.reason == WAIT_STANDBY ? "max_replica_lag"
								  : "max_snapshot_age",
				   t->wait.text);
	throttle_free(t);
	return ok;
}

void throttle_spend(struct throttle *t, int64_t rows)
{
	const int64_t now = monotonic_ms();

	if (t->config->rows_per_second == 0)
		return;
	(void)pthread_mutex_lock(&t->lock);
	if (t->next_ms < now)
		t->next_ms = now;
	t->next_ms += rows * 1000 / t->config->rows_per_second;
	(void)pthread_mutex_unlock(&t->lock);
}
