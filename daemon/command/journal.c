/*
 * journal, show: the actions in the schema retention.  An auditor may read all of the schema except the
 * work list, so that counts from the work list have a second query.
 */
#include "command/command.h"

#include "journal/horizon.h"
#include "base/mem.h"
#include "command/output.h"

#include <time.h>

#define FOLLOW_TICK_MS 500

int command_journal(struct command *cmd, int argc, char **argv)
{
	static const struct command_listing listing = {
		.sql = "SELECT j.id, j.action,\n"
		       "       coalesce(j.policy, j.from_date || '..' || j.to_date, 'contact ' || j.subject,\n"
		       "                CASE WHEN j.replay THEN 'replay' END) AS of, j.status,\n"
		       "       to_char(coalesce(j.finished_at, j.started_at, j.requested_at),\n"
		       "               'YYYY-MM-DD HH24:MI') AS date,\n"
		       "       j.candidates AS listed, (j.counters->>'failed')::bigint AS failed,\n"
		       "       concat_ws('; ', 'restored on ' || to_char(j.restored_at, 'YYYY-MM-DD HH24:MI')\n"
		       "                 || ' by ' || j.restored_by,\n"
		       "                 coalesce(j.error, 'waits for ' || j.waiting),\n"
		       "                 CASE WHEN j.waiting IS NULL THEN 'paused by ' || a.paused_by END)\n"
		       "         AS remark\n"
		       "  FROM retention.archive_journal AS j JOIN retention.archives AS a ON a.id = j.id\n"
		       " ORDER BY j.id DESC",
		.json_sql = "SELECT j.* FROM retention.archive_journal AS j ORDER BY j.id DESC",
	};

	return command_list_command(cmd, argc, argv, &listing);
}

/*
 * Counts the keys that are left to process: the rows of the work list.  A role that may not read it gets
 * the listed keys minus those in the ledger; for an export, which has no ledger, that is all or none.
 */
static bool left_sql(struct command *cmd, const char **ret, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(cmd->db, "SELECT has_table_privilege('retention.candidate', 'SELECT') AS may",
		      0, NULL, &res, err))
		return false;
	*ret = db_bool(res, 0, "may")
		       ? "(SELECT count(*) FROM retention.candidate AS c WHERE c.job = j.id)"
		       : "(CASE WHEN j.finished_at IS NOT NULL THEN 0 ELSE j.candidates -\n"
			 " (SELECT count(*) FROM retention.ledger AS l WHERE l.job = j.id) END)";
	return true;
}

static const char record_sql[] =
	"SELECT j.id, j.action, j.mode, j.status, j.policy, j.occurrence, j.from_date, j.to_date,\n"
	"       j.depth, j.cutoff, j.archive, j.requested_by, j.requested_at, j.candidates,\n"
	"       j.candidates_sha256, j.frozen_at, j.validated_by, j.validated_at, j.started_at,\n"
	"       CASE WHEN j.finished_at IS NULL AND j.frozen_at IS NOT NULL THEN %s END\n"
	"         AS candidates_left, j.waiting, a.paused_by, a.paused_at, j.finished_at,\n"
	"       j.counters->>'integrity' AS integrity,\n"
	"       j.counters - 'rows' - 'horizon' - 'integrity' AS counters,\n"
	"       j.archive_path, j.archive_bytes, j.archive_deleted_at, j.archive_deleted_by,\n"
	"       j.archive_removed_at, j.archive_remark, j.restored_at, j.restored_by,\n"
	"       j.error, (SELECT l.files FROM retention.files_left AS l WHERE l.job = j.id) AS files_left,\n"
	"       j.host, j.system_identifier, j.subject, j.replay\n"
	"  FROM retention.archive_journal AS j JOIN retention.archives AS a ON a.id = j.id\n"
	" WHERE j.id = $1::int";

static const char tables_sql[] =
	"SELECT f.table_name AS \"table\", sum(f.rows)::bigint AS rows,\n"
	"       sum(f.bytes)::bigint AS archived_bytes\n"
	"  FROM retention.archive_file AS f WHERE f.job = $1::int GROUP BY 1 ORDER BY 1";

