/*
 * ANALYZE after a pass, because the planner's statistics (pg_stats) keep values of erased rows until then; with
 * limits.vacuum VACUUM, too.  It runs when everything is committed and the journal says done.  Killed on any
 * line, it has changed nothing that a client could see, and autovacuum does the rest.
 *
 * It is as gentle as autovacuum (the same cost delay).  It does not give the file's end back to the
 * system, because that takes a lock which readers wait for.  It includes the indexes, which PostgreSQL
 * leaves out by itself where few rows went, because their entries hold values, too.
 */
#include "job/job_state.h"

#include "base/sql.h"
#include "model/catalog_sql.h"

/* How long the throttle may keep all tables together waiting, because other jobs wait behind this one. */
#define PATIENCE_MS 600000
/* How long a table's lock is waited for.  Nobody has asked for the ANALYZE, so it waits less. */
#define VACUUM_LOCK_S 10
#define ANALYZE_LOCK_S 2

struct vacuuming {
	struct job *job;
	struct throttle *throttle; /* NULL: ANALYZE alone, which waits for nothing */
	int64_t patience_ms;
	size_t n_skipped; /* tables */
};

static const char session_sql[] =
	"SET statement_timeout = 0; SET lock_timeout = '%ds';\n"
	"SELECT set_config('vacuum_cost_delay', s.setting, false) FROM pg_settings AS s\n"
	" WHERE s.name = 'autovacuum_vacuum_cost_delay' AND s.setting <> '-1'";

/*
 * Finds the tables that lost rows, and the materialized views that the job has refreshed.  may: otherwise
 * VACUUM would only warn, and go on without the table.
 */
static const char tables_sql[] =
	"SELECT w.oid::regclass::text AS name,\n"
	"       bool_and(pg_has_role(d.datdba, 'USAGE') OR " CATALOG_MAY_MAINTAIN ") AS may\n"
	"  FROM (" JOURNAL_TABLES "\n"
	"        UNION SELECT to_regclass(v.name) FROM retention.journal_event AS e,\n"
	"               LATERAL jsonb_object_keys(e.details->'views') AS v(name)\n"
	"         WHERE e.job = $1::int AND e.kind = 'refreshed') AS w\n"
	"  JOIN pg_database AS d ON d.datname = current_database()\n"
	"  JOIN LATERAL (SELECT w.oid UNION SELECT p.relid FROM pg_partition_tree(w.oid) AS p) AS t ON true\n"
	"  JOIN pg_class AS c ON c.oid = t.oid\n"
	" GROUP BY 1 ORDER BY 1";

static bool wait_for_throttle(struct vacuuming *v, struct error *err)
{
	const struct job_opts *opts = v->job->opts;

	throttle_expect_pause(v->throttle);
	if (!throttle_wait(v->throttle, v->job->db, opts->stop, opts->report, &v->patience_ms, err))
		return false;
	report_waiting(opts->report, WAIT_NONE, NULL);
	return !stop_asked(opts->stop) || fail(err, ERR_STOPPED, "asked to stop");
}

/* false: the table is skipped, and err says why. */
static bool vacuum_table(struct vacuuming *v, const char *name, bool may, struct error *err)
{
	if (!may)
		return fail(err, ERR_CONFIG, "this role may not: see \"retentionctl grants\" of %s",
			    v->throttle ? "limits.vacuum" : "ANALYZE");
	if (!v->throttle)
		return stop_asked(v->job->opts->stop)
			       ? fail(err, ERR_STOPPED, "asked to stop")
			       : db_execf(v->job->db, err, "ANALYZE %s", name);
	return wait_for_throttle(v, err) &&
	       db_execf(v->job->db, err, "VACUUM (ANALYZE, INDEX_CLEANUP on, TRUNCATE off) %s",
			name);
}

static bool vacuum_all(struct vacuuming *v, const PGresult *tables, struct error *err)
{
	static const char sql[] =
		"INSERT INTO retention.journal_event (job, kind, details)\n"
		"SELECT $1::int, $4, jsonb_strip_nulls(jsonb_build_object(\n"
		"       'tables', array_remove(array_agg(CASE WHEN s.why = '' THEN s.name END), NULL),\n"
		"       'skipped', jsonb_object_agg(s.name, s.why) FILTER (WHERE s.why <> '')))\n"
		"  FROM unnest($2::text[], $3::text[]) AS s(name, why) HAVING count(*) > 0";
	void *ctx = v->job->ctx;
	const int n = PQntuples(tables);
	const char **names = t_array(ctx, const char *, n + 1);
	const char **reasons = t_array(ctx, const char *, n + 1);

	for (int i = 0; i < n; i++) {
		AUTO(error) struct error one = {0};

		names[i] = db_text(tables, i, "name");
		if (!vacuum_table(v, names[i], db_bool(tables, i, "may"), &one))
			v->n_skipped++;
		reasons[i] = t_strdup(ctx, one.text ? one.text : "");
	}
	return db_command(v->job->db, sql, 4,
			  (const char *const[]){v->job->id, sql_array(ctx, names, (size_t)n),
						sql_array(ctx, reasons, (size_t)n),
						v->throttle ? "vacuumed" : "analyzed"},
			  NULL, err);
}

/*
 * Tells the server at once which rows this session's REFRESH has deleted.  Told after the VACUUM, which the server puts
 * off for up to a second, they would count as dead for ever.  PostgreSQL before 15 cannot be asked to.
 */
static bool tell_counts(struct db *db, struct error *err)
{
	return db_server_version(db) < 150000 ||
	       db_exec(db, "SELECT pg_stat_force_next_flush()", err);
}

void job_vacuum(struct job *j, char **note)
{
	const bool vacuums = j->opts->config->vacuum;
	const bool nodes = j->plan && catalog_is_spread(j->plan->model, j->plan->catalog);
	struct vacuuming v = {.job = j,
			      .throttle = vacuums ? throttle_new(j->opts->config, j->row.id, nodes)
						  : NULL,
			      .patience_ms = PATIENCE_MS};
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error err = {0};

	/* A failure is in err, and told below. */
	(void)(tell_counts(j->db, &err) && db_query(j->db, tables_sql, 1, &j->id, &res, &err) &&
	       db_execf(j->db, &err, session_sql, vacuums ? VACUUM_LOCK_S : ANALYZE_LOCK_S) &&
	       vacuum_all(&v, res, &err));
	throttle_free(v.throttle);
	if (err.class != ERR_NONE)
		t_append(note, "; its tables were not %s: %s", vacuums ? "vacuumed" : "analyzed",
			 err.text);
	else if (vacuums && v.n_skipped > 0)
		t_append(note,
			 "; %zu of the tables left to autovacuum: see the event \"vacuumed\" of "
			 "action %d",
			 v.n_skipped, j->row.id);
}
