/*
 * subject status: what is known of one contact's key.  The schema retention says what was erased, held and asked for, and
 * whoever may read the journal may read it.  Whether the contact is there now, and when it will be due, stands in the
 * CRM's tables: that part is left out where the configuration was not read, or where the caller may not read them.
 */
#include "command/command.h"

#include "base/sql.h"
#include "command/output.h"
#include "journal/page_policies.h"
#include "plan/preview.h"
#include "preflight/check_plan.h"

/* A cutoff that each date lies before: then a query of what is due has all that will be. */
#define FAR "9999-01-01"

enum { NAME, ACTION, DEPTH, SUBJECTS, DUE, WHY, COLUMNS };

struct status {
	struct command *cmd;
	void *ctx;
	const char *key; /* as the contact's table and the ledger have it */
	const char *known; /* yes, no, or why that is not known */
	const char
		*rules[COLUMNS]; /* an array for each column: what each policy has of the contact */
};

/* Programs get the English words. */
static const char *said(const struct status *s, const char *text)
{
	return s->cmd->options.json ? text : gettext(text);
}

/* Writes the key as the contact's table does. */
static bool read_key(struct status *s, struct error *err)
{
	static const char sql[] =
		"SELECT CASE WHEN t.value IS NULL THEN $1\n"
		"            ELSE retention.canonical_key($1, t.value) END AS key, t.value AS type\n"
		"  FROM (SELECT (SELECT s.value FROM retention.setting AS s\n"
		"                 WHERE s.name = 'contact_key_type') AS value) AS t";
	AUTO(result) PGresult *res = NULL;

	if (!db_query(s->cmd->db, sql, 1, &s->cmd->argument, &res, err))
		return false;
	s->key = db_text_copy(s->ctx, res, 0, "key");
	if (!s->key && s->cmd->config && s->cmd->config->model.contact->key->n > 1)
		return command_refuse_key(s->cmd, s->cmd->config->model.contact, err);
	return s->key ||
	       fail(err, ERR_CONFIG, _("\"%s\" is not a valid contact key: it should be a %s"),
		    s->cmd->argument, db_text(res, 0, "type"));
}

/* SQL: the row alias of t hangs off the row above. */
static const char *link_sql(struct status *s, const struct catalog *catalog, const struct table *t,
			    const char *alias, const char *above)
{
	char *sql = t_strdup(s->ctx, "");

	for (size_t i = 0; i < t->by->n; i++)
		t_list(&sql, " AND ", "%s = %s::%s", plan_column(s->ctx, alias, t->by->names[i]),
		       plan_column(s->ctx, above, model_parent_columns(t)->names[i]),
		       plan_type(catalog, t, t->by->names[i]));
	return sql;
}

/* SQL: the keys of a policy's subjects among which it is asked, of contact $3. */
static const char *keys_sql(struct status *s, const struct catalog *catalog, enum action action)
{
	const struct model *model = &s->cmd->config->model;
	const struct table *c = model->contact, *r = model->request, *join = model->through;

	if (action != ACTION_ANONYMIZE_REQUESTS)
		return t_printf(s->ctx, "ARRAY[$3::text::%s]", plan_key_type(catalog, c, c->key));
	return t_printf(s->ctx, "ARRAY(SELECT %s FROM %s AS c%s JOIN %s AS q ON %s WHERE %s)",
			r->key->n == 1 ? plan_key(s->ctx, "q", r->key)
				       : plan_key_text(s->ctx, "q", r->key),
			plan_table(s->ctx, c),
			join ? t_printf(s->ctx, " JOIN %s AS j ON %s", plan_table(s->ctx, join),
					link_sql(s, catalog, join, "j", "c"))
			     : "",
			plan_table(s->ctx, r), link_sql(s, catalog, r, "q", join ? "j" : "c"),
			plan_is_key(s->ctx, catalog, c, "c", "$3::text"));
}

/*
 * The subjects that the policy will reach if nothing changes, and the first local day on which one of them is due: the
 * first whose cutoff lies behind the date.  By the calendar that is the day of the date and the depth, or a few days
 * beside it, because months differ.
 */
static const char rule_sql[] =
	"SELECT x.n::text AS subjects, (SELECT min(d.day) FROM (\n"
	"         SELECT ((x.last AT TIME ZONE $4)::date + $5::interval)::date + n - 4 AS day\n"
	"           FROM generate_series(0, 8) AS n) AS d\n"
	"         WHERE retention.cutoff($5::interval, $4, d.day::timestamp AT TIME ZONE $4) > x.last)::text AS due\n"
	"  FROM (SELECT count(*) AS n, min(u.last) AS last FROM ({due}) AS u) AS x";

