/*
 * GET /regles: the automatic rules, as the daemon has understood them, and what they would reach; those of this page that
 * do not run, because nobody has validated them or the configuration does not allow them any longer; and the form for a
 * new one.  POST /regles saves one.  GET /regles?changer=NAME fills the form with a rule of the page: saving it makes its
 * next version.  The form carries the version that it changes, so that neither a new rule nor a change takes the place of
 * what somebody else has saved meanwhile.
 */
#include "web/one_action.h"
#include "web/route.h"
#include "web/rules.h"

#include "base/text.h"

#include <string.h>

static const char rules_sql[] =
	"SELECT p.name, p.action, p.depth, p.archive, p.scope, p.schedule, p.approval, p.enabled,\n"
	"       p.source = 'page' AS of_page, p.next_occurrence, p.cutoff_next, p.due_next,\n"
	"       nullif(p.held_next, 0) AS held_next, nullif(p.overdue, 0) AS overdue, p.refused,\n"
	"       p.action = 'anonymize_requests' AS of_requests, p.last_action, p.last_status, p.measured_at\n"
	"  FROM retention.policies AS p ORDER BY p.place";

/* Lists the versions that are saved, and those that the bounds keep from running; says whether one would replace another. */
static const char waiting_sql[] =
	"SELECT " RULES_COLUMNS ", EXISTS (SELECT FROM retention.page_policies AS o\n"
	"                    WHERE o.name = p.name AND o.status = 'in force' AND p.status = 'saved') AS replaces\n"
	"  FROM retention.page_policies AS p\n"
	" WHERE p.status = 'saved' OR (p.status = 'in force' AND p.refused IS NOT NULL) ORDER BY p.name, p.version";

static const char bounds_sql[] =
	"SELECT b.bounds IS NOT NULL AS pages, coalesce(retention.whole_months((b.bounds->>'shortest')::interval), 1)\n"
	"         AS shortest, coalesce(b.bounds->'actions', '[]')::text AS actions,\n"
	"       coalesce(b.bounds->'archives', '[]')::text AS archives\n"
	"  FROM retention.page_bounds() AS b(bounds)";

/* Rules of the page of which all versions have ended. */
static const char retired_sql[] =
	"SELECT p.name FROM retention.page_policies AS p GROUP BY p.name\n"
	"HAVING bool_and(p.status = 'retired') ORDER BY p.name LIMIT 200";

/* The newest version of a rule that has not ended. */
static const char change_sql[] =
	"SELECT p.name, p.action, p.months, p.schedule, p.archive, p.version\n"
	"  FROM retention.page_policies AS p\n"
	" WHERE p.name = $1 AND p.status <> 'retired' ORDER BY p.version DESC LIMIT 1";

static const char save_sql[] =
	"SELECT CASE WHEN (SELECT max(p.version) FROM retention.page_policies AS p\n"
	"                   WHERE p.name = $1 AND p.status <> 'retired') IS NOT DISTINCT FROM $7::int\n"
	"            THEN retention.save_policy($1, $2, ($3 || ' months')::interval, $4, $5, $6)\n"
	"       END AS version";

enum { NAME, TYPE, DEPTH, MONTHS, SCHEDULE, ARCHIVE, NOTE, FIELDS };
enum { MONTHS_DIGITS = 4, VERSION_DIGITS = 9 };
static const char *const fields[FIELDS] = {"nom",     "type",    "profondeur", "mois",
					   "passage", "archive", "motif"};

/* What stands in the form: from a rule that is to be changed, or as it was sent. */
struct entered {
	const char *values[FIELDS];
	const char *version; /* that it changes; NULL: the rule is new */
	bool of_rule; /* nothing was sent yet */
};

/* Adds a choice to a list, with its value and whether it is chosen. */
static struct values *add_choice(struct visit *v, const char *list, const char *value,
				 const char *chosen)
{
	struct values *row = values_add(v->values, list);

	values_set(row, "value", value);
	values_flag(row, "chosen", chosen && strcmp(chosen, value) == 0);
	return row;
}

/* Whether a JSON array of plain names has this one. */
static bool names(const char *array, const char *name)
{
	AUTO(talloc) char *quoted = t_printf(NULL, "\"%s\"", name);

	return strstr(array, quoted) != NULL;
}

