/*
 * VACUUM after a pass.  It runs when everything is committed and the journal says done.  Killed on any
 * line, it has changed nothing that a client could see, and autovacuum does the rest.
 *
 * It is as gentle as autovacuum (the same cost delay).  It does not give the file's end back to the
 * system, because that takes a lock which readers wait for.  It includes the indexes, which PostgreSQL
 * leaves out by itself where few rows went, because their entries hold values, too.
 */
#include "job/job_state.h"

#include "base/mem.h"
#include "base/sql.h"

/* How long the throttle may keep all tables together waiting, because other jobs wait behind this one. */
#define PATIENCE_MS 600000

struct vacuuming {
	struct job *job;
	struct throttle *throttle;
	int64_t patience_ms;
	const char **done; /* n_done, names of tables */
	size_t n_done;
	const char **skipped, **reasons; /* n_skipped */
	size_t n_skipped;
};

static const char session_sql[] =
	"SET statement_timeout = 0; SET lock_timeout = '10s';\n"
	"SELECT set_config('vacuum_cost_delay', s.setting, false) FROM pg_settings AS s\n"
	" WHERE s.name = 'autovacuum_vacuum_cost_delay' AND s.setting <> '-1'";

/* Finds the tables that lost rows.  may: otherwise VACUUM would only warn, and go on without the table. */
static const char tables_sql[] =
	"SELECT w.oid::regclass::text AS name, bool_and(pg_has_role(c.relowner, 'USAGE')\n"
	"       OR pg_has_role(d.datdba, 'USAGE')\n"
	"       OR CASE WHEN current_setting('server_version_num')::int >= 170000\n"
	"               THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END) AS may\n"
	"  FROM (" JOURNAL_TABLES ") AS w\n"
	"  JOIN pg_database AS d ON d.datname = current_database()\n"
	"  JOIN LATERAL (SELECT w.oid UNION SELECT p.relid FROM pg_partition_tree(w.oid) AS p) AS t ON true\n"
	"  JOIN pg_class AS c ON c.oid = t.oid\n"
	" GROUP BY 1 ORDER BY 1";

static bool find_tables(struct job *j, PGresult **ret, struct error *err)
{
	const char *const values[] = {t_printf(j->ctx, "%d", j->row.id)};

	return db_query(j->db, tables_sql, 1, values, ret, err);
}

static bool wait_for_throttle(struct vacuuming *v, struct error *err)
{
	const struct job_opts *opts = v->job->opts;

	if (!throttle_wait(v->throttle, v->job->db, opts->stop, opts->report, &v->patience_ms, err))
		return false;
	report_waiting(opts->report, WAIT_NONE, NULL);
	return !stop_asked(opts->stop) || fail(err, ERR_STOPPED, "asked to stop");
}

static void vacuum_table(struct vacuuming *v, const char *name, bool may)
{
	AUTO(error) struct error err = {0};
	bool ok = false;

	if (!may)
		(void)fail(&err, ERR_CONFIG,
			   "this role may not: see \"retentionctl grants\" of limits.vacuum");
	else
		ok = wait_for_throttle(v, &err) &&
		     db_execf(v->job->db, &err,
			      "VACUUM (ANALYZE, INDEX_CLEANUP on, TRUNCATE off) %s", name);
	if (ok) {
		v->done[v->n_done++] = t_strdup(v->job->ctx, name);
		return;
	}
	v->skipped[v->n_skipped] = t_strdup(v->job->ctx, name);
	v->reasons[v->n_skipped++] = t_strdup(v->job->ctx, err.text);
}

static bool tell(struct vacuuming *v, struct error *err)
{
	static const char sql[] =
		"INSERT INTO retention.journal_event (job, kind, details)\n"
		"SELECT $1::int, 'vacuumed', jsonb_strip_nulls(jsonb_build_object('tables', $2::text[], 'skipped',\n"
		"       (SELECT jsonb_object_agg(s.name, s.why)\n"
		"          FROM unnest($3::text[], $4::text[]) AS s(name, why))))";
	void *ctx = v->job->ctx;
	const char *const values[] = {
		t_printf(ctx, "%d", v->job->row.id), sql_array(ctx, v->done, v->n_done),
		sql_array(ctx, v->skipped, v->n_skipped), sql_array(ctx, v->reasons, v->n_skipped)};

	return db_command(v->job->db, sql, 4, values, NULL, err);
}

void job_vacuum(struct job *j, char **note)
{
	struct vacuuming v = {.job = j, .patience_ms = PATIENCE_MS};
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error err = {0};

	v.throttle = throttle_new(j->opts->config, j->row.id);
	if (find_tables(j, &res, &err) && db_exec(j->db, session_sql, &err)) {
		const size_t n = (size_t)PQntuples(res);

		v.done = t_array(j->ctx, const char *, n + 1);
		v.skipped = t_array(j->ctx, const char *, n + 1);
		v.reasons = t_array(j->ctx, const char *, n + 1);
		for (size_t i = 0; i < n; i++)
			vacuum_table(&v, db_text(res, (int)i, "name"), db_bool(res, (int)i, "may"));
		if (n > 0)
			(void)tell(&v, &err); /* its failure is in err */
	}
	throttle_free(v.throttle);
	if (err.class != ERR_NONE)
		*note = t_printf(j->ctx, "%s; its tables were not vacuumed: %s", *note, err.text);
	else if (v.n_skipped > 0)
		*note = t_printf(j->ctx,
				 "%s; %zu of the tables left to autovacuum: see the event "
				 "\"vacuumed\" of action %d",
				 *note, v.n_skipped, j->row.id);
}
