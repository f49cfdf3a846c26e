/*
 * save, validate, cancel, replay: call the SQL functions, which check everything.  Only errors of the
 * command line, such as a text that is not a date, are found here and are wrong use.  A refusal of the
 * database is printed in its own words, with its hint.
 */
#include "command/command.h"

#include "base/mem.h"

#include <time.h>

/* How long save waits for the daemon to list the keys of the action. */
#define LISTING_PATIENCE_MS 5000
#define LISTING_TICK_MS 100

static const char listing_sql[] =
	"SELECT j.frozen_at IS NOT NULL AS listed, j.candidates, j.error,\n"
	"       CASE j.action WHEN 'anonymize_requests' THEN 'requests' ELSE 'contacts' END AS noun\n"
	"  FROM retention.archive_journal AS j WHERE j.id = $1::int";

/*
 * Cancels the action of one contact whose list is empty.  That is a failure: otherwise the person would
 * be told that the request was carried out.
 */
static int cancel_empty(struct command *cmd, const char *id, const char *subject)
{
	static const char sql[] = "SELECT EXISTS (SELECT FROM retention.holds_in_force AS h\n"
				  "                WHERE h.contact_key = j.subject) AS held\n"
				  "  FROM retention.archive_journal AS j WHERE j.id = $1::int";
	AUTO(result) PGresult *res = NULL;
	AUTO(result) PGresult *gone = NULL;
	AUTO(error) struct error err = {0};

	if (!db_query(cmd->db, sql, 1, &id, &res, &err) ||
	    !command_call(cmd, "SELECT retention.cancel_action($1::int)", 1, &id, &gone, &err))
		return command_failed(&err);
	(void)fail(
		&err, ERR_CONFIG,
		db_bool(res, 0, "held")
			? _("contact %s is on hold: action %s is cancelled")
			: _("there is no contact %s, or nothing of it is left: action %s is cancelled"),
		subject, id);
	return command_failed(&err);
}

/* Prints why the action is not listed in time: a replay must come first, or no daemon runs. */
static int print_unlisted(struct command *cmd)
{
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error err = {0};

	if (!db_query(
		    cmd->db,
		    "SELECT EXISTS (SELECT FROM retention.replay) AS waits,\n"
		    "       (SELECT p.paused_by FROM retention.pause AS p WHERE p.job IS NULL) AS "
		    "paused_by",
		    0, NULL, &res, &err))
		return command_failed(&err);
	if (db_text(res, 0, "paused_by")) {
		printf(_("everything is paused by %s: it is listed after retentionctl resume\n"),
		       db_text(res, 0, "paused_by"));
		return 0;
	}
	puts(db_bool(res, 0, "waits")
		     ? _("the database was restored from a backup: run retentionctl replay first")
		     : _("the daemon has not yet listed what the action would change: is retentiond running?"));
	return 0;
}

/* Waits until the daemon has listed the keys of the action; prints how many, or that there is no list. */
static int print_candidates(struct command *cmd, const char *id, const char *subject)
{
	static const struct timespec tick = {.tv_nsec = LISTING_TICK_MS * 1000000L};

	for (int waited_ms = 0; waited_ms < LISTING_PATIENCE_MS; waited_ms += LISTING_TICK_MS) {
		AUTO(error) struct error err = {0};
		AUTO(result) PGresult *res = NULL;

		if (!db_query(cmd->db, listing_sql, 1, &id, &res, &err))
			return command_failed(&err);
		if (db_bool(res, 0, "listed") && subject && db_int(res, 0, "candidates") == 0)
			return cancel_empty(cmd, id, subject);
		if (db_bool(res, 0, "listed")) {
			printf(_("it would change %s %s; retentionctl validate %s runs it\n"),
			       db_text(res, 0, "candidates"), gettext(db_text(res, 0, "noun")), id);
			return 0;
		}
		if (db_text(res, 0, "error")) {
			(void)fail(&err, ERR_CONFIG,
				   _("action %s is saved, but its list failed: %s"), id,
				   db_text(res, 0, "error"));
			return command_failed(&err);
		}
		(void)nanosleep(&tick, NULL); /* may return early */
	}
	return print_unlisted(cmd);
}

int command_saved(struct command *cmd, const char *id, const char *subject)
{
	printf(_("action %s saved\n"), id);
	(void)fflush(stdout); /* shown before the wait; errors are checked at the end */
	return print_candidates(cmd, id, subject);
}

