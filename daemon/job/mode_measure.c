/*
 * The overdue subjects show a silent stall: they are due by the cutoff of the policy's last occurrence, the
 * one that ran or the one that should have, and are still there.  That query reads the tables of the CRM.
 * It has a time limit, and a value that could not be measured is not reported.
 */
#include "job/mode.h"

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

/*
 * SQL: the cutoff of the policy's last occurrence, which began, or should have begun and did not; NULL: there
 * was none yet.  $1 to $3: its name, the time zone, its depth.
 */
static const char cutoff_sql[] =
	"SELECT retention.cutoff($3::interval, $2, x.occurrence)::text AS cutoff\n"
	"  FROM (SELECT greatest((SELECT max(j.occurrence) FROM retention.archive_journal AS j\n"
	"                          WHERE j.policy = $1),\n"
	"                        (SELECT s.next_occurrence FROM retention.policy_state AS s\n"
	"                          WHERE s.policy = $1 AND s.next_occurrence <= now()))\n"
	"         AS occurrence) AS x";

static bool measure_policy(const struct job_opts *opts, struct db *db, const struct policy *policy,
			   const struct catalog *catalog, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const struct config *config = opts->config;
	const struct plan_opts due = check_opts(config, policy, policy->action, policy->archive);
	char depth[32];
	const char *values[3] = {policy->name, config->timezone, depth};
	AUTO(result) PGresult *last = NULL;
	AUTO(result) PGresult *res = NULL;
	int64_t next = 0;

	if (schedule_next(&policy->schedule, time(NULL), &next))
		tell(opts, "retentiond_policy_next_timestamp_seconds", "policy", policy->name,
		     t_printf(ctx, "%" PRId64, next));
	/* An export erases nothing, so nothing is ever overdue for it. */
	if (policy->action == ACTION_EXPORT)
		return true;
	period_print(&policy->depth, depth, sizeof(depth));
	if (!db_query(db, cutoff_sql, 3, values, &last, err))
		return false;
	values[0] = NULL;
	values[1] = db_text(last, 0, "cutoff");
	if (values[1] &&
	    !db_query(
		    db,
		    t_printf(ctx,
			     "SELECT count(*) AS n, coalesce(greatest(extract(epoch FROM now() -\n"
			     "       (min(d.last) + $3::interval)), 0), 0)::bigint AS age\n"
			     "  FROM (%s) AS d",
			     plan_due_query(ctx, &config->model, catalog, &due, NULL)),
		    3, values, &res, err))
		return false;
	tell(opts, "retentiond_policy_overdue", "policy", policy->name,
	     res ? db_text(res, 0, "n") : "0");
	tell(opts, "retentiond_policy_overdue_oldest_seconds", "policy", policy->name,
	     res ? db_text(res, 0, "age") : "0");
	return true;
}

static bool measure(const struct job_opts *opts, void *arg, struct db *db, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(complaints) struct complaints c = {0};
	const struct config *config = opts->config;
	struct check check = {.db = db, .config = config, .ctx = ctx, .complaints = &c};

	(void)arg;
	if (!db_exec(db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) ||
	    !measure_journal(opts, db, err))
		return false;
	if (!check_model_for(&check, ACTION_EXPORT, err) ||
	    !check_foreign_code(&check, check.catalog, err))
		return c.n > 0 ? fail(err, ERR_CONFIG, "%s", c.lines[0]) : false;
	for (size_t i = 0; i < config->n_policies; i++)
		if (config->policies[i].enabled &&
		    !measure_policy(opts, db, &config->policies[i], check.catalog, err))
			return false;
	return true;
}

enum job_exit mode_measure_run(const struct job_opts *opts)
{
	AUTO(error) struct error err = {0};
	const enum job_exit end = mode_run(opts, TIMEOUT_MS, measure, NULL, &err);

	if (end != JOB_DONE && end != JOB_STOPPED)
		report_note(opts->report, "%s", err.text);
	return end;
}
