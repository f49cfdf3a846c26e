/*
 * The survey: the figures of the metrics, and those of the policies in force, for the people who read schema retention.
 *
 * The overdue subjects show a silent stall: they are due by the cutoff of the policy's last occurrence, the
 * one that ran or the one that should have, and are still there.  That query reads the tables of the CRM.
 * It has a time limit, and a value that could not be measured is not reported.
 *
 * The tables of the CRM are read in a transaction that can write nothing.  What was found is stored behind it.
 */
#include "job/mode.h"

#include "journal/page_policies.h"
#include "journal/policies.h"

#include "preflight/check_plan.h"

#include <inttypes.h>
#include <time.h>

#define TIMEOUT_MS 300000

static const char journal_sql[] =
	"SELECT 'retentiond_jobs' AS name, 'status' AS label, s.status AS value,\n"
	"       (SELECT count(*) FROM retention.archive_journal AS j WHERE j.status = s.status)\n"
	"         ::float8 AS number\n"
	"  FROM unnest('{saved,validated,running,done,failed,cancelled}'::text[]) AS s(status)\n"
	"UNION ALL SELECT 'retentiond_policy_last_success_timestamp_seconds', 'policy', j.policy,\n"
	"       extract(epoch FROM max(j.finished_at))::float8\n"
	"  FROM retention.archive_journal AS j\n"
	" WHERE j.status = 'done' AND j.policy IS NOT NULL GROUP BY j.policy\n"
	"UNION ALL SELECT 'retentiond_job_seconds_total', 'action', j.action,\n"
	"       sum(extract(epoch FROM j.finished_at - j.started_at))::float8\n"
	"  FROM retention.archive_journal AS j\n"
	" WHERE j.started_at IS NOT NULL AND j.finished_at IS NOT NULL GROUP BY j.action\n"
	"UNION ALL SELECT * FROM (SELECT DISTINCT ON (j.action) 'retentiond_job_last_seconds',\n"
	"       'action', j.action, extract(epoch FROM j.finished_at - j.started_at)::float8\n"
	"  FROM retention.archive_journal AS j\n"
	" WHERE j.started_at IS NOT NULL AND j.finished_at IS NOT NULL\n"
	" ORDER BY j.action, j.finished_at DESC) AS l\n"
	"UNION ALL SELECT 'retentiond_subjects_total', 'action', j.action,\n"
	"       sum((j.counters->>'treated')::bigint)::float8\n"
	"  FROM retention.archive_journal AS j WHERE j.counters ? 'treated' GROUP BY j.action\n"
	"UNION ALL SELECT v.name, NULL, NULL, v.n::float8 FROM (VALUES\n"
	"  ('retentiond_keys_failed_total',\n"
	"   (SELECT count(*) FROM retention.journal_event AS e WHERE e.kind = 'failed_key')),\n"
	"  ('retentiond_archive_bytes',\n"
	"   (SELECT coalesce(sum(j.archive_bytes), 0) FROM retention.archive_journal AS j\n"
	"     WHERE j.archive_removed_at IS NULL)),\n"
	"  ('retentiond_files_left', (SELECT count(*) FROM retention.file_outbox)),\n"
	"  ('retentiond_holds', (SELECT count(*) FROM retention.holds_in_force)),\n"
	"  ('retentiond_ledger_rows', (SELECT count(*) FROM retention.ledger)),\n"
	"  ('retentiond_ledger_forgotten', (SELECT count(*) FROM retention.replay)),\n"
	"  ('retentiond_survey_timestamp_seconds', extract(epoch FROM now()))) AS v(name, n)";

static void tell(const struct job_opts *opts, const char *name, const char *label,
		 const char *value, const char *number)
{
	AUTO(talloc) char *line = metrics_line(name, label, value, number);

	report_sample(opts->report, "%s", line);
}

static bool measure_journal(const struct job_opts *opts, struct db *db, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, journal_sql, 0, NULL, &res, err))
		return false;
	for (int row = 0; row < PQntuples(res); row++)
		tell(opts, db_text(res, row, "name"), db_text(res, row, "label"),
		     db_text(res, row, "value"), db_text(res, row, "number"));
	return true;
}

/* A survey under way. */
struct survey {
	const struct job_opts *opts;
	struct db *db;
	void *ctx;
	const struct catalog *catalog;
	struct policy_figures *figures; /* of each policy of the configuration */
};

/*
 * SQL: the cutoff of the policy's last occurrence, which began, or should have begun and did not; NULL: there
 * was none yet.  The cutoff of the next one; NULL: there is none.  $1 to $4: the policy's name, the time zone, its depth,
 * the next occurrence.
 */
