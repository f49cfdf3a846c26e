/*
 * GET /journal: the events, the newest first, in pages by their number (no OFFSET: the journal only grows).
 * POST /journal/verifier: verifies the chain, the rows and the acts, and records that this person did it.  A whole
 * journal leads back to the list, which shows the last verification.  What was found otherwise is shown at once.
 */
#include "web/route.h"

#include "base/text.h"
#include "web/events.h"

#include <ctype.h>
#include <stdlib.h>

#define VERIFY_S 60
#define PAGE_EVENTS 50

static const char list_sql[] = "SELECT %s FROM retention.journal_event AS e\n"
			       " WHERE e.id < coalesce($1::bigint, 9223372036854775807)\n"
			       " ORDER BY e.id DESC LIMIT 50";

static const char verified_sql[] =
	"SELECT l.at AS verified_at, l.by AS verified_by, l.whole, l.events AS verified_events,\n"
	"       l.actions AS verified_actions, l.holds AS verified_holds, l.last_hash AS verified_hash\n"
	"  FROM retention.last_verified AS l";

/* Verifies, and tells the journal that this person has. */
static const char verify_sql[] =
	"SELECT f.finding, f.message, f.details\n"
	"  FROM retention.verify_journal(decode($1, 'hex'), $2::bigint) AS v,\n"
	"       jsonb_to_recordset(v.findings) AS f(finding text, message text, details text)";

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

	if (below && strspn(below, DIGITS) != strlen(below)) {
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
	const PGresult *res = visit_rows(v, "act");

	values_list(v->values, "findings");
	for (int i = 0; i < PQntuples(res); i++)
		values_set(values_add(v->values, "findings"), "text",
			   language_refused(visit_ctx(v), v->language, PQgetvalue(res, i, 1),
					    PQgetvalue(res, i, 2), PQgetvalue(res, i, 0)));
	values_flag(v->values, "journal_bad", true);
	show(v, 200);
}

static void on_verified(struct visit *v)
{
	if (PQntuples(visit_rows(v, "act")) == 0) {
		visit_redirect(v, "/journal");
		return;
	}
	ask_list(v, NULL);
	visit_then(v, show_findings);
}

/*
 * The digest in the form without spaces, and the number of its event, where it stands before it with a colon; NULL: it is
 * not given.  false: it is not a digest.
 */
static bool read_noted(struct visit *v, const char *ret_values[2])
{
	const char *text = form_get(v->form, "empreinte");
	char *noted = t_strdup(visit_ctx(v), ""), *colon;

	ret_values[0] = ret_values[1] = NULL;
	if (!text)
		return true;
	for (; *text; text++)
		if (!isspace((unsigned char)*text))
			t_append(&noted, "%c", tolower((unsigned char)*text));
	colon = strchr(noted, ':');
	if (colon) {
		*colon = '\0';
		ret_values[1] = noted;
		noted = colon + 1;
	}
	ret_values[0] = noted;
	return strlen(noted) == 64 && strspn(noted, "0123456789abcdef") == 64 &&
	       (!colon || (*ret_values[1] && strlen(ret_values[1]) < 19 &&
			   strspn(ret_values[1], DIGITS) == strlen(ret_values[1])));
}

void page_verify_post(struct visit *v)
{
	const char *values[2];

	if (!read_noted(v, values)) {
		ask_list(v, NULL);
		visit_then(v, show_complaint);
		return;
	}
	visit_patience(v, VERIFY_S);
	visit_act(v, verify_sql, 2, values, on_verified, NULL);
}
