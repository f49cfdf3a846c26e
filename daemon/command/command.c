/* Helpers that all commands of retentionctl share: the session, calls, plans, listings. */
#include "command/command.h"

#include "base/schema_version.h"
#include "command/output.h"
#include "preflight/check_plan.h"

#include <time.h>

/* How long a command waits for the daemon to do what it has asked for. */
#define WAIT_PATIENCE_MS 5000
#define WAIT_TICK_MS 100

/* Reads the configuration if the command needs it, or if -d does not name the database. */
static bool read_config(struct command *cmd)
{
	AUTO(complaints) struct complaints c = {0};
	const bool named = cmd->path && cmd->spec->needs == USES_CONFIG;
	const bool needed = (cmd->spec->needs == NEEDS_CONFIG || cmd->spec->needs == NEEDS_FILE ||
			     named || cmd->options.as_of) &&
			    !cmd->options.ask;

	if (cmd->conninfo && !needed)
		return true;
	if (!cmd->path)
		cmd->path = SYSCONFDIR "/retentiond/retentiond.conf";
	cmd->config = config_load(cmd->path, &c);
	for (size_t i = 0; i < c.n; i++)
		fprintf(stderr, "%s%s\n", i ? "" : "retentionctl: ", c.lines[i]);
	if (!cmd->config && !needed)
		fputs(_("hint: with -d CONNINFO this command works without a configuration\n"),
		      stderr);
	return cmd->config && schedule_set_timezone(cmd->config->timezone);
}

/* Without the configuration, times are printed in the zone that the daemon has from it. */
static bool take_zone(struct command *cmd, struct error *err)
{
	static const char there_sql[] =
		/* Another table may have this name. */
		"SELECT count(*) / 2 FROM pg_catalog.pg_attribute AS a\n"
		" WHERE a.attrelid = to_regclass('retention.setting') AND a.attname IN ('name', 'value')\n"
		"   AND has_column_privilege(a.attrelid, a.attnum, 'SELECT')";
	static const char zone_sql[] =
		"SELECT count(set_config('timezone', s.value, false)) FROM retention.setting AS s\n"
		" WHERE s.name = 'timezone'";
	int64_t n = 0;

	return db_query_int(cmd->db, there_sql, 0, NULL, &n, err) &&
	       (n == 0 || db_query_int(cmd->db, zone_sql, 0, NULL, &n, err));
}

/* Refuses a schema of another version, because a command would fail there halfway, or mean something else. */
static bool check_schema(struct command *cmd, struct error *err)
{
	AUTO(error) struct error failure = {0};
	AUTO(talloc) char *why = NULL;
	int64_t version = 0;

	if (cmd->spec->any_schema && !cmd->options.record)
		return true;
	if (!db_query_int(cmd->db, SCHEMA_VERSION_SQL, 0, NULL, &version, &failure)) {
		/* A role without rights hears of them from what it has asked for. */
		if (strcmp(failure.sqlstate, "42501") == 0)
			return true;
		if (!schema_version_is_missing(failure.sqlstate))
			return fail(err, failure.class, "%s", failure.text);
	}
	why = schema_version_judge(NULL, version, "retentiond");
	return !why || fail(err, ERR_CONFIG, "%s", why);
}

bool command_open(struct command *cmd, struct error *err)
{
	struct db_opts opts = {.conninfo = cmd->conninfo, .application_name = "retentionctl"};

	if (cmd->spec->needs == NEEDS_NOTHING)
		return true;
	if (!read_config(cmd))
		return false;
	if (cmd->spec->needs == NEEDS_FILE)
		return true;
	if (!cmd->conninfo)
		opts.conninfo = cmd->config->conninfo;
	opts.timezone = cmd->config ? cmd->config->timezone : NULL;
	return db_open(&opts, &cmd->db, err) && check_schema(cmd, err) &&
	       (cmd->config || take_zone(cmd, err));
}

void command_explain(struct error *err, const char *line)
{
	AUTO(char_p) char *text = err->text;

	err->text = xprintf("%s\n%s", text, line);
}

