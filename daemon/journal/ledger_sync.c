/*
 * Compares jobs by their number of lines and their latest time.  Only where these differ, reads the lines
 * themselves into the database, which compares them.
 */
#include "journal/ledger_sync.h"

#include "base/mem.h"
#include "base/sql.h"
#include "database/locks.h"

#include <inttypes.h>

#define UTC(at) "to_char(" at " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
#define SAME "r.job = l.job AND r.key = l.key AND r.action = l.action AND r.erased_at = l.erased_at"

bool ledger_sync_open(struct db *db, const char *directory, bool create, struct ledger **ret,
		      struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, "SELECT value FROM retention.setting WHERE name = 'ledger_id'", 0, NULL,
		      &res, err))
		return false;
	if (PQntuples(res) != 1)
		return fail(err, ERR_CONFIG,
			    "retention.setting has no ledger_id: put it back, as the first line of "
			    "\"%s/" LEDGER_FILE "\" has it",
			    directory);
	return ledger_open(directory, db_text(res, 0, "value"), create, ret, err);
}

struct load {
	struct ledger *ledger;
	int *jobs; /* n_jobs, of which file and table differ */
	size_t n_jobs;
	struct db *db;
};

/* Finds for load the jobs of which file and table do not hold the same; *ret_array has them as an int[]. */
static bool find_different(struct load *load, void *ctx, const char **ret_array, struct error *err)
{
	static const char sql[] =
		"SELECT coalesce(f.job, t.job) AS job\n"
		"  FROM unnest($1::int[], $2::bigint[], $3::text[]) AS f(job, lines, newest)\n"
		"  FULL JOIN (SELECT job, count(*) AS lines, " UTC(
			"max(erased_at)") " AS newest\n"
					  "               FROM retention.ledger GROUP BY job) AS t "
					  "ON f.job = t.job\n"
					  " WHERE (f.lines, f.newest) IS DISTINCT FROM (t.lines, "
					  "t.newest)";
	struct ledger_count *counts = NULL;
	char *jobs = t_strdup(ctx, "{"), *lines = t_strdup(ctx, "{"), *newest = t_strdup(ctx, "{");
	AUTO(result) PGresult *res = NULL;
	char *array = t_strdup(ctx, "{");
	size_t n = 0;

	if (!ledger_counts(load->ledger, ctx, &counts, &n, err))
		return false;
	for (size_t i = 0; i < n; i++) {
		t_append(&jobs, "%s%d", i ? "," : "", counts[i].job);
		t_append(&lines, "%s%" PRId64, i ? "," : "", counts[i].lines);
		t_append(&newest, "%s%s", i ? "," : "", counts[i].newest);
	}
	{
		const char *const values[] = {t_printf(ctx, "%s}", jobs),
					      t_printf(ctx, "%s}", lines),
					      t_printf(ctx, "%s}", newest)};

		if (!db_query(load->db, sql, 3, values, &res, err))
			return false;
	}
	load->n_jobs = (size_t)PQntuples(res);
	load->jobs = t_array(ctx, int, load->n_jobs + 1);
	for (size_t i = 0; i < load->n_jobs; i++) {
		load->jobs[i] = (int)db_int(res, (int)i, "job");
		t_append(&array, "%s%d", i ? "," : "", load->jobs[i]);
	}
	*ret_array = t_printf(ctx, "%s}", array);
	return true;
}

static bool put_line(void *arg, const char *line, size_t n, struct error *err)
{
	return db_copy_put(arg, line, n, err);
}

static bool put_lines(void *arg, struct error *err)
{
	const struct load *load = arg;

	return ledger_read(load->ledger, load->jobs, load->n_jobs, put_line, load->db, err);
}

static bool to_file(void *arg, const char *bytes, size_t n, struct error *err)
{
	return ledger_append(arg, bytes, n, err);
}

