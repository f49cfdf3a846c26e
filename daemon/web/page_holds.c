/*
 * GET /blocages: the holds in force, and those that have ended.  POST /blocages places one, POST /blocages/lever releases
 * one.  A hold that expires on a day still holds on that day.
 *
 * The person's role cannot read the CRM, and a hold on a key that no contact has is kept, because the contact may come back
 * from a backup.  The daemon looks for the contact (retention.ask('find_contact')), and the page tells what it has found:
 * beside each hold, and above the list after a hold was placed (?pose=ID).
 */
#include "web/route.h"

#include "base/text.h"
#include "base/units.h"

#include <string.h>

static const char active_sql[] =
	"SELECT f.contact_key, f.reason, f.placed_by, f.placed_at, f.review_date,\n"
	"       f.review_date < retention.today() AS overdue, h.by_approver, f.id,\n"
	"       l.is_looking, l.is_missing, l.is_found, l.looked_at,\n"
	"       CASE WHEN f.expires_at::time = '00:00' THEN (f.expires_at::date - 1)::text END AS expires_day,\n"
	"       CASE WHEN f.expires_at::time <> '00:00' THEN f.expires_at END AS expires_time\n"
	"  FROM retention.holds_in_force AS f JOIN retention.hold AS h ON h.id = f.id\n"
	"  LEFT JOIN (SELECT DISTINCT ON (key) retention.held_key(r.subject,\n"
	"                    (SELECT s.value FROM retention.setting AS s WHERE s.name = 'contact_key_type')) AS key,\n"
	"                    r.ended_at AS looked_at,\n"
	"                    r.ended_at IS NULL AS is_looking,\n"
	"                    r.outcome = 'ok' AND r.result->'tables'->>'contact' = '0' AS is_missing,\n"
	"                    r.outcome = 'ok' AND r.result->'tables'->>'contact' <> '0' AS is_found\n"
	"               FROM retention.request AS r WHERE r.kind = 'find_contact'\n"
	"              ORDER BY key, r.id DESC) AS l ON l.key = f.contact_key\n"
	" ORDER BY f.review_date NULLS LAST, f.id LIMIT 500";

static const char ended_sql[] =
	"SELECT h.contact_key, h.reason, h.placed_by, h.placed_at, h.released_by, h.released_at,\n"
	"       h.expires_at, h.released_by IS NULL OR h.released_by = 'expiry' AS by_expiry\n"
	"  FROM retention.hold AS h\n"
	" WHERE NOT EXISTS (SELECT FROM retention.holds_in_force AS f WHERE f.id = h.id)\n"
	" ORDER BY coalesce(h.released_at, h.expires_at) DESC LIMIT 100";

static const char *const fields[] = {"cle", "motif", "revoir", "expire"};

static void ask_lists(struct visit *v, visit_step step)
{
	visit_ask(v, "holds", active_sql, 0, NULL);
	visit_ask(v, "ended", ended_sql, 0, NULL);
	visit_then(v, step);
}

/* The hold that was placed just now: what the note above the list says of it.  row -1: there is none. */
static void note_placed(struct visit *v, const PGresult *res, int row)
{
	static const char *const names[] = {"is_looking", "is_missing", "is_found"};

	values_set(v->values, "placed", row < 0 ? NULL : values_column(res, row, "contact_key"));
	values_set(v->values, "placed_id", row < 0 ? NULL : values_column(res, row, "id"));
	for (size_t i = 0; i < LENGTH(names); i++)
		values_flag(v->values, names[i],
			    row >= 0 && values_column(res, row, names[i]) &&
				    *values_column(res, row, names[i]) == 't');
}

static void list_holds(struct visit *v)
{
	const PGresult *res = visit_rows(v, "holds");
	const char *placed = form_get(v->query, "pose");

	note_placed(v, res, -1);
	values_list(v->values, "holds");
	for (int i = 0; i < PQntuples(res); i++) {
		struct values *row = values_add(v->values, "holds");

		values_row(row, res, i);
		if (placed && strcmp(placed, values_column(res, i, "id")) == 0)
			note_placed(v, res, i);
		/* Only an approver releases the hold of an approver. */
		values_flag(row, "can_release",
			    v->person->approver ||
				    (v->person->operator&& !values_get(row, "by_approver", NULL)));
	}
}

