#include "job/mode.h"

#include "batch/session.h"

#include <inttypes.h>
#include <time.h>

#define SLOT 0

static enum job_exit exit_of(const struct job_opts *opts, const struct error *err)
{
	if (err->class == ERR_STOPPED || stop_asked(opts->stop))
		return JOB_STOPPED;
	return err->class == ERR_ENVIRONMENT || err->class == ERR_BUSY ? JOB_AWAY : JOB_REFUSED;
}

enum job_exit mode_run(const struct job_opts *opts, int timeout_ms,
		       bool (*body)(const struct job_opts *opts, void *arg, struct db *db,
				    struct error *err),
		       void *arg, struct error *err)
{
	const struct db_opts db_opts = session_opts(opts->config, timeout_ms);
	AUTO(db) struct db *db = NULL;
	bool ok;

	if (!db_open(&db_opts, &db, err))
		return exit_of(opts, err);
	stop_watch(opts->stop, SLOT, db_conn(db));
	ok = body(opts, arg, db, err);
	stop_watch(opts->stop, SLOT, NULL);
	return ok ? JOB_DONE : exit_of(opts, err);
}

/*
 * The database's clock decides what is due.  A host whose clock differs by minutes, or a database whose
 * clock stands before what its journal has recorded, was restored or set wrong.  After a restored backup the lines that
 * it has forgotten count as well: a contact with a request of after its erasure stays, and a time that is yet to come
 * would keep none.  These may be another server's, whose clock was a little ahead.
 */
bool mode_check_clocks(struct db *db, struct error *err)
{
	static const char sql[] =
		"SELECT CASE WHEN abs(t.here - t.now) > 120\n"
		"       THEN format('the clocks of this host and of the database differ by %s s: set them '\n"
		"                   'right; nothing is erased by a wrong date', t.here - t.now)\n"
		"       WHEN t.now + 1 < t.newest\n"
		"       THEN format('the database''s clock is %s s behind its newest journal row: set it '\n"
		"                   'right; nothing is erased by a wrong date', t.newest - t.now)\n"
		"       WHEN t.now + 120 < t.replay\n"
		"       THEN format('the database''s clock is %s s behind erasures that the ledger''s file knows: '\n"
		"                   'set it right; nothing is erased by a wrong date', t.replay - t.now)\n"
		"       END AS fault\n"
		"  FROM (SELECT $1::bigint AS here, extract(epoch FROM clock_timestamp())::bigint AS now,\n"
		"               (SELECT extract(epoch FROM max(r.erased_at))::bigint FROM retention.replay AS r) AS replay,\n"
		"               (SELECT extract(epoch FROM e.at)::bigint FROM retention.journal_event AS e\n"
		"                 ORDER BY e.id DESC LIMIT 1) AS newest) AS t";
	AUTO(talloc) const char *here = t_printf(NULL, "%" PRId64, (int64_t)time(NULL));
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, sql, 1, &here, &res, err))
		return false;
	return !db_text(res, 0, "fault") || fail(err, ERR_CONFIG, "%s", db_text(res, 0, "fault"));
}
