#include "batch/throttle.h"

#include "base/text.h"

#include <inttypes.h>
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
	bool blind; /* a missing right keeps wait.reason from being checked */
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

/*
 * The limits: $1 is the marked position, NULL at first, $2 how many ms ago it was marked; $3 to $5 are max_replica_lag
 * in ms, max_wal_backlog in bytes and max_snapshot_age in ms, 0: no limit.  "blind": a right is missing, so that the
 * limit counts as exceeded.
 *
 * standby: replay_lag of pg_stat_replication stands still when a standby stands still.  The lag that counts is how long
 * ago the primary was where the slowest standby is now.  So a position is marked, and a standby that has not reached
 * it after max_replica_lag is too far behind.
 *
 * wal: the WAL that a slot still retains, and the WAL that the archiver has not copied yet.  WAL that piles up fills the
 * disk and stops the server.  An archiver that has only failed has copied nothing.
 *
 * snapshot: while one from before the pass is open, erased rows stay in the pages and in the indexes, and every
 * statement has to step over them.  VACUUM's own snapshots hold back nothing.
 */
static const char limits_sql[] =
	"WITH standby AS (\n"
	"  SELECT count(*) FILTER (WHERE r.state IS NULL) > 0 AS hidden,\n"
	"         coalesce(bool_and(r.replay_lsn >= $1::pg_lsn), true) AS reached\n"
	"    FROM pg_stat_replication AS r\n"
	"   WHERE r.state IS NULL OR r.state IN ('streaming', 'catchup')),\n"
	"wal AS (\n"
	"  SELECT s.slot_name AS slot,\n"
	"         coalesce(pg_wal_lsn_diff(w.now, s.restart_lsn), 0)::bigint AS slot_bytes,\n"
	"         CASE WHEN current_setting('archive_mode') = 'off' THEN 0\n"
	"              WHEN a.last_archived_wal ~ '^[0-9A-F]{24}' THEN pg_wal_lsn_diff(w.now,\n"
	"                   (substr(a.last_archived_wal, 9, 8) || '/0')::pg_lsn) -\n"
	"                   (('x' || substr(a.last_archived_wal, 17, 8))::bit(32)::int::bigint + 1)\n"
	"                   * pg_size_bytes(current_setting('wal_segment_size'))\n"
	"              WHEN a.failed_count > 0 THEN -1 ELSE 0 END::bigint AS archiver_bytes\n"
	"    FROM (SELECT pg_current_wal_lsn() AS now) AS w CROSS JOIN pg_stat_archiver AS a\n"
	"    LEFT JOIN pg_replication_slots AS s ON s.restart_lsn IS NOT NULL\n"
	"   ORDER BY s.restart_lsn LIMIT 1),\n"
	"open AS (\n"
	"  SELECT 'session ' || a.pid || ', whose transaction' AS holder, a.xact_start AS since\n"
	"    FROM pg_stat_activity AS a\n"
	"   WHERE (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)\n"
	"     AND (a.datid IS NULL OR a.datid = 0 OR a.datname = current_database())\n"
	"     AND a.backend_type <> 'autovacuum worker'\n"
	"     AND a.pid NOT IN (SELECT v.pid FROM pg_stat_progress_vacuum AS v)\n"
	"  UNION ALL\n"
	"  SELECT 'the prepared transaction \"' || p.gid || '\", which', p.prepared\n"
	"    FROM pg_prepared_xacts AS p WHERE p.database = current_database()),\n"
	"snapshot AS (\n"
	"  SELECT EXISTS (SELECT FROM pg_stat_activity AS h WHERE h.backend_type IS NULL\n"
	"                    AND h.datname = current_database()) AS hidden, o.holder, o.ms\n"
	"    FROM (SELECT) AS one LEFT JOIN\n"
	"         (SELECT holder, (extract(epoch FROM clock_timestamp() - since) * 1000)::bigint AS ms\n"
	"            FROM open WHERE since IS NOT NULL ORDER BY since LIMIT 1) AS o ON true),\n"
	"found AS (\n"
	"  SELECT f.* FROM standby, wal, snapshot,\n"
	"         (SELECT nullif($3::bigint, 0) AS lag_ms, nullif($4::bigint, 0) AS wal_bytes,\n"
	"                 nullif($5::bigint, 0) AS age_ms) AS most, LATERAL (VALUES\n"
	"    (1, standby.hidden AND most.lag_ms > 0, true, 'standby',\n"
	"     'the lag of a standby cannot be read: grant pg_read_all_stats to this role'),\n"
	"    (2, NOT standby.reached AND $2::bigint > most.lag_ms, false, 'standby',\n"
	"     format('a standby that is %s s behind', $2::bigint / 1000)),\n"
	"    (3, wal.archiver_bytes < 0 AND most.wal_bytes > 0, false, 'archiver',\n"
	"     'the archiver, which has only failed so far (pg_stat_archiver)'),\n"
	"    (4, wal.slot_bytes > most.wal_bytes, false, 'slot',\n"
	"     format('the replication slot \"%s\", which retains %s MiB of WAL', wal.slot,\n"
	"            wal.slot_bytes / 1048576)),\n"
	"    (5, wal.archiver_bytes > most.wal_bytes, false, 'archiver',\n"
	"     format('the archiver, which is %s MiB of WAL behind', wal.archiver_bytes / 1048576)),\n"
	"    (6, snapshot.hidden AND most.age_ms > 0, true, 'snapshot',\n"
	"     'the age of other sessions'' snapshots cannot be read: grant pg_read_all_stats to '\n"
	"     'this role'),\n"
	"    (7, snapshot.ms > most.age_ms, false, 'snapshot',\n"
	"     format('the snapshot of %s is %s s old', snapshot.holder, snapshot.ms / 1000)))\n"
	"    AS f(n, exceeded, blind, reason, text) WHERE f.exceeded ORDER BY f.n LIMIT 1)\n"
	"SELECT pg_current_wal_lsn()::text AS now, s.reached AND NOT s.hidden AS reached,\n"
	"       f.blind, f.reason, f.text FROM standby AS s LEFT JOIN found AS f ON true";

/* Asks for all limits at once, and marks the next position where the standbys have reached the last one. */
static bool ask_server(struct throttle *t, struct db *db, struct error *err)
{
	const struct config *c = t->config;
	const int64_t now = monotonic_ms();
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *const values[] = {t->mark_lsn, t_printf(ctx, "%" PRId64, now - t->mark_ms),
				      t_printf(ctx, "%" PRId64, c->max_replica_lag_ms),
				      t_printf(ctx, "%" PRId64, c->max_wal_backlog_mb * MIB),
				      t_printf(ctx, "%" PRId64, c->max_snapshot_age_ms)};
	AUTO(result) PGresult *res = NULL;
	const char *reason;

	if (c->max_replica_lag_ms + c->max_wal_backlog_mb + c->max_snapshot_age_ms == 0)
		return true;
	t->asked_ms = now;
	if (!db_query(db, limits_sql, 5, values, &res, err))
		return false;
	if (db_bool(res, 0, "reached")) {
		free(t->mark_lsn);
		t->mark_lsn = xstrdup(db_text(res, 0, "now"));
		t->mark_ms = now;
	}
	wait_clear(&t->wait);
	t->blind = db_bool(res, 0, "blind");
	reason = db_text(res, 0, "reason");
	if (reason)
		wait_set(&t->wait, (enum wait_reason)text_index(reason, wait_words, WAIT_REASONS),
			 "%s", db_text(res, 0, "text"));
	return true;
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
