#include "batch/limits.h"

#include "base/sql.h"
#include "base/text.h"
#include "base/units.h"

#include <inttypes.h>

#define MIB (1024 * 1024)

/* Replication: a position of a server's that its standbys have to reach, and when it was marked. */
struct mark {
	int node; /* Citus' number of it; 0: the one that the session is on */
	int64_t ms;
	char *lsn;
};

struct limits {
	const struct config *config;
	bool nodes;
	struct mark *marks; /* the first is this server's */
	size_t n_marks;
};

struct limits *limits_new(const struct config *config, bool nodes)
{
	struct limits *l = xcalloc(1, sizeof(*l));

	l->config = config;
	l->nodes = nodes;
	l->marks = xcalloc(1, sizeof(*l->marks));
	l->n_marks = 1;
	return l;
}

void limits_free(struct limits *l)
{
	for (size_t i = 0; l && i < l->n_marks; i++)
		free(l->marks[i].lsn);
	if (l)
		free(l->marks);
	free(l);
}

/*
 * {mark} is the marked position, NULL at first, and how many ms ago it was marked; {most} are max_replica_lag in ms,
 * max_wal_backlog in bytes and max_snapshot_age in ms, 0: no limit.  "blind": a right is missing, so that the limit
 * counts as exceeded.
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
 *
 * Another server runs it with a search_path of its own.  So each name has its schema, and each operator's operands have
 * exactly its types, or somebody's function there could take the place of PostgreSQL's.
 */
static const char limits_sql[] =
	"WITH mark AS ({mark}), most AS ({most}),\n"
	"standby AS (\n"
	"  SELECT pg_catalog.count(*) FILTER (WHERE r.state IS NULL) > 0 AS hidden,\n"
	"         coalesce(pg_catalog.bool_and(r.replay_lsn >= (SELECT m.lsn FROM mark AS m)), true) AS reached\n"
	"    FROM pg_catalog.pg_stat_replication AS r\n"
	"   WHERE r.state IS NULL OR r.state IN ('streaming', 'catchup')),\n"
	"wal AS (\n"
	"  SELECT s.slot_name AS slot,\n"
	"         coalesce(pg_catalog.pg_wal_lsn_diff(w.now, s.restart_lsn), 0)::bigint AS slot_bytes,\n"
	"         CASE WHEN pg_catalog.current_setting('archive_mode') = 'off' THEN 0\n"
	"              WHEN a.last_archived_wal ~ '^[0-9A-F]{24}' THEN pg_catalog.pg_wal_lsn_diff(w.now,\n"
	"                   pg_catalog.concat(pg_catalog.substr(a.last_archived_wal, 9, 8), '/0')::pg_lsn)::bigint -\n"
	"                   (pg_catalog.concat('x', pg_catalog.substr(a.last_archived_wal, 17, 8))::bit(32)::int::bigint\n"
	"                    + 1::bigint)\n"
	"                   * pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))\n"
	"              WHEN a.failed_count > 0 THEN -1 ELSE 0 END::bigint AS archiver_bytes\n"
	"    FROM (SELECT pg_catalog.pg_current_wal_lsn() AS now) AS w CROSS JOIN pg_catalog.pg_stat_archiver AS a\n"
	"    LEFT JOIN pg_catalog.pg_replication_slots AS s ON s.restart_lsn IS NOT NULL\n"
	"   ORDER BY s.restart_lsn LIMIT 1),\n"
	"open AS (\n"
	"  SELECT pg_catalog.format('session %s, whose transaction', a.pid) AS holder, a.xact_start AS since\n"
	"    FROM pg_catalog.pg_stat_activity AS a\n"
	"   WHERE (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)\n"
	"     AND (a.datid IS NULL OR a.datid = 0::oid OR a.datname = pg_catalog.current_database())\n"
	"     AND a.backend_type <> 'autovacuum worker'\n"
	"     AND a.pid NOT IN (SELECT v.pid FROM pg_catalog.pg_stat_progress_vacuum AS v)\n"
	"  UNION ALL\n"
	"  SELECT pg_catalog.format('the prepared transaction \"%s\", which', p.gid), p.prepared\n"
	"    FROM pg_catalog.pg_prepared_xacts AS p WHERE p.database = pg_catalog.current_database()),\n"
	"snapshot AS (\n"
	"  SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS h WHERE h.backend_type IS NULL\n"
	"                    AND h.datname = pg_catalog.current_database()) AS hidden, o.holder, o.ms\n"
	"    FROM (SELECT) AS one LEFT JOIN\n"
	"         (SELECT holder, (extract(epoch FROM pg_catalog.clock_timestamp() - since)::float8\n"
	"                          * 1000::float8)::bigint AS ms\n"
	"            FROM open WHERE since IS NOT NULL ORDER BY since LIMIT 1) AS o ON true),\n"
	"found AS (\n"
	"  SELECT f.* FROM standby, wal, snapshot, most, mark, LATERAL (VALUES\n"
	"    (1, standby.hidden AND most.lag_ms > 0, true, 'standby',\n"
	"     'the lag of a standby cannot be read: grant pg_read_all_stats to this role'),\n"
	"    (2, NOT standby.reached AND mark.age_ms > most.lag_ms, false, 'standby',\n"
	"     pg_catalog.format('a standby that is %s s behind', mark.age_ms / 1000)),\n"
	"    (3, wal.archiver_bytes < 0 AND most.wal_bytes > 0, false, 'archiver',\n"
	"     'the archiver, which has only failed so far (pg_stat_archiver)'),\n"
	"    (4, wal.slot_bytes > most.wal_bytes, false, 'slot',\n"
	"     pg_catalog.format('the replication slot \"%s\", which retains %s MiB of WAL', wal.slot,\n"
	"            wal.slot_bytes / 1048576)),\n"
	"    (5, wal.archiver_bytes > most.wal_bytes, false, 'archiver',\n"
	"     pg_catalog.format('the archiver, which is %s MiB of WAL behind', wal.archiver_bytes / 1048576)),\n"
	"    (6, snapshot.hidden AND most.age_ms > 0, true, 'snapshot',\n"
	"     'the age of other sessions'' snapshots cannot be read: grant pg_read_all_stats to '\n"
	"     'this role'),\n"
	"    (7, snapshot.ms > most.age_ms, false, 'snapshot',\n"
	"     pg_catalog.format('the snapshot of %s is %s s old', snapshot.holder, snapshot.ms / 1000)))\n"
	"    AS f(n, exceeded, blind, reason, text) WHERE f.exceeded ORDER BY f.n LIMIT 1),\n"
	"answer AS (SELECT pg_catalog.pg_current_wal_lsn()::text AS now, s.reached AND NOT s.hidden AS reached,\n"
	"                  f.blind, f.reason, f.text FROM standby AS s LEFT JOIN found AS f ON true)\n";

