/*
 * save, validate, cancel, abandon, pause, resume, replay, adopt: call the SQL functions, which check everything.  Only
 * errors of the command line, such as a text that is not a date, are wrong use.  A refusal of the
 * database is printed in its own words, with its hint.  replay prints first what it would erase, and begins when a
 * person has agreed to exactly that.
 */
#include "command/command.h"

#include "base/file.h"
#include "base/text.h"
#include "command/output.h"

/* "noun" is what the action's keys are. */
static const char listing_sql[] =
	"SELECT j.frozen_at IS NOT NULL AS listed, j.candidates, j.error,\n"
	"       j.frozen_at IS NOT NULL OR j.error IS NOT NULL AS ended,\n"
	"       CASE j.action WHEN 'anonymize_requests' THEN 'requests' ELSE 'contacts' END AS noun\n"
	"  FROM retention.archive_journal AS j WHERE j.id = $1::int";

/*
 * Cancels the action of one contact whose list is empty.  That is a failure: otherwise the person would
 * be told that the request was carried out.
 */
static bool cancel_empty(struct command *cmd, const char *id, const char *subject,
			 struct error *err)
{
	static const char sql[] =
		"SELECT EXISTS (SELECT FROM retention.holds_in_force AS h\n"
		"                WHERE h.contact_key = retention.held_key(j.subject,\n"
		"                        (SELECT s.value FROM retention.setting AS s\n"
		"                          WHERE s.name = 'contact_key_type'))) AS held\n"
		"  FROM retention.archive_journal AS j WHERE j.id = $1::int";
	AUTO(result) PGresult *res = NULL;

	if (!db_query(cmd->db, sql, 1, &id, &res, err) ||
	    !command_call(cmd, "SELECT retention.cancel_action($1::int)", 1, &id, NULL, err))
		return false;
	return fail(
		err, ERR_CONFIG,
		db_bool(res, 0, "held")
			? _("contact %s is on hold: action %s is cancelled")
			: _("there is no contact %s, or nothing of it is left: action %s is cancelled"),
		subject, id);
}

/* Prints why the action is not listed in time: a replay must come first, or no daemon runs. */
static bool print_unlisted(struct command *cmd, struct error *err)
{
	static const char sql[] =
		"SELECT EXISTS (SELECT FROM retention.replay) AS waits,\n"
		"       (SELECT p.paused_by FROM retention.pause AS p WHERE p.job IS NULL) AS paused_by";
	AUTO(result) PGresult *res = NULL;

	if (!db_query(cmd->db, sql, 0, NULL, &res, err))
		return false;
	if (db_text(res, 0, "paused_by"))
		output_line(stdout,
			    _("everything is paused by %s: it is listed after retentionctl resume"),
			    db_text(res, 0, "paused_by"));
	else
		puts(db_bool(res, 0, "waits")
			     ? _("the database was restored from a backup: run retentionctl replay first")
			     : _("the daemon has not yet listed what the action would change: is retentiond running?"));
	return true;
}

/* Prints for programs what became of it. */
static bool print_saved(struct command *cmd, const char *id, struct error *err)
{
	static const char sql[] =
		"SELECT jsonb_pretty(jsonb_build_object('id', j.id, 'action', j.action, 'status', j.status,\n"
		"         'listed', j.frozen_at IS NOT NULL, 'candidates', j.candidates, 'error', j.error)) AS json\n"
		"  FROM retention.archive_journal AS j WHERE j.id = $1::int";

	return command_print_json(cmd, sql, 1, &id, err);
}

bool command_saved(struct command *cmd, const char *id, const char *subject, struct error *err)
{
	AUTO(result) PGresult *res = NULL;
	const bool json = cmd->options.json != NULL;

	if (!json)
		printf(_("action %s saved\n"), id);
	(void)fflush(stdout); /* shown before the wait; errors are checked at the end */
	if (!command_wait(cmd, listing_sql, id, &res, err) || (json && !print_saved(cmd, id, err)))
		return false;
	if (!db_bool(res, 0, "ended"))
		return json || print_unlisted(cmd, err);
	if (!db_bool(res, 0, "listed"))
		return fail(err, ERR_CONFIG, _("action %s is saved, but its list failed: %s"), id,
			    db_text(res, 0, "error"));
	if (subject && db_int(res, 0, "candidates") == 0)
		return cancel_empty(cmd, id, subject, err);
	if (!json)
		printf(_("it would change %s %s; retentionctl validate %s runs it\n"),
		       db_text(res, 0, "candidates"), gettext(db_text(res, 0, "noun")), id);
	return true;
}