/* Asks what one policy has of the contact, whatever holds there are; *ret_why says why nothing, or is "". */
static bool ask_rule(struct status *s, const struct policy *policy, PGresult **ret,
		     const char **ret_why, struct error *err)
{
	AUTO(result) PGresult *why = NULL;
	const struct config *config = s->cmd->config;
	struct plan_opts opts = check_opts(config, policy, policy->action, policy->archive);
	const char *values[] = {NULL, FAR, s->key, config->timezone, NULL};
	struct catalog *catalog = NULL;
	struct plan *plan = NULL;
	char depth[32];

	opts.despite_holds = true;
	if (!command_plan(s->cmd, &opts, &catalog, &plan, err))
		return false;
	period_print(&policy->depth, depth, sizeof(depth));
	values[4] = depth;
	if (!db_query(s->cmd->db,
		      sql_fill(s->ctx, rule_sql,
			       {"due", plan_due_query(s->ctx, &config->model, catalog, &opts,
						      keys_sql(s, catalog, policy->action))}),
		      LENGTH(values), values, ret, err))
		return false;
	*ret_why = "";
	if (db_text(*ret, 0, "due"))
		return true;
	if (!db_query(s->cmd->db, plan_why_query(s->ctx, &config->model, catalog, &opts), 1,
		      &s->key, &why, err))
		return false;
	*ret_why = db_text_copy(s->ctx, why, 0, "why");
	return true;
}

/* Asks the policies that erase, and run. */
static bool ask_rules(struct status *s, struct error *err)
{
	const struct config *joined = page_policies_join(s->cmd->db, s->cmd->config, s->ctx, err);
	const char **columns[COLUMNS];
	size_t n = 0;

	if (!joined)
		return false;
	for (int i = 0; i < COLUMNS; i++)
		columns[i] = t_array(s->ctx, const char *, joined->n_policies + 1);
	for (size_t i = 0; i < joined->n_policies; i++) {
		const struct policy *p = &joined->policies[i];
		AUTO(result) PGresult *res = NULL;
		char depth[32];

		if (!p->enabled || p->saved || p->action == ACTION_EXPORT)
			continue;
		if (!ask_rule(s, p, &res, &columns[WHY][n], err))
			return false;
		period_print(&p->depth, depth, sizeof(depth));
		columns[NAME][n] = p->name;
		columns[ACTION][n] = action_names[p->action];
		columns[DEPTH][n] = t_strdup(s->ctx, depth);
		columns[SUBJECTS][n] = db_text_copy(s->ctx, res, 0, "subjects");
		columns[DUE][n] = db_text_copy(s->ctx, res, 0, "due");
		if (!columns[DUE][n])
			columns[DUE][n] = "";
		n++;
	}
	for (int i = 0; i < COLUMNS; i++)
		s->rules[i] = sql_array(s->ctx, columns[i], n);
	return true;
}

/* Reads only, so that no function of the CRM's owner that runs here can write with the rights of this person. */
static bool read_contact(struct status *s, struct error *err)
{
	const struct table *contact = s->cmd->config->model.contact;
	struct catalog *catalog = NULL;
	int64_t n = 0;

	if (!db_exec(s->cmd->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) ||
	    !command_model(s->cmd, ACTION_EXPORT, &catalog, err) ||
	    !db_query_int(s->cmd->db,
			  t_printf(s->ctx, "SELECT count(*) FROM %s AS c WHERE %s",
				   plan_table(s->ctx, contact),
				   plan_is_key(s->ctx, catalog, contact, "c", "$1::text")),
			  1, &s->key, &n, err))
		return false;
	s->known = said(s, n > 0 ? N_("yes") : N_("no"));
	return n == 0 || ask_rules(s, err);
}

/* Looks at the contact, where that is possible.  Otherwise says why not, because the rest is known nevertheless. */
static bool look_at_contact(struct status *s, struct error *err)
{
	AUTO(error) struct error cause = {0};
	bool ok;

	for (int i = 0; i < COLUMNS; i++)
		s->rules[i] = "{}";
	if (!s->cmd->config) {
		s->known = said(s, N_("not checked: no configuration was read"));
		return true;
	}
	ok = read_contact(s, &cause);
	db_rollback(s->cmd->db); /* undoes what such a function has set */
	if (ok)
		return true;
	if (!db_alive(s->cmd->db))
		return fail(err, cause.class, "%s", cause.text);
	for (int i = 0; i < COLUMNS; i++)
		s->rules[i] = "{}";
	s->known = t_printf(s->ctx, "%s%s", said(s, N_("not checked: ")), cause.text);
	return true;
}

/* The queries have the key as $1, and the columns of the policies as $2 to $7. */

#define HOLD                                                                                                 \
	"retention.holds_in_force AS h\n"                                                                    \
	"        WHERE h.contact_key = retention.held_key($1, (SELECT s.value FROM retention.setting AS s\n" \
	"                                                       WHERE s.name = 'contact_key_type'))"

static const char about_sql[] =
	"SELECT $1::text AS contact, {known} AS known,\n"
	"       date_trunc('second', h.placed_at) AS held_since, h.placed_by AS held_by, h.expires_at AS held_until, h.reason,\n"
	"       CASE WHEN EXISTS (SELECT FROM retention.replay_due AS d WHERE d.key = $1\n"
	"                            AND d.action IN ('delete_contacts', 'anonymize_contacts'))\n"
	"            THEN {replay} END AS remark\n"
	"  FROM (SELECT) AS one LEFT JOIN LATERAL (SELECT h.* FROM " HOLD ") AS h ON true";

