/*
 * What COMMIT takes away is gone for every query, and still lies about.  In the heap's pages until
 * VACUUM has been there, with no transaction left that could still see it.  On standbys, and in the WAL
 * that slots hold back, until they have come past the job's last position.  In archived WAL and base
 * backups for as long as these are kept, which only the configuration can say.
 *
 * The statistics have the time of a table's last VACUUM, not what it had to leave: one that ran beside
 * an old snapshot, which has ended since, counts as having passed.  Where it ran beside one that is
 * still there, it does not.
 */
#include "ctl_horizon.h"

const char horizon_sql[] =
	"WITH job AS (\n"
	"  SELECT j.finished_at, j.counters->'relations' AS relations,\n"
	"         age(((j.counters->>'last_xid')::numeric % 4294967296)::text::xid) AS xid_age,\n"
	"         (j.counters->>'last_lsn')::pg_lsn AS lsn\n"
	"    FROM retention.archive_journal AS j\n"
	"   WHERE j.id = $1::int AND j.finished_at IS NOT NULL AND j.counters ? 'last_xid'\n"
	"     AND j.action <> 'export' AND (j.counters->>'treated')::bigint > 0),\n"
	/* Not by regclass, which wants the right to use the schema. */
	"named AS (\n"
	"  SELECT r.name, c.oid FROM job, jsonb_array_elements_text(job.relations) AS r(name)\n"
	"    JOIN pg_class AS c ON true JOIN pg_namespace AS n ON n.oid = c.relnamespace\n"
	"   WHERE r.name = '\"' || replace(n.nspname, '\"', '\"\"') || '\".\"' ||\n"
	"                  replace(c.relname, '\"', '\"\"') || '\"'),\n"
	"leaves AS (\n"
	"  SELECT n.name, coalesce(p.relid, n.oid) AS relid FROM named AS n\n"
	"    LEFT JOIN LATERAL (SELECT t.relid FROM pg_partition_tree(n.oid) AS t\n"
	"                        WHERE t.isleaf) AS p ON true WHERE n.oid IS NOT NULL),\n"
	"unvacuumed AS (\n"
	"  SELECT l.name FROM job, leaves AS l LEFT JOIN pg_stat_all_tables AS s USING (relid)\n"
	"   GROUP BY l.name, job.finished_at\n"
	"  HAVING bool_or(coalesce(greatest(s.last_vacuum, s.last_autovacuum), '-infinity')\n"
	"                 < job.finished_at)),\n"
	"heap AS (\n"
	"  SELECT (SELECT string_agg(u.name, ', ' ORDER BY u.name) FROM unvacuumed AS u) AS names,\n"
	"         EXISTS (SELECT FROM pg_stat_activity AS a\n"
	"                  WHERE greatest(age(a.backend_xmin), age(a.backend_xid)) > job.xid_age)\n"
	"           OR EXISTS (SELECT FROM pg_prepared_xacts AS p WHERE age(p.transaction) > job.xid_age)\n"
	"           OR EXISTS (SELECT FROM pg_replication_slots AS s WHERE age(s.xmin) > job.xid_age)\n"
	"         AS seen,\n"
	"         EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.query = '<insufficient privilege>')\n"
	"         AS hidden FROM job),\n"
	"far AS (\n"
	"  SELECT (SELECT count(*) FROM pg_stat_replication AS r WHERE r.replay_lsn IS NULL) AS hidden,\n"
	"         (SELECT string_agg(r.application_name, ', ' ORDER BY 1) FROM pg_stat_replication AS r\n"
	"           WHERE r.replay_lsn < job.lsn) AS standbys,\n"
	"         (SELECT string_agg(s.slot_name, ', ' ORDER BY 1) FROM pg_replication_slots AS s\n"
	"           WHERE s.restart_lsn < job.lsn) AS slots FROM job)\n"
	"SELECT 'live tables' AS \"where\", 'reached' AS state,\n"
	"       to_char(job.finished_at, 'YYYY-MM-DD HH24:MI') AS detail FROM job\n"
	"UNION ALL\n"
	"SELECT 'heap pages', CASE WHEN heap.names IS NOT NULL OR heap.seen THEN 'pending'\n"
	"                          WHEN heap.hidden THEN 'unknown' ELSE 'reached' END,\n"
	"       CASE WHEN heap.names IS NOT NULL THEN 'VACUUM ' || heap.names\n"
	"            WHEN heap.seen THEN 'an open transaction or a slot can still see it'\n"
	"            WHEN heap.hidden THEN 'grant pg_monitor to who asks' END\n"
	"  FROM heap\n"
	"UNION ALL\n"
	"SELECT 'standbys and slots', CASE WHEN far.hidden > 0 THEN 'unknown'\n"
	"         WHEN far.standbys IS NULL AND far.slots IS NULL THEN 'reached' ELSE 'pending' END,\n"
	"       CASE WHEN far.hidden > 0 THEN 'grant pg_monitor to who asks'\n"
	"            ELSE concat_ws('; ', 'standbys behind: ' || far.standbys,\n"
	"                           'slots behind: ' || far.slots) END FROM far\n"
	"UNION ALL\n"
	"SELECT 'WAL and backups', CASE WHEN $2::interval IS NULL THEN 'unknown'\n"
	"         WHEN job.finished_at + $2::interval <= now() THEN 'reached' ELSE 'pending' END,\n"
	"       coalesce(to_char(job.finished_at + $2::interval, 'YYYY-MM-DD HH24:MI'),\n"
	"                'backups.keep is not declared') FROM job";

const char *horizon_keep(const struct ctl *ctl, char *buffer, size_t size)
{
	if (!ctl->config || !ctl->config->has_backups_keep)
		return NULL;
	period_print(&ctl->config->backups_keep, buffer, size);
	return buffer;
}
