/*
 * journal, show: the actions in the schema retention.  An auditor may read all of the schema except the
 * work list, so that counts from the work list have a second query.
 */
#include "command/command.h"

#include "base/sql.h"
#include "base/text.h"
#include "command/output.h"

#include <time.h>

#define FOLLOW_TICK_MS 500

bool command_journal(struct command *cmd, struct error *err)
{
	const struct command_listing listing = {
		.sql = "SELECT j.id, j.action,\n"
		       "       " COMMAND_OF_SQL ", j.status,\n"
		       "       to_char(coalesce(j.finished_at, j.started_at, j.requested_at),\n"
		       "               'YYYY-MM-DD HH24:MI') AS date,\n"
		       "       j.candidates AS listed, (j.counters->>'failed')::bigint AS failed,\n"
		       "       concat_ws('; ', CASE WHEN j.restored_at IS NOT NULL THEN\n"
		       "                   format($3, to_char(j.restored_at, 'YYYY-MM-DD HH24:MI'), j.restored_by) END,\n"
		       "                 coalesce(j.error, CASE WHEN j.waiting IS NOT NULL THEN format($4, j.waiting) END),\n"
		       "                 CASE WHEN j.waiting IS NULL AND a.paused_by IS NOT NULL THEN format($5, a.paused_by) END)\n"
		       "         AS remark\n"
		       "  FROM retention.archive_journal AS j JOIN retention.archives AS a ON a.id = j.id\n"
		       " ORDER BY j.id DESC",
		.json_sql =
			"SELECT j.* FROM retention.archive_journal AS j\n"
			" WHERE num_nulls($1::text, $2::text, $3::text, $4::text, $5::text) = 0 ORDER BY j.id DESC",
		.n = 5,
		.values = (const char *const[]){_("contact %s"), _("replay of action %s"),
						_("restored on %1$s by %2$s"), _("waits for %s"),
						_("paused by %s")},
	};

	return command_list(cmd, &listing, err);
}

/*
 * Makes SQL that counts the keys that are left to process: the rows of the work list.  A role that may not
 * read it gets the listed keys minus those in the ledger; for an export, which has no ledger, that is all or
 * none.  Fails if there is no such action.
 */
static bool left_sql(struct command *cmd, const char **ret, struct error *err)
{
	static const char sql[] =
		"SELECT has_table_privilege('retention.candidate', 'SELECT') AS may\n"
		"  FROM retention.archive_journal AS j WHERE j.id = $1::int";
	AUTO(result) PGresult *res = NULL;

	if (!db_query(cmd->db, sql, 1, &cmd->argument, &res, err))
		return false;
	if (PQntuples(res) == 0)
		return fail(err, ERR_CONFIG, _("there is no action %s"), cmd->argument);
	*ret = db_bool(res, 0, "may")
		       ? "(SELECT count(*) FROM retention.candidate AS c WHERE c.job = j.id)"
		       : "(CASE WHEN j.finished_at IS NOT NULL THEN 0 ELSE j.candidates -\n"
			 " (SELECT count(*) FROM retention.ledger AS l WHERE l.job = j.id) END)";
	return true;
}

/* {time}: with the name of its zone, which is that of the session (command_open()). */
#define TIME_FORMAT "'YYYY-MM-DD HH24:MI:SS TZ'"

