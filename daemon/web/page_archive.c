/* Deleting an archive.  The number of its action is typed first, because this is the end of what could be put back. */
#include "web/one_action.h"
#include "web/route.h"

#include "database/db.h"

#include <string.h>

static const char delete_sql[] = "SELECT retention.delete_archive($1::int, $2)";

static void show_form(struct visit *v, int status)
{
	static const char *const fields[] = {"numero", "motif"};

	visit_keep_form(v, fields, 2);
	values_set(v->values, "errors_title",
		   language_text(v->language, _("The archive is not deleted")));
	visit_token(v, "token", v->path);
	visit_render(v, status, "archive_delete");
}

/* Shows the form, with the complaints that there are; otherwise why the archive cannot be deleted. */
static void show(struct visit *v)
{
	const PGresult *row = one_action_show(v);

	if (!row)
		return;
	if (!db_bool(row, 0, "archived"))
		one_action_changed(
			v, language_text(v->language,
					 _("This action has no archive that could be deleted.")));
	else if (!db_bool(row, 0, "kept"))
		one_action_changed(v, NULL);
	else if (!v->person->approver || db_bool(row, 0, "saved_by_you"))
		one_action_forbidden(v);
	else
		show_form(v, values_get(v->values, "has_errors", NULL) ? 422 : 200);
}

void page_archive_delete(struct visit *v)
{
	one_action_ask(v);
	visit_then(v, show);
}

static void on_deleted(struct visit *v)
{
	visit_redirect(v, "/actions/%s", v->part[0]);
}

static void on_refused(struct visit *v)
{
	if (v->refusal->status == 422 && v->refusal->field &&
	    strcmp(v->refusal->field, "note") == 0) {
		visit_complain(v, "motif", v->refusal->text);
		page_archive_delete(v);
	} else {
		one_action_refused(v);
	}
}

void page_archive_delete_post(struct visit *v)
{
	const char *number = one_action_number(visit_ctx(v), form_get(v->form, "numero"));

	if (number && strcmp(number, v->part[0]) == 0) {
		visit_act(v, delete_sql, 2,
			  (const char *[]){v->part[0], form_get(v->form, "motif")}, on_deleted,
			  on_refused);
		return;
	}
	visit_complain(
		v, "numero",
		language_text(v->language, _("The number entered is not that of the action.")));
	page_archive_delete(v);
}
