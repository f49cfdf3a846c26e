#include "job/job_state.h"

#include "batch/session.h"
#include "journal/fits.h"

/* Asked before the claim, because a standby has no unlogged tables, such as the one of the sessions that erase. */
static bool wait_for_primary(struct job *j, struct error *err)
{
	static const char sql[] = "SELECT pg_is_in_recovery()::int AS standby";
	int64_t standby = 0;

	return db_query_int(j->db, sql, 0, NULL, &standby, err) &&
	       (!standby || fail(err, ERR_ENVIRONMENT, DB_STANDBY));
}

bool claim_take(struct job *j, bool *ret_mine, struct error *err)
{
	struct db_opts opts = session_opts(j->opts->config, 0);

	opts.lock_timeout_ms = 0; /* the fence waits for batches to end; a stop cancels it */
	if (!db_open(&opts, &j->db, err))
		return false;
	stop_watch(j->opts->stop, CLAIM_SLOT, db_conn(j->db));
	return wait_for_primary(j, err) && schema_fits(j->db, err) &&
	       journal_claim(j->db, j->row.id, ret_mine, err);
}

void claim_drop(struct job *j)
{
	stop_watch(j->opts->stop, CLAIM_SLOT, NULL);
	db_close(j->db);
	j->db = NULL;
}

static bool lose_claim(struct job *j, struct error *err)
{
	j->claim = 0;
	return fail(err, ERR_STOPPED, "another daemon has taken the job over");
}

bool claim_keep(struct job *j, struct error *err)
{
	static const char sql[] = "SELECT claim FROM retention.archive_journal WHERE id = $1::int";
	int64_t now = 0;
	bool mine = false;

	if (!db_alive(j->db)) {
		claim_drop(j);
		if (!claim_take(j, &mine, err))
			return false;
		if (!mine)
			return lose_claim(j, err);
	}
	return db_query_int(j->db, sql, 1, &j->id, &now, err) &&
	       (now == j->claim || lose_claim(j, err));
}
