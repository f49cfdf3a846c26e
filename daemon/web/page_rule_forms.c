/*
 * GET /regles/NAME: one rule, of the file or of the page, with all the versions that it had.  Validating a rule that was
 * saved on the page, by the count that it has, and retiring one.  Each is a page of its own: a rule acts by itself from
 * then on, or stops.  The form of validating carries the version that was shown.
 */
#include "web/one_action.h"
#include "web/route.h"
#include "web/rules.h"

#include <string.h>

#define VERSION_DIGITS 9

static const char saved_sql[] =
	"SELECT " RULES_COLUMNS ", (SELECT o.version FROM retention.page_policies AS o\n"
	"             WHERE o.name = p.name AND o.status = 'in force') AS replaces\n"
	"  FROM retention.page_policies AS p WHERE p.name = $1 AND p.status = 'saved'";

/* What would be retired: the version in force, else the saved one. */
static const char live_sql[] =
	"SELECT " RULES_COLUMNS
	" FROM retention.page_policies AS p WHERE p.name = $1 AND p.status <> 'retired'\n"
	" ORDER BY p.status = 'saved', p.version LIMIT 1";

/* As the daemon runs it; nothing for the moment until it has taken what a person has just validated or retired. */
static const char running_sql[] =
	"SELECT p.source = 'file' AS of_file, p.action, p.depth, p.archive, p.scope, p.schedule, p.approval,\n"
	"       p.enabled, p.next_occurrence, p.cutoff_next, p.due_next, nullif(p.held_next, 0) AS held_next,\n"
	"       p.refused, p.action = 'anonymize_requests' AS of_requests, p.last_action\n"
	"  FROM retention.policies AS p\n"
	" WHERE p.name = $1 AND (p.source = 'file' OR EXISTS (\n"
	"       SELECT FROM retention.page_policies AS v\n"
	"        WHERE v.name = p.name AND v.status = 'in force' AND v.action = p.action AND v.depth = p.depth))";

static const char versions_sql[] =
	"SELECT " RULES_COLUMNS
	", p.status = 'in force' AS is_in_force, p.validated_by, p.validated_at,\n"
	"       p.retired_by, p.retired_at, p.retired_as = 'replaced' AS is_replaced,\n"
	"       p.retired_as = 'withdrawn' AS is_withdrawn, p.retired_as = 'retired' AS is_retired,\n"
	"       p.retired_as = 'restored' AS is_restored\n"
	"  FROM retention.page_policies AS p WHERE p.name = $1 ORDER BY p.version DESC LIMIT 100";

static const char validate_sql[] = "SELECT retention.validate_policy($1, $2::int, $3::bigint)";
static const char retire_sql[] = "SELECT retention.retire_policy($1)";

static void ask(struct visit *v, const char *sql, visit_step step)
{
	visit_ask(v, "rule", sql, 1, v->part);
	visit_then(v, step);
}

/* Sets the names of the rule's row; false: answered, because there is no such rule. */
static bool set_rule(struct visit *v)
{
	const PGresult *res = visit_rows(v, "rule");

	if (PQntuples(res) == 0) {
		visit_fail(v, 404,
			   language_text(v->language,
					 _("There is no such rule of this page, or somebody has "
					   "validated or retired it meanwhile.")));
		return false;
	}
	rules_row(v, v->values, res, 0);
	rules_kind(v->values, values_column(res, 0, "action"));
	values_flag(v->values, "at_rules", true);
	visit_token(v, "token", v->path);
	return true;
}

/* --- One rule --------------------------------------------------------------------------------- */

/* What this person can do to the newest version. */
static void set_next_step(struct visit *v, const PGresult *versions)
{
	const bool is_saved = PQntuples(versions) > 0 && values_column(versions, 0, "is_saved") &&
			      *values_column(versions, 0, "is_saved") == 't',
		   is_live = is_saved ||
			     (PQntuples(versions) > 0 && !values_column(versions, 0, "retired_at"));

	values_flag(v->values, "waits", is_saved);
	values_flag(v->values, "uncounted", is_saved && !values_column(versions, 0, "counted"));
	values_flag(v->values, "needs_approver", is_saved && !v->person->approver);
	values_flag(v->values, "validatable", is_saved && v->person->approver);
	values_flag(v->values, "changeable", is_live && v->person->operator);
	values_flag(v->values, "retirable",
		    is_live && (v->person->approver || (is_saved && v->person->operator)));
	one_action_site(v);
}

static void show_rule(struct visit *v)
{
	const PGresult *running = visit_rows(v, "running"), *versions = visit_rows(v, "versions");

	if (PQntuples(running) == 0 && PQntuples(versions) == 0) {
		visit_fail(v, 404, language_text(v->language, _("There is no such rule.")));
		return;
	}
	values_set(v->values, "name", v->part[0]);
	values_list(v->values, "running");
	rules_rows(v, "running", running);
	rules_rows(v, "versions", versions);
	set_next_step(v, versions);
	values_flag(v->values, "at_rules", true);
	visit_render(v, 200, "rule");
}

void page_rule(struct visit *v)
{
	visit_ask(v, "running", running_sql, 1, v->part);
	visit_ask(v, "versions", versions_sql, 1, v->part);
	visit_then(v, show_rule);
}

/* --- Validating ------------------------------------------------------------------------------- */

static void show_form(struct visit *v, int status)
{
	static const char *const form_fields[] = {"nombre"};

	if (!set_rule(v))
		return;
	values_flag(v->values, "needs_other",
		    v->person->four_eyes && values_get(v->values, "saved_by_you", NULL));
	visit_keep_form(v, form_fields, 1);
	values_set(v->values, "errors_title",
		   language_text(v->language, _("Nothing is validated")));
	visit_render(v, status, "rule_validate");
}

static void show_saved(struct visit *v)
{
	show_form(v, 200);
}

static void show_again(struct visit *v)
{
	show_form(v, 422);
}

void page_rule_validate(struct visit *v)
{
	ask(v, saved_sql, show_saved);
}

/* Such a rule exists, so that its name has letters, digits, dots, - and _ only. */
static void on_done(struct visit *v)
{
	visit_redirect(v, "/regles/%s", v->part[0]);
}

static void blame_count(struct visit *v)
{
	visit_complain(
		v, "nombre",
		language_text(v->language,
			      _("The number entered is not the one that the rule would reach.")));
	ask(v, saved_sql, show_again);
}

static void on_not_validated(struct visit *v)
{
	if (v->refusal->id && strcmp(v->refusal->id, "retention.policy_count_differs") == 0)
		blame_count(v);
	else
		visit_fail(v, v->refusal->status, v->refusal->text);
}

void page_rule_validate_post(struct visit *v)
{
	const char *number = one_action_number(visit_ctx(v), form_get(v->form, "nombre"));
	const char *version =
		one_action_digits(visit_ctx(v), form_get(v->form, "version"), VERSION_DIGITS);

	if (!number || !version)
		blame_count(v);
	else
		visit_act(v, validate_sql, 3, (const char *[]){v->part[0], version, number},
			  on_done, on_not_validated);
}

/* --- Retiring --------------------------------------------------------------------------------- */

static void show_live(struct visit *v)
{
	if (set_rule(v))
		visit_render(v, 200, "rule_retire");
}

void page_rule_retire(struct visit *v)
{
	ask(v, live_sql, show_live);
}

void page_rule_retire_post(struct visit *v)
{
	visit_act(v, retire_sql, 1, v->part, on_done, NULL);
}
