/*
 * waive: a backup was put back because erasures were wrong, so what it has brought back stays.  retention.waive_replay()
 * records it.
 */
#include "command/command.h"

bool command_waive(struct command *cmd, struct error *err)
{
	static const char actions_sql[] =
		"SELECT string_agg(j.id::text, ', ' ORDER BY j.id) AS ids FROM retention.archive_journal AS j\n"
		" WHERE j.status IN ('validated', 'running')";
	AUTO(result) PGresult *waived = NULL;
	AUTO(result) PGresult *actions = NULL;

	if (!command_call(cmd, "SELECT retention.waive_replay($1) AS n", 1, &cmd->options.reason,
			  &waived, err) ||
	    !db_query(cmd->db, actions_sql, 0, NULL, &actions, err))
		return false;
	printf(_("%s erasures are not done again\n"), db_text(waived, 0, "n"));
	puts(_("hint: policies erase what is due by them at their next pass: correct them, or place holds"));
	if (db_text(actions, 0, "ids"))
		printf(_("hint: these actions go on: %s; retentionctl abandon ends one\n"),
		       db_text(actions, 0, "ids"));
	return true;
}
