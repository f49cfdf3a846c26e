/*
 * The list of keys, by a session of its own.  The query of the CRM's tables runs functions that their owner has written
 * (database/db.h), with the rights of the daemon's role.  So the session has entered itself in retention.erasing, and may
 * put keys on this action's list and change nothing else.  It commits, then the control session freezes what it wrote.
 *
 * Killed in between: the keys are no list, because the action's row does not say so, and the next attempt removes them.
 *
 * Where the model has a date_unit, the same transaction counts the rows whose date cannot be read.  Their contacts stay,
 * and somebody has to know: the control session writes the event "undated" together with the frozen list.
 */
#include "job/job_state.h"

#include "batch/session.h"

/* A table whose rows may hold something else than a date; NULL as sql: the action does not ask its dates. */
struct undated {
	const struct table *table;
	const char *sql;
	int64_t rows;
	const char *keys; /* of the first ones */
};

static struct undated undated_of(const struct job *j, const struct table *t)
{
	const struct plan *p = j->plan;
	const bool asked = t == p->model->request || p->opts.without_requests || p->opts.by_key;

	return (struct undated){.table = t,
				.sql = asked && t->date_unit
					       ? plan_date_odd_sql(j->ctx, p->model, p->catalog, t)
					       : NULL};
}

static bool count_undated(struct db *db, void *ctx, struct undated *u, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!u->sql)
		return true;
	if (!db_query(db, u->sql, 0, NULL, &res, err))
		return false;
	u->rows = db_int(res, 0, "n");
	u->keys = db_text_copy(ctx, res, 0, "keys");
	return true;
}

static bool tell_undated(struct job *j, const struct undated *u, struct error *err)
{
	static const char sql[] =
		"INSERT INTO retention.journal_event (job, kind, details)\n"
		"VALUES ($1::int, 'undated', jsonb_build_object('table', $2::text, 'rows', $3::bigint,\n"
		"        'keys', $4::text))";
	const char *const values[] = {j->id, u->table->name,
				      t_printf(j->ctx, "%lld", (long long)u->rows), u->keys};

	return u->rows == 0 || db_command(j->db, sql, LENGTH(values), values, NULL, err);
}

bool job_list_keys(struct job *j, const struct journal_interval *due, struct error *err)
{
	struct db_opts opts = session_opts(j->opts->config, 0);
	AUTO(db) struct db *db = NULL;
	struct undated requests = undated_of(j, j->plan->model->request);
	struct undated contacts = undated_of(j, j->plan->model->contact);
	bool ok;

	opts.lock_timeout_ms = 0; /* as the control session, and a stop cancels it */
	if (!db_open(&opts, &db, err))
		return false;
	stop_watch(j->opts->stop, CLAIM_SLOT, db_conn(db));
	/* The entry has a transaction of its own, because it removes those of ended sessions, as others do. */
	ok = db_execf(db, err, "INSERT INTO retention.erasing (job) VALUES (-%d)", j->row.id) &&
	     db_exec(db, "BEGIN", err) &&
	     keys_list(db, j->plan, j->row.id, due->from, due->cutoff, err) &&
	     count_undated(db, j->ctx, &requests, err) &&
	     count_undated(db, j->ctx, &contacts, err) && db_commit(db, err);
	stop_watch(j->opts->stop, CLAIM_SLOT, db_conn(j->db));
	courtesy_own(j->courtesy, db);
	return ok && tell_undated(j, &requests, err) && tell_undated(j, &contacts, err);
}

void job_drop_list(struct job *j)
{
	static const char sql[] =
		"DELETE FROM retention.candidate AS c USING retention.archive_journal AS j\n"
		" WHERE c.job = $1::int AND j.id = c.job AND j.status IN ('cancelled', 'failed')";
	AUTO(error) struct error ignored = {0};

	(void)(db_alive(j->db) && db_command(j->db, sql, 1, &j->id, NULL, &ignored));
}