static const char record_sql[] =
	"SELECT j.id, j.action, j.mode, j.status, j.policy, to_char(j.occurrence, {time}) AS occurrence,\n"
	"       j.from_date, j.to_date, j.depth, to_char(j.cutoff, {time}) AS cutoff, j.archive,\n"
	"       j.configuration, j.requested_by, to_char(j.requested_at, {time}) AS requested_at, j.note,\n"
	"       j.candidates, nullif((j.preview->>'held')::bigint, 0) AS held,\n"
	"       to_char((j.preview->>'oldest')::timestamptz, {time}) AS oldest,\n"
	"       to_char((j.preview->>'newest')::timestamptz, {time}) AS newest,\n"
	"       j.candidates_sha256, to_char(j.frozen_at, {time}) AS frozen_at, j.validated_by,\n"
	"       to_char(j.validated_at, {time}) AS validated_at,\n"
	"       to_char(j.started_at, {time}) AS started_at,\n"
	"       CASE WHEN j.finished_at IS NULL AND j.frozen_at IS NOT NULL THEN {left} END\n"
	"         AS candidates_left, j.waiting, a.paused_by, to_char(a.paused_at, {time}) AS paused_at,\n"
	"       to_char(j.finished_at, {time}) AS finished_at,\n"
	"       (j.counters->>'treated')::bigint AS treated, (j.counters->>'failed')::bigint AS failures,\n"
	"       nullif((j.counters->>'dropped')::bigint, 0) AS dropped,\n"
	"       nullif((j.counters->>'left')::bigint, 0) AS stayed_locked,\n"
	"       (j.counters->>'rest')::bigint AS not_begun, j.counters->>'integrity' AS integrity,\n"
	"       j.archive_path, j.archive_bytes, j.counters->>'sums_sha256' AS sums_sha256,\n"
	"       j.counters->>'manifest_sha256' AS manifest_sha256,\n"
	"       to_char(j.archive_deleted_at, {time}) AS archive_deleted_at, j.archive_deleted_by,\n"
	"       j.archive_deleted_note, to_char(j.archive_removed_at, {time}) AS archive_removed_at,\n"
	"       j.archive_remark, to_char(j.restored_at, {time}) AS restored_at, j.restored_by, j.error,\n"
	"       (SELECT l.files FROM retention.files_left AS l WHERE l.job = j.id) AS files_left,\n"
	"       j.host, j.system_identifier, j.subject, j.replay_of, current_setting('timezone') AS timezone\n"
	"  FROM retention.archive_journal AS j JOIN retention.archives AS a ON a.id = j.id\n"
	" WHERE j.id = $1::int";

static const char tables_sql[] =
	"SELECT f.table_name AS \"table\", sum(f.rows)::bigint AS rows,\n"
	"       sum(f.bytes)::bigint AS archived_bytes\n"
	"  FROM retention.archive_file AS f WHERE f.job = $1::int GROUP BY 1 ORDER BY 1";

/* SQL: may the role see the first keys of a list? */
#define SEES_KEYS "has_function_privilege('retention.first_keys(int)', 'EXECUTE')"

/* Shows what the daemon has counted for the person who validates an action that has not begun. */
static const char preview_sql[] =
	"SELECT t.\"table\", t.what, coalesce(t.rows, '?') AS rows\n"
	"  FROM retention.archive_journal AS j,\n"
	"       jsonb_to_recordset(j.preview->'tables') AS t(\"table\" text, what text, rows text)\n"
	" WHERE j.id = $1::int AND j.status IN ('saved', 'validated')";

/* A role that may not call the function gets no row. */
static const char keys_sql[] =
	"SELECT j.id FROM retention.archive_journal AS j\n"
	" WHERE j.id = $1::int AND j.status IN ('saved', 'validated') AND " SEES_KEYS;

static const char first_keys_sql[] =
	"SELECT string_agg(k.key, ' ') AS \"first keys\" FROM retention.first_keys($1::int) AS k(key)";

/* Details that are not in the row itself, cut to 400 characters; --json has them in full. */
static const char events_sql[] =
	"SELECT e.id, to_char(e.at, 'YYYY-MM-DD HH24:MI:SS') AS at, e.kind, e.actor,\n"
	"       CASE WHEN e.kind IN ('dropped', 'failed_key', 'left', 'kept', 'sliced', 'vacuumed',\n"
	"                             'analyzed', 'refreshed', 'copied', 'undated', 'unpaired', 'changed', 'settled', 'held')\n"
	"            THEN left(e.details::text, 400) END AS details\n"
	"  FROM retention.journal_event AS e WHERE e.job = $1::int ORDER BY e.id";