/* Puts the file's lines into retention.replay, and lines that only the table has into the file. */
static bool exchange(struct db *db, struct load *load, const char *array, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	int64_t rows;

	return db_exec(db, "DELETE FROM retention.replay", err) &&
	       db_copy_in(db, "COPY retention.replay (job, action, erased_at, key) FROM STDIN",
			  put_lines, load, &rows, err) &&
	       db_copy_out(db,
			   t_printf(ctx,
				    "COPY (SELECT l.job, l.action, " UTC(
					    "l.erased_at") ", l.key\n"
							   "  FROM retention.ledger AS l WHERE "
							   "l.job = ANY (%s::int[]) AND NOT EXISTS "
							   "(\n"
							   "       SELECT FROM retention.replay AS "
							   "r WHERE " SAME ")) TO STDOUT",
				    sql_literal(ctx, array)),
			   to_file, load->ledger, &rows, err) &&
	       db_exec(db,
		       "DELETE FROM retention.replay AS r USING retention.ledger AS l WHERE " SAME,
		       err);
}

/*
 * Sees to it that the numbers of forgotten jobs are not given again, so that lines and archives keep their
 * meaning, and tells the journal once what was found.
 */
static bool record_ahead(struct db *db, struct error *err)
{
	return db_exec(db,
		       "SELECT setval('retention.archive_journal_id_seq', greatest(s.last_value,\n"
		       "              (SELECT max(r.job) FROM retention.replay AS r)))\n"
		       "  FROM retention.archive_journal_id_seq AS s",
		       err) &&
	       db_exec(db,
		       "INSERT INTO retention.journal_event (kind, details)\n"
		       "SELECT 'ledger_ahead', x.details\n"
		       "  FROM (SELECT jsonb_build_object('lines', count(*), 'since', min(erased_at),\n"
		       "               'until', max(erased_at)) AS details FROM retention.replay) AS x\n"
		       " WHERE x.details IS DISTINCT FROM (\n"
		       "       SELECT e.details FROM retention.journal_event AS e\n"
		       "        WHERE e.kind = 'ledger_ahead' ORDER BY e.id DESC LIMIT 1)",
		       err);
}

bool ledger_ahead(struct db *db, int64_t *ret, bool *ret_under_way, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(
		    db,
		    "SELECT (SELECT count(*) FROM retention.replay) AS n,\n"
		    "       EXISTS (SELECT FROM retention.archive_journal AS j WHERE j.replay\n"
		    "                  AND j.status IN ('saved', 'validated', 'running')) AS busy",
		    0, NULL, &res, err))
		return false;
	*ret = db_int(res, 0, "n");
	if (ret_under_way)
		*ret_under_way = db_bool(res, 0, "busy");
	return true;
}

static bool check(struct db *db, struct ledger *ledger, void *ctx, int64_t *ret_ahead,
		  struct error *err)
{
	static const char lock_sql[] =
		"SELECT pg_advisory_xact_lock(" LOCK_SQL(LOCK_RETENTION, LOCK_LEDGER) ")";
	struct load load = {.ledger = ledger, .db = db};
	const char *array = NULL;
	bool under_way = false;

	if (!db_exec(db, lock_sql, err) || !ledger_ahead(db, ret_ahead, &under_way, err) ||
	    !find_different(&load, ctx, &array, err))
		return false;
	if (under_way || (load.n_jobs == 0 && *ret_ahead == 0))
		return true;
	if (!exchange(db, &load, array, err) || !ledger_ahead(db, ret_ahead, &under_way, err))
		return false;
	return *ret_ahead == 0 || record_ahead(db, err);
}

bool ledger_sync_check(struct db *db, struct ledger *ledger, int64_t *ret_ahead, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));

	if (db_exec(db, "BEGIN", err) && check(db, ledger, ctx, ret_ahead, err) &&
	    db_commit(db, err))
		return ledger_sync(ledger, err);
	db_rollback(db);
	return false;
}
