/*
 * T1 is the difficult step, because PostgreSQL does not say what a VACUUM has removed.  It counts as
 * reached only when, for each table that lost rows, its partitions and its TOAST table:
 *
 *   - a VACUUM has begun after the job's end.  Statistics count only those that have ended, and two of
 *     one table never run at once: where none was under way at the job's end (nobody held the lock
 *     that it takes) one more than then is enough, else two more;
 *   - it could remove the rows: no snapshot of before the job's end was open when the job ended (all
 *     later ones see the rows as gone), or it left no dead row, or the table is frozen beyond;
 *   - and no snapshot, prepared transaction or slot of before is there now;
 *   - and an ANALYZE has begun after the job's end, which is counted in the same way.  The statistics of a table that
 *     is empty stay as they were, because PostgreSQL replaces them by those of rows only.
 *
 * A materialized view that reads a table that lost rows keeps them until a REFRESH, and a REFRESH leaves no trace in
 * the catalog that a GRANT does not leave as well.  So T0 counts the job's own (job/refresh.c), and that of
 * a job that began after this one's end; nothing behind T0 is reached before.  After a REFRESH
 * CONCURRENTLY, which deletes rows, the view itself needs a VACUUM.
 *
 * Where something cannot be seen, the state is "unknown" or "pending", never "reached".
 */
#include "journal/horizon.h"

#include "journal/journal.h"
#include "model/catalog_sql.h"

/*
 * SQL: (who, xmin) of everything that keeps dead rows from being removed; xmin has no epoch, as in the
 * views.  A role sees the sessions of others only with pg_read_all_stats.
 */
#define HOLDERS                                                                                    \
	"SELECT 'session ' || a.pid AS who, a.backend_xmin::text::bigint AS xmin\n"                \
	"  FROM pg_stat_activity AS a\n"                                                           \
	" WHERE a.backend_xmin IS NOT NULL AND a.pid <> pg_backend_pid()\n"                        \
	"   AND a.backend_type IS DISTINCT FROM 'autovacuum worker'\n"                             \
	"   AND (a.datid IS NULL OR a.datid = 0 OR a.datname = current_database())\n"              \
	"UNION ALL SELECT 'replication slot ' || slot_name, s.xmin::text::bigint\n"                \
	"  FROM pg_replication_slots AS s WHERE s.xmin IS NOT NULL\n"                              \
	"UNION ALL SELECT 'a prepared transaction', p.transaction::text::bigint\n"                 \
	"  FROM pg_prepared_xacts AS p WHERE p.database = current_database()\n"

/* h.xmin with its epoch: at most 2^31 behind, and not far ahead of, the next transaction. */
#define FULL_XMIN                                                                                  \
	"(x.next - (((x.next - h.xmin) & 4294967295) + 2147483648) % 4294967296 + 2147483648)"
#define NEXT_XID                                                                                   \
	"(SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next,\n"                 \
	"        pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest)"
#define SEES_ALL "pg_has_role('pg_read_all_stats', 'USAGE')"
#define VACUUMS                                                                                    \
	"(coalesce(pg_stat_get_vacuum_count(c.oid), 0) +\n"                                        \
	" coalesce(pg_stat_get_autovacuum_count(c.oid), 0))"
#define ANALYSES                                                                                   \
	"(coalesce(pg_stat_get_analyze_count(c.oid), 0) +\n"                                       \
	" coalesce(pg_stat_get_autoanalyze_count(c.oid), 0))"
#define LAST_ANALYZE                                                                               \
	"greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid))"

bool horizon_mark(struct db *db, void *ctx, const char **ret_xid, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, "SELECT pg_current_xact_id()::text AS xid", 0, NULL, &res, err))
		return false;
	*ret_xid = t_strdup(ctx, db_value(res, 0, "xid"));
	return true;
}

/*
 * The position in the WAL is that of insertion, which is past all commits even where they were
 * asynchronous and are not written yet.
 */
