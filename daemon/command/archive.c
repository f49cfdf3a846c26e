/*
 * archive verify: what archive/reader.c finds, told to a person.
 * archive delete: the SQL function records it, the daemon removes the files; this waits and tells.
 */
#include "command/verify_archive.h"

#include "base/mem.h"

#include <time.h>

/* How long delete waits for the daemon to remove the files. */
#define REMOVAL_PATIENCE_MS 5000
#define REMOVAL_TICK_MS 100

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
		(void)fflush(stdout); /* the files' lines first; checked at the end */
		return command_failed(&err);
	}
	printf(_("the archive of action %d is whole\n"), id);
	return 0;
}

static const char removal_sql[] =
	"SELECT j.archive_removed_at IS NOT NULL AS removed, j.archive_remark, j.host\n"
	"  FROM retention.archive_journal AS j WHERE j.id = $1::int";

/* Waits until the daemon has removed the files; says so, or why not. */
static int tell_removal(struct command *cmd, const char *id)
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
			printf(_("its files are gone\n"));
			return 0;
		}
		if (db_text(res, 0, "archive_remark")) {
			(void)fail(
				&err, ERR_CONFIG,
				_("the archive of action %s is deleted, but its files are not: %s"),
				id, db_text(res, 0, "archive_remark"));
			return command_failed(&err);
		}
		if (!host)
			host = t_strdup(ctx, db_text(res, 0, "host") ? db_text(res, 0, "host")
								     : "its host");
		(void)nanosleep(&tick, NULL); /* early is fine */
	}
	printf(_("the daemon on %s has still to remove its files: is retentiond running there?\n"),
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
	(void)fflush(stdout); /* said before the wait; checked at the end */
	return tell_removal(cmd, value);
}
