/*
 * preview: counts what a policy or a manual action would change.  Reads in one snapshot and with the
 * rights of the caller.  Takes no lock that delays a writer, and writes nothing.
 */
#include "command/command.h"

#include "preflight/check_plan.h"
#include "base/mem.h"
#include "command/output.h"
#include "plan/due.h"
#include "plan/preview.h"
#include "base/sql.h"

struct preview {
	struct command *cmd;
	void *ctx;
	const struct policy *policy; /* NULL: a manual action */
	enum action action;
	enum archive_mode archive;
	const char *from_day, *to_day; /* of a manual action */
	const char *as_of; /* NULL: today */
	const char *bounds[2]; /* from (or NULL) and cutoff, as instants */
	struct plan_opts opts;
	struct catalog *catalog;
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
	char depth[32] = "";
	const char *const values[] = {p->cmd->config->timezone, p->from_day, p->to_day, p->as_of,
				      p->policy ? depth : NULL};
	AUTO(result) PGresult *res = NULL;

	if (p->policy)
		period_print(&p->policy->depth, depth, sizeof(depth));
	if (!db_query(p->cmd->db, sql, 5, values, &res, err))
		return false;
	p->bounds[0] = db_text(res, 0, "from_instant")
			       ? t_strdup(p->ctx, db_text(res, 0, "from_instant"))
			       : NULL;
	p->bounds[1] = t_strdup(p->ctx, db_text(res, 0, "cutoff"));
	return true;
}

static bool make_plan(struct preview *p, struct error *err)
{
	AUTO(complaints) struct complaints c = {0};
	const struct model *model = &p->cmd->config->model;
	struct plan_opts despite;

	p->opts = check_opts(p->cmd->config, p->policy, p->action, p->archive);
	despite = p->opts;
	despite.despite_holds = true;
	if (!command_model(p->cmd, p->action, p->ctx, &p->catalog, err))
		return false;
	p->plan = plan_build(p->ctx, model, p->catalog, &p->opts, &c);
	if (!p->plan)
		return fail(err, ERR_CONFIG, "%s", c.lines[0]);
	p->due = plan_due_query(p->ctx, model, p->catalog, &p->opts, NULL);
	p->due_despite_holds = plan_due_query(p->ctx, model, p->catalog, &despite, NULL);
	return true;
}

#define FIRST_KEYS "10"

/* One row: how many contacts are due, their dates and first keys, and how many are on hold. */
static char *summary_sql(const struct preview *p)
{
	return t_printf(
		p->ctx,
		"SELECT %s AS action, %s AS policy, $1::timestamptz AS from_instant,\n"
		"       $2::timestamptz AS cutoff, d.n AS due, h.n - d.n AS held,\n"
		"       d.oldest, d.newest, d.first_keys\n"
		"  FROM (SELECT count(*) AS n, min(x.last) AS oldest, max(x.last) AS newest,\n"
		"               (array_agg(x.k::text ORDER BY x.k))[1:" FIRST_KEYS
		"] AS first_keys\n"
		"          FROM (%s) AS x) AS d,\n"
		"       (SELECT count(*) AS n FROM (%s) AS y) AS h",
		sql_literal(p->ctx, action_name(p->action)),
		p->policy ? sql_literal(p->ctx, p->policy->name) : "NULL::text", p->due,
		p->due_despite_holds);
}

static bool show_json(struct preview *p, struct error *err)
{
	AUTO(result) PGresult *res = NULL;
	const char *sql = t_printf(
		p->ctx,
		"SELECT jsonb_pretty(to_jsonb(s) || jsonb_build_object('tables',\n"
		"       (SELECT coalesce(jsonb_agg(to_jsonb(c)), '[]') FROM (%s) AS c))) AS json\n"
		"  FROM (%s) AS s",
		plan_count_sql(p->plan, p->due), summary_sql(p));

	if (!db_query(p->cmd->db, sql, 2, p->bounds, &res, err))
		return false;
	puts(db_text(res, 0, "json"));
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
	return true;
}

static bool preview(struct preview *p, struct error *err)
{
	return db_exec(p->cmd->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) &&
	       find_bounds(p, err) && make_plan(p, err) &&
	       (p->cmd->json ? show_json(p, err) : show_text(p, err)) && db_commit(p->cmd->db, err);
}

/* The word names a policy, or an action with its days; 0, or the exit status of wrong use. */
static int read_arguments(struct preview *p, const char *word, const char *mode)
{
	const char *const days[] = {p->from_day, p->to_day, p->as_of};
	const bool manual = p->from_day || p->to_day;
	int year, month, day;

	for (int i = 0; i < 3; i++)
		if (days[i] && !date_parse(days[i], &year, &month, &day))
			return command_wrong_use(p->cmd, _("\"%s\" is not a date: use YYYY-MM-DD"),
						 days[i]);
	p->action = action_parse(word);
	if (p->action == ACTION_COUNT && manual)
		return command_wrong_use(
			p->cmd, _("\"%s\" is not an action: --from and --to are for actions"),
			word);
	if (p->action != ACTION_COUNT && (!p->from_day || !p->to_day || p->as_of))
		return command_wrong_use(
			p->cmd, _("an action needs --from and --to; --as-of is for policies"));
	if (manual && strcmp(p->from_day, p->to_day) > 0) /* both are YYYY-MM-DD */
		return command_wrong_use(p->cmd, _("the interval ends (%s) before it starts (%s)"),
					 p->to_day, p->from_day);
	p->archive = p->action == ACTION_EXPORT ? ARCHIVE_LISTED : ARCHIVE_NONE;
	if (mode && !manual)
		return command_wrong_use(
			p->cmd, _("--archive is for actions: a policy has its own archive mode"));
	if (mode && (p->archive = archive_mode_parse(mode)) == ARCHIVE_MODE_COUNT)
		return command_wrong_use(
			p->cmd, _("\"%s\" is not an archive mode: use none, listed or full"), mode);
	return 0;
}

static bool find_policy(struct preview *p, const char *word, struct error *err)
{
	if (p->action != ACTION_COUNT)
		return true;
	p->policy = config_policy(p->cmd->config, word);
	if (!p->policy)
		return fail(err, ERR_CONFIG,
			    _("there is no policy \"%s\" in %s: retentionctl policies lists them"),
			    word, p->cmd->config->path);
	p->action = p->policy->action;
	p->archive = p->policy->archive;
	return true;
}

int command_preview(struct command *cmd, int argc, char **argv)
{
	static const struct option longs[] = {
		{"from", required_argument, NULL, 'f'},    {"to", required_argument, NULL, 't'},
		{"as-of", required_argument, NULL, 'd'},   {"json", no_argument, NULL, 'j'},
		{"archive", required_argument, NULL, 'a'}, {NULL, 0, NULL, 0}};
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct preview p = {.cmd = cmd, .ctx = ctx};
	AUTO(error) struct error err = {0};
	const char *mode = NULL;
	int c, status;

	while ((c = command_option(cmd, argc, argv, longs)) != -1) {
		if (c == '?')
			return 2;
		if (c == 'j')
			cmd->json = true;
		else
			*(c == 'f'   ? &p.from_day
			  : c == 't' ? &p.to_day
			  : c == 'd' ? &p.as_of
				     : &mode) = optarg;
	}
	if (argc - optind != 1)
		return command_wrong_use(cmd, _("give one policy or one action"));
	status = read_arguments(&p, argv[optind], mode);
	if (status != 0)
		return status;
	if (!command_open(cmd))
		return 1;
	return find_policy(&p, argv[optind], &err) && preview(&p, &err) ? 0 : command_failed(&err);
}