static const char record_sql[] =
	"WITH RECURSIVE touched AS (SELECT t.oid AS root FROM (" JOURNAL_TABLES ") AS t),\n"
	"" CATALOG_READERS ",\n"
	"heap AS (\n"
	"  SELECT c.oid, c.relkind, c.reltoastrelid AS toast, c.oid::regclass::text AS name\n"
	"    FROM (SELECT root AS rel FROM touched UNION\n"
	"          SELECT p.relid FROM touched, pg_partition_tree(root) AS p) AS r\n"
	"    JOIN pg_class AS c ON c.oid = r.rel\n"
	/* A partitioned table has statistics and no pages; PostgreSQL 13 does not count its ANALYZE. */
	"   WHERE c.relkind = 'r' OR (c.relkind = 'p' AND\n"
	"         current_setting('server_version_num')::int >= 140000)),\n"
	"part AS (SELECT oid, name, relkind = 'r' AS pages, true AS statistics FROM heap UNION ALL\n"
	"         SELECT toast, name || ' (TOAST)', true, false FROM heap WHERE toast <> 0)\n"
	"SELECT jsonb_build_object('xid', $2::text, 'lsn', pg_current_wal_insert_lsn()::text,\n"
	"  'clear', " SEES_ALL " AND x.oldest > $2::text::bigint AND NOT EXISTS (\n"
	"     SELECT FROM (" HOLDERS ") AS h WHERE " FULL_XMIN " <= $2::text::bigint),\n"
	"  'tables', (SELECT coalesce(jsonb_agg(jsonb_build_object('oid', c.oid::bigint,\n"
	"       'name', c.name, 'vacuums', CASE WHEN c.pages THEN " VACUUMS " END,\n"
	"       'analyses', CASE WHEN c.statistics THEN " ANALYSES " END,\n"
	"       'vacuuming', EXISTS (SELECT FROM pg_locks AS l\n"
	"          WHERE l.locktype = 'relation' AND l.relation = c.oid AND l.granted\n"
	"            AND l.database = (SELECT oid FROM pg_database\n"
	"                               WHERE datname = current_database())\n"
	"            AND l.mode = 'ShareUpdateExclusiveLock'))), '[]') FROM part AS c),\n"
	"  'views', (SELECT jsonb_agg(DISTINCT jsonb_build_object('oid', c.oid::bigint,\n"
	"       'name', c.oid::regclass::text)) FROM reader AS b JOIN pg_class AS c\n"
	"         ON c.oid = b.oid AND c.relkind = 'm' AND c.relispopulated))::text\n"
	"  AS record FROM " NEXT_XID " AS x";

const char *horizon_record(struct db *db, int job, const char *xid, void *ctx, struct error *err)
{
	const char *const values[] = {t_printf(ctx, "%d", job), xid};
	AUTO(result) PGresult *res = NULL;

	return db_query(db, record_sql, 2, values, &res, err)
		       ? t_strdup(ctx, db_value(res, 0, "record"))
		       : NULL;
}

