/*
 * A database that was restored from a backup has forgotten erasures, and these contacts are there again.  The page then
 * shows nothing but this (page_restored(), for the overview) and lets an approver erase them once more, POST /rejouer.
 * The number of erasures is typed first, because nothing else is asked.
 */
#include "web/route.h"

#include "web/one_action.h"

static const char due_sql[] =
	"SELECT count(*) AS due,\n"
	"       (SELECT min(j.id) FROM retention.archive_journal AS j\n"
	"         WHERE j.replay AND j.status IN ('saved', 'validated', 'running')) AS replaying\n"
	"  FROM retention.replay_due";

static void show(struct visit *v, int status)
{
	static const char *const fields[] = {"nombre"};

	values_row(v->values, visit_rows(v, "replay"), 0);
	visit_keep_form(v, fields, 1);
	visit_token(v, "token", "/rejouer");
	values_set(v->values, "errors_title", language_text(v->language, _("Nothing was begun")));
	values_flag(v->values, "at_overview", true);
	visit_render(v, status, "restored");
}

static void show_page(struct visit *v)
{
	show(v, 200);
}

void page_restored(struct visit *v)
{
	visit_ask(v, "replay", due_sql, 0, NULL);
	visit_then(v, show_page);
}

static void on_begun(struct visit *v)
{
	visit_redirect(v, "/actions");
}

static void on_count(struct visit *v)
{
	const PGresult *res = visit_rows(v, "replay");
	const char *typed;

	if (strcmp(PQgetvalue(res, 0, 0), "0") == 0) {
		visit_fail(v, 409,
			   language_text(v->language, _("There is nothing to erase once more.")));
		return;
	}
	typed = one_action_number(visit_ctx(v), form_get(v->form, "nombre"));
	if (!typed || strcmp(typed, PQgetvalue(res, 0, 0)) != 0) {
		visit_complain(v, "nombre",
			       language_text(v->language,
					     _("The number entered is not that of the erasures.")));
		show(v, 422);
		return;
	}
	visit_act(v, "SELECT count(*) FROM retention.replay_ledger()", 0, NULL, on_begun, NULL);
}

void page_replay_post(struct visit *v)
{
	visit_ask(v, "replay", due_sql, 0, NULL);
	visit_then(v, on_count);
}
