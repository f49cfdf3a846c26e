/*
 * archive list, verify and delete, also of archives that the journal does not know, which have a name.  delete only
 * calls the SQL function that records the deletion.  The daemon then removes the files, and the command waits for that.
 * verify --ask leaves the files to the daemon, too, for a person who cannot read them.
 */
#include "command/verify_archive.h"

#include "command/output.h"

bool command_archive_list(struct command *cmd, struct error *err)
{
	const struct command_listing listing = {
		.sql = "SELECT a.id, a.type, to_char(a.date, 'YYYY-MM-DD HH24:MI') AS date,\n"
		       "       CASE WHEN a.archive_removed_at IS NOT NULL THEN 'files removed'\n"
		       "            WHEN a.archive_deleted_at IS NOT NULL THEN 'archive deleted'\n"
		       "            WHEN a.restored_at IS NOT NULL THEN 'restored' ELSE a.status END AS status,\n"
		       "       " COMMAND_OF_SQL ", a.bytes, a.file\n"
		       "  FROM retention.all_archives AS a ORDER BY a.id DESC NULLS LAST, a.date DESC",
		.json_sql =
			"SELECT a.* FROM retention.all_archives AS a WHERE num_nulls($1::text, $2::text) = 0\n"
			" ORDER BY a.id DESC NULLS LAST, a.date DESC",
		.n = 2,
		.values = (const char *const[]){_("contact %s"), _("replay of action %s")},
	};

	return command_list(cmd, &listing, err);
}

/* The request that this call has made, or else the one that is open. */
static bool ask_daemon(struct command *cmd, const char **ret_request, struct error *err)
{
	static const char open_sql[] =
		"SELECT r.id FROM retention.request AS r\n"
		" WHERE r.kind = 'verify_archive' AND r.job = $1::int AND r.ended_at IS NULL";
	AUTO(result) PGresult *open = NULL;
	AUTO(result) PGresult *made = NULL;

	if (!db_query(cmd->db, open_sql, 1, &cmd->argument, &open, err))
		return false;
	if (PQntuples(open) == 0 &&
	    !command_call(cmd, "SELECT retention.ask('verify_archive', $1::int) AS id", 1,
			  &cmd->argument, &made, err))
		return false;
	*ret_request = db_text_copy(cmd->ctx, made ? made : open, 0, "id");
	return true;
}

/* Waits as long as a daemon works on it. */
static bool wait_for_daemon(struct command *cmd, const char *request, PGresult **ret,
			    struct error *err)
{
	static const char sql[] =
		"SELECT r.ended_at IS NOT NULL AS ended, r.taken_at IS NOT NULL AS taken,\n"
		"       r.outcome = 'ok' AS intact, r.result->>'text' AS text,\n"
		"       coalesce(j.host, 'its host') AS host\n"
		"  FROM retention.request AS r JOIN retention.archive_journal AS j ON j.id = r.job\n"
		" WHERE r.id = $1::int";

	while (command_wait(cmd, sql, request, ret, err)) {
		if (db_bool(*ret, 0, "ended"))
			return true;
		if (!db_bool(*ret, 0, "taken"))
			return fail(
				err, ERR_CONFIG,
				_("the daemon on %s has not yet answered: is retentiond running there?"),
				db_text(*ret, 0, "host"));
		PQclear(*ret);
		*ret = NULL;
	}
	return false;
}