/* False: the depth that is chosen stands in the field beside the list. */
static bool list_depths(struct visit *v, int shortest, const char *chosen)
{
	static const int depths[] = {6, 12, 18, 24, 36, 60};
	bool found = false;

	values_list(v->values, "depths");
	for (size_t i = 0; i < LENGTH(depths); i++) {
		const char *months = t_printf(visit_ctx(v), "%d", depths[i]);

		if (depths[i] < shortest)
			continue;
		values_setf(add_choice(v, "depths", months, chosen), "months", "%d months",
			    depths[i]);
		found = found || (chosen && strcmp(chosen, months) == 0);
	}
	values_flag(v->values, "depth_other", !found);
	return found;
}

static void list_schedules(struct visit *v, const char *chosen)
{
	static const char *const schedules[] = {"monthly", "weekly", "daily", "yearly", "hourly"};

	values_list(v->values, "schedules");
	for (size_t i = 0; i < LENGTH(schedules); i++)
		values_set(add_choice(v, "schedules", schedules[i], chosen ? chosen : "monthly"),
			   "runs", rules_schedule(v, schedules[i]));
	if (chosen && !rules_schedule(v, chosen)) /* of a rule that was saved elsewhere */
		values_set(add_choice(v, "schedules", chosen, chosen), "runs", chosen);
}

/* Sets what the form needs; e: what stands in it. */
static void set_form(struct visit *v, const struct entered *e)
{
	static const char *const archives[] = {"full", "listed", "none"};
	const PGresult *b = visit_rows(v, "bounds");
	const char *actions = PQgetvalue(b, 0, 2), *modes = PQgetvalue(b, 0, 3);
	static const char *const kinds[] = {"anonymize_contacts", "delete_contacts",
					    "anonymize_requests", "export"};
	bool in_list;

	values_row(v->values, b, 0);
	values_flag(v->values, "can_make", v->person->operator&& * PQgetvalue(b, 0, 0) == 't');
	values_list(v->values, "kinds");
	for (size_t i = 0; i < LENGTH(kinds); i++)
		if (names(actions, kinds[i]))
			(void)add_choice(v, "kinds", kinds[i], e->values[TYPE]);
	values_list(v->values, "modes");
	for (size_t i = 0; i < LENGTH(archives); i++)
		if (names(modes, archives[i]))
			(void)add_choice(v, "modes", archives[i], e->values[ARCHIVE]);
	in_list = list_depths(v, (int)strtol(PQgetvalue(b, 0, 1), NULL, 10),
			      e->values[DEPTH] ? e->values[DEPTH] : "18");
	list_schedules(v, e->values[SCHEDULE]);
	for (int i = 0; i < FIELDS; i++)
		values_set(v->values, t_printf(visit_ctx(v), "value_%s", fields[i]), e->values[i]);
	if (in_list && e->of_rule)
		values_set(v->values, "value_mois", NULL);
	values_set(v->values, "months_before",
		   e->of_rule && !in_list ? e->values[MONTHS] : form_get(v->form, "mois_avant"));
	values_set(v->values, "changes", e->version ? e->values[NAME] : NULL);
	values_set(v->values, "changed_version", e->version);
}

static void show(struct visit *v, int status, const struct entered *e)
{
	rules_rows(v, "rules", visit_rows(v, "rules"));
	values_setf(v->values, "rules_n", "%d", PQntuples(visit_rows(v, "rules")));
	rules_rows(v, "waiting", visit_rows(v, "waiting"));
	values_setf(v->values, "waiting_n", "%d", PQntuples(visit_rows(v, "waiting")));
	values_list(v->values, "retired");
	values_rows(v->values, "retired", visit_rows(v, "retired"));
	values_flag(v->values, "at_rules", true);
	set_form(v, e);
	visit_token(v, "token", "/regles");
	visit_render(v, status, "rules");
}

/* The form of a GET: empty, or with the rule that is to be changed. */
static void show_list(struct visit *v)
{
	const PGresult *rule = visit_rows(v, "change");
	struct entered e = {{NULL}, NULL, true};

	if (PQntuples(rule) == 1)
		e = (struct entered){{PQgetvalue(rule, 0, 0), PQgetvalue(rule, 0, 1),
				      PQgetvalue(rule, 0, 2), PQgetvalue(rule, 0, 2),
				      PQgetvalue(rule, 0, 3), PQgetvalue(rule, 0, 4), NULL},
				     PQgetvalue(rule, 0, 5),
				     true};
	show(v, 200, &e);
}

