/*
 * GET /personne?cle=KEY: what is known about one contact's key, and what can be done for the person who has asked: the
 * data (GDPR art. 15), anonymization, deletion (art. 17).  The page shows nothing of the CRM but the key.  After a
 * request for the data the query names the request (demande=N), because no key stands in a redirect.
 */
#include "web/route.h"

#include "base/text.h"
#include "web/events.h"

/* $1: the key as entered; $2: a request that this person has asked for.  No key: nothing was entered.  */
static const char key_sql[] =
	"SELECT x.entered, retention.canonical_key(x.entered,\n"
	"         (SELECT s.value FROM retention.setting AS s WHERE s.name = 'contact_key_type')) AS key,\n"
	"       (SELECT s.value FROM retention.setting AS s\n"
	"         WHERE s.name = 'contact_key_type' AND s.value LIKE '(%') AS key_types,\n"
	"       EXISTS (SELECT FROM retention.setting AS s WHERE s.name = 'contact_key_type') AS knows_keys\n"
	"  FROM (SELECT coalesce((SELECT r.subject FROM retention.request AS r\n"
	"                          WHERE r.id = $2::int AND r.kind = 'subject_export'), $1) AS entered) AS x";

/* The key $1 as a hold has it. */
#define HELD_KEY                                                                                   \
	"retention.held_key($1, (SELECT s.value FROM retention.setting AS s\n"                     \
	"                        WHERE s.name = 'contact_key_type'))"

static const char about_sql[] =
	"SELECT (SELECT count(*) FROM retention.holds_in_force AS f\n"
	"         WHERE f.contact_key = " HELD_KEY ") AS holds_n,\n"
	"       (SELECT max(l.erased_at) FROM retention.ledger AS l\n"
	"         WHERE l.key = $1 AND l.action IN ('delete_contacts', 'anonymize_contacts')) AS erased_at,\n"
	"       (SELECT max(l.erased_at) FROM retention.ledger AS l\n"
	"         WHERE l.key = $1 AND l.action = 'restored') AS restored_at";

static const char holds_sql[] =
	"SELECT f.reason, f.placed_by, f.placed_at FROM retention.holds_in_force AS f\n"
	" WHERE f.contact_key = " HELD_KEY;

static const char actions_sql[] =
	"SELECT j.id, j.action, j.status, j.requested_by, j.requested_at FROM retention.archive_journal AS j\n"
	" WHERE j.subject = $1 ORDER BY j.id DESC LIMIT 50";

static const char requests_sql[] =
	"SELECT r.id, r.asked_by, r.asked_at, r.ended_at, r.host AS machine, r.outcome = 'ok' AS is_ready,\n"
	"       r.ended_at IS NULL AS is_open, r.outcome <> 'ok' AS is_refused, r.result->>'text' AS why,\n"
	"       CASE WHEN r.document_removed_at IS NULL THEN r.document END AS document, r.document_removed_at\n"
	"  FROM retention.request AS r WHERE r.kind = 'subject_export' AND r.subject = $1\n"
	" ORDER BY r.id DESC LIMIT 20";

static const char events_sql[] =
	"SELECT %s FROM retention.journal_event AS e WHERE e.details->>'contact' IN ($1, " HELD_KEY
	")\n"
	" ORDER BY e.id DESC LIMIT 50";

static void render(struct visit *v, int status)
{
	values_flag(v->values, "at_person", true);
	values_set(v->values, "errors_title",
		   language_text(v->language, _("This is not possible")));
	visit_token(v, "token_access", "/personne/acces");
	visit_token(v, "token_erase", "/personne/effacer");
	visit_render(v, status, "person");
}

static void show(struct visit *v)
{
	static const char *const lists[] = {"holds", "actions", "requests"};

	values_row(v->values, visit_rows(v, "about"), 0);
	for (size_t i = 0; i < LENGTH(lists); i++) {
		values_list(v->values, lists[i]);
		values_rows(v->values, lists[i], visit_rows(v, lists[i]));
	}
	events_list(v, "events", true);
	render(v, values_get(v->values, "has_errors", NULL) ? 422 : 200);
}

/* The key of several columns lacks one, or has a value of another type. */
static const char *refuse_key(const struct visit *v)
{
	const char *types = values_get(v->values, "key_types", NULL);

	if (!types)
		return language_text(v->language, _("This is not a key of a contact."));
	return text_fill(
		visit_ctx(v),
		language_text(v->language,
			      _("This is not a key of a contact: write it like (1,42), with "
				"a value for each of $1.")),
		types, NULL, NULL);
}

static void on_key(struct visit *v)
{
	static const char *const fields[] = {"cle", "motif"};
	const PGresult *res = visit_rows(v, "key");
	const char *values[1];

	values_row(v->values, res, 0);
	visit_keep_form(v, fields, LENGTH(fields));
	values[0] = values_get(v->values, "key", NULL);
	values_set(v->values, "value_cle", values_get(v->values, "entered", NULL));
	if (!values[0]) {
		if (values_get(v->values, "entered", NULL))
			visit_complain(v, "cle", refuse_key(v));
		render(v, values_get(v->values, "has_errors", NULL) ? 422 : 200);
		return;
	}
	visit_ask(v, "about", about_sql, 1, values);
	visit_ask(v, "holds", holds_sql, 1, values);
	visit_ask(v, "actions", actions_sql, 1, values);
	visit_ask(v, "requests", requests_sql, 1, values);
	visit_ask(v, "events", t_printf(visit_ctx(v), events_sql, events_columns), 1, values);
	visit_then(v, show);
}

static void ask_key(struct visit *v, const char *key, const char *request)
{
	const char *const values[] = {key, request};

	visit_ask(v, "key", key_sql, 2, values);
	visit_then(v, on_key);
}

void page_person(struct visit *v)
{
	const char *request = form_get(v->query, "demande");

	if (request && (strspn(request, DIGITS) != strlen(request) || strlen(request) > 9))
		request = NULL;
	ask_key(v, form_get(v->query, "cle"), request);
}

static void on_refused(struct visit *v)
{
	if (v->refusal->status != 422 && v->refusal->status != 409) {
		visit_fail(v, v->refusal->status, v->refusal->text);
		return;
	}
	visit_complain(
		v, v->refusal->field && strcmp(v->refusal->field, "note") == 0 ? "motif" : "cle",
		v->refusal->text);
	ask_key(v, form_get(v->form, "cle"), NULL);
}

static void on_asked(struct visit *v)
{
	visit_redirect(v, "/personne?demande=%s", PQgetvalue(visit_rows(v, "act"), 0, 0));
}

static void on_saved(struct visit *v)
{
	visit_redirect(v, "/actions/%s", PQgetvalue(visit_rows(v, "act"), 0, 0));
}

void page_person_access_post(struct visit *v)
{
	const char *const values[] = {form_get(v->form, "cle")};

	visit_act(v, "SELECT retention.ask('subject_export', NULL, $1)", 1, values, on_asked,
		  on_refused);
}

void page_person_erase_post(struct visit *v)
{
	const char *const values[] = {form_get(v->form, "type"), form_get(v->form, "cle"),
				      form_get(v->form, "motif")};

	visit_act(v, "SELECT retention.save_subject($1, $2, $3)", 3, values, on_saved, on_refused);
}
