/*
 * archive list, verify and delete.  delete only calls the SQL function that records the deletion.  The
 * daemon then removes the files, and the command waits for that.
 */
#include "command/verify_archive.h"

#include "base/mem.h"

#include <time.h>

/* How long delete waits for the daemon to remove the files. */
#define REMOVAL_PATIENCE_MS 5000
#define REMOVAL_TICK_MS 100

int command_archive_list(struct command *cmd, int argc, char **argv)
{
	static const struct command_listing listing = {
		.sql = "SELECT a.id, a.type, to_char(a.date, 'YYYY-MM-DD HH24:MI') AS date, a.status,\n"
		       "       a.bytes, a.file\n"
		       "  FROM retention.archives AS a ORDER BY a.id DESC",
		.json_sql = "SELECT a.* FROM retention.archives AS a ORDER BY a.id DESC",
	};

	return command_list_command(cmd, argc, argv, &listing);
}

int command_archive_verify(struct command *cmd, int argc, char **argv)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(error) struct error err = {0};
	struct archive_reader *stored = NULL;
	int id;

	if (command_option(cmd, argc, argv, command_no_options) != -1)
		return 2;
	id = command_action_id(cmd, argc, argv);
	if (id == 0)
		return 2;
	if (!command_open(cmd))
		return 1;
	if (!verify_archive_open(cmd, id, ctx, &stored, &err) ||
	    !verify_archive(cmd, id, stored, true, &err)) {
		(void)fflush(
			stdout); /* the files' lines come first; errors are checked at the end */
		return command_failed(&err);
	}
	printf(_("the archive of action %d is intact\n"), id);
	return 0;
}

static const char removal_sql[] =
	"SELECT j.archive_removed_at IS NOT NULL AS removed, j.archive_remark, j.host\n"
	"  FROM retention.archive_journal AS j WHERE j.id = $1::int";

/* Waits until the daemon has removed the files; prints that, or why it has not. */
static int print_removal(struct command *cmd, const char *id)
{
	static const struct timespec tick = {.tv_nsec = REMOVAL_TICK_MS * 1000000L};
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *host = NULL;

	for (int waited_ms = 0; waited_ms < REMOVAL_PATIENCE_MS; waited_ms += REMOVAL_TICK_MS) {
		AUTO(error) struct error err = {0};
		AUTO(result) PGresult *res = NULL;

		if (!db_query(cmd->db, removal_sql, 1, &id, &res, &err))
			return command_failed(&err);
		if (db_bool(res, 0, "removed")) {
			printf(_("its files are removed\n"));
			return 0;
		}
		if (db_text(res, 0, "archive_remark")) {
			(void)fail(
				&err, ERR_CONFIG,
				_("the archive of action %s is deleted, but its files are not removed: %s"),
				id, db_text(res, 0, "archive_remark"));
			return command_failed(&err);
		}
		if (!host)
			host = t_strdup(ctx, db_text(res, 0, "host") ? db_text(res, 0, "host")
								     : "its host");
		(void)nanosleep(&tick, NULL); /* may return early */
	}
	printf(_("the daemon on %s has not yet removed its files: is retentiond running there?\n"),
	       host);
	return 0;
}

int command_archive_delete(struct command *cmd, int argc, char **argv)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error err = {0};
	const char *value;
	int id;

	if (command_option(cmd, argc, argv, command_no_options) != -1)
		return 2;
	id = command_action_id(cmd, argc, argv);
	if (id == 0)
		return 2;
	value = t_printf(ctx, "%d", id);
	if (!command_open(cmd))
		return 1;
	if (!command_call(cmd, "SELECT retention.delete_archive($1::int)", 1, &value, &res, &err))
		return command_failed(&err);
	printf(_("the archive of action %d is deleted\n"), id);
	(void)fflush(stdout); /* shown before the wait; errors are checked at the end */
	return print_removal(cmd, value);
}
