/* Helpers that all commands of retentionctl share: options, the session, errors, calls, listings. */
#include "command/command.h"

#include "base/mem.h"
#include "base/units.h"
#include "command/output.h"
#include "preflight/check_plan.h"

int command_wrong_use(const struct command *cmd, const char *fmt, ...)
{
	va_list args;

	fputs("retentionctl: ", stderr);
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args); /* there is no other place for a message */
	va_end(args);
	fprintf(stderr, "\nusage: retentionctl %s\n", cmd->usage);
	return 2;
}

const struct option command_no_options[] = {{NULL, 0, NULL, 0}};

int command_next_option(const struct command *cmd, int argc, char **argv, const char *shorts,
			const struct option *longs)
{
	int c;

	opterr = 0; /* getopt prints no message of its own */
	c = getopt_long(argc, argv, shorts, longs, NULL);
	if (c == ':')
		(void)command_wrong_use(cmd, _("%s needs a value"), argv[optind - 1]);
	else if (c == '?' && strncmp(argv[optind - 1], "--", 2) == 0)
		(void)command_wrong_use(cmd, _("unknown option %s"), argv[optind - 1]);
	else if (c == '?')
		(void)command_wrong_use(cmd, _("unknown option -%c"), optopt);
	return c == ':' ? '?' : c;
}

int command_option(const struct command *cmd, int argc, char **argv, const struct option *longs)
{
	return command_next_option(cmd, argc, argv, ":", longs);
}

/* Reads the configuration if the command needs it, or if -d does not name the database. */
static bool read_config(struct command *cmd)
{
	AUTO(complaints) struct complaints c = {0};

	if (cmd->conninfo && !cmd->needs_config)
		return true;
	cmd->config = config_load(cmd->path, &c);
	for (size_t i = 0; i < c.n; i++)
		fprintf(stderr, "%s%s\n", i ? "" : "retentionctl: ", c.lines[i]);
	if (!cmd->config && !cmd->needs_config)
		fputs(_("hint: with -d CONNINFO this command works without a configuration\n"),
		      stderr);
	return cmd->config && schedule_set_timezone(cmd->config->timezone);
}

bool command_open(struct command *cmd)
{
	AUTO(error) struct error err = {0};
	struct db_opts opts = {.conninfo = cmd->conninfo, .application_name = "retentionctl"};

	if (!read_config(cmd))
		return false;
	if (!cmd->conninfo)
		opts.conninfo = cmd->config->conninfo;
	opts.timezone = cmd->config ? cmd->config->timezone : NULL;
	if (db_open(&opts, &cmd->db, &err))
		return true;
	(void)command_failed(&err); /* always 1 */
	return false;
}

int command_failed(const struct error *err)
{
	static const char missing[] = "the schema retention is missing: run retentionctl migrate";
	static const char *const hints[][2] = {
		{"42501", "grant your role retention_auditor (reads), retention_operator (saves, "
			  "cancels, holds) or retention_approver (validates, holds)"},
		{"3F000", missing},
		{"42P01", missing},
		{"42883", missing},
	};

	fprintf(stderr, "retentionctl: %s\n", err->text);
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
		if (strcmp(err->sqlstate, hints[i][0]) == 0 && !strstr(err->text, "\nhint: "))
			fprintf(stderr, "hint: %s\n", hints[i][1]);
	return 1;
}

int command_action_id(const struct command *cmd, int argc, char **argv)
{
	int64_t id = 0;

	if (argc - optind != 1) {
		(void)command_wrong_use(cmd, _("give the number of one action"));
		return 0;
	}
	if (!number_parse(argv[optind], 1, INT32_MAX, &id)) {
		(void)command_wrong_use(cmd, _("\"%s\" is not the number of an action"),
					argv[optind]);
		return 0;
	}
	return (int)id;
}

bool command_call(struct command *cmd, const char *sql, int n, const char *const values[],
		  PGresult **ret, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result)
	PGresult *res = PQexecParams(db_conn(cmd->db), sql, n, NULL, values, NULL, NULL, 0);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *id = PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);
	const char *details = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);

	if (PQresultStatus(res) == PGRES_TUPLES_OK) {
		*ret = res;
		res = NULL;
		return true;
	}
	if (!message || !sqlstate)
		return db_fail(cmd->db, res, err);
	(void)snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", sqlstate); /* 5 + NUL */
	if (!hint)
		return fail(err, ERR_CONFIG, "%s", language_refusal(ctx, id, details, message));
	return fail(err, ERR_CONFIG, "%s%s%s", language_refusal(ctx, id, details, message),
		    _("\nhint: "),
		    language_refusal(ctx, id ? t_printf(ctx, "%s.hint", id) : NULL, details, hint));
}

bool command_model(struct command *cmd, enum action action, void *ctx, struct catalog **ret,
		   struct error *err)
{
	AUTO(complaints) struct complaints c = {0};
	struct check check = {.db = cmd->db, .config = cmd->config, .ctx = ctx, .complaints = &c};

	if (check_model_for(&check, action, err)) {
		*ret = check.catalog;
		return true;
	}
	for (size_t i = 1; i < c.n; i++)
		fprintf(stderr, "%s\n", c.lines[i]);
	return c.n > 0 ? fail(err, ERR_CONFIG, "%s", c.lines[0]) : false;
}

bool command_list_options(struct command *cmd, int argc, char **argv)
{
	static const struct option longs[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
	int c;

	while ((c = command_option(cmd, argc, argv, longs)) != -1) {
		if (c == '?')
			return false;
		cmd->json = true;
	}
	if (optind != argc)
		(void)command_wrong_use(cmd, _("unexpected argument \"%s\""), argv[optind]);
	return optind == argc;
}

int command_list(struct command *cmd, const struct command_listing *listing)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error err = {0};
	const char *sql = listing->sql;

	if (cmd->json)
		sql = t_printf(
			ctx,
			"SELECT coalesce(jsonb_pretty(jsonb_agg(to_jsonb(x))), '[]') AS json\n"
			"  FROM (%s) AS x",
			listing->json_sql ? listing->json_sql : sql);
	if (!db_query(cmd->db, sql, listing->n, listing->values, &res, &err))
		return command_failed(&err);
	if (cmd->json)
		puts(db_text(res, 0, "json"));
	else
		output_table(res);
	return 0;
}

int command_list_command(struct command *cmd, int argc, char **argv,
			 const struct command_listing *listing)
{
	if (!command_list_options(cmd, argc, argv))
		return 2;
	return command_open(cmd) ? command_list(cmd, listing) : 1;
}