const char horizon_sql[] =
	"WITH j AS (\n"
	"  SELECT a.finished_at AS t0, a.counters->'horizon' AS record,\n"
	"         (a.counters->'horizon'->>'xid')::bigint AS xid,\n"
	"         (a.counters->'horizon'->>'lsn')::pg_lsn AS lsn,\n"
	"         (a.counters->'horizon'->>'clear')::boolean AS clear,\n"
	"         CASE WHEN a.counters->'horizon' IS NULL\n"
	"              THEN 'not recorded when the action ended'\n"
	"              WHEN a.system_identifier::text IS DISTINCT FROM\n"
	"                (SELECT system_identifier::text FROM pg_control_system())\n"
	"              THEN 'it was done on another server' END AS lost\n"
	"    FROM retention.archive_journal AS a\n"
	"   WHERE a.id = $1::int AND a.status = 'done' AND a.action <> 'export'\n"
	"     AND a.restored_at IS NULL),\n"
	/* Each view that reads what has changed, and its REFRESH since; a dropped or emptied one holds nothing. */
	"view AS (\n"
	"  SELECT v->>'name' AS name, e.at, e.lsn, e.how,\n"
	"         coalesce(greatest(pg_stat_get_last_vacuum_time(c.oid),\n"
	"                           pg_stat_get_last_autovacuum_time(c.oid)) > e.at\n"
	"                  AND pg_stat_get_dead_tuples(c.oid) = 0, false) AS vacuumed,\n"
	"         coalesce(" LAST_ANALYZE " > e.at, false) AS analyzed\n"
	"    FROM j, jsonb_array_elements(j.record->'views') AS v\n"
	"    JOIN pg_class AS c ON c.oid = (v->>'oid')::oid AND c.relispopulated\n"
	"    LEFT JOIN LATERAL (\n"
	"      SELECT e.at, (o.counters->'horizon'->>'lsn')::pg_lsn AS lsn,\n"
	"             e.details->'views'->>(v->>'name') AS how\n"
	"        FROM retention.journal_event AS e\n"
	"        JOIN retention.archive_journal AS o ON o.id = e.job\n"
	"       WHERE e.job >= $1::int AND e.kind = 'refreshed'\n"
	"         AND e.details->'views' ? (v->>'name') AND o.finished_at IS NOT NULL\n"
	"         AND (o.id = $1::int OR o.started_at > j.t0)\n"
	"       ORDER BY e.id LIMIT 1) AS e ON true),\n"
	"live AS (\n"
	"  SELECT greatest(j.t0, max(v.at)) AS since, greatest(j.lsn, max(v.lsn)) AS lsn,\n"
	"         string_agg('REFRESH of ' || v.name, ', ' ORDER BY v.name)\n"
	"           FILTER (WHERE v.at IS NULL) AS pending\n"
	"    FROM j LEFT JOIN view AS v ON true GROUP BY j.t0, j.lsn),\n"
	/* T1: a row for each reason to wait. */
	"part AS (\n"
	"  SELECT coalesce(t->>'name', '?') AS name, (t->>'vacuums')::bigint AS before,\n"
	"         CASE WHEN (t->>'vacuuming')::boolean THEN 2 ELSE 1 END AS needed,\n"
	"         c.oid, c.relfrozenxid::text::bigint AS xmin,\n"
	"         " VACUUMS " AS vacuums,\n"
	"         (t->>'analyses')::bigint AS analyzed_before, " ANALYSES " AS analyses,\n"
	"         " LAST_ANALYZE " AS analyzed,\n"
	"         c.reltuples = 0 AND (NOT has_table_privilege(c.oid, 'SELECT') OR EXISTS (\n"
	"           SELECT FROM pg_stats AS s JOIN pg_namespace AS n ON n.nspname = s.schemaname\n"
	"            WHERE s.tablename = c.relname AND n.oid = c.relnamespace)) AS is_empty,\n"
	"         greatest(pg_stat_get_last_vacuum_time(c.oid),\n"
	"                  pg_stat_get_last_autovacuum_time(c.oid)) AS last,\n"
	"         pg_stat_get_dead_tuples(c.oid) AS dead\n"
	"    FROM j, jsonb_array_elements(j.record->'tables') AS t\n"
	/* Finds a table by its oid, whatever its name is now; the data of a dropped table is gone. */
	"    JOIN pg_class AS c ON c.oid = (t->>'oid')::oid),\n"
	"unclean AS (\n"
	"  SELECT h.name, CASE\n"
	"         WHEN h.before IS NULL THEN NULL\n"
	"         WHEN h.last IS NULL OR h.last <= j.t0 OR NOT (h.vacuums >= h.before + h.needed\n"
	/* The statistics were reset: the second VACUUM that has ended since has begun since. */
	"              OR (h.vacuums < h.before AND h.vacuums >= 2))\n"
	"         THEN 'VACUUM of ' || h.name\n"
	"         WHEN NOT (j.clear OR h.dead = 0 OR " FULL_XMIN " > j.xid)\n"
	"         THEN 'another VACUUM of ' || h.name || ': an older snapshot may have kept rows '\n"
	"              || 'from the last' END AS reason\n"
	"    FROM j, part AS h, " NEXT_XID " AS x\n"
	"  UNION ALL SELECT h.name, 'ANALYZE of ' || h.name || CASE WHEN a.done\n"
	"              THEN ' once it has rows' ELSE '' END\n"
	"    FROM j, part AS h, LATERAL (SELECT h.analyzed > j.t0 AND\n"
	"         (h.analyses >= h.analyzed_before + h.needed\n"
	"          OR (h.analyses < h.analyzed_before AND h.analyses >= 2)) AS done) AS a\n"
	"   WHERE h.analyzed_before IS NOT NULL AND (a.done IS NOT TRUE OR h.is_empty)\n"
	"  UNION ALL SELECT v.name, 'ANALYZE of ' || v.name FROM view AS v\n"
	"   WHERE v.at IS NOT NULL AND NOT v.analyzed\n"
	"  UNION ALL SELECT v.name, 'VACUUM of ' || v.name FROM view AS v\n"
	"   WHERE v.how = 'concurrently' AND NOT v.vacuumed\n"
	"  UNION ALL SELECT '', l.pending FROM live AS l),\n"
	"held AS (\n"
	"  SELECT h.who FROM j, " NEXT_XID " AS x, (" HOLDERS ") AS h\n"
	"   WHERE " FULL_XMIN " <= j.xid\n"
	"  UNION ALL SELECT 'a transaction of before' FROM j, " NEXT_XID " AS x\n"
	"   WHERE x.oldest <= j.xid),\n"
	/* T2 */
	"behind AS (\n"
	"  SELECT 'standby ' || coalesce(nullif(r.application_name, ''), r.pid::text) AS who,\n"
	"         r.state IS NULL OR r.replay_lsn IS NULL AS hidden\n"
	"    FROM live AS l, pg_stat_replication AS r\n"
	"   WHERE (r.state IS NULL OR r.state IN ('streaming', 'catchup'))\n"
	"     AND (r.replay_lsn IS NULL OR r.replay_lsn < l.lsn)\n"
	"  UNION ALL\n"
	"  SELECT 'replication slot ' || s.slot_name, false FROM live AS l, pg_replication_slots AS s\n"
	"   WHERE s.restart_lsn IS NOT NULL\n"
	"     AND coalesce(s.confirmed_flush_lsn, s.restart_lsn) < l.lsn\n"
	"  UNION ALL SELECT l.pending, false FROM live AS l WHERE l.pending IS NOT NULL),\n"
	"waits AS (\n"
	"  SELECT 'T1' AS step, 'pages of the tables' AS what, NOT " SEES_ALL " AS hidden,\n"
	"         nullif(concat_ws(', ', (SELECT string_agg(DISTINCT who, ', ') FROM held),\n"
	"                          (SELECT string_agg(reason, ', ' ORDER BY name, reason DESC)\n"
	"                             FROM unclean)), '')\n"
	"           AS pending\n"
	"  UNION ALL\n"
	"  SELECT 'T2', 'standbys and slots', bool_or(hidden),\n"
	"         string_agg(DISTINCT who, ', ') FILTER (WHERE NOT hidden) FROM behind)\n"
	"SELECT 'T0' AS step, 'live tables' AS what,\n"
	"       CASE WHEN l.pending IS NULL THEN 'reached' ELSE 'pending' END AS state,\n"
	"       CASE WHEN l.pending IS NULL THEN l.since END AS since, l.pending AS waits_for\n"
	"  FROM live AS l\n"
	"UNION ALL\n"
	/* Its rows are back, and gone from nowhere. */
	"SELECT 'T0', 'live tables', 'undone', a.restored_at, NULL\n"
	"  FROM retention.archive_journal AS a\n"
	" WHERE a.id = $1::int AND a.restored_at IS NOT NULL\n"
	"UNION ALL\n"
	"SELECT w.step, w.what, s.state,\n"
	"       CASE WHEN s.state = 'reached' AND w.step = 'T1'\n"
	"            THEN greatest(l.since, (SELECT max(greatest(last, analyzed)) FROM part)) END,\n"
	"       coalesce(j.lost, CASE WHEN s.state = 'unknown' THEN 'grant pg_read_all_stats'\n"
	"                             ELSE w.pending END)\n"
	"  FROM j, live AS l, waits AS w, LATERAL (SELECT CASE WHEN j.lost IS NOT NULL THEN 'unknown'\n"
	"         WHEN w.pending IS NOT NULL THEN 'pending'\n"
	"         WHEN w.hidden THEN 'unknown' ELSE 'reached' END AS state) AS s\n"
	"UNION ALL\n"
	"SELECT 'T3', 'backups and archived WAL', CASE WHEN $3::boolean THEN 'unknown'\n"
	"       WHEN $2::interval IS NULL THEN 'not declared'\n"
	"       WHEN l.pending IS NULL AND l.since + $2::interval <= now() THEN 'reached'\n"
	"       ELSE 'pending' END,\n"
	"       CASE WHEN l.pending IS NULL AND l.since + $2::interval <= now()\n"
	"            THEN l.since + $2::interval END,\n"
	"       CASE WHEN $3::boolean THEN 'no configuration was read'\n"
	"            WHEN $2::interval IS NULL THEN 'backups.keep of the configuration'\n"
	"            WHEN l.pending IS NOT NULL THEN l.pending\n"
	"            WHEN l.since + $2::interval > now()\n"
	"            THEN to_char(l.since + $2::interval, 'YYYY-MM-DD HH24:MI') END FROM live AS l\n";
