/*
 * policy save, validate, retire: the policies that people make on the page, for a person at a shell.  run: a pass of any
 * policy, now.
 */
#include "command/command.h"

#include "command/output.h"
#include "config/page.h"

/* "ended": the daemon has counted the saved version, or the configuration does not allow it. */
static const char counted_sql[] =
	"SELECT p.version, p.counted, p.held, coalesce(p.remark, p.refused) AS remark,\n"
	"       p.counted_at IS NOT NULL OR p.refused IS NOT NULL AS ended\n"
	"  FROM retention.page_policies AS p WHERE p.name = $1 AND p.status = 'saved'\n"
	" UNION ALL SELECT NULL, NULL, NULL, NULL, true ORDER BY version LIMIT 1";

/* Prints what the saved policy would reach, and the command that puts it in force. */
static bool print_count(struct command *cmd, struct error *err)
{
	AUTO(result) PGresult *res = NULL;
	const char *name = cmd->argument, *version, *count;

	if (!command_wait(cmd, counted_sql, name, &res, err))
		return false;
	version = db_text(res, 0, "version");
	count = db_text(res, 0, "counted");
	if (version && db_text(res, 0, "remark"))
		return fail(err, ERR_CONFIG, _("policy %s is saved, but cannot run: %s"), name,
			    db_text(res, 0, "remark"));
	if (!version || !count) {
		puts(_("the daemon has not yet counted what the policy would reach: is retentiond running?"));
		return true;
	}
	printf(_("it would reach %s, besides %s on hold; retentionctl policy validate %s --version %s --seen %s puts it in force\n"),
	       count, db_text(res, 0, "held"), name, version, count);
	return true;
}

bool command_check_policy_save(struct command *cmd, struct error *err)
{
	struct period depth;

	return (period_parse(cmd->options.depth, &depth) && page_months(&depth) > 0) ||
	       fail(err, ERR_USAGE,
		    _("\"%s\" is not a number of months, as in \"18 months\" or \"3 years\""),
		    cmd->options.depth);
}

bool command_policy_save(struct command *cmd, struct error *err)
{
	static const char sql[] =
		"SELECT retention.save_policy($1, $2, $3::interval, coalesce($4, 'monthly'), $5, $6)\n"
		"         AS version";
	const struct command_options *o = &cmd->options;
	const char *const values[] = {cmd->argument, o->action,  o->depth,
				      o->schedule,   o->archive, o->note};
	AUTO(result) PGresult *res = NULL;

	if (!command_call(cmd, sql, 6, values, &res, err))
		return false;
	printf(_("policy %s, version %s, saved: it does not run yet\n"), cmd->argument,
	       db_text(res, 0, "version"));
	(void)fflush(stdout); /* shown before the wait; errors are checked at the end */
	return print_count(cmd, err);
}

bool command_policy_validate(struct command *cmd, struct error *err)
{
	const char *const values[] = {cmd->argument, cmd->options.version, cmd->options.seen};

	if (!command_call(cmd, "SELECT retention.validate_policy($1, $2::int, $3::bigint)", 3,
			  values, NULL, err))
		return false;
	printf(_("policy %s, version %s, is in force from its next occurrence on\n"), cmd->argument,
	       cmd->options.version);
	return true;
}

bool command_policy_retire(struct command *cmd, struct error *err)
{
	const char *const values[] = {cmd->argument, cmd->options.version};

	if (!command_call(cmd, "SELECT retention.retire_policy($1, $2::int)", 2, values, NULL, err))
		return false;
	printf(_("policy %s is retired\n"), cmd->argument);
	return true;
}

/* "ended": the daemon has listed the action, or says why it has not. */
static const char begun_sql[] =
	"SELECT j.frozen_at IS NOT NULL OR j.error IS NOT NULL AS ended, j.frozen_at IS NULL AS unlisted,\n"
	"       j.error, j.candidates, CASE WHEN j.status = 'saved' THEN j.waiting END AS waiting,\n"
	"       a.paused_by\n"
	"  FROM retention.archive_journal AS j JOIN retention.archives AS a ON a.id = j.id\n"
	" WHERE j.id = $1::int";

bool command_run(struct command *cmd, struct error *err)
{
	AUTO(result) PGresult *made = NULL;
	AUTO(result) PGresult *res = NULL;
	const char *id;

	if (!command_call(cmd, "SELECT retention.run_policy($1) AS id", 1, &cmd->argument, &made,
			  err))
		return false;
	id = db_text(made, 0, "id");
	printf(_("action %s: a pass of policy %s begins\n"), id, cmd->argument);
	(void)fflush(stdout); /* shown before the wait; errors are checked at the end */
	if (!command_wait(cmd, begun_sql, id, &res, err))
		return false;
	if (db_text(res, 0, "paused_by"))
		printf(_("it is paused by %s: it goes on after retentionctl resume\n"),
		       db_text(res, 0, "paused_by"));
	else if (!db_bool(res, 0, "ended"))
		puts(_("the daemon has not yet listed what the action would change: is retentiond running?"));
	else if (db_bool(res, 0, "unlisted"))
		return fail(err, ERR_CONFIG, _("action %s is saved, but its list failed: %s"), id,
			    db_text(res, 0, "error"));
	else if (db_text(res, 0, "waiting"))
		printf(_("%s due; it waits for %s; retentionctl validate %s runs it\n"),
		       db_text(res, 0, "candidates"), db_text(res, 0, "waiting"), id);
	else
		printf(_("%s due; retentionctl show %s --follow\n"), db_text(res, 0, "candidates"),
		       id);
	return true;
}
