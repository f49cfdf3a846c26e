/*
 * archive list, verify and delete.  delete only calls the SQL function that records the deletion.  The
 * daemon then removes the files, and the command waits for that.
 */
#include "command/verify_archive.h"

#include "command/output.h"

bool command_archive_list(struct command *cmd, struct error *err)
{
	static const struct command_listing listing = {
		.sql = "SELECT a.id, a.type, to_char(a.date, 'YYYY-MM-DD HH24:MI') AS date, a.status,\n"
		       "       a.bytes, a.file\n"
		       "  FROM retention.archives AS a ORDER BY a.id DESC",
		.json_sql = "SELECT a.* FROM retention.archives AS a ORDER BY a.id DESC",
	};

	return command_list(cmd, &listing, err);
}

bool command_archive_verify(struct command *cmd, struct error *err)
{
	struct archive_reader *stored = NULL;

	if (!verify_archive_open(cmd, &stored, err) || !verify_archive(cmd, stored, true, err))
		return false;
	printf(_("the archive of action %s is intact\n"), cmd->argument);
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
	AUTO(result) PGresult *res = NULL;

	if (!command_wait(cmd, sql, cmd->argument, &res, err))
		return false;
	if (db_bool(res, 0, "removed"))
		puts(_("its files are removed"));
	else if (db_bool(res, 0, "ended"))
		return fail(
			err, ERR_CONFIG,
			_("the archive of action %s is deleted, but its files are not removed: %s"),
			cmd->argument, db_text(res, 0, "archive_remark"));
	else
		output_line(
			stdout,
			_("the daemon on %s has not yet removed its files: is retentiond running there?"),
			db_text(res, 0, "host"));
	return true;
}

bool command_archive_delete(struct command *cmd, struct error *err)
{
	if (!command_call(cmd, "SELECT retention.delete_archive($1::int)", 1, &cmd->argument, NULL,
			  err))
		return false;
	printf(_("the archive of action %s is deleted\n"), cmd->argument);
	(void)fflush(stdout); /* shown before the wait; errors are checked at the end */
	return print_removal(cmd, err);
}