static void show(struct visit *v, int status)
{
	list_holds(v);
	values_setf(v->values, "holds_n", "%d", PQntuples(visit_rows(v, "holds")));
	values_list(v->values, "ended");
	values_rows(v->values, "ended", visit_rows(v, "ended"));
	values_setf(v->values, "ended_n", "%d", PQntuples(visit_rows(v, "ended")));
	values_flag(v->values, "can_place", v->person->operator|| v->person->approver);
	values_flag(v->values, "at_holds", true);
	visit_token(v, "token", "/blocages");
	visit_token(v, "token_release", "/blocages/lever");
	visit_keep_form(v, fields, LENGTH(fields));
	visit_render(v, status, "holds");
}

static void show_list(struct visit *v)
{
	show(v, 200);
}

static void show_errors(struct visit *v)
{
	show(v, 422);
}

void page_holds(struct visit *v)
{
	ask_lists(v, show_list);
}

static void blame(struct visit *v, const char *field, const char *sentence)
{
	values_set(v->values, "errors_title",
		   language_text(v->language, _("The hold was not placed")));
	visit_complain(v, field, sentence);
}

/* The field of the form for an argument of the SQL function. */
static const char *field_of(const char *column)
{
	static const char *const columns[] = {"contact_key", "reason", "review_date", "expires_at"};
	const size_t i = column ? text_index(column, columns, LENGTH(columns)) : LENGTH(columns);

	return i < LENGTH(columns) ? fields[i] : fields[0];
}

static void on_refused(struct visit *v)
{
	if (v->refusal->status != 422 && v->refusal->status != 409) {
		visit_fail(v, v->refusal->status, v->refusal->text);
		return;
	}
	blame(v, field_of(v->refusal->field),
	      v->refusal->id && strcmp(v->refusal->id, "retention.hold_expired") == 0
		      ? language_text(v->language, _("This day is over."))
		      : v->refusal->text);
	ask_lists(v, show_errors);
}

static void on_placed(struct visit *v)
{
	visit_redirect(v, "/blocages?pose=%s", PQgetvalue(visit_rows(v, "act"), 0, 0));
}

static void on_released(struct visit *v)
{
	visit_redirect(v, "/blocages");
}

void page_hold_post(struct visit *v)
{
	/* The daemon is asked only after the hold is placed, and not twice for one key. */
	static const char sql[] =
		"WITH placed AS MATERIALIZED (\n"
		"	SELECT retention.place_hold($1, $2, ($3::date + 1)::timestamptz, $4::date) AS id)\n"
		"SELECT p.id, CASE WHEN p.id IS NOT NULL AND EXISTS (\n"
		"		SELECT FROM retention.setting AS s WHERE s.name = 'contact_key_type') AND NOT EXISTS (\n"
		"		SELECT FROM retention.request AS r\n"
		"		 WHERE r.kind = 'find_contact' AND r.ended_at IS NULL AND\n"
		"		       r.subject = retention.canonical_key($1, (SELECT s.value FROM retention.setting AS s\n"
		"			WHERE s.name = 'contact_key_type')))\n"
		"	    THEN retention.ask('find_contact', NULL, $1) END AS request\n"
		"  FROM placed AS p";
	const char *const values[] = {form_get(v->form, "cle"), form_get(v->form, "motif"),
				      form_get(v->form, "expire"), form_get(v->form, "revoir")};
	bool good = true;

	for (int i = 2; i < 4; i++)
		if (values[i] && !date_is_valid(values[i])) {
			blame(v, i == 2 ? "expire" : "revoir",
			      language_text(v->language, _("This is not a day of the calendar.")));
			good = false;
		}
	if (good)
		visit_act(v, sql, 4, values, on_placed, on_refused);
	else
		ask_lists(v, show_errors);
}

void page_release_post(struct visit *v)
{
	const char *const values[] = {form_get(v->form, "cle")};

	visit_act(v, "SELECT retention.release_hold($1)", 1, values, on_released, NULL);
}
