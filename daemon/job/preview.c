/*
 * Counts what a frozen list would touch, for the person who is asked to validate it: who sees the number of contacts
 * alone cannot tell a wrong interval from a right one.  Of the numbers' rows no key goes into the journal.
 *
 * Of every list but a replay's, it counts who would be on it but for a hold, and the event "held" has their keys, as
 * "dropped" has those of who left the list: a report answers later who was kept, and why.
 *
 * The list never waits long for them.  They share one limit of time, each statement reads by itself, and what was not
 * counted is null.  The tables of the CRM are read by a session that can write nothing (database/db.h).
 */
#include "job/job_state.h"

#include "base/sql.h"
#include "batch/session.h"
#include "plan/preview.h"
#include "preflight/check_plan.h"

#define LIMIT_MS 10000

struct preview {
	const struct job *j;
	struct db *db;
	struct plan *plan; /* without what only a run needs */
	const struct journal_interval *due;
	int64_t end_ms;
	const char *held, *held_keys, *oldest, *newest; /* NULL: not counted */
	const char **tables, **whats, **rows; /* a row a step; "": not counted */
};

/* NULL: the answer did not come in time, or not at all. */
static PGresult *ask(struct preview *p, const char *sql, int n, const char *const values[])
{
	const int64_t left_ms = p->end_ms - monotonic_ms();
	AUTO(error) struct error ignored = {0};
	PGresult *res = NULL;

	if (left_ms <= 0 || !db_alive(p->db) || stop_asked(p->j->opts->stop))
		return NULL;
	if (db_execf(p->db, &ignored, "SET statement_timeout = %d", (int)left_ms) &&
	    db_query_apart(p->db, sql, n, values, &res, &ignored))
		return res;
	PQclear(res);
	db_rollback(p->db);
	return NULL;
}

/* The subjects that a hold keeps off the list, and how many. */
static void find_held(struct preview *p)
{
	const struct job *j = p->j;
	const char *const values[] = {p->due->from, p->due->cutoff, j->id};
	const struct columns *names = plan_names(j->ctx, "k", p->plan->subject->key->n);
	const char *sql = t_printf(
		j->ctx,
		"SELECT count(*) AS n, coalesce(array_agg(%s), '{}')::text AS keys FROM (%s) AS d",
		plan_key_text(j->ctx, "d", names),
		plan_held_query(j->ctx, &j->opts->config->model, p->plan->catalog, &p->plan->opts));
	AUTO(result) PGresult *res = ask(p, sql, p->plan->opts.by_key ? 3 : 2, values);

	if (!res)
		return;
	p->held = db_text_copy(j->ctx, res, 0, "n");
	p->held_keys = db_text_copy(j->ctx, res, 0, "keys");
}

/* An event has as many keys as people can read. */
static bool tell_held(struct job *j, const char *keys, struct error *err)
{
	static const char sql[] =
		"INSERT INTO retention.journal_event (job, kind, details)\n"
		"SELECT $1::int, 'held', jsonb_build_object('keys', jsonb_agg(k.key ORDER BY k.n))\n"
		"  FROM unnest($2::text[]) WITH ORDINALITY AS k(key, n)\n"
		" GROUP BY (k.n - 1) / 1000 ORDER BY min(k.n)";
	const char *const values[] = {j->id, keys};

	return !keys || db_command(j->db, sql, LENGTH(values), values, NULL, err);
}

/* The dates of the last requests of the subjects that are on the list, and still due. */
static void find_dates(struct preview *p, const char *keys)
{
	const struct job *j = p->j;
	const char *const values[] = {p->due->from, p->due->cutoff};
	const char *sql = t_printf(
		j->ctx, "SELECT min(d.last) AS oldest, max(d.last) AS newest FROM (%s) AS d",
		plan_due_query(j->ctx, &j->opts->config->model, p->plan->catalog, &p->plan->opts,
			       keys));
	AUTO(result) PGresult *res = ask(p, sql, 2, values);

	if (!res)
		return;
	p->oldest = db_text_copy(j->ctx, res, 0, "oldest");
	p->newest = db_text_copy(j->ctx, res, 0, "newest");
}

static void count_tables(struct preview *p, const char *list)
{
	const struct job *j = p->j;

	for (size_t i = 0; i < p->plan->n_steps; i++) {
		AUTO(result)
		PGresult *res = ask(p, plan_count_step_sql(p->plan, list, i), 0, NULL);

		p->tables[i] = p->plan->steps[i].table->name;
		p->whats[i] = plan_done_name(&p->plan->steps[i]);
		p->rows[i] = res ? db_text_copy(j->ctx, res, 0, "rows") : "";
	}
}

/* Where nobody is asked, only the holds are counted. */
static const char held_json_sql[] =
	"SELECT jsonb_build_object('held', $1::bigint)::text AS preview";

