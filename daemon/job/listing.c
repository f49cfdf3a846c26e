/*
 * The list of keys, by a session of its own.  The query of the CRM's tables runs functions that their owner has written
 * (database/db.h), with the rights of the daemon's role.  So the session has entered itself in retention.erasing, and may
 * put keys on this action's list and change nothing else.  It commits, then the control session freezes what it wrote.
 *
 * Killed in between: the keys are no list, because the action's row does not say so, and the next attempt removes them.
 *
 * Where the model has a date_unit, the same transaction counts the rows whose date cannot be read; where it has
 * through.also, the requests that the join table lacks.  Their contacts stay, and somebody has to know: the control session
 * writes the event "undated" or "unpaired" together with the frozen list.
 */
#include "job/job_state.h"

#include "batch/session.h"

/* Rows that keep their contacts, and that somebody has to mend; NULL as sql: the action does not ask for them. */
struct doubtful {
	const char *kind; /* of the event */
	const struct table *table;
	const char *sql;
	int64_t rows;
	const char *keys; /* of the first ones */
};

static struct doubtful undated_of(const struct job *j, const struct table *t)
{
	const struct plan *p = j->plan;
	const bool asked = t == p->model->request || p->opts.without_requests || p->opts.by_key;

	return (struct doubtful){.kind = "undated",
				 .table = t,
				 .sql = asked && t->date_unit
						? plan_date_odd_sql(j->ctx, p->model, p->catalog, t)
						: NULL};
}

static struct doubtful unpaired(const struct job *j)
{
	const struct model *m = j->plan->model;
	const bool asked = m->through && m->through->also && j->plan->subject == m->contact;

	return (struct doubtful){.kind = "unpaired",
				 .table = m->request,
				 .sql = asked ? plan_unpaired_sql(j->ctx, m, j->plan->catalog)
					      : NULL};
}

static bool count_doubtful(struct db *db, void *ctx, struct doubtful *u, struct error *err)
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

static bool tell_doubtful(struct job *j, const struct doubtful *u, struct error *err)
{
	static const char sql[] =
		"INSERT INTO retention.journal_event (job, kind, details)\n"
		"VALUES ($1::int, $5::text, jsonb_build_object('table', $2::text, 'rows', $3::bigint,\n"
		"        'keys', $4::text))";
	const char *const values[] = {j->id, u->table->name,
				      t_printf(j->ctx, "%lld", (long long)u->rows), u->keys,
				      u->kind};

	return u->rows == 0 || db_command(j->db, sql, LENGTH(values), values, NULL, err);
}

bool job_list_keys(struct job *j, const struct journal_interval *due, struct error *err)
{
	struct db_opts opts = session_opts(j->opts->config, 0);
	AUTO(db) struct db *db = NULL;
	struct doubtful doubts[] = {undated_of(j, j->plan->model->request),
				    undated_of(j, j->plan->model->contact), unpaired(j)};
	bool ok;

	opts.lock_timeout_ms = 0; /* as the control session, and a stop cancels it */
	if (!db_open(&opts, &db, err))
		return false;
	stop_watch(j->opts->stop, CLAIM_SLOT, db_conn(db));
	/* The entry has a transaction of its own, because it removes those of ended sessions, as others do. */
	ok = db_execf(db, err, "INSERT INTO retention.erasing (job) VALUES (-%d)", j->row.id) &&
	     db_exec(db, "BEGIN", err) &&
	     keys_list(db, j->plan, j->row.id, due->from, due->cutoff, err);
	for (size_t i = 0; ok && i < LENGTH(doubts); i++)
		ok = count_doubtful(db, j->ctx, &doubts[i], err);
	ok = ok && db_commit(db, err);
	stop_watch(j->opts->stop, CLAIM_SLOT, db_conn(j->db));
	courtesy_own(j->courtesy, db);
	for (size_t i = 0; ok && i < LENGTH(doubts); i++)
		ok = tell_doubtful(j, &doubts[i], err);
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