static const char cutoff_sql[] =
	"SELECT retention.cutoff($3::interval, $2, x.occurrence)::text AS cutoff,\n"
	"       retention.cutoff($3::interval, $2, to_timestamp($4::float8))::text AS cutoff_next\n"
	"  FROM (SELECT greatest((SELECT max(j.occurrence) FROM retention.archive_journal AS j\n"
	"                          WHERE j.policy = $1),\n"
	"                        (SELECT s.next_occurrence FROM retention.policy_state AS s\n"
	"                          WHERE s.policy = $1 AND s.next_occurrence <= now()))\n"
	"         AS occurrence) AS x";

static const char overdue_sql[] =
	"SELECT count(*) AS n, min(d.last) + $3::interval AS since,\n"
	"       coalesce(greatest(extract(epoch FROM now() - (min(d.last) + $3::interval)), 0), 0)::bigint\n"
	"         AS age\n"
	"  FROM (%s) AS d";

/* The subjects that are due by the last occurrence.  An export erases nothing, so nothing is ever overdue for it. */
static bool measure_overdue(struct survey *s, const struct policy *policy,
			    const char *const values[3], struct policy_figures *ret,
			    struct error *err)
{
	const struct config *config = s->opts->config;
	const struct plan_opts due = check_opts(config, policy, policy->action, policy->archive);
	AUTO(result) PGresult *res = NULL;

	if (policy->action == ACTION_EXPORT || policy->saved)
		return true;
	if (values[1] &&
	    !db_query(s->db,
		      t_printf(s->ctx, overdue_sql,
			       plan_due_query(s->ctx, &config->model, s->catalog, &due, NULL)),
		      3, values, &res, err))
		return false;
	ret->overdue = res ? db_text_copy(s->ctx, res, 0, "n") : "0";
	ret->overdue_since = res ? db_text_copy(s->ctx, res, 0, "since") : NULL;
	tell(s->opts, "retentiond_policy_overdue", "policy", policy->name, ret->overdue);
	tell(s->opts, "retentiond_policy_overdue_oldest_seconds", "policy", policy->name,
	     res ? db_text(res, 0, "age") : "0");
	return true;
}

static bool count(struct survey *s, const char *query, const char *cutoff, const char **ret,
		  struct error *err)
{
	const char *const values[] = {NULL, cutoff};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(s->db, t_printf(s->ctx, "SELECT count(*) AS n FROM (%s) AS d", query), 2,
		      values, &res, err))
		return false;
	*ret = db_text_copy(s->ctx, res, 0, "n");
	return true;
}

/* The subjects that the next occurrence would reach, and those that it would reach without the holds. */
static bool measure_next(struct survey *s, const struct policy *policy, struct policy_figures *ret,
			 struct error *err)
{
	const struct model *model = &s->opts->config->model;
	const struct plan_opts due =
		check_opts(s->opts->config, policy, policy->action, policy->archive);

	return !ret->cutoff_next || (count(s, plan_due_query(s->ctx, model, s->catalog, &due, NULL),
					   ret->cutoff_next, &ret->due_next, err) &&
				     count(s, plan_held_query(s->ctx, model, s->catalog, &due),
					   ret->cutoff_next, &ret->held_next, err));
}

static bool measure_policy(struct survey *s, const struct policy *policy,
			   struct policy_figures *ret, struct error *err)
{
	char depth[32];
	const char *values[4] = {policy->name, s->opts->config->timezone, depth, NULL};
	AUTO(result) PGresult *cutoffs = NULL;
	int64_t next = 0;

	if (schedule_next(&policy->schedule, time(NULL), &next))
		values[3] = t_printf(s->ctx, "%" PRId64, next);
	if (values[3] && !policy->saved)
		tell(s->opts, "retentiond_policy_next_timestamp_seconds", "policy", policy->name,
		     values[3]);
	period_print(&policy->depth, depth, sizeof(depth));
	if (!db_query(s->db, cutoff_sql, 4, values, &cutoffs, err))
		return false;
	ret->cutoff_next = db_text_copy(s->ctx, cutoffs, 0, "cutoff_next");
	values[0] = NULL;
	values[1] = db_text(cutoffs, 0, "cutoff");
	return measure_overdue(s, policy, values, ret, err) && measure_next(s, policy, ret, err);
}

/*
 * A policy that is refused is measured where that is possible: its subjects are overdue because of that.  Its query
 * may be what the server refuses.
 */
static bool measure_refused(struct survey *s, const struct policy *policy,
			    struct policy_figures *ret, struct error *err)
{
	const char *refused = ret->refused;

	if (!db_exec(s->db, "SAVEPOINT refused", err))
		return false;
	if (measure_policy(s, policy, ret, err))
		return true;
	if (!db_alive(s->db) || err->class == ERR_STOPPED)
		return false;
	error_clear(err);
	*ret = (struct policy_figures){.refused = refused};
	return db_exec(s->db, "ROLLBACK TO SAVEPOINT refused", err);
}