bool command_save(struct command *cmd, struct error *err)
{
	const char *const values[] = {cmd->argument, cmd->options.from, cmd->options.to,
				      cmd->options.archive, cmd->options.note};
	AUTO(result) PGresult *res = NULL;

	return command_call(cmd,
			    "SELECT retention.save_action($1, $2::date, $3::date, $4, $5) AS id", 5,
			    values, &res, err) &&
	       command_saved(cmd, db_text(res, 0, "id"), NULL, err);
}

bool command_validate(struct command *cmd, struct error *err)
{
	const char *const values[] = {cmd->argument, cmd->options.seen};
	const char *sql = cmd->options.seen
				  ? "SELECT retention.validate_action($1::int, $2::bigint)"
				  : "SELECT retention.validate_action($1::int)";

	if (!command_call(cmd, sql, cmd->options.seen ? 2 : 1, values, NULL, err))
		return false;
	printf(_("action %s validated: the daemon runs it\n"), cmd->argument);
	return true;
}

bool command_cancel(struct command *cmd, struct error *err)
{
	if (!command_call(cmd, "SELECT retention.cancel_action($1::int)", 1, &cmd->argument, NULL,
			  err))
		return false;
	printf(_("action %s cancelled\n"), cmd->argument);
	return true;
}

bool command_abandon(struct command *cmd, struct error *err)
{
	const char *const values[] = {cmd->argument, cmd->options.reason};
	AUTO(result) PGresult *res = NULL;

	if (!command_call(cmd, "SELECT retention.abandon_action($1::int, $2) AS status", 2, values,
			  &res, err))
		return false;
	if (strcmp(db_value(res, 0, "status"), "failed") == 0)
		printf(_("action %s has failed: it is abandoned\n"), cmd->argument);
	else
		printf(_("action %s ends with what it has done; retentionctl show %s --follow\n"
			 "if it cannot end so, abandon it once more: then it has failed\n"),
		       cmd->argument, cmd->argument);
	return true;
}

bool command_pause(struct command *cmd, struct error *err)
{
	const char *id = cmd->argument;

	if (!command_call(cmd, "SELECT retention.pause_action($1::int)", 1, &id, NULL, err))
		return false;
	if (id)
		printf(_("action %s is paused; retentionctl resume %s ends the pause\n"), id, id);
	else
		puts(_("everything is paused; retentionctl resume ends the pause"));
	return true;
}

bool command_resume(struct command *cmd, struct error *err)
{
	static const char sql[] =
		"SELECT retention.resume_action($1::int),\n"
		"       EXISTS (SELECT FROM retention.pause AS p WHERE p.job IS NULL) AS everything";
	const char *id = cmd->argument;
	AUTO(result) PGresult *res = NULL;

	if (!command_call(cmd, sql, 1, &id, &res, err))
		return false;
	if (!id)
		puts(_("everything goes on, except actions that were paused by themselves"));
	else if (db_bool(res, 0, "everything"))
		printf(_("action %s goes on when the pause of everything ends: retentionctl resume\n"),
		       id);
	else
		printf(_("action %s goes on\n"), id);
	return true;
}

/* What a replay would erase, and a digest of it, which tells whether it is still the same. */
struct replay {
	char digest[FILE_HEX + 1];
	int groups;
};