static void show_errors(struct visit *v)
{
	struct entered e = {.version = one_action_digits(visit_ctx(v), form_get(v->form, "version"),
							 VERSION_DIGITS)};

	for (int i = 0; i < FIELDS; i++)
		e.values[i] = form_get(v->form, fields[i]);
	show(v, 422, &e);
}

static void ask(struct visit *v, visit_step step)
{
	visit_ask(v, "rules", rules_sql, 0, NULL);
	visit_ask(v, "waiting", waiting_sql, 0, NULL);
	visit_ask(v, "retired", retired_sql, 0, NULL);
	visit_ask(v, "bounds", bounds_sql, 0, NULL);
	visit_then(v, step);
}

void page_rules(struct visit *v)
{
	const char *name = form_get(v->query, "changer");

	visit_ask(v, "change", change_sql, 1, &name);
	ask(v, show_list);
}

static void blame(struct visit *v, const char *field, const char *sentence)
{
	values_set(v->values, "errors_title",
		   language_text(v->language, _("The rule is not saved")));
	visit_complain(v, field, sentence);
	ask(v, show_errors);
}

/* The field of the form for an argument of the SQL function. */
static const char *field_of(const struct visit *v)
{
	static const char *const columns[] = {"name",     "action",  "depth", "",
					      "schedule", "archive", "note"};
	const char *column = v->refusal->field ? v->refusal->field : "name";
	const size_t i = text_index(column, columns, FIELDS);
	const char *depth = form_get(v->form, fields[DEPTH]);

	if (i == DEPTH && depth && strcmp(depth, "autre") == 0)
		return fields[MONTHS];
	return i < FIELDS ? fields[i] : fields[NAME];
}

static void on_refused(struct visit *v)
{
	if (v->refusal->status == 422 || v->refusal->status == 409)
		blame(v, field_of(v), v->refusal->text);
	else
		visit_fail(v, v->refusal->status, v->refusal->text);
}

static void on_saved(struct visit *v)
{
	const PGresult *act = visit_rows(v, "act");

	if (values_column(act, 0, "version")) /* so that the name is a good one */
		visit_redirect(v, "/regles/%s", form_get(v->form, fields[NAME]));
	else if (form_get(v->form, "version"))
		visit_fail(v, 409,
			   language_text(v->language,
					 _("Somebody has changed or retired this rule meanwhile: "
					   "load the rules again.")));
	else
		blame(v, fields[NAME],
		      language_text(v->language,
				    _("There is a rule of this name: change it in the list, or "
				      "choose another name.")));
}

/*
 * The depth of the list, or the one beside it in whole months.  NULL: blamed.  A depth that was entered beside the list
 * without being chosen there is refused, because nobody knows which of the two is meant.  One that the form of a change
 * has put there itself (mois_avant) was not entered.
 */
static const char *entered_months(struct visit *v)
{
	const char *depth = form_get(v->form, fields[DEPTH]),
		   *own = form_get(v->form, fields[MONTHS]),
		   *before = form_get(v->form, "mois_avant");
	const bool other = !depth || strcmp(depth, "autre") == 0;
	const char *months = one_action_digits(visit_ctx(v), other ? own : depth, MONTHS_DIGITS);

	if (!months)
		blame(v, other ? fields[MONTHS] : fields[DEPTH],
		      language_text(v->language, _("Enter a whole number of months.")));
	else if (!other && own && strcmp(own, months) != 0 &&
		 (!before || strcmp(own, before) != 0)) {
		blame(v, fields[MONTHS],
		      language_text(v->language,
				    _("Choose the last entry of the list of depths for a number of "
				      "months of your own, or empty this field.")));
		return NULL;
	}
	return months;
}

void page_rule_post(struct visit *v)
{
	const char *months = entered_months(v), *type = form_get(v->form, fields[TYPE]);
	const char *const values[] = {
		form_get(v->form, fields[NAME]),
		type,
		months,
		form_get(v->form, fields[SCHEDULE]),
		type && strncmp(type, "anonymize", 9) == 0 ? NULL
							   : form_get(v->form, fields[ARCHIVE]),
		form_get(v->form, fields[NOTE]),
		one_action_digits(visit_ctx(v), form_get(v->form, "version"), VERSION_DIGITS)};

	if (months)
		visit_act(v, save_sql, 7, values, on_saved, on_refused);
}
