/*
 * preview: counts what a policy or a manual action would change.  Reads in one snapshot and with the
 * rights of the caller.  Takes no lock that delays a writer, and writes nothing.
 */
#include "command/preview.h"

#include "preflight/check_plan.h"
#include "command/output.h"
#include "plan/preview.h"
#include "base/sql.h"
#include "journal/page_policies.h"

struct preview {
	struct command *cmd;
	void *ctx;
	const struct config *config; /* with the policies of the page; NULL: a manual action */
	const struct policy *policy; /* NULL: a manual action */
	enum action action;
	enum archive_mode archive;
	const char *bounds[2]; /* from (or NULL) and cutoff, as instants */
	struct plan *plan;
	char *due;
	char *due_despite_holds;
};

/* Computes the bounds: days in the configured time zone, by the database's clock. */
static bool find_bounds(struct preview *p, struct error *err)
{
	static const char sql[] =
		"SELECT ($2::date::timestamp AT TIME ZONE $1)::text AS from_instant,\n"
		"       (CASE WHEN $3::date IS NOT NULL THEN ($3::date + 1)::timestamp AT TIME ZONE $1\n"
		"             ELSE retention.cutoff($5::interval, $1,\n"
		"                    coalesce($4::date::timestamp AT TIME ZONE $1, now()))\n"
		"        END)::text AS cutoff";
	const struct command_options *options = &p->cmd->options;
	char depth[32] = "";
	const char *const values[] = {p->cmd->config->timezone, options->from, options->to,
				      options->as_of, p->policy ? depth : NULL};
	AUTO(result) PGresult *res = NULL;

	if (p->policy)
		period_print(&p->policy->depth, depth, sizeof(depth));
	if (!db_query(p->cmd->db, sql, 5, values, &res, err))
		return false;
	p->bounds[0] = db_text_copy(p->ctx, res, 0, "from_instant");
	p->bounds[1] = db_text_copy(p->ctx, res, 0, "cutoff");
	return true;
}

static bool make_plan(struct preview *p, struct error *err)
{
	const struct model *model = &p->cmd->config->model;
	struct plan_opts opts = check_opts(p->cmd->config, p->policy, p->action, p->archive);
	struct catalog *catalog = NULL;

	if (!command_plan(p->cmd, &opts, &catalog, &p->plan, err))
		return false;
	p->due = plan_due_query(p->ctx, model, catalog, &opts, NULL);
	opts.despite_holds = true;
	p->due_despite_holds = plan_due_query(p->ctx, model, catalog, &opts, NULL);
	return true;
}

#define FIRST_KEYS "10"

/* One row: how many contacts are due, their dates and first keys, and how many are on hold. */
static char *summary_sql(const struct preview *p)
{
	const struct columns *names = plan_names(p->ctx, "k", p->plan->subject->key->n);

	return t_printf(
		p->ctx,
		"SELECT %s AS action, %s AS policy, $1::timestamptz AS from_instant,\n"
		"       $2::timestamptz AS cutoff, d.n AS due, h.n - d.n AS held,\n"
		"       d.oldest, d.newest, d.first_keys\n"
		"  FROM (SELECT count(*) AS n, min(x.last) AS oldest, max(x.last) AS newest,\n"
		"               (array_agg(%s ORDER BY %s))[1:" FIRST_KEYS "] AS first_keys\n"
		"          FROM (%s) AS x) AS d,\n"
		"       (SELECT count(*) AS n FROM (%s) AS y) AS h",
		sql_literal(p->ctx, action_names[p->action]),
		p->policy ? sql_literal(p->ctx, p->policy->name) : "NULL::text",
		plan_key_text(p->ctx, "x", names),
		plan_columns(p->ctx, "x", names->names, names->n), p->due, p->due_despite_holds);
}

static char *json_sql(const struct preview *p)
{
	return t_printf(
		p->ctx,
		"SELECT jsonb_pretty(to_jsonb(s) || jsonb_build_object('tables',\n"
		"       (SELECT coalesce(jsonb_agg(to_jsonb(c)), '[]') FROM (%s) AS c))) AS json\n"
		"  FROM (%s) AS s",
		plan_count_sql(p->plan, p->due), summary_sql(p));
}

static bool show_json(struct preview *p, struct error *err)
{
	return command_print_json(p->cmd, json_sql(p), 2, p->bounds, err);
}

