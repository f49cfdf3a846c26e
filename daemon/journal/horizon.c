/* What a job records at its end, for retention.horizon(), which tells later how far its erasures have come. */
#include "journal/horizon.h"

#include "base/sql.h"
#include "journal/journal.h"
#include "model/catalog_sql.h"

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
	"  'clear', pg_has_role('pg_read_all_stats', 'USAGE') AND NOT EXISTS (\n"
	"     SELECT FROM retention.snapshot_holders() AS h WHERE h.xid <= $2::text::bigint),\n"
	"  'tables', (SELECT coalesce(jsonb_agg(jsonb_build_object('oid', c.oid::bigint,\n"
	"       'name', c.name, 'vacuums', CASE WHEN c.pages THEN retention.vacuum_count(c.oid) END,\n"
	"       'analyses', CASE WHEN c.statistics THEN retention.analyze_count(c.oid) END,\n"
	"       'vacuuming', EXISTS (SELECT FROM pg_locks AS l\n"
	"          WHERE l.locktype = 'relation' AND l.relation = c.oid AND l.granted\n"
	"            AND l.database = (SELECT oid FROM pg_database\n"
	"                               WHERE datname = current_database())\n"
	"            AND l.mode = 'ShareUpdateExclusiveLock'))), '[]') FROM part AS c),\n"
	"  'views', (SELECT jsonb_agg(DISTINCT jsonb_build_object('oid', c.oid::bigint,\n"
	"       'name', c.oid::regclass::text)) FROM reader AS b JOIN pg_class AS c\n"
	"         ON c.oid = b.oid AND c.relkind = 'm' AND c.relispopulated){elsewhere})::text\n"
	"  AS record";

/* Citus has the rows of its tables on other servers, and on this one nothing that could be looked at. */
static const char elsewhere_sql[] =
	",\n  'elsewhere', EXISTS (SELECT FROM touched AS t JOIN pg_dist_partition AS p ON p.logicalrelid = t.root)";

const char *horizon_record(struct db *db, int job, const char *xid, void *ctx, struct error *err)
{
	const char *const values[] = {t_printf(ctx, "%d", job), xid};
	const char *sql =
		sql_fill(ctx, record_sql, {"elsewhere", db_citus(db) ? elsewhere_sql : ""});
	AUTO(result) PGresult *res = NULL;

	return db_query(db, sql, 2, values, &res, err) ? t_strdup(ctx, db_value(res, 0, "record"))
						       : NULL;
}