/* Details that are not in the row itself, cut to 400 characters; --json has them in full. */
static const char events_sql[] =
	"SELECT e.id, to_char(e.at, 'YYYY-MM-DD HH24:MI:SS') AS at, e.kind, e.actor,\n"
	"       CASE WHEN e.kind IN ('dropped', 'failed_key', 'left', 'kept', 'sliced', 'vacuumed')\n"
	"            THEN left(e.details::text, 400) END AS details\n"
	"  FROM retention.journal_event AS e WHERE e.job = $1::int ORDER BY e.id";

static bool show_table(struct command *cmd, const char *sql, const char *id, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(cmd->db, sql, 1, &id, &res, err))
		return false;
	if (PQntuples(res) > 0) {
		puts("");
		output_table(res);
	}
	return true;
}

/* backups.keep as an interval, for horizon_sql; NULL: not declared, or no configuration was read. */
static const char *backups_keep(const struct command *cmd, void *text_ctx)
{
	char text[32];

	if (!cmd->config || !cmd->config->has_backups_keep)
		return NULL;
	period_print(&cmd->config->backups_keep, text, sizeof(text));
	return t_strdup(text_ctx, text);
}

/* Prints where erased data can still exist. */
static bool show_horizon(struct command *cmd, const char *id, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *sql = t_printf(ctx,
				   "SELECT h.step, h.what AS \"gone from\", h.state,\n"
				   "       to_char(h.since, 'YYYY-MM-DD HH24:MI:SS') AS since,\n"
				   "       h.waits_for FROM (%s) AS h ORDER BY h.step",
				   horizon_sql);
	const char *const values[] = {id, backups_keep(cmd, ctx), cmd->config ? "false" : "true"};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(cmd->db, sql, 3, values, &res, err))
		return false;
	if (PQntuples(res) > 0) {
		puts("");
		output_table(res);
	}
	return true;
}

static bool show_text(struct command *cmd, const char *id, const char *left, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result) PGresult *row = NULL;

	if (!db_query(cmd->db, t_printf(ctx, record_sql, left), 1, &id, &row, err))
		return false;
	if (PQntuples(row) == 0)
		return fail(err, ERR_CONFIG, _("there is no action %s"), id);
	output_record(row, 0);
	return show_table(cmd, tables_sql, id, err) && show_horizon(cmd, id, err) &&
	       show_table(cmd, events_sql, id, err);
}

static const char json_sql[] =
	"SELECT jsonb_pretty(to_jsonb(j) || jsonb_build_object(\n"
	"  'candidates_left', CASE WHEN j.frozen_at IS NOT NULL THEN %s END,\n"
	"  'paused_by', a.paused_by, 'paused_at', a.paused_at,\n"
	"  'files_left', (SELECT l.files FROM retention.files_left AS l WHERE l.job = j.id),\n"
	"  'tables', (SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.\"table\"), '[]')\n"
	"     FROM (SELECT table_name AS \"table\", sum(rows)::bigint AS rows,\n"
	"                  sum(bytes)::bigint AS archived_bytes\n"
	"             FROM retention.archive_file WHERE job = j.id GROUP BY 1) AS f),\n"
	"  'events', (SELECT coalesce(jsonb_agg(to_jsonb(e) ORDER BY e.id), '[]')\n"
	"     FROM retention.journal_event AS e WHERE e.job = j.id),\n"
	"  'horizon', (SELECT coalesce(jsonb_agg(to_jsonb(h) ORDER BY h.step), '[]')\n"
	"     FROM (%s) AS h))) AS json\n"
	"  FROM retention.archive_journal AS j JOIN retention.archives AS a ON a.id = j.id\n"
	" WHERE j.id = $1::int";

static bool show_json(struct command *cmd, const char *id, const char *left, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result) PGresult *res = NULL;
	const char *const values[] = {id, backups_keep(cmd, ctx), cmd->config ? "false" : "true"};

	if (!db_query(cmd->db, t_printf(ctx, json_sql, left, horizon_sql), 3, values, &res, err))
		return false;
	if (PQntuples(res) == 0)
		return fail(err, ERR_CONFIG, _("there is no action %s"), id);
	puts(db_text(res, 0, "json"));
	return true;
}

