#include "job/mode.h"

#include "base/mem.h"
#include "batch/session.h"

#include <inttypes.h>
#include <time.h>

#define SLOT 0
#define CLOCK_TOLERANCE_S 120

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
 * clock stands before what its journal has recorded, was restored or set wrong.
 */
bool mode_check_clocks(struct db *db, struct error *err)
{
	static const char sql[] =
		"SELECT extract(epoch FROM clock_timestamp())::bigint AS now,\n"
		"       coalesce(extract(epoch FROM (SELECT at FROM retention.journal_event\n"
		"                                     ORDER BY id DESC LIMIT 1))::bigint, 0) AS "
		"newest";
	AUTO(result) PGresult *res = NULL;
	int64_t now, newest;

	if (!db_query(db, sql, 0, NULL, &res, err))
		return false;
	now = db_int(res, 0, "now");
	newest = db_int(res, 0, "newest");
	if (llabs(now - (int64_t)time(NULL)) > CLOCK_TOLERANCE_S)
		return fail(err, ERR_CONFIG,
			    "the clocks of this host and of the database differ by %" PRId64
			    " s: set them right; nothing is erased by a wrong date",
			    (int64_t)time(NULL) - now);
	if (now + 1 < newest)
		return fail(
			err, ERR_CONFIG,
			"the database's clock is %" PRId64
			" s behind its newest journal row: set it right; nothing is erased by a "
			"wrong date",
			newest - now);
	return true;
}
