/* What a job records at its end, for retention.horizon(), which tells later how far its erasures have come. */
#include "journal/horizon.h"

#include "base/sql.h"
#include "journal/journal.h"
#include "model/catalog_sql.h"

/*
 * A batch is a transaction of two phases where Citus has the rows on other servers.  One that was lost between them shows
 * the rows until Citus ends the transaction there, so the job is not done before.
 */
static bool check_nodes(struct db *db, int job, struct error *err)
{
	static const char sql[] =
		"SELECT coalesce(f.undecided, f.name || ', which does not answer: ' || f.failure) AS why\n"
		"  FROM retention.node_facts(retention.shards_of((SELECT array_agg(t.oid)\n"
		"         FROM (" JOURNAL_TABLES ") AS t))) AS f\n"
		" WHERE f.undecided IS NOT NULL OR f.failure IS NOT NULL ORDER BY f.node LIMIT 1";
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *const values[] = {t_printf(ctx, "%d", job)};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, sql, 1, values, &res, err))
		return false;
	return PQntuples(res) == 0 ||
	       fail(err, ERR_ENVIRONMENT, "all is erased, and the job waits for %s",
		    db_value(res, 0, "why"));
}

bool horizon_mark(struct db *db, int job, bool patient, void *ctx, const char **ret_xid,
		  struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (patient && db_citus(db) && !check_nodes(db, job, err))
		return false;
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
	"    FROM (SELECT root AS rel FROM touched{here} UNION\n"
	"          SELECT p.relid FROM touched, pg_partition_tree(root) AS p{here}) AS r\n"
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
	"         ON c.oid = b.oid AND c.relkind = 'm' AND c.relispopulated){nodes})::text\n"
	"  AS record";

/* The rows of a table that Citus distributes are in its shards, not in itself, and may all be on other servers. */
static const char here_sql[] =
	"\n           WHERE NOT EXISTS (SELECT FROM pg_dist_partition AS d WHERE d.logicalrelid = root)";
static const char nodes_sql[] =
	",\n  'nodes', (SELECT retention.record_nodes(array_agg(t.root)) FROM touched AS t)";

const char *horizon_record(struct db *db, int job, const char *xid, void *ctx, struct error *err)
{
	const char *const values[] = {t_printf(ctx, "%d", job), xid};
	const char *sql = sql_fill(ctx, record_sql, {"here", db_citus(db) ? here_sql : ""},
				   {"nodes", db_citus(db) ? nodes_sql : ""});
	AUTO(result) PGresult *res = NULL;

	return db_query(db, sql, 2, values, &res, err) ? t_strdup(ctx, db_value(res, 0, "record"))
						       : NULL;
}
