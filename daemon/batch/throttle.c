#include "batch/throttle.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>

/* The server is asked at most this often, however many batches there are. */
#define LAG_INTERVAL_MS 500
#define PAUSE_MS 500
#define LONGEST_PAUSE_MS 1000 /* a lag can end sooner than expected */
#define MIB (1024 * 1024)

struct throttle {
	const struct config *config;
	int job;
	atomic_bool expect_pause;
	pthread_mutex_t lock; /* of the following */
	int64_t next_ms; /* rows_per_second: when the next batch may begin */
	/* Replication: a position of the primary that the standbys have to reach, and when it was marked. */
	int64_t asked_ms;
	int64_t mark_ms;
	char *mark_lsn;
	struct wait wait; /* of the server: standbys, WAL, snapshots */
	const char *blind; /* the key that a missing right keeps from being checked; or NULL */
};

struct throttle *throttle_new(const struct config *config, int job)
{
	struct throttle *t = xcalloc(1, sizeof(*t));

	t->config = config;
	t->job = job;
	(void)pthread_mutex_init(&t->lock, NULL);
	return t;
}

void throttle_free(struct throttle *t)
{
	if (!t)
		return;
	free(t->mark_lsn);
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

/* A right is missing: the limit of that key counts as exceeded. */
static void be_blind(struct throttle *t, const char *key, enum wait_reason reason, const char *what)
{
	t->blind = key;
	wait_set(&t->wait, reason, "%s cannot be read: grant pg_read_all_stats to this role", what);
}

/*
 * replay_lag of pg_stat_replication stands still when a standby stands still.  The lag that counts is how
 * long ago the primary was where the slowest standby is now.  So a position is marked, and a standby that
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
	const int64_t now = monotonic_ms();

	if (!db_query(db, sql, 1, values, &res, err))
		return false;
	if (db_int(res, 0, "unreadable") > 0) {
		be_blind(t, "max_replica_lag", WAIT_STANDBY, "the lag of a standby");
	} else if (!t->mark_lsn || db_bool(res, 0, "reached")) {
		free(t->mark_lsn);
		t->mark_lsn = xstrdup(db_text(res, 0, "now"));
		t->mark_ms = now;
	} else if (now - t->mark_ms > t->config->max_replica_lag_ms) {
		wait_set(&t->wait, WAIT_STANDBY, "a standby that is %lld s behind",
			 (long long)(now - t->mark_ms) / 1000);
	}
	return true;
}

/*
 * Checks the WAL that a slot still retains, and the WAL that the archiver has not copied yet.  WAL that piles up fills
 * the disk and stops the server.  An archiver that has only failed has copied nothing.
 */
static bool ask_wal(struct throttle *t, struct db *db, struct error *err)
{
	static const char sql[] =
		"SELECT s.slot_name AS slot,\n"
		"       coalesce(pg_wal_lsn_diff(w.now, s.restart_lsn), 0)::bigint AS slot_bytes,\n"
		"       CASE WHEN current_setting('archive_mode') = 'off' THEN 0\n"
		"            WHEN a.last_archived_wal ~ '^[0-9A-F]{24}' THEN pg_wal_lsn_diff(w.now,\n"
		"                 (substr(a.last_archived_wal, 9, 8) || '/0')::pg_lsn) -\n"
		"                 (('x' || substr(a.last_archived_wal, 17, 8))::bit(32)::int::bigint + 1)\n"
		"                 * pg_size_bytes(current_setting('wal_segment_size'))\n"
		"            WHEN a.failed_count > 0 THEN -1 ELSE 0 END::bigint AS archiver_bytes\n"
		"  FROM (SELECT pg_current_wal_lsn() AS now) AS w CROSS JOIN pg_stat_archiver AS a\n"
		"  LEFT JOIN pg_replication_slots AS s ON s.restart_lsn IS NOT NULL\n"
		" ORDER BY s.restart_lsn LIMIT 1";
	const int64_t most = t->config->max_wal_backlog_mb * MIB;
	AUTO(result) PGresult *res = NULL;
	int64_t slot, archiver;

	if (!db_query(db, sql, 0, NULL, &res, err))
		return false;
	slot = db_int(res, 0, "slot_bytes");
	archiver = db_int(res, 0, "archiver_bytes");
	if (archiver < 0)
		wait_set(&t->wait, WAIT_ARCHIVER,
			 "the archiver, which has only failed so far (pg_stat_archiver)");
	else if (slot > most)
		wait_set(&t->wait, WAIT_SLOT,
			 "the replication slot \"%s\", which retains %lld MiB of WAL",
			 db_text(res, 0, "slot"), (long long)slot / MIB);
	else if (archiver > most)
		wait_set(&t->wait, WAIT_ARCHIVER, "the archiver, which is %lld MiB of WAL behind",
			 (long long)archiver / MIB);
	return true;
}

/*
 * Looks for an old snapshot.  While one from before the pass is open, erased rows stay in the pages and in the
 * indexes, and every statement has to step over them.  VACUUM's own snapshots hold back nothing.
 */
static bool ask_snapshot(struct throttle *t, struct db *db, struct error *err)
{
	static const char sql[] =
		"WITH open AS (\n"
		"  SELECT 'session ' || a.pid || ', whose transaction' AS holder, a.xact_start AS since\n"
		"    FROM pg_stat_activity AS a\n"
		"   WHERE (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)\n"
		"     AND (a.datid IS NULL OR a.datid = 0 OR a.datname = current_database())\n"
		"     AND a.backend_type <> 'autovacuum worker'\n"
		"     AND a.pid NOT IN (SELECT v.pid FROM pg_stat_progress_vacuum AS v)\n"
		"  UNION ALL\n"
		"  SELECT 'the prepared transaction \"' || p.gid || '\", which', p.prepared\n"
		"    FROM pg_prepared_xacts AS p WHERE p.database = current_database()),\n"
		"aged AS (\n"
		"  SELECT holder, (extract(epoch FROM clock_timestamp() - since) * 1000)::bigint AS ms\n"
		"    FROM open WHERE since IS NOT NULL)\n"
		"SELECT (SELECT count(*) FROM pg_stat_activity AS h\n"
		"         WHERE h.backend_type IS NULL AND h.datname = current_database()) AS hidden,\n"
		"       o.holder, o.ms FROM (SELECT) AS one LEFT JOIN\n"
		"       (SELECT holder, ms FROM aged ORDER BY ms DESC LIMIT 1) AS o ON true";
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, sql, 0, NULL, &res, err))
		return false;
	if (db_int(res, 0, "hidden") > 0) {
		be_blind(t, "max_snapshot_age", WAIT_SNAPSHOT,
			 "the age of other sessions' snapshots");
	} else if (db_int(res, 0, "ms") > t->config->max_snapshot_age_ms) {
		wait_set(&t->wait, WAIT_SNAPSHOT, "the snapshot of %s is %lld s old",
			 db_text(res, 0, "holder"), (long long)db_int(res, 0, "ms") / 1000);
	}
	return true;
}

static bool ask_server(struct throttle *t, struct db *db, struct error *err)
{
	t->asked_ms = monotonic_ms();
	wait_clear(&t->wait);
	t->blind = NULL;
	return (t->config->max_replica_lag_ms == 0 || ask_replication(t, db, err)) &&
	       (t->config->max_wal_backlog_mb == 0 || t->wait.text || ask_wal(t, db, err)) &&
	       (t->config->max_snapshot_age_ms == 0 || t->wait.text || ask_snapshot(t, db, err));
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

bool throttle_blind(const struct config *config, struct db *db, char **ret_why, struct error *err)
{
	struct throttle *t = throttle_new(config, 0);
	const bool ok = ask_server(t, db, err);

	if (ok && t->blind)
		*ret_why = xprintf("limits: %s: %s", t->blind, t->wait.text);
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