int command_save(struct command *cmd, int argc, char **argv)
{
	static const struct option longs[] = {{"from", required_argument, NULL, 'f'},
					      {"to", required_argument, NULL, 't'},
					      {"archive", required_argument, NULL, 'a'},
					      {NULL, 0, NULL, 0}};
	const char *values[4] = {NULL};
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error err = {0};
	int c, year, month, day;

	while ((c = command_option(cmd, argc, argv, longs)) != -1) {
		if (c == '?')
			return 2;
		values[c == 'f' ? 1 : c == 't' ? 2 : 3] = optarg;
	}
	if (argc - optind != 1 || !values[1] || !values[2])
		return command_wrong_use(cmd, _("give one action, --from and --to"));
	for (int i = 1; i <= 2; i++)
		if (!date_parse(values[i], &year, &month, &day))
			return command_wrong_use(cmd, _("\"%s\" is not a date: use YYYY-MM-DD"),
						 values[i]);
	values[0] = argv[optind];
	if (!command_open(cmd))
		return 1;
	if (!command_call(cmd, "SELECT retention.save_action($1, $2::date, $3::date, $4) AS id", 4,
			  values, &res, &err))
		return command_failed(&err);
	return command_saved(cmd, db_text(res, 0, "id"), NULL);
}

static int change(struct command *cmd, int argc, char **argv, const char *sql, const char *done)
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
	if (!command_call(cmd, sql, 1, &value, &res, &err))
		return command_failed(&err);
	printf(_("action %d %s\n"), id, _(done));
	return 0;
}

int command_validate(struct command *cmd, int argc, char **argv)
{
	return change(cmd, argc, argv, "SELECT retention.validate_action($1::int)",
		      N_("validated: the daemon runs it"));
}

int command_cancel(struct command *cmd, int argc, char **argv)
{
	return change(cmd, argc, argv, "SELECT retention.cancel_action($1::int)", N_("cancelled"));
}

/* The number of an action, or NULL for everything, in *ret.  false after a message. */
static bool one_or_everything(struct command *cmd, int argc, char **argv, void *ctx,
			      const char **ret)
{
	int id;

	if (command_option(cmd, argc, argv, command_no_options) != -1)
		return false;
	*ret = NULL;
	if (optind == argc)
		return true;
	id = command_action_id(cmd, argc, argv);
	*ret = t_printf(ctx, "%d", id);
	return id > 0;
}

int command_pause(struct command *cmd, int argc, char **argv)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error err = {0};
	const char *id;

	if (!one_or_everything(cmd, argc, argv, ctx, &id))
		return 2;
	if (!command_open(cmd))
		return 1;
	if (!command_call(cmd, "SELECT retention.pause_action($1::int)", 1, &id, &res, &err))
		return command_failed(&err);
	if (id)
		printf(_("action %s is paused; retentionctl resume %s ends the pause\n"), id, id);
	else
		puts(_("everything is paused; retentionctl resume ends the pause"));
	return 0;
}

int command_resume(struct command *cmd, int argc, char **argv)
{
	static const char sql[] =
		"SELECT retention.resume_action($1::int),\n"
		"       EXISTS (SELECT FROM retention.pause AS p WHERE p.job IS NULL) AS everything";
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error err = {0};
	const char *id;

	if (!one_or_everything(cmd, argc, argv, ctx, &id))
		return 2;
	if (!command_open(cmd))
		return 1;
	if (!command_call(cmd, sql, 1, &id, &res, &err))
		return command_failed(&err);
	if (!id)
		puts(_("everything goes on, except actions that were paused by themselves"));
	else if (db_bool(res, 0, "everything"))
		printf(_("action %s goes on when the pause of everything ends: retentionctl resume\n"),
		       id);
	else
		printf(_("action %s goes on\n"), id);
	return 0;
}

int command_replay(struct command *cmd, int argc, char **argv)
{
	/* A second statement, because its snapshot must see the rows of the first. */
	static const char sql[] =
		"SELECT j.id, j.action, (SELECT count(*) FROM retention.selection AS s\n"
		"                         WHERE s.job = j.id) AS n\n"
		"  FROM retention.archive_journal AS j WHERE j.id = ANY ($1::int[]) ORDER BY j.id";
	AUTO(result) PGresult *made = NULL;
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error err = {0};
	const char *ids;

	if (command_option(cmd, argc, argv, command_no_options) != -1)
		return 2;
	if (optind != argc)
		return command_wrong_use(cmd, _("unexpected argument \"%s\""), argv[optind]);
	if (!command_open(cmd))
		return 1;
	if (!command_call(cmd,
			  "SELECT coalesce(array_agg(r.id), '{}')::text AS ids\n"
			  "  FROM retention.replay_ledger() AS r(id)",
			  0, NULL, &made, &err))
		return command_failed(&err);
	ids = db_text(made, 0, "ids");
	if (!db_query(cmd->db, sql, 1, &ids, &res, &err))
		return command_failed(&err);
	for (int row = 0; row < PQntuples(res); row++)
		printf(_("action %s: %s for %s keys again; retentionctl show %s --follow\n"),
		       db_text(res, row, "id"), db_text(res, row, "action"), db_text(res, row, "n"),
		       db_text(res, row, "id"));
	if (PQntuples(res) == 0)
		puts(_("nothing needs to be erased again"));
	return 0;
}
