/*
 * REFRESH of the materialized views that read the tables with refresh = true, after the last batch and before
 * the journal says done.  Killed on any line, the job is not done: the next attempt finds the list empty, and
 * does all of it again.  A refresh that is lost with its server was not committed, and one that is
 * repeated changes nothing.
 *
 * A view that cannot be refreshed does not hold up the job, because the rows are erased by now and others wait behind
 * it.  The event "refreshed" has the reason, and T0 (journal/horizon.c) is not reached.
 */
#include "job/job_state.h"

#include "base/failpoint.h"
#include "base/sql.h"
#include "model/catalog_sql.h"

/* A reader of the view, such as a dump, is waited for so often, because others wait behind the lock. */
#define TRIES 3
#define PAUSE_MS 5000

/* A view comes behind those that it reads, whose names are in below, a newline around each.  An empty one holds nothing. */
static const char views_sql[] =
	"WITH RECURSIVE changed AS (\n"
	"  SELECT t.oid FROM (" JOURNAL_TABLES ") AS t\n"
	"   WHERE t.oid IN (SELECT to_regclass(u.sql) FROM unnest($2::text[]) AS u(sql))),\n"
	"touched AS (SELECT oid AS root FROM changed UNION\n"
	"            SELECT m.oid FROM pg_class AS m WHERE m.relkind = 'm'),\n"
	"" CATALOG_READERS "\n"
	"SELECT c.oid::regclass::text AS name, " CATALOG_MAY_MAINTAIN " AS may,\n"
	"       E'\\n' || string_agg(b.root::regclass::text || E'\\n', '') AS below, EXISTS (\n"
	"         SELECT FROM pg_index AS x WHERE x.indrelid = c.oid AND x.indisunique\n"
	"            AND x.indimmediate AND x.indisvalid AND x.indpred IS NULL\n"
	"            AND NOT 0 = ANY (x.indkey)) AS concurrently\n"
	"  FROM reader AS b LEFT JOIN changed AS t ON t.oid = b.root\n"
	"  JOIN pg_class AS c ON c.oid = b.oid AND c.relkind = 'm' AND c.relispopulated\n"
	" GROUP BY c.oid, c.relowner HAVING count(t.oid) > 0\n"
	" ORDER BY max(b.depth) FILTER (WHERE t.oid IS NOT NULL), name";

/* The functions of a view get the search_path that the database gives everybody, as in a batch. */
static const char begin_sql[] = "BEGIN; SET LOCAL search_path TO DEFAULT;"
				"SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '10s'";

static bool refresh_once(struct job *j, const char *name, bool concurrently, struct error *err)
{
	if (db_exec(j->db, begin_sql, err) &&
	    db_execf(j->db, err, "REFRESH MATERIALIZED VIEW %s%s",
		     concurrently ? "CONCURRENTLY " : "", name) &&
	    db_commit(j->db, err))
		return true;
	db_rollback(j->db);
	return false;
}

/* false: the view is as it was, and err says why. */
static bool refresh_view(struct job *j, const PGresult *views, int row, struct error *err)
{
	const char *name = db_text(views, row, "name");

	if (!db_bool(views, row, "may"))
		return fail(err, ERR_CONFIG,
			    "this role may not: see \"retentionctl grants\" of refresh");
	for (int tries = 1;; tries++) {
		AUTO(error) struct error one = {0};

		if (refresh_once(j, name, db_bool(views, row, "concurrently"), &one))
			return true;
		if (one.class != ERR_BUSY || tries == TRIES)
			return fail(err, one.class, "%s", one.text);
		report_waiting(j->opts->report, WAIT_LOCKS,
			       t_printf(j->ctx, "materialized view %s: %s", name, one.text));
		if (stop_sleep_ms(j->opts->stop, PAUSE_MS))
			return fail(err, ERR_STOPPED, "asked to stop");
	}
}

/* Does the view of the row read one above it that was not refreshed?  Then it would keep what that one keeps. */
static bool reads_stale(const struct job *j, const PGresult *views, int row,
			const char *const reasons[])
{
	for (int i = 0; i < row; i++)
		if (*reasons[i] && strstr(db_text(views, row, "below"),
					  t_printf(j->ctx, "\n%s\n", db_text(views, i, "name"))))
			return true;
	return false;
}

static bool refresh_all(struct job *j, const PGresult *views, struct error *err)
{
	static const char sql[] =
		"INSERT INTO retention.journal_event (job, kind, details)\n"
		"SELECT $1::int, 'refreshed', jsonb_strip_nulls(jsonb_build_object(\n"
		"       'views', coalesce(jsonb_object_agg(s.name, s.how) FILTER (WHERE s.why = ''), '{}'),\n"
		"       'skipped', jsonb_object_agg(s.name, s.why) FILTER (WHERE s.why <> '')))\n"
		"  FROM unnest($2::text[], $3::text[], $4::text[]) AS s(name, how, why)";
	const int n = PQntuples(views);
	const char **names = t_array(j->ctx, const char *, n + 1);
	const char **hows = t_array(j->ctx, const char *, n + 1);
	const char **reasons = t_array(j->ctx, const char *, n + 1);

	for (int i = 0; i < n; i++) {
		AUTO(error) struct error one = {0};

		names[i] = db_text(views, i, "name");
		hows[i] = db_bool(views, i, "concurrently") ? "concurrently" : "whole";
		if (reads_stale(j, views, i, reasons))
			(void)fail(&one, ERR_DATA, "a view that it reads was not refreshed");
		else if (!refresh_view(j, views, i, &one) &&
			 (stop_asked(j->opts->stop) || !db_alive(j->db)))
			return fail(err, one.class, "%s", one.text);
		reasons[i] = t_strdup(j->ctx, one.text ? one.text : "");
	}
	report_waiting(j->opts->report, WAIT_NONE, NULL);
	failpoint("refresh-before-event");
	return db_command(j->db, sql, 4,
			  (const char *const[]){j->id, sql_array(j->ctx, names, (size_t)n),
						sql_array(j->ctx, hows, (size_t)n),
						sql_array(j->ctx, reasons, (size_t)n)},
			  NULL, err);
}

bool job_refresh(struct job *j, struct error *err)
{
	const struct model *model = &j->opts->config->model;
	const char **tables = t_array(j->ctx, const char *, model->n_tables + 1);
	AUTO(result) PGresult *views = NULL;
	size_t n = 0;

	for (size_t i = 0; i < model->n_tables; i++)
		if (model->tables[i].refresh)
			tables[n++] =
				sql_table(j->ctx, model->tables[i].schema, model->tables[i].table);
	if (n == 0 || j->row.action == ACTION_EXPORT)
		return true;
	return db_query(j->db, views_sql, 2,
			(const char *const[]){j->id, sql_array(j->ctx, tables, n)}, &views, err) &&
	       (PQntuples(views) == 0 || refresh_all(j, views, err));
}
