/*
 * Validating an action, and what else a person does to one that has not ended: cancel, pause, resume.  The form of
 * validating carries the digest of the list that was shown, so that the click is bound to what was seen.
 */
#include "web/one_action.h"
#include "web/route.h"
#include "web/steps.h"

#include "database/db.h"

#include <string.h>

static const char validate_sql[] = "SELECT retention.validate_action($1::int, $2::bigint, $3)";
static const char cancel_sql[] = "SELECT retention.cancel_action($1::int)";
static const char pause_sql[] = "SELECT retention.pause_action($1::int)";
static const char resume_sql[] = "SELECT retention.resume_action($1::int)";

static void back_to_action(struct visit *v)
{
	visit_redirect(v, "/actions/%s", v->part[0]);
}

static void show_form(struct visit *v, int status)
{
	static const char *const fields[] = {"nombre"};

	visit_keep_form(v, fields, 1);
	values_set(v->values, "errors_title",
		   language_text(v->language, _("Nothing is validated")));
	steps_set(v, "at_validate");
	visit_token(v, "token", v->path);
	visit_render(v, status, "validate");
}

/* An action without a list, or with an empty one, has nothing to validate: its own page says so. */
static void show(struct visit *v)
{
	const PGresult *row = one_action_show(v);

	if (!row)
		return;
	if (strcmp(db_value(row, 0, "status"), "saved") != 0)
		one_action_changed(v, NULL);
	else if (!v->person->approver || db_bool(row, 0, "saved_by_you"))
		one_action_forbidden(v);
	else if (!db_text(row, 0, "frozen_at") || db_int(row, 0, "listed") == 0)
		back_to_action(v);
	else
		show_form(v, 200);
}

void page_validate(struct visit *v)
{
	one_action_ask(v);
	visit_then(v, show);
}

/* The number is not that of the list, or the list is not the one that was shown. */
static void show_not_seen(struct visit *v)
{
	const PGresult *row = one_action_show(v);
	const char *seen = form_get(v->form, "empreinte");

	if (!row)
		return;
	if (strcmp(db_value(row, 0, "status"), "saved") != 0) {
		one_action_changed(v, NULL);
	} else if (db_bool(row, 0, "saved_by_you")) {
		one_action_forbidden(v);
	} else if (!db_text(row, 0, "frozen_at") || db_int(row, 0, "listed") == 0) {
		back_to_action(v);
	} else if (!seen || strcmp(seen, db_value(row, 0, "sha256")) != 0) {
		one_action_changed(
			v, language_text(v->language,
					 _("The list is not the one that was shown: look at "
					   "the action again.")));
	} else {
		visit_complain(v, "nombre",
			       language_text(v->language,
					     _("The number entered is not that of the list.")));
		show_form(v, 422);
	}
}

static void ask_not_seen(struct visit *v)
{
	one_action_ask(v);
	visit_then(v, show_not_seen);
}

static void on_not_validated(struct visit *v)
{
	if (v->refusal->id && strcmp(v->refusal->id, "retention.list_not_seen") == 0)
		ask_not_seen(v);
	else
		one_action_refused(v);
}

void page_validate_post(struct visit *v)
{
	const char *number = one_action_number(visit_ctx(v), form_get(v->form, "nombre"));
	const char *seen = form_get(v->form, "empreinte");

	/* Without a digest validate_action() would compare none. */
	if (!number || !seen)
		ask_not_seen(v);
	else
		visit_act(v, validate_sql, 3, (const char *[]){v->part[0], number, seen},
			  back_to_action, on_not_validated);
}

void page_cancel_post(struct visit *v)
{
	visit_act(v, cancel_sql, 1, v->part, back_to_action, one_action_refused);
}

void page_pause_post(struct visit *v)
{
	visit_act(v, pause_sql, 1, v->part, back_to_action, one_action_refused);
}

void page_resume_post(struct visit *v)
{
	visit_act(v, resume_sql, 1, v->part, back_to_action, one_action_refused);
}
