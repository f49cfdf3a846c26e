/*
 * A new action by hand: an export, a deletion or an anonymization of an interval.  What is allowed is decided by
 * save_action(); the form only asks for nothing that it refuses always.
 */
#include "web/route.h"
#include "web/steps.h"

#include "base/text.h"
#include "base/units.h"
#include "database/db.h"

#include <string.h>

static const char save_sql[] =
	"SELECT retention.save_action($1, $2::date, $3::date, $4, note => $5) AS id";

/* The kinds of action, the names of the template's flags, and the archive that the form proposes. */
static const struct kind {
	const char *type, *flag, *archive;
} kinds[] = {
	{"export", "is_export", "listed"},
	{"delete_contacts", "is_delete", "full"},
	{"anonymize_contacts", "is_contacts", NULL},
	{"anonymize_requests", "is_requests", NULL},
};

static const char *const fields[] = {"du", "au", "archive", "motif"};

/* The form's field of each argument of save_action(). */
static const struct {
	const char *argument, *field;
} arguments[] = {{"from_date", "du"}, {"to_date", "au"}, {"archive", "archive"}, {"note", "motif"}};

static const struct kind *kind_of(const struct form *form)
{
	const char *type = form_get(form, "type");

	for (size_t i = 0; type && i < LENGTH(kinds); i++)
		if (strcmp(type, kinds[i].type) == 0)
			return &kinds[i];
	return NULL;
}

static void show_form(struct visit *v, const struct kind *kind, int status)
{
	static const char *const archives[] = {"none", "listed", "full"};
	const char *chosen = v->form ? form_get(v->form, "archive") : kind->archive;

	visit_keep_form(v, fields, LENGTH(fields));
	for (size_t i = 0; i < LENGTH(kinds); i++)
		values_flag(v->values, kinds[i].flag, kind == &kinds[i]);
	values_flag(v->values, "has_archive", kind->archive != NULL);
	for (size_t i = 0; i < LENGTH(archives); i++)
		values_flag(v->values, t_printf(visit_ctx(v), "archive_%s", archives[i]),
			    chosen && strcmp(chosen, archives[i]) == 0);
	values_set(v->values, "type", kind->type);
	values_set(v->values, "errors_title",
		   language_text(v->language, _("The action is not saved")));
	values_flag(v->values, "at_overview", true);
	steps_set(v, "at_choose");
	visit_token(v, "token", "/actions");
	visit_render(v, status, "new");
}

void page_new(struct visit *v)
{
	const struct kind *kind = kind_of(v->query);

	if (kind)
		show_form(v, kind, 200);
	else
		visit_fail(v, 404, NULL);
}

static bool check_day(struct visit *v, const char *field)
{
	const char *text = form_get(v->form, field);

	if (!text)
		visit_complain(v, field, language_text(v->language, _("Enter this day.")));
	else if (!date_is_valid(text))
		visit_complain(v, field,
			       language_text(v->language,
					     _("This is not a day: write it as YYYY-MM-DD.")));
	else
		return true;
	return false;
}

static void on_saved(struct visit *v)
{
	visit_redirect(v, "/actions/%s", db_value(visit_rows(v, "act"), 0, "id"));
}

static void on_refused(struct visit *v)
{
	const char *field = v->refusal->field;

	for (size_t i = 0; field && i < LENGTH(arguments); i++) {
		if (v->refusal->status != 422 || strcmp(field, arguments[i].argument) != 0)
			continue;
		visit_complain(v, arguments[i].field, v->refusal->text);
		show_form(v, kind_of(v->form), 422);
		return;
	}
	visit_fail(v, v->refusal->status, v->refusal->text);
}

void page_save(struct visit *v)
{
	const struct kind *kind = kind_of(v->form);
	bool ok;

	if (!kind) {
		visit_fail(v, 422, NULL);
		return;
	}
	ok = check_day(v, "du");
	ok = check_day(v, "au") && ok;
	if (kind->archive && !form_get(v->form, "archive")) {
		visit_complain(v, "archive",
			       language_text(v->language, _("Choose what is kept in a CSV file.")));
		ok = false;
	}
	if (!ok) {
		show_form(v, kind, 422);
		return;
	}
	visit_act(v, save_sql, 5,
		  (const char *[]){kind->type, form_get(v->form, "du"), form_get(v->form, "au"),
				   form_get(v->form, "archive"), form_get(v->form, "motif")},
		  on_saved, on_refused);
}