/* A table that two steps treat alike is one row. */
static const char json_sql[] =
	"SELECT jsonb_build_object('held', $1::bigint, 'oldest', $2::timestamptz,\n"
	"       'newest', $3::timestamptz, 'tables', (\n"
	"         SELECT coalesce(jsonb_agg(jsonb_build_object('table', s.name, 'what', s.what,\n"
	"                                                      'rows', s.rows) ORDER BY s.n), '[]')\n"
	"           FROM (SELECT u.name, u.what, min(u.n) AS n,\n"
	"                        CASE WHEN bool_and(u.rows <> '')\n"
	"                             THEN sum(nullif(u.rows, '')::bigint) END AS rows\n"
	"                   FROM unnest($4::text[], $5::text[], $6::text[]) WITH ORDINALITY\n"
	"                          AS u(name, what, rows, n)\n"
	"                  GROUP BY u.name, u.what) AS s))::text AS preview";

static bool print(const struct preview *p, bool asks, const char **ret, struct error *err)
{
	const struct job *j = p->j;
	const size_t n = asks ? p->plan->n_steps : 0;
	const char *const values[] = {p->held,
				      p->oldest,
				      p->newest,
				      sql_array(j->ctx, p->tables, n),
				      sql_array(j->ctx, p->whats, n),
				      sql_array(j->ctx, p->rows, n)};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(j->db, asks ? json_sql : held_json_sql, asks ? LENGTH(values) : 1, values,
		      &res, err))
		return false;
	*ret = db_text_copy(j->ctx, res, 0, "preview");
	return true;
}

static bool make_plan(struct preview *p, struct error *err)
{
	AUTO(complaints) struct complaints c = {0};
	const struct job *j = p->j;
	struct plan_opts opts =
		check_opts(j->opts->config, j->policy, j->row.action, j->row.archive);

	opts.by_key = j->row.by_key;
	p->plan = plan_build(j->ctx, &j->opts->config->model, j->plan->catalog, &opts, &c);
	if (!p->plan)
		return fail(err, ERR_CONFIG, "%s", c.lines[0]);
	p->tables = t_array(j->ctx, const char *, p->plan->n_steps + 1);
	p->whats = t_array(j->ctx, const char *, p->plan->n_steps + 1);
	p->rows = t_array(j->ctx, const char *, p->plan->n_steps + 1);
	return true;
}

bool job_count_list(struct job *j, struct error *err)
{
	static const char sql[] =
		"SELECT count(*) FROM retention.candidate AS c WHERE c.job = $1::int";

	return db_query_int(j->db, sql, 1, &j->id, &j->row.candidates, err);
}

static const char holds_sql[] = "SELECT count(*) FROM retention.holds_in_force";

/* What a person who is asked to validate the list needs to know. */
static void count_list(struct preview *p)
{
	const struct job *j = p->j;
	const struct table *subject = p->plan->subject;
	const char *from =
		t_printf(j->ctx, " FROM retention.candidate AS l WHERE l.job = %d", j->row.id);

	count_tables(p, plan_chosen_query(j->ctx, p->plan->catalog, subject, "l.key", from));
	find_dates(p, t_printf(j->ctx, "ARRAY(SELECT l.key::%s%s)",
			       plan_key_type(p->plan->catalog, subject, subject->key), from));
}

bool job_preview(struct job *j, const struct journal_interval *due, bool asks, const char **ret,
		 struct error *err)
{
	const struct db_opts opts = session_opts(j->opts->config, LIMIT_MS);
	AUTO(db) struct db *db = NULL;
	struct preview p = {.j = j, .due = due, .end_ms = monotonic_ms() + LIMIT_MS};
	int64_t holds = 0;

	*ret = NULL;
	if (j->row.replay) /* it says itself which it leaves (job/finish.c) */
		return true;
	if (!db_query_int(j->db, holds_sql, 0, NULL, &holds, err))
		return false;
	p.held = holds == 0 ? "0" : NULL;
	if (holds == 0 && !asks)
		return print(&p, asks, ret, err);
	if (!make_plan(&p, err) || !db_open(&opts, &db, err))
		return false;
	p.db = db;
	stop_watch(j->opts->stop, CLAIM_SLOT, db_conn(db));
	if (holds > 0)
		find_held(&p); /* first: every report needs it */
	if (asks)
		count_list(&p);
	stop_watch(j->opts->stop, CLAIM_SLOT, db_conn(j->db));
	courtesy_own(j->courtesy, db);
	return stop_asked(j->opts->stop)
		       ? fail(err, ERR_STOPPED, "asked to stop")
		       : print(&p, asks, ret, err) && tell_held(j, p.held_keys, err);
}

int64_t job_count_held(struct job *j)
{
	const struct db_opts opts = session_opts(j->opts->config, LIMIT_MS);
	const struct journal_interval due = {.from = j->batch.from, .cutoff = j->batch.cutoff};
	struct preview p = {.j = j, .due = &due, .end_ms = monotonic_ms() + LIMIT_MS};
	AUTO(error) struct error ignored = {0};
	AUTO(db) struct db *db = NULL;
	int64_t holds = 0;

	/* A replay leaves who is on hold, too, and says so itself (job/finish.c). */
	if (!j->plan || j->row.replay ||
	    !db_query_int(j->db, holds_sql, 0, NULL, &holds, &ignored) || holds == 0 ||
	    !make_plan(&p, &ignored) || !db_open(&opts, &db, &ignored))
		return 0;
	p.db = db;
	find_held(&p);
	courtesy_own(j->courtesy, db);
	return p.held ? strtoll(p.held, NULL, 10) : 0; /* a count, always */
}