/* Reads it, and prints it if a person has to agree. */
static bool look_at_replay(struct command *cmd, bool print, struct replay *ret, struct error *err)
{
	static const char due_sql[] =
		"SELECT d.action, 'action ' || d.job AS of, d.archive, count(*) AS due,\n"
		"       array_to_string((array_agg(d.key ORDER BY length(d.key), d.key))[1:10], ', ') AS \"first keys\"\n"
		"  FROM retention.replay_due AS d GROUP BY d.action, d.job, d.archive ORDER BY d.action, d.job, d.archive";
	static const char digest_sql[] =
		"SELECT encode(sha256(convert_to(coalesce(string_agg(d.line, E'\\n' ORDER BY d.line), ''), 'UTF8')), 'hex')\n"
		"         AS digest\n"
		"  FROM (SELECT concat_ws(E'\\t', action, job, archive, key) FROM retention.replay_due) AS d(line)";
	AUTO(result) PGresult *due = NULL;
	AUTO(result) PGresult *digest = NULL;

	if (!db_query(cmd->db, digest_sql, 0, NULL, &digest, err) ||
	    !db_query(cmd->db, due_sql, 0, NULL, &due, err))
		return false;
	(void)snprintf(ret->digest, sizeof(ret->digest), "%s", db_value(digest, 0, "digest"));
	ret->groups = PQntuples(due);
	if (print && ret->groups > 0) {
		puts(_("a replay erases these keys again, except those on hold or with something newer:"));
		output_table(due);
	}
	return true;
}

/* A person agrees to what was printed: by --yes, or by an answer on the terminal. */
static bool confirm(struct command *cmd, struct error *err)
{
	char answer[16] = "";

	if (cmd->options.yes)
		return true;
	if (isatty(STDIN_FILENO)) {
		(void)fputs(_("type yes to erase them again: "), stdout);
		(void)fflush(stdout); /* errors are checked at the end */
		if (fgets(answer, sizeof(answer), stdin))
			text_trim(answer);
		if (strcmp(answer, _("yes")) == 0)
			return true;
	}
	return fail(err, ERR_CONFIG, "%s",
		    _("nothing is erased: retentionctl replay --yes erases these keys again"));
}

static bool begin_replay(struct command *cmd, const struct replay *shown, PGresult **ret,
			 struct error *err)
{
	struct replay now;

	if (!db_exec(cmd->db, "BEGIN", err) ||
	    !command_call(cmd,
			  "SELECT coalesce(array_agg(r.id), '{}')::text AS ids\n"
			  "  FROM retention.replay_ledger() AS r(id)",
			  0, NULL, ret, err) ||
	    !look_at_replay(cmd, false, &now, err)) /* nobody changes it now */
		return false;
	return strcmp(now.digest, shown->digest) == 0
		       ? db_commit(cmd->db, err)
		       : fail(err, ERR_CONFIG, "%s",
			      _("nothing is erased: the daemon has found other keys meanwhile; look at "
				"them again"));
}

bool command_replay(struct command *cmd, struct error *err)
{
	/* A second statement, because its snapshot must see the rows of the first. */
	static const char sql[] =
		"SELECT j.id, j.action, (SELECT count(*) FROM retention.selection AS s\n"
		"                         WHERE s.job = j.id) AS n\n"
		"  FROM retention.archive_journal AS j WHERE j.id = ANY ($1::int[]) ORDER BY j.id";
	AUTO(result) PGresult *made = NULL;
	AUTO(result) PGresult *res = NULL;
	struct replay shown;
	const char *ids;

	if (!look_at_replay(cmd, true, &shown, err) || (shown.groups > 0 && !confirm(cmd, err)) ||
	    !begin_replay(cmd, &shown, &made, err))
		return false;
	ids = db_text(made, 0, "ids");
	if (!db_query(cmd->db, sql, 1, &ids, &res, err))
		return false;
	for (int row = 0; row < PQntuples(res); row++)
		printf(_("action %s: %s for %s keys again; retentionctl show %s --follow\n"),
		       db_text(res, row, "id"), db_text(res, row, "action"), db_text(res, row, "n"),
		       db_text(res, row, "id"));
	if (PQntuples(res) == 0)
		puts(_("nothing needs to be erased again"));
	return true;
}

bool command_check_adopt(struct command *cmd, struct error *err)
{
	const struct command_options *options = &cmd->options;

	return (!options->is_new != !options->replace && options->reason) ||
	       fail(err, ERR_USAGE, "%s", _(cmd->spec->give));
}

bool command_adopt(struct command *cmd, struct error *err)
{
	const char *const values[] = {cmd->options.replace ? "true" : "false", cmd->options.reason};

	if (!command_call(cmd, "SELECT retention.adopt_directory($1::boolean, $2)", 2, values, NULL,
			  err))
		return false;
	puts(cmd->options.replace
		     ? _("this database takes the place of the one that the archives directory knows: start or reload retentiond")
		     : _("this database is a new one: give it an empty archives directory, then start or reload retentiond"));
	return true;
}