static bool verify_by_daemon(struct command *cmd, struct error *err)
{
	static const char lines_sql[] =
		"SELECT l.file, l.text FROM retention.request AS r,\n"
		"       jsonb_to_recordset(r.result->'lines') AS l(file text, text text)\n"
		" WHERE r.id = $1::int";
	static const char json_sql[] =
		"SELECT jsonb_pretty(jsonb_build_object('archive', r.job::text, 'intact', r.outcome = 'ok', 'faults',\n"
		"         (SELECT coalesce(jsonb_agg(jsonb_build_object('file', l.file, 'fault', l.text)), '[]')\n"
		"            FROM jsonb_to_recordset(r.result->'lines') AS l(file text, text text)))) AS json\n"
		"  FROM retention.request AS r WHERE r.id = $1::int";
	AUTO(result) PGresult *res = NULL;
	AUTO(result) PGresult *lines = NULL;
	const char *request = NULL;

	if (!ask_daemon(cmd, &request, err) || !wait_for_daemon(cmd, request, &res, err) ||
	    !db_query(cmd->db, lines_sql, 1, &request, &lines, err))
		return false;
	for (int row = 0; !cmd->options.json && row < PQntuples(lines); row++)
		output_line(stdout, "%s: %s", db_text(lines, row, "file"),
			    db_text(lines, row, "text"));
	if (cmd->options.json && !command_print_json(cmd, json_sql, 1, &request, err))
		return false;
	if (!db_bool(res, 0, "intact"))
		return fail(err, ERR_CONFIG, "%s", db_text(res, 0, "text"));
	if (!cmd->options.json)
		printf(_("the archive of action %s is intact\n"), cmd->argument);
	return true;
}

bool command_check_archive_verify(struct command *cmd, struct error *err)
{
	return cmd->id || !cmd->options.ask ||
	       fail(err, ERR_USAGE, "%s",
		    _("--ask is for the archive of an action, which is named by a number"));
}

bool command_archive_verify(struct command *cmd, struct error *err)
{
	struct archive_reader *stored = NULL;

	if (cmd->options.ask)
		return verify_by_daemon(cmd, err);
	if (!verify_archive_open(cmd, &stored, err) || !verify_archive(cmd, stored, true, err))
		return false;
	if (!cmd->options.json)
		printf(cmd->id ? _("the archive of action %s is intact\n")
			       : _("archive %s is intact by its own sums; the journal does not know it\n"),
		       cmd->argument);
	return true;
}

/* Waits until the daemon has removed the files; prints that, or why it has not. */
static bool print_removal(struct command *cmd, struct error *err)
{
	static const char sql[] =
		"SELECT j.archive_removed_at IS NOT NULL AS removed, j.archive_remark,\n"
		"       j.archive_removed_at IS NOT NULL OR j.archive_remark IS NOT NULL AS ended,\n"
		"       coalesce(j.host, 'its host') AS host\n"
		"  FROM retention.archive_journal AS j WHERE j.id = $1::int";
	static const char unknown_sql[] =
		"SELECT u.name IS NULL AS removed, u.remark AS archive_remark,\n"
		"       u.name IS NULL OR u.remark IS NOT NULL AS ended, u.host\n"
		"  FROM (SELECT) AS one LEFT JOIN retention.unknown_archive AS u ON u.name = $1";
	AUTO(result) PGresult *res = NULL;

	if (!command_wait(cmd, cmd->id ? sql : unknown_sql, cmd->argument, &res, err))
		return false;
	if (db_bool(res, 0, "removed"))
		puts(_("its files are removed"));
	else if (db_bool(res, 0, "ended"))
		return fail(
			err, ERR_CONFIG,
			cmd->id ? _("the archive of action %s is deleted, but its files are not removed: %s")
				: _("archive %s is deleted, but its files are not removed: %s"),
			cmd->argument, db_text(res, 0, "archive_remark"));
	else
		output_line(
			stdout,
			_("the daemon on %s has not yet removed its files: is retentiond running there?"),
			db_text(res, 0, "host"));
	return true;
}

bool command_check_archive_delete(struct command *cmd, struct error *err)
{
	return cmd->id || !cmd->options.note ||
	       fail(err, ERR_USAGE, "%s",
		    _("--note is for the archive of an action, which is named by a number"));
}

bool command_archive_delete(struct command *cmd, struct error *err)
{
	const char *const values[] = {cmd->argument, cmd->options.note};

	if (!command_call(cmd,
			  cmd->id ? "SELECT retention.delete_archive($1::int, $2)"
				  : "SELECT retention.delete_unknown_archive($1)",
			  cmd->id ? 2 : 1, values, NULL, err))
		return false;
	printf(cmd->id ? _("the archive of action %s is deleted\n") : _("archive %s is deleted\n"),
	       cmd->argument);
	(void)fflush(stdout); /* shown before the wait; errors are checked at the end */
	return print_removal(cmd, err);
}