static const char most_sql[] =
	"SELECT nullif($3::bigint, 0) AS lag_ms, nullif($4::bigint, 0) AS wal_bytes, nullif($5::bigint, 0) AS age_ms";

/* The row's server has answered: marks its next position where the standbys have reached the last one. */
static void take_mark(struct mark *m, const PGresult *res, int row, int64_t now)
{
	if (!db_bool(res, row, "reached"))
		return;
	free(m->lsn);
	m->lsn = xstrdup(db_value(res, row, "now"));
	m->ms = now;
}

/* Takes the first limit that is exceeded on any server. */
static void take_wait(const PGresult *res, int row, struct wait *ret_wait, bool *ret_blind)
{
	const char *reason = db_text(res, row, "reason"), *name = db_text(res, row, "name");

	if (!reason || ret_wait->text)
		return;
	*ret_blind = db_bool(res, row, "blind");
	wait_set(ret_wait, (enum wait_reason)text_index(reason, wait_words, WAIT_REASONS), "%s%s%s",
		 db_text(res, row, "text"), name ? ", on " : "", name ? name : "");
}

static struct mark *mark_of(struct limits *l, int node)
{
	for (size_t i = 1; i < l->n_marks; i++)
		if (l->marks[i].node == node)
			return &l->marks[i];
	l->marks = must_alloc(realloc(l->marks, (l->n_marks + 1) * sizeof(*l->marks)));
	l->marks[l->n_marks] = (struct mark){.node = node};
	return &l->marks[l->n_marks++];
}

