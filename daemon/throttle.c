#include "throttle.h"

#include "mem.h"

#include <pthread.h>
#include <time.h>

/* Asked this often at most, however many batches there are. */
#define LAG_INTERVAL_MS 500

struct throttle {
	const struct config *config;
	pthread_mutex_t lock;
	int64_t next_ms; /* rows_per_second: when the rows spent so far are paid for */
	/* Replication: a position of the primary that standbys have to reach, and since when. */
	int64_t asked_ms;
	int64_t mark_ms;
	char *mark_lsn;
	char *why; /* NULL: the standbys follow */
};

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail on a valid clock */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct throttle *throttle_new(const struct config *config)
{
	struct throttle *t = xcalloc(1, sizeof(*t));

	t->config = config;
	(void)pthread_mutex_init(&t->lock, NULL);
	return t;
}

void throttle_free(struct throttle *t)
{
	if (!t)
		return;
	free(t->mark_lsn);
	free(t->why);
	(void)pthread_mutex_destroy(&t->lock);
	free(t);
}

static bool outside_window(const struct throttle *t, int64_t *ret_wait_ms, char **ret_why)
{
	const time_t now = time(NULL);
	char text[32];
	struct tm tm;

	if (!t->config->has_window || !localtime_r(&now, &tm) ||
	    window_holds(&t->config->window, tm.tm_hour * 60 + tm.tm_min))
		return false;
	window_print(&t->config->window, text, sizeof(text));
	if (asprintf(ret_why, "the window %s", text) < 0)
		must_alloc(NULL);
	*ret_wait_ms = 1000LL * (60 - tm.tm_sec);
	return true;
}

/*
 * replay_lag of pg_stat_replication stands still when a standby stands still: what counts is how
 * long ago the primary was where the slowest standby is now.  So a position is marked, and whoever
 * has not reached it after max_replica_lag is too far behind.
 */
static bool ask_replication(struct throttle *t, struct db *db, struct error *err)
{
	static const char sql[] =
		"SELECT pg_current_wal_lsn()::text AS now,\n"
		"       count(*) FILTER (WHERE state IS NULL) AS unreadable,\n"
		"       coalesce(bool_and(replay_lsn >= $1::pg_lsn)\n"
		"                FILTER (WHERE replay_lsn IS NOT NULL), true) AS reached\n"
		"  FROM pg_stat_replication WHERE state IS NULL OR state IN ('streaming', "
		"'catchup')";
	const char *const values[] = {t->mark_lsn ? t->mark_lsn : "0/0"};
	AUTO(result) PGresult *res = NULL;
	const int64_t now = now_ms();

	if (!db_query(db, sql, 1, values, &res, err))
		return false;
	t->asked_ms = now;
	free(t->why);
	t->why = NULL;
	if (db_int(res, 0, "unreadable") > 0) {
		t->why = xstrdup(
			"the lag of a standby cannot be read: grant pg_read_all_stats to this role");
	} else if (!t->mark_lsn || db_bool(res, 0, "reached")) {
		free(t->mark_lsn);
		t->mark_lsn = xstrdup(db_text(res, 0, "now"));
		t->mark_ms = now;
	} else if (now - t->mark_ms > t->config->max_replica_lag_ms) {
		if (asprintf(&t->why, "a standby that is %lld s behind",
			     (long long)(now - t->mark_ms) / 1000) < 0)
			must_alloc(NULL);
	}
	return true;
}

static bool check_replication(struct throttle *t, struct db *db, int64_t *ret_wait_ms,
			      char **ret_why, struct error *err)
{
	bool ok = true;

	if (t->config->max_replica_lag_ms == 0)
		return true;
	(void)pthread_mutex_lock(&t->lock);
	if (now_ms() - t->asked_ms >= LAG_INTERVAL_MS || t->asked_ms == 0)
		ok = ask_replication(t, db, err);
	if (ok && t->why) {
		*ret_why = xstrdup(t->why);
		*ret_wait_ms = LAG_INTERVAL_MS;
	}
	(void)pthread_mutex_unlock(&t->lock);
	return ok;
}

bool throttle_check(struct throttle *t, struct db *db, int64_t *ret_wait_ms, char **ret_why,
		    struct error *err)
{
	int64_t ahead_ms;

	*ret_wait_ms = 0;
	if (outside_window(t, ret_wait_ms, ret_why))
		return true;
	if (!check_replication(t, db, ret_wait_ms, ret_why, err))
		return false;
	if (*ret_wait_ms > 0)
		return true;
	(void)pthread_mutex_lock(&t->lock);
	ahead_ms = t->next_ms - now_ms();
	(void)pthread_mutex_unlock(&t->lock);
	if (t->config->rows_per_second > 0 && ahead_ms > 0) {
		*ret_wait_ms = ahead_ms;
		*ret_why = xstrdup("rows_per_second");
	}
	return true;
}

void throttle_spend(struct throttle *t, int64_t rows)
{
	const int64_t now = now_ms();

	if (t->config->rows_per_second == 0)
		return;
	(void)pthread_mutex_lock(&t->lock);
	if (t->next_ms < now)
		t->next_ms = now;
	t->next_ms += rows * 1000 / t->config->rows_per_second;
	(void)pthread_mutex_unlock(&t->lock);
}
