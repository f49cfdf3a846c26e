/*
 * The list of keys, by a session of its own.  The query of the CRM's tables runs functions that their owner has written
 * (database/db.h), with the rights of the daemon's role.  So the session has entered itself in retention.erasing, and may
 * put keys on this action's list and change nothing else.  It commits, then the control session freezes what it wrote.
 *
 * Killed in between: the keys are no list, because the action's row does not say so, and the next attempt removes them.
 */
#include "job/job_state.h"

#include "batch/session.h"

bool job_list_keys(struct job *j, const struct journal_interval *due, struct error *err)
{
	struct db_opts opts = session_opts(j->opts->config, 0);
	AUTO(db) struct db *db = NULL;
	bool ok;

	opts.lock_timeout_ms = 0; /* as the control session, and a stop cancels it */
	if (!db_open(&opts, &db, err))
		return false;
	stop_watch(j->opts->stop, CLAIM_SLOT, db_conn(db));
	/* The entry has a transaction of its own, because it removes those of ended sessions, as others do. */
	ok = db_execf(db, err, "INSERT INTO retention.erasing (job) VALUES (-%d)", j->row.id) &&
	     db_exec(db, "BEGIN", err) &&
	     keys_list(db, j->plan, j->row.id, due->from, due->cutoff, err) && db_commit(db, err);
	stop_watch(j->opts->stop, CLAIM_SLOT, db_conn(j->db));
	courtesy_own(j->courtesy, db);
	return ok;
}

void job_drop_list(struct job *j)
{
	static const char sql[] =
		"DELETE FROM retention.candidate AS c USING retention.archive_journal AS j\n"
		" WHERE c.job = $1::int AND j.id = c.job AND j.status IN ('cancelled', 'failed')";
	AUTO(error) struct error ignored = {0};

	(void)(db_alive(j->db) && db_command(j->db, sql, 1, &j->id, NULL, &ignored));
}
