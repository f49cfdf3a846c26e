/*
 * GET /journal: the events, the newest first, in pages by their number (no OFFSET: the journal only grows).
 * POST /journal/verifier: verifies the chain, the rows and the acts, and records that this person did it.  A whole
 * journal leads back to the list, which shows the last verification.  What was found otherwise is shown at once.
 */
#include "web/route.h"

#include "web/events.h"

#include <ctype.h>
#include <stdlib.h>

#define VERIFY_S 60
#define PAGE_EVENTS 50

static const char list_sql[] = "SELECT %s FROM retention.journal_event AS e\n"
			       " WHERE e.id < coalesce($1::bigint, 9223372036854775807)\n"
			       " ORDER BY e.id DESC LIMIT 50";

static const char verified_sql[] =
	"SELECT e.at AS verified_at, e.actor AS verified_by, (e.details->>'whole')::boolean AS whole,\n"
	"       e.details->>'events' AS verified_events, e.details->>'actions' AS verified_actions,\n"
	"       e.details->>'holds' AS verified_holds, e.details->>'hash' AS verified_hash\n"
	"  FROM retention.journal_event AS e WHERE e.kind = 'verified' ORDER BY e.id DESC LIMIT 1";

/* The findings of all three, in the order of retentionctl verify. */
static const char verify_sql[] =
	"SELECT c.finding, c.message, c.details FROM retention.verify_chain(decode($1, 'hex')) AS c\n"
	"UNION ALL SELECT r.finding, r.message, r.details FROM retention.verify_rows() AS r\n"
	"UNION ALL SELECT a.finding, a.message, a.details FROM retention.verify_acts() AS a";

/* Asks for the list below number; NULL: from the newest event on. */
static void ask_list(struct visit *v, const char *below)
{
	const char *const values[] = {below};

	visit_ask(v, "events", t_printf(visit_ctx(v), list_sql, events_columns), 1, values);
	visit_ask(v, "verified", verified_sql, 0, NULL);
}

static void show(struct visit *v, int status)
{
	static const char *const fields[] = {"empreinte"};
	const PGresult *events = visit_rows(v, "events");
	const PGresult *verified = visit_rows(v, "verified");
	const int n = PQntuples(events);
	const char *before = NULL;

	events_list(v, "events", true);
	/* The numbers have no gap, so there are others below every number but 1. */
	if (n == PAGE_EVENTS && strcmp(PQgetvalue(events, n - 1, 0), "1") != 0)
		before = PQgetvalue(events, n - 1, 0);
	values_set(v->values, "before", before);
	values_flag(v->values, "is_verified", PQntuples(verified) > 0);
	if (PQntuples(verified) > 0)
		values_row(v->values, verified, 0);
	values_flag(v->values, "at_journal", true);
	visit_keep_form(v, fields, 1);
	visit_token(v, "token", "/journal/verifier");
	visit_render(v, status, "journal");
}

static void show_list(struct visit *v)
{
	values_list(v->values, "findings");
	show(v, 200);
}

void page_journal(struct visit *v)
{
	const char *below = form_get(v->query, "avant");

	if (below && strspn(below, "0123456789") != strlen(below)) {
		visit_fail(v, 404, NULL);
		return;
	}
	ask_list(v, below && strlen(below) < 19 ? below : NULL);
	visit_then(v, show_list);
}

static void show_complaint(struct visit *v)
{
	values_list(v->values, "findings");
	values_set(v->values, "errors_title",
		   language_text(v->language, _("The journal was not verified")));
	visit_complain(
		v, "empreinte",
		language_text(v->language, _("A digest has 64 digits and letters from a to f.")));
	show(v, 422);
}

static void show_findings(struct visit *v)
{
	const PGresult *res = visit_rows(v, "verify");

	values_list(v->values, "findings");
	for (int i = 0; i < PQntuples(res); i++)
		values_set(values_add(v->values, "findings"), "text",
			   language_refused(visit_ctx(v), v->language, PQgetvalue(res, i, 0),
					    PQgetvalue(res, i, 2), PQgetvalue(res, i, 1)));
	values_flag(v->values, "journal_bad", true);
	show(v, 200);
}

static void on_recorded(struct visit *v)
{
	if (PQntuples(visit_rows(v, "verify")) == 0) {
		visit_redirect(v, "/journal");
		return;
	}
	ask_list(v, NULL);
	visit_then(v, show_findings);
}

static void on_verified(struct visit *v)
{
	const char *const values[] = {PQntuples(visit_rows(v, "verify")) == 0 ? "true" : "false"};

	visit_act(v, "SELECT retention.record_verified($1::boolean)", 1, values, on_recorded, NULL);
}

/* The digest in the form without spaces; NULL: it is none.  *ret_given: there is something. */
static const char *digest(struct visit *v, bool *ret_given)
{
	const char *text = form_get(v->form, "empreinte");
	char *hex = t_strdup(visit_ctx(v), "");

	*ret_given = text != NULL;
	for (; text && *text; text++)
		if (!isspace((unsigned char)*text))
			t_append(&hex, "%c", tolower((unsigned char)*text));
	return strlen(hex) == 64 && strspn(hex, "0123456789abcdef") == 64 ? hex : NULL;
}

void page_verify_post(struct visit *v)
{
	bool given;
	const char *const values[] = {digest(v, &given)};

	if (given && !values[0]) {
		ask_list(v, NULL);
		visit_then(v, show_complaint);
		return;
	}
	visit_patience(v, VERIFY_S);
	visit_ask(v, "verify", verify_sql, 1, values);
	visit_then(v, on_verified);
}