/* Says that contacts stay which the join table lacks: a small number of due ones can have this reason alone. */
static bool tell_unpaired(struct preview *p, struct error *err)
{
	const struct model *model = p->plan->model;
	AUTO(result) PGresult *res = NULL;

	if (!model->through || !model->through->also || p->plan->subject != model->contact)
		return true;
	if (!db_query(p->cmd->db, plan_unpaired_sql(p->ctx, model, p->plan->catalog), 0, NULL, &res,
		      err))
		return false;
	if (db_int(res, 0, "n") > 0)
		printf(_("\nhint: %s requests name a contact that the join table lacks, and their contacts "
			 "stay: retentionctl model check has the statement that adds the rows\n"),
		       db_text(res, 0, "n"));
	return true;
}

static bool show_text(struct preview *p, struct error *err)
{
	AUTO(result) PGresult *summary = NULL;
	AUTO(result) PGresult *tables = NULL;
	const char *sql =
		t_printf(p->ctx,
			 "SELECT s.action, s.policy, s.from_instant AS \"from\", s.cutoff,\n"
			 "       s.due, nullif(s.held, 0) AS held, s.oldest, s.newest,\n"
			 "       array_to_string(s.first_keys, ' ') AS \"first keys\"\n"
			 "  FROM (%s) AS s",
			 summary_sql(p));

	if (!db_query(p->cmd->db, sql, 2, p->bounds, &summary, err) ||
	    !db_query(p->cmd->db, plan_count_sql(p->plan, p->due), 2, p->bounds, &tables, err))
		return false;
	output_record(summary, 0);
	puts("");
	output_table(tables);
	return tell_unpaired(p, err);
}

bool command_check_preview(struct command *cmd, struct error *err)
{
	const struct command_options *options = &cmd->options;
	const char *word = cmd->argument, *from = options->from, *to = options->to;
	const bool manual = from || to;

	if (!word)
		return fail(err, ERR_USAGE, "%s", _(cmd->spec->give));
	if (manual && action_parse(word) == ACTION_COUNT)
		return fail(err, ERR_USAGE,
			    _("\"%s\" is not an action: --from and --to are for actions"), word);
	if (action_parse(word) != ACTION_COUNT && (!from || !to || options->as_of))
		return fail(err, ERR_USAGE,
			    _("an action needs --from and --to; --as-of is for policies"));
	if (from && to && strcmp(from, to) > 0) /* both are YYYY-MM-DD */
		return fail(err, ERR_USAGE, _("the interval ends (%s) before it starts (%s)"), to,
			    from);
	if (options->archive && !manual)
		return fail(err, ERR_USAGE,
			    _("--archive is for actions: a policy has its own archive mode"));
	if (options->archive && archive_mode_parse(options->archive) == ARCHIVE_MODE_COUNT)
		return fail(err, ERR_USAGE,
			    _("\"%s\" is not an archive mode: use none, listed or full"),
			    options->archive);
	return true;
}

/* Finds the action: the policy's, or the one that was given. */
static bool find_action(struct preview *p, struct error *err)
{
	const char *word = p->cmd->argument, *mode = p->cmd->options.archive;

	p->action = action_parse(word);
	if (p->action != ACTION_COUNT) {
		p->archive = mode                         ? archive_mode_parse(mode)
			     : p->action == ACTION_EXPORT ? ARCHIVE_LISTED
							  : ARCHIVE_NONE;
		return true;
	}
	p->config = page_policies_join(p->cmd->db, p->cmd->config, p->ctx, err);
	if (!p->config)
		return false;
	p->policy = config_policy(p->config, word);
	if (!p->policy)
		return fail(err, ERR_CONFIG,
			    _("there is no policy \"%s\" in %s: retentionctl policies lists them"),
			    word, p->cmd->config->path);
	p->action = p->policy->action;
	p->archive = p->policy->archive;
	return true;
}

/* Everything is of one moment, and nothing can be written. */
static bool prepare(struct preview *p, struct error *err)
{
	return find_action(p, err) &&
	       db_exec(p->cmd->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) &&
	       find_bounds(p, err) && make_plan(p, err);
}

bool command_preview(struct command *cmd, struct error *err)
{
	struct preview p = {.cmd = cmd, .ctx = cmd->ctx};

	return prepare(&p, err) && (cmd->options.json ? show_json(&p, err) : show_text(&p, err)) &&
	       db_commit(cmd->db, err);
}

bool preview_read(struct command *cmd, const struct config **ret_config, const char **ret_json,
		  struct error *err)
{
	struct preview p = {.cmd = cmd, .ctx = cmd->ctx};
	AUTO(result) PGresult *res = NULL;

	if (!prepare(&p, err) || !db_query(cmd->db, json_sql(&p), 2, p.bounds, &res, err))
		return false;
	*ret_config = p.config;
	*ret_json = db_text_copy(cmd->ctx, res, 0, "json");
	db_rollback(cmd->db); /* also undoes what functions of the CRM have set */
	return true;
}