bool command_call(struct command *cmd, const char *sql, int n, const char *const values[],
		  PGresult **ret, struct error *err)
{
	AUTO(result)
	PGresult *res = PQexecParams(db_conn(cmd->db), sql, n, NULL, values, NULL, NULL, 0);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *id = PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);
	const char *details = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);

	if (PQresultStatus(res) == PGRES_TUPLES_OK) {
		if (ret) {
			*ret = res;
			res = NULL;
		}
		return true;
	}
	if (!message || !sqlstate)
		return db_fail(cmd->db, res, err);
	(void)snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", sqlstate); /* 5 + NUL */
	if (!hint)
		return fail(err, ERR_CONFIG, "%s",
			    language_refusal(cmd->ctx, id, details, message));
	return fail(err, ERR_CONFIG, "%s%s%s", language_refusal(cmd->ctx, id, details, message),
		    _("\nhint: "),
		    language_refusal(cmd->ctx, id ? t_printf(cmd->ctx, "%s.hint", id) : NULL,
				     details, hint));
}

bool command_wait(struct command *cmd, const char *sql, const char *id, PGresult **ret,
		  struct error *err)
{
	static const struct timespec tick = {.tv_nsec = WAIT_TICK_MS * 1000000L};

	for (int waited_ms = 0; db_query(cmd->db, sql, 1, &id, ret, err);
	     waited_ms += WAIT_TICK_MS) {
		if (db_bool(*ret, 0, "ended") || waited_ms >= WAIT_PATIENCE_MS)
			return true;
		PQclear(*ret);
		*ret = NULL;
		(void)nanosleep(&tick, NULL); /* may return early */
	}
	return false;
}

bool command_model(struct command *cmd, enum action action, struct catalog **ret, struct error *err)
{
	AUTO(complaints) struct complaints c = {0};
	struct check check = {.db = cmd->db,
			      .config = cmd->config,
			      .ctx = cmd->ctx,
			      .complaints = &c,
			      .grants = cmd->spec->grants};

	if (check_model_for(&check, action, err)) {
		*ret = check.catalog;
		return true;
	}
	for (size_t i = 1; i < c.n; i++)
		fprintf(stderr, "%s\n", c.lines[i]);
	return c.n > 0 ? fail(err, ERR_CONFIG, "%s", c.lines[0]) : false;
}

bool command_plan(struct command *cmd, const struct plan_opts *opts, struct catalog **ret_catalog,
		  struct plan **ret_plan, struct error *err)
{
	AUTO(complaints) struct complaints c = {0};
	struct check check = {.db = cmd->db,
			      .config = cmd->config,
			      .ctx = cmd->ctx,
			      .complaints = &c,
			      .grants = cmd->spec->grants};

	if (!command_model(cmd, opts->action, ret_catalog, err))
		return false;
	*ret_plan = plan_build(cmd->ctx, &cmd->config->model, *ret_catalog, opts, &c);
	if (*ret_plan && check_predicates(&check, *ret_plan, err))
		return true;
	return c.n > 0 ? fail(err, ERR_CONFIG, "%s", c.lines[0]) : false;
}

bool command_print_json(struct command *cmd, const char *sql, int n, const char *const values[],
			struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(cmd->db, sql, n, values, &res, err))
		return false;
	output_json(db_text(res, 0, "json"));
	return true;
}

bool command_list(struct command *cmd, const struct command_listing *listing, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (cmd->options.json)
		return command_print_json(
			cmd,
			t_printf(
				cmd->ctx,
				"SELECT coalesce(jsonb_pretty(jsonb_agg(to_jsonb(x))), '[]') AS json\n"
				"  FROM (%s) AS x",
				listing->json_sql ? listing->json_sql : listing->sql),
			listing->n, listing->values, err);
	if (!db_query(cmd->db, listing->sql, listing->n, listing->values, &res, err))
		return false;
	output_table(res);
	return true;
}