/* Finds out which policies cannot run as the database is now, as the check before a job does. */
static bool find_refusals(struct survey *s, struct error *err)
{
	const struct config *config = s->opts->config;

	for (size_t i = 0; i < config->n_policies; i++) {
		const struct policy *policy = &config->policies[i];
		AUTO(complaints) struct complaints c = {0};
		struct check check = {
			.db = s->db, .config = config, .ctx = s->ctx, .complaints = &c};
		struct plan_opts opts = check_opts(config, policy, policy->action, policy->archive);
		struct plan *plan;

		if (!policy->enabled || check_action(&check, policy, &opts, &plan, err))
			continue;
		if (c.n == 0)
			return false;
		s->figures[i].refused = t_strdup(s->ctx, c.lines[0]);
	}
	return true;
}

static bool measure_policies(struct survey *s, struct error *err)
{
	const struct config *config = s->opts->config;

	for (size_t i = 0; i < config->n_policies; i++) {
		const struct policy *policy = &config->policies[i];
		struct policy_figures *figures = &s->figures[i];

		if (!policy->enabled)
			continue;
		if (!(figures->refused ? measure_refused : measure_policy)(s, policy, figures, err))
			return false;
		figures->known = true;
	}
	return true;
}

/* A model that does not hold cannot be read by: then only the refusals of the policies are known. */
static bool measure_crm(struct survey *s, struct error *err)
{
	AUTO(complaints) struct complaints c = {0};
	struct check check = {
		.db = s->db, .config = s->opts->config, .ctx = s->ctx, .complaints = &c};

	if (check_model_for(&check, ACTION_EXPORT, err) &&
	    check_foreign_code(&check, check.catalog, err) && c.n == 0) {
		s->catalog = check.catalog;
		return measure_policies(s, err);
	}
	if (c.n == 0)
		return false;
	for (size_t i = 0; i < s->opts->config->n_policies; i++)
		s->figures[i].known = s->figures[i].refused != NULL;
	return fail(err, ERR_CONFIG, "%s", c.lines[0]);
}

/* Behind the transaction that has read the CRM's tables: undoes what their functions have left, and stores what is known. */
static bool store(struct survey *s, struct error *err)
{
	db_rollback(s->db);
	if (!db_alive(s->db))
		return fail(err, ERR_ENVIRONMENT, "the session was lost");
	db_forget_prepared(s->db);
	return policies_measured(s->db, s->opts->config, s->figures, err);
}

static bool measure(const struct job_opts *opts, void *arg, struct db *db, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(error) struct error ignored = {0}; /* the first failure counts */
	struct job_opts joined = *opts;
	struct survey s = {.opts = &joined, .db = db, .ctx = ctx};

	(void)arg;
	joined.config = page_policies_join(db, opts->config, ctx, err);
	if (!joined.config)
		return false;
	s.figures = t_array(ctx, struct policy_figures, joined.config->n_policies + 1);
	if (!policies_configure(db, joined.config, err) || !find_refusals(&s, err))
		return false;
	if (db_exec(db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) &&
	    measure_journal(opts, db, err) && measure_crm(&s, err))
		return store(&s, err);
	(void)store(&s, &ignored);
	return false;
}

/* Measures, and answers the requests for it that had been made before. */
static bool answer_requests(const struct job_opts *opts, void *arg, struct db *db,
			    struct error *err)
{
	static const char open_sql[] =
		"SELECT coalesce(array_agg(r.id), '{}')::text AS ids FROM retention.request AS r\n"
		" WHERE r.kind = 'measure' AND r.ended_at IS NULL";
	static const char end_sql[] =
		"SELECT retention.end_request(r.id, $2, jsonb_build_object('text', $3::text))\n"
		"  FROM unnest($1::int[]) AS r(id)";
	AUTO(error) struct error ignored = {0}; /* the survey's own failure counts */
	AUTO(result) PGresult *open = NULL;
	const char *values[3];
	bool ok;

	if (!db_query(db, open_sql, 0, NULL, &open, err))
		return false;
	ok = measure(opts, arg, db, err);
	if (!ok && (!db_alive(db) || err->class == ERR_STOPPED))
		return false;
	values[0] = db_value(open, 0, "ids");
	values[1] = ok ? "ok" : "failed";
	values[2] = ok ? "it was measured again" : err->text;
	return ok ? db_command(db, end_sql, 3, values, NULL, err)
		  : db_command(db, end_sql, 3, values, NULL, &ignored) && false;
}

enum job_exit mode_measure_run(const struct job_opts *opts)
{
	AUTO(error) struct error err = {0};
	const enum job_exit end = mode_run(opts, TIMEOUT_MS, answer_requests, NULL, &err);

	if (end != JOB_DONE && end != JOB_STOPPED)
		report_note(opts->report, "%s", err.text);
	return end;
}