/* Where erased data can still exist. */
static const char places_sql[] =
	"SELECT h.step, h.what AS \"gone from\", h.state,\n"
	"       to_char(h.since, 'YYYY-MM-DD HH24:MI:SS') AS since, h.waits_for\n"
	"  FROM retention.horizon($1::int) AS h ORDER BY h.step";

/* Below what was printed, if it has rows. */
static void print_table(const PGresult *res)
{
	if (PQntuples(res) == 0)
		return;
	puts("");
	output_table(res);
}

static bool show_table(struct command *cmd, const char *sql, int n, const char *const values[],
		       struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(cmd->db, sql, n, values, &res, err))
		return false;
	print_table(res);
	return true;
}

static bool show_preview(struct command *cmd, const char *const values[], struct error *err)
{
	AUTO(result) PGresult *may = NULL;
	AUTO(result) PGresult *keys = NULL;

	if (!show_table(cmd, preview_sql, 1, values, err) ||
	    !db_query(cmd->db, keys_sql, 1, values, &may, err) ||
	    (PQntuples(may) > 0 && !db_query(cmd->db, first_keys_sql, 1, values, &keys, err)))
		return false;
	if (keys && db_text(keys, 0, "first keys")) {
		puts("");
		output_record(keys, 0);
	}
	return true;
}

/* -v names all that a step waits for. */
static bool show_places(struct command *cmd, const char *const values[], struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(cmd->db, places_sql, 1, values, &res, err))
		return false;
	for (int row = 0; row < PQntuples(res) && !cmd->options.verbose; row++) {
		const char *reasons = db_text(res, row, "waits_for");
		char *first;

		if (!reasons || strcmp(db_value(res, row, "step"), "T1") != 0)
			continue;
		first = text_first_reasons(cmd->ctx, reasons, _("$1 and $2 more (-v)"));
		must_alloc(
			PQsetvalue(res, row, PQfnumber(res, "waits_for"), first, (int)strlen(first))
				? res
				: NULL); /* which fails without memory alone */
	}
	print_table(res);
	return true;
}

static bool show_text(struct command *cmd, const char *left, const char *const values[],
		      struct error *err)
{
	AUTO(result) PGresult *row = NULL;

	if (!db_query(cmd->db,
		      sql_fill(cmd->ctx, record_sql, {"left", left}, {"time", TIME_FORMAT}), 1,
		      values, &row, err))
		return false;
	output_record(row, 0);
	return show_preview(cmd, values, err) && show_table(cmd, tables_sql, 1, values, err) &&
	       show_places(cmd, values, err) && show_table(cmd, events_sql, 1, values, err);
}

static const char json_sql[] =
	"SELECT jsonb_pretty(to_jsonb(j) || jsonb_build_object(\n"
	"  'candidates_left', CASE WHEN j.frozen_at IS NOT NULL THEN {left} END,\n"
	"  'paused_by', a.paused_by, 'paused_at', a.paused_at,\n"
	"  'files_left', (SELECT l.files FROM retention.files_left AS l WHERE l.job = j.id),\n"
	"  'tables', (SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.\"table\"), '[]')\n"
	"     FROM ({tables}) AS f),\n"
	"  'events', (SELECT coalesce(jsonb_agg(to_jsonb(e) ORDER BY e.id), '[]')\n"
	"     FROM retention.journal_event AS e WHERE e.job = j.id),\n"
	"  'horizon', (SELECT coalesce(jsonb_agg(to_jsonb(h) ORDER BY h.step), '[]')\n"
	"     FROM retention.horizon(j.id) AS h))) AS json\n"
	"  FROM retention.archive_journal AS j JOIN retention.archives AS a ON a.id = j.id\n"
	" WHERE j.id = $1::int";