/* The question in the text of which a server finds its own mark. */
static char *question(const struct limits *l, const char *const values[5], int64_t now, void *ctx)
{
	char *marks = t_strdup(ctx, "(NULL::int, NULL::pg_lsn, NULL::bigint)");

	for (size_t i = 1; i < l->n_marks; i++)
		if (l->marks[i].lsn)
			t_append(&marks, ", (%d, %s::pg_lsn, %" PRId64 ")", l->marks[i].node,
				 sql_literal(ctx, l->marks[i].lsn), now - l->marks[i].ms);
	return sql_fill(
		ctx,
		t_printf(ctx, "%s%s", limits_sql, "SELECT pg_catalog.to_jsonb(a) FROM answer AS a"),
		{"mark",
		 t_printf(ctx,
			  "SELECT m.lsn, m.age_ms FROM pg_catalog.pg_dist_local_group AS g\n"
			  "  LEFT JOIN (VALUES %s) AS m(node, lsn, age_ms) ON m.node = g.groupid",
			  marks)},
		{"most",
		 t_printf(
			 ctx,
			 "SELECT nullif(%s::bigint, 0) AS lag_ms, nullif(%s::bigint, 0) AS wal_bytes,\n"
			 "       nullif(%s::bigint, 0) AS age_ms",
			 values[2], values[3], values[4])});
}

/* A server that answers, but not this question, counts as one whose limit is exceeded. */
static bool ask_nodes(struct limits *l, struct db *db, const char *const values[5],
		      struct wait *ret_wait, bool *ret_blind, struct error *err)
{
	static const char sql[] =
		"SELECT a.node, a.name, a.answer->>'now' AS now, coalesce((a.answer->>'reached')::boolean, false) AS reached,\n"
		"       f.refused OR coalesce((a.answer->>'blind')::boolean, false) AS blind,\n"
		"       CASE WHEN f.refused THEN 'standby' ELSE a.answer->>'reason' END AS reason,\n"
		"       CASE WHEN f.refused THEN a.failure ELSE a.answer->>'text' END AS text\n"
		"  FROM retention.ask_nodes($1, false) AS a,\n"
		"       LATERAL (SELECT coalesce(a.failure !~\n"
		"         '^(failed to connect|connection lost|it is disabled)', false) AS refused) AS f ORDER BY a.node";
	const int64_t now = monotonic_ms();
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *const asked[] = {question(l, values, now, ctx)};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, sql, 1, asked, &res, err))
		return false;
	for (int row = 0; row < PQntuples(res); row++) {
		take_mark(mark_of(l, (int)db_int(res, row, "node")), res, row, now);
		take_wait(res, row, ret_wait, ret_blind);
	}
	return true;
}

bool limits_ask(struct limits *l, struct db *db, struct wait *ret_wait, bool *ret_blind,
		struct error *err)
{
	static const char result_sql[] = "SELECT a.*, NULL AS name FROM answer AS a";
	const struct config *c = l->config;
	const int64_t now = monotonic_ms();
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *const values[] = {l->marks->lsn, t_printf(ctx, "%" PRId64, now - l->marks->ms),
				      t_printf(ctx, "%" PRId64, c->max_replica_lag_ms),
				      t_printf(ctx, "%" PRId64, c->max_wal_backlog_mb * MIB),
				      t_printf(ctx, "%" PRId64, c->max_snapshot_age_ms)};
	const char *sql = sql_fill(ctx, t_printf(ctx, "%s%s", limits_sql, result_sql),
				   {"mark", "SELECT $1::pg_lsn AS lsn, $2::bigint AS age_ms"},
				   {"most", most_sql});
	AUTO(result) PGresult *res = NULL;

	wait_clear(ret_wait);
	*ret_blind = false;
	if (c->max_replica_lag_ms + c->max_wal_backlog_mb + c->max_snapshot_age_ms == 0)
		return true;
	if (!db_query(db, sql, 5, values, &res, err))
		return false;
	take_mark(l->marks, res, 0, now);
	take_wait(res, 0, ret_wait, ret_blind);
	return !l->nodes || ask_nodes(l, db, values, ret_wait, ret_blind, err);
}
