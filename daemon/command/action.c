/*
 * save, validate, cancel: thin calls of the SQL functions, which do all the checking.  What only this
 * program can refuse, a date that is none or an argument too many, is wrong use; what the database
 * refuses is told in its own words, with its hint.
 */
#include "command/command.h"

#include "base/mem.h"

#include <time.h>

/* How long save waits for the daemon to list what the action would touch. */
#define LISTING_PATIENCE_MS 5000
#define LISTING_TICK_MS 100

static const char listing_sql[] =
	"SELECT j.frozen_at IS NOT NULL AS listed, j.candidates, j.error,\n"
	"       CASE j.action WHEN 'anonymize_requests' THEN 'requests' ELSE 'contacts' END AS noun\n"
	"  FROM retention.archive_journal AS j WHERE j.id = $1::int";

/* A person's own request that reaches nobody is no success: who asked would be told so. */
static int tell_nobody(struct command *cmd, const char *id, const char *subject)
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
			? _("contact %s is on hold and stays: action %s is cancelled")
			: _("there is no contact %s, or nothing left of it: action %s is cancelled"),
		subject, id);
	return command_failed(&err);
}

/* Not listed in time: for a reason that can be known, or because nobody does it. */
static int tell_unlisted(struct command *cmd)
{
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error err = {0};

	if (!db_query(cmd->db, "SELECT EXISTS (SELECT FROM retention.replay) AS waits", 0, NULL,
		      &res, &err))
		return command_failed(&err);
	puts(db_bool(res, 0, "waits")
		     ? _("the database was restored from a backup: retentionctl replay comes first")
		     : _("the daemon has not listed yet what it would touch: is retentiond running?"));
	return 0;
}

/* Waits until the daemon has listed the action's keys; says how many, or that it has not. */
static int tell_candidates(struct command *cmd, const char *id, const char *subject)
{
	static const struct timespec tick = {.tv_nsec = LISTING_TICK_MS * 1000000L};

	for (int waited_ms = 0; waited_ms < LISTING_PATIENCE_MS; waited_ms += LISTING_TICK_MS) {
		AUTO(error) struct error err = {0};
		AUTO(result) PGresult *res = NULL;

		if (!db_query(cmd->db, listing_sql, 1, &id, &res, &err))
			return command_failed(&err);
		if (db_bool(res, 0, "listed") && subject && db_int(res, 0, "candidates") == 0)
			return tell_nobody(cmd, id, subject);
		if (db_bool(res, 0, "listed")) {
			printf(_("it would touch %s %s; retentionctl validate %s runs it\n"),
			       db_text(res, 0, "candidates"), gettext(db_text(res, 0, "noun")), id);
			return 0;
		}
		if (db_text(res, 0, "error")) {
			(void)fail(&err, ERR_CONFIG, _("action %s is saved, but not listed: %s"),
				   id, db_text(res, 0, "error"));
			return command_failed(&err);
		}
		(void)nanosleep(&tick, NULL); /* early is fine */
	}
	return tell_unlisted(cmd);
}

int command_saved(struct command *cmd, const char *id, const char *subject)
{
	printf(_("action %s saved\n"), id);
	(void)fflush(stdout); /* said before the wait; checked at the end */
	return tell_candidates(cmd, id, subject);
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
		return command_wrong_use(cmd, _("one action, --from and --to are needed"));
	for (int i = 1; i <= 2; i++)
		if (!date_parse(values[i], &year, &month, &day))
			return command_wrong_use(cmd, _("\"%s\" is no date: YYYY-MM-DD"),
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

int command_replay(struct command *cmd, int argc, char **argv)
{
	/* Two statements: the second one's snapshot has to see what the first one made. */
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
		return command_wrong_use(cmd, _("\"%s\" is not expected here"), argv[optind]);
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
		printf(_("action %s: %s of %s keys again; retentionctl show %s --follow\n"),
		       db_text(res, row, "id"), db_text(res, row, "action"), db_text(res, row, "n"),
		       db_text(res, row, "id"));
	if (PQntuples(res) == 0)
		puts(_("nothing has to be erased again"));
	return 0;
}