static const char follow_sql[] =
	"SELECT j.finished_at IS NULL AND j.status IN ('saved', 'validated', 'running') AS open,\n"
	"       -- The daemon has refused it, and tries again after a reload or in an hour.\n"
	"       j.error IS NOT NULL AND j.waiting IS NULL AND j.finished_at IS NULL AS refused,\n"
	"       j.waiting, a.paused_by, j.status = 'saved' AND j.frozen_at IS NOT NULL AS unvalidated,\n"
	"       j.status IN ('saved', 'validated') AS unbegun,\n"
	"       j.status = 'failed' AS failed, coalesce(j.candidates, 0) AS due,\n"
	"       coalesce(j.candidates - %s, 0) AS done\n"
	"  FROM retention.archive_journal AS j JOIN retention.archives AS a ON a.id = j.id\n"
	" WHERE j.id = $1::int";

/* An action that is followed until it ends. */
struct follow {
	struct command *cmd;
	const char *sql; /* of $1, its id */
	int64_t first; /* done keys before the first change that was seen; -1: nothing was read yet */
	time_t begun; /* when that change was seen */
	bool open; /* the action has not ended, and is not refused */
	bool failed; /* or refused */
};

/* What the action waits for, for the person who looks at the bar; NULL: nothing. */
static const char *waiting_of(struct command *cmd, const PGresult *res)
{
	const char *paused_by = db_text(res, 0, "paused_by");

	if (db_text(res, 0, "waiting"))
		return db_text(res, 0, "waiting");
	if (paused_by)
		return t_printf(cmd->ctx, _("a pause by %s"), paused_by);
	return db_bool(res, 0, "unvalidated") ? _("validation")
	       : db_bool(res, 0, "unbegun")   ? _("the daemon")
					      : NULL;
}

/* Reads the state of the action, and updates its progress bar on a terminal. */
static bool follow_once(struct follow *f, struct error *err)
{
	AUTO(result) PGresult *res = NULL;
	struct progress_bar bar = {.rate = -1, .eta_s = -1};
	const time_t now = time(NULL);

	if (!db_query(f->cmd->db, f->sql, 1, &f->cmd->argument, &res, err))
		return false;
	f->failed = db_bool(res, 0, "failed") || db_bool(res, 0, "refused");
	f->open = db_bool(res, 0, "open") && !f->failed;
	bar.done = db_int(res, 0, "done");
	bar.due = db_int(res, 0, "due");
	bar.waiting = waiting_of(f->cmd, res);
	/* The rate is measured from the first change that is seen. */
	if (f->first < 0 || bar.done == f->first) {
		f->first = bar.done;
		f->begun = now;
	} else if (now > f->begun) {
		bar.rate = (bar.done - f->first) / (now - f->begun);
		bar.eta_s = (bar.due - bar.done) * (now - f->begun) / (bar.done - f->first);
	}
	if (f->open && isatty(STDOUT_FILENO))
		output_progress(&bar);
	return true;
}

/* Waits until the action has ended; shows a progress bar if stdout is a terminal. */
static bool follow(struct command *cmd, const char *left, bool *ret_failed, struct error *err)
{
	static const struct timespec tick = {.tv_nsec = FOLLOW_TICK_MS * 1000000L};
	struct follow f = {
		.cmd = cmd, .sql = t_printf(cmd->ctx, follow_sql, left), .first = -1, .open = true};
	bool shown = false;

	while (follow_once(&f, err) && f.open) {
		shown = true;
		(void)nanosleep(&tick, NULL); /* may return early */
	}
	if (shown && isatty(STDOUT_FILENO))
		puts("");
	*ret_failed = f.failed;
	return !f.open;
}

bool command_show(struct command *cmd, struct error *err)
{
	const char *const values[] = {cmd->argument};
	const char *left = NULL;
	bool failed = false;

	if (!left_sql(cmd, &left, err) || (cmd->options.follow && !follow(cmd, left, &failed, err)))
		return false;
	if (cmd->options.configuration)
		return command_show_configuration(cmd, err) && !failed;
	if (cmd->options.json ? !command_print_json(cmd,
						    sql_fill(cmd->ctx, json_sql, {"left", left},
							     {"tables", tables_sql}),
						    1, values, err)
			      : !show_text(cmd, left, values, err))
		return false;
	return !failed;
}
