/*
 * report: the document that a data-protection officer files, of an action, of the passes of a policy, of all actions of some
 * days, or of what a policy would do.  It reads the schema retention, and the CRM's tables for a preview only.
 */
#include "command/preview.h"

#include "base/sql.h"
#include "base/text.h"
#include "command/output.h"
#include "report/report.h"

enum format { FORMAT_TEXT, FORMAT_HTML, FORMAT_JSON, FORMATS };

static const char *const formats[FORMATS] = {"text", "html", "json"};

bool command_check_report(struct command *cmd, struct error *err)
{
	const struct command_options *o = &cmd->options;

	if (o->format && text_index(o->format, formats, FORMATS) == FORMATS)
		return fail(err, ERR_USAGE, _("\"%s\" is not a format: use text, html or json"),
			    o->format);
	if (!cmd->argument && (o->as_of || !(o->from || o->to)))
		return fail(err, ERR_USAGE, "%s", _(cmd->spec->give));
	if (cmd->id && (o->from || o->to || o->as_of))
		return fail(err, ERR_USAGE, _("--from, --to and --as-of are not for one action"));
	if (o->as_of && (o->from || o->to))
		return fail(
			err, ERR_USAGE,
			_("--as-of says what a policy would do; --from and --to, what it has done"));
	if (o->from && o->to && strcmp(o->from, o->to) > 0) /* both are YYYY-MM-DD */
		return fail(err, ERR_USAGE, _("the interval ends (%s) before it starts (%s)"),
			    o->to, o->from);
	return true;
}

/* Finds the actions of the report, and reads the rules of the configurations that they were done by. */
static bool find_actions(struct command *cmd, struct report_rules *rules, struct report_ask *ask,
			 struct error *err)
{
	const char *const values[] = {cmd->id ? cmd->argument : NULL, ask->policy, ask->from,
				      ask->to};
	AUTO(result) PGresult *actions = NULL;
	AUTO(result) PGresult *used = NULL;

	if (!db_query(cmd->db, report_actions_sql, LENGTH(values), values, &actions, err))
		return false;
	if (!db_bool(actions, 0, "known"))
		return cmd->id ? fail(err, ERR_CONFIG, _("there is no action %s"), cmd->argument)
			       : fail(err, ERR_CONFIG,
				      _("there is no policy \"%s\", and there never was: retentionctl "
					"policies lists them"),
				      cmd->argument);
	ask->ids = db_text_copy(cmd->ctx, actions, 0, "ids");
	if (!db_query(cmd->db, report_used_sql, 1, &ask->ids, &used, err))
		return false;
	report_rules_read(rules, used);
	return true;
}

/* Counts what the policy would do, with the day that was asked for. */
static bool read_preview(struct command *cmd, struct report_rules *rules, struct report_ask *ask,
			 struct error *err)
{
	static const char sql[] =
		"SELECT ($1::jsonb || jsonb_build_object('as_of', $2::date))::text AS json";
	const struct config *config = NULL;
	const char *values[] = {NULL, cmd->options.as_of};
	AUTO(result) PGresult *res = NULL;

	if (action_parse(cmd->argument) != ACTION_COUNT)
		return fail(err, ERR_CONFIG, _("--as-of is for policies: \"%s\" is an action"),
			    cmd->argument);
	if (!preview_read(cmd, &config, &values[0], err) ||
	    !db_query(cmd->db, sql, 2, values, &res, err))
		return false;
	ask->ids = "{}";
	ask->preview = db_text_copy(cmd->ctx, res, 0, "json");
	report_rules_of(rules, config, "", config_policy(config, cmd->argument)->action,
			cmd->argument);
	return true;
}

/* Tables are printed as those of other commands are; nothing is cut to the width of a terminal. */
static PGresult *table_result(const struct report_table *t)
{
	enum { VARCHAR = 1043, NUMERIC = 1700 };
	PGresult *res = must_alloc(PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK));
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	PGresAttDesc *columns = t_array(ctx, PGresAttDesc, t->n_columns + 1);

	for (size_t i = 0; i < t->n_columns; i++) {
		columns[i].name = t_strdup(columns, t->headings[i]);
		columns[i].typid = t->is_number[i] && !t->is_record ? NUMERIC : VARCHAR;
	}
	if (t->n_columns > 0 && !PQsetResultAttrs(res, (int)t->n_columns, columns))
		must_alloc(NULL);
	for (size_t row = 0; row < t->n_rows; row++)
		for (size_t i = 0; i < t->n_columns; i++) {
			const char *cell = t->cells[row * t->n_columns + i];
			char *copy = cell ? t_strdup(columns, cell) : NULL;

			if (!PQsetvalue(res, (int)row, (int)i, copy, copy ? (int)strlen(copy) : -1))
				must_alloc(NULL);
		}
	return res;
}

static void print_text(const struct report_view *view)
{
	output_line(stdout, "%s", view->title);
	if (view->state)
		puts(view->state);
	for (size_t i = 0; i < view->n_tables; i++) {
		const struct report_table *t = &view->tables[i];
		AUTO(result) PGresult *res = table_result(t);

		printf("\n%s\n", t->title);
		if (t->note)
			printf("  %s\n", t->note);
		for (int row = 0; t->is_record && row < PQntuples(res); row++)
			output_record(res, row);
		if (!t->is_record && PQntuples(res) > 0)
			output_table(res);
	}
}

static const char *say(const void *arg, const char *english)
{
	(void)arg;
	return gettext(english);
}

static bool print(struct command *cmd, enum format format, const char *document, struct error *err)
{
	/* The French of it names the language of the catalogue that was found. */
	const struct report_words words = {.language = _("en"), .say = say};
	AUTO(result) PGresult *cells = NULL;
	const struct report_view *view;

	if (format == FORMAT_JSON) {
		output_json(document);
		return true;
	}
	if (!db_query(cmd->db, report_cells_sql, 1, &document, &cells, err))
		return false;
	view = report_tables(cmd->ctx, cells, &words);
	if (format == FORMAT_HTML)
		report_html(stdout, view, &words);
	else
		print_text(view);
	return true;
}

bool command_report(struct command *cmd, struct error *err)
{
	static const char zone_sql[] =
		"SELECT set_config('TimeZone', retention.time_zone(), false) AS zone";
	const struct command_options *o = &cmd->options;
	const size_t format = o->format ? text_index(o->format, formats, FORMATS) : FORMAT_TEXT;
	struct report_rules *rules = report_rules_new(cmd->ctx);
	struct report_ask ask = {.policy = cmd->id ? NULL : cmd->argument,
				 .from = o->from,
				 .to = o->to,
				 .keys = o->keys != NULL};
	const char *values[REPORT_VALUES];
	AUTO(result) PGresult *document = NULL;

	if (o->as_of && !read_preview(cmd, rules, &ask, err))
		return false;
	/* The daemon's zone, also where -d names the database. */
	if (!db_command(cmd->db, zone_sql, 0, NULL, NULL, err) ||
	    !db_exec(cmd->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) ||
	    (!o->as_of && !find_actions(cmd, rules, &ask, err)))
		return false;
	report_rules_values(rules, &ask, values);
	return db_query(cmd->db, report_document(cmd->ctx), REPORT_VALUES, values, &document,
			err) &&
	       print(cmd, (enum format)format, db_value(document, 0, "json"), err);
}