static const char rules_sql[] =
	"SELECT p.policy, p.action, p.depth,\n"
	"       CASE p.action WHEN 'anonymize_requests' THEN p.subjects::bigint END AS requests,\n"
	"       CASE WHEN p.due = '' THEN 'not due' WHEN EXISTS (SELECT FROM " HOLD
	") THEN 'held'\n"
	"            WHEN p.due::date <= retention.today() THEN 'due' ELSE 'later' END AS now,\n"
	"       nullif(p.due, '')::date AS due_from, q.next_occurrence AS next, nullif(p.why, '') AS why\n"
	"  FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])\n"
	"         WITH ORDINALITY AS p(policy, action, depth, subjects, due, why, n)\n"
	"  LEFT JOIN retention.policies AS q ON q.name = p.policy ORDER BY p.n";

/*
 * A line of the ledger is of another action if it is older than the action of that number: a restored backup has forgotten
 * the other one.  Only contacts' keys: those of requests that were anonymized alone are not the contact's.
 */
static const char erased_sql[] =
	"SELECT l.action AS erasure, date_trunc('second', l.erased_at) AS at, l.job AS id,\n"
	"       CASE WHEN l.archive = 'none' OR l.action = 'restored' THEN NULL\n"
	"            WHEN j.id IS NULL THEN {unknown}\n"
	"            WHEN j.archive_deleted_at IS NOT NULL\n"
	"            THEN {deleted} || to_char(j.archive_deleted_at, 'YYYY-MM-DD HH24:MI')\n"
	"            ELSE j.archive_path END AS archive\n"
	"  FROM retention.ledger AS l\n"
	"  LEFT JOIN retention.archive_journal AS j ON j.id = l.job AND j.requested_at <= l.erased_at\n"
	" WHERE l.key = $1 AND l.action IN ('delete_contacts', 'anonymize_contacts', 'restored')\n"
	" ORDER BY l.erased_at, l.action";

static const char asked_sql[] =
	"SELECT j.id, j.action, j.status, j.requested_by, date_trunc('second', j.requested_at) AS requested_at\n"
	"  FROM retention.archive_journal AS j WHERE j.subject = $1 ORDER BY j.id";

static const char json_sql[] =
	"SELECT jsonb_pretty(jsonb_build_object('contact', $1::text, 'known', a.known,\n"
	"  'remark', a.remark, 'hold', (SELECT to_jsonb(h) FROM " HOLD "),\n"
	"  'policies', (SELECT coalesce(jsonb_agg(to_jsonb(p)), '[]') FROM ({rules}) AS p),\n"
	"  'erased', (SELECT coalesce(jsonb_agg(to_jsonb(e)), '[]') FROM ({erased}) AS e),\n"
	"  'asked', (SELECT coalesce(jsonb_agg(to_jsonb(j)), '[]') FROM ({asked}) AS j))) AS json\n"
	"  FROM ({about}) AS a";

/* The queries with their sentences, which are for people. */
static const char *about(struct status *s, const char *replay)
{
	return sql_fill(s->ctx, about_sql, {"known", sql_literal(s->ctx, s->known)},
			{"replay", sql_literal(s->ctx, replay)});
}

static const char *erased(struct status *s, const char *unknown, const char *deleted)
{
	return sql_fill(s->ctx, erased_sql, {"unknown", sql_literal(s->ctx, unknown)},
			{"deleted", sql_literal(s->ctx, deleted)});
}

/* Prints a table under its title, where it has rows. */
static bool print_table(struct status *s, const char *title, const char *sql, int n,
			const char *const values[], struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(s->cmd->db, sql, n, values, &res, err))
		return false;
	if (PQntuples(res) > 0) {
		printf("\n%s\n", title);
		output_table(res);
	}
	return true;
}

static bool print(struct status *s, const char *const values[COLUMNS + 1], struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(
		    s->cmd->db,
		    about(s, _("a restored backup has brought it back: a replay erases it again")),
		    1, values, &res, err))
		return false;
	output_record(res, 0);
	return print_table(s, _("by the policies:"), rules_sql, COLUMNS + 1, values, err) &&
	       print_table(s, _("in the ledger:"),
			   erased(s, _("not in the journal"), _("deleted on ")), 1, values, err) &&
	       print_table(s, _("asked for:"), asked_sql, 1, values, err);
}

bool command_subject_status(struct command *cmd, struct error *err)
{
	struct status s = {.cmd = cmd, .ctx = cmd->ctx};
	const char *values[COLUMNS + 1];

	if (!read_key(&s, err) || !look_at_contact(&s, err))
		return false;
	values[0] = s.key;
	memcpy(values + 1, s.rules, sizeof(s.rules));
	if (!cmd->options.json)
		return print(&s, values, err);
	return command_print_json(
		cmd,
		sql_fill(cmd->ctx, json_sql, {"about", about(&s, "waits for a replay")},
			 {"rules", rules_sql},
			 {"erased", erased(&s, "not in the journal", "deleted on ")},
			 {"asked", asked_sql}),
		COLUMNS + 1, values, err);
}