static const char follow_sql[] =
	"SELECT j.finished_at IS NULL AND j.status IN ('saved', 'validated', 'running') AS open,\n"
	"       coalesce(j.waiting, 'a pause by ' || a.paused_by, CASE WHEN j.status = 'saved' AND j.frozen_at IS NOT NULL\n"
	"                                THEN 'validation'\n"
	"                                WHEN j.status IN ('saved', 'validated')\n"
	"                                THEN 'the daemon' END) AS waiting,\n"
	"       coalesce(j.candidates, 0) AS due,\n"
	"       coalesce(j.candidates - %s, 0) AS done\n"
	"  FROM retention.archive_journal AS j JOIN retention.archives AS a ON a.id = j.id\n"
	" WHERE j.id = $1::int";

/* An action that is followed until it ends. */
struct follow {
	struct command *cmd;
	const char *sql; /* of $1, its id */
	const char *id;
	int64_t first; /* done keys before the first change that was seen; -1: nothing was read yet */
	time_t begun; /* when that change was seen */
	bool open; /* the action has not ended */
};

/* Reads the state of the action, and updates its progress bar on a terminal. */
static bool follow_once(struct follow *f, struct error *err)
{
	AUTO(result) PGresult *res = NULL;
	struct progress_bar bar = {.rate = -1, .eta_s = -1};
	const time_t now = time(NULL);

	if (!db_query(f->cmd->db, f->sql, 1, &f->id, &res, err))
		return false;
	if (PQntuples(res) == 0)
		return fail(err, ERR_CONFIG, _("there is no action %s"), f->id);
	f->open = db_bool(res, 0, "open");
	bar.done = db_int(res, 0, "done");
	bar.due = db_int(res, 0, "due");
	bar.waiting = db_text(res, 0, "waiting");
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
static bool follow(struct command *cmd, const char *id, const char *left, struct error *err)
{
	static const struct timespec tick = {.tv_nsec = FOLLOW_TICK_MS * 1000000L};
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct follow f = {.cmd = cmd,
			   .sql = t_printf(ctx, follow_sql, left),
			   .id = id,
			   .first = -1,
			   .open = true};
	bool shown = false;

	while (follow_once(&f, err) && f.open) {
		shown = true;
		(void)nanosleep(&tick, NULL); /* may return early */
	}
	if (shown && isatty(STDOUT_FILENO))
		puts("");
	return !f.open;
}

/* Has the action failed? */
static bool has_failed(struct command *cmd, const char *id, bool *ret, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(cmd->db,
		      "SELECT j.status = 'failed' AS failed\n"
		      "  FROM retention.archive_journal AS j WHERE j.id = $1::int",
		      1, &id, &res, err))
		return false;
	*ret = db_bool(res, 0, "failed");
	return true;
}

int command_show(struct command *cmd, int argc, char **argv)
{
	static const struct option longs[] = {{"json", no_argument, NULL, 'j'},
					      {"follow", no_argument, NULL, 'f'},
					      {NULL, 0, NULL, 0}};
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(error) struct error err = {0};
	bool wait = false, failed = false;
	const char *text, *left = NULL;
	int c, id;

	while ((c = command_option(cmd, argc, argv, longs)) != -1) {
		if (c == '?')
			return 2;
		wait = wait || c == 'f';
		cmd->json = cmd->json || c == 'j';
	}
	id = command_action_id(cmd, argc, argv);
	if (id == 0)
		return 2;
	if (!command_open(cmd))
		return 1;
	text = t_printf(ctx, "%d", id);
	if (!left_sql(cmd, &left, &err) || (wait && !follow(cmd, text, left, &err)) ||
	    !(cmd->json ? show_json(cmd, text, left, &err) : show_text(cmd, text, left, &err)) ||
	    (wait && !has_failed(cmd, text, &failed, &err)))
		return command_failed(&err);
	return failed ? 1 : 0;
}
