/*
 * GET /actions/N: an action in each of its states.  Its row decides which template shows it (state_of()) and what else
 * is asked.  While an action is listed, validated or running, page.js follows it by the stream of page_live.c; without
 * script the page loads itself again.
 */
#include "web/route.h"

#include "base/text.h"
#include "web/events.h"
#include "web/one_action.h"
#include "web/steps.h"

/*
 * The action, and what this person may do with it; the functions of the schema decide in the end.  A note of the
 * daemon may wait there for a person ("waiting") without a word for programs ("waiting_for").
 */
static const char action_sql[] =
	"SELECT j.id, j.action, j.mode, j.status, j.policy, j.occurrence, j.from_date, j.to_date, j.cutoff,\n"
	"       j.from_date || '/' || j.to_date AS days,\n"
	"       j.archive, j.requested_by, j.requested_at, j.note, j.candidates, j.candidates_sha256,\n"
	"       j.frozen_at, j.validated_by, j.validated_by = 'policy ' || j.policy AS by_rule, j.validated_at, j.started_at, j.finished_at, j.error, j.waiting,\n"
	"       j.subject, j.replay_of, j.archive_path, j.archive_bytes, j.archive_deleted_at,\n"
	"       j.archive_deleted_by, j.archive_deleted_note, j.archive_removed_at, j.archive_remark,\n"
	"       j.restored_at, j.restored_by, j.host AS machine, now() AS now,\n"
	"       CASE WHEN j.waiting IS NOT NULL THEN j.waiting_for END AS waiting_for,\n"
	"       CASE WHEN j.waiting_for = 'window' THEN substr(j.waiting, length('the window ') + 1) END AS \"window\",\n"
	"       p.paused_by, p.paused_at, p.everything,\n"
	"       j.status = 'saved' AND j.frozen_at IS NULL AS is_listing, j.status = 'running' AS is_running,\n"
	"       j.status = 'done' AS is_done, j.status = 'failed' AS is_failed,\n"
	"       j.status = 'cancelled' AS is_cancelled, j.candidates = 0 AS is_empty,\n"
	"       j.action = 'anonymize_requests' AS of_requests, j.action = 'delete_contacts' AS deletes,\n"
	"       j.action LIKE 'anonymize%' AS anonymizes, j.action = 'export' AS exports,\n"
	"       j.requested_by = session_user AS mine, j.replay AS is_replay,\n"
	"       j.archive_path IS NOT NULL AND j.status IN ('done', 'failed') AS has_archive,\n"
	"       j.archive_deleted_by = 'expiry' AS expired,\n"
	"       j.action = 'delete_contacts' AND j.archive = 'full' AND j.restored_at IS NULL AS restorable,\n"
	"       j.counters->>'treated' AS treated, j.counters->>'dropped' AS dropped,\n"
	"       j.counters->>'failed' AS failed, nullif(j.counters->>'left', '0') AS left_over,\n"
	"       j.counters->>'rest' AS rest, j.counters->>'treated' IS NOT NULL AS counters,\n"
	"       j.preview->>'held' AS held, j.preview->>'oldest' AS oldest, j.preview->>'newest' AS newest,\n"
	"       extract(epoch FROM now() - j.requested_at)::bigint AS listing_s,\n"
	"       extract(epoch FROM j.finished_at - j.started_at)::bigint AS took_s,\n"
	"       retention.kept_until(j.finished_at, (SELECT nullif(s.value, '')::interval\n"
	"         FROM retention.setting AS s WHERE s.name = 'archives_keep')) AS kept_until,\n"
	"       (SELECT min(o.id) FROM retention.archive_journal AS o\n"
	"         WHERE o.status = 'running' AND o.id <> j.id) AS after_action,\n"
	"       (SELECT l.files FROM retention.files_left AS l WHERE l.job = j.id) AS files_left,\n"
	"       EXISTS (SELECT FROM retention.journal_event AS e WHERE e.job = j.id AND e.kind = 'changed'\n"
	"                  AND e.details ? 'abandoned') AS abandoned\n"
	"  FROM retention.archive_journal AS j\n"
	"  LEFT JOIN retention.paused_action AS p\n"
	"    ON p.job = j.id AND j.status IN ('saved', 'validated', 'running')\n"
	" WHERE j.id = $1::int";

/* How far a running action is.  The rate is that of the whole run; page_live.c knows it better. */
static const char progress_sql[] =
	"SELECT x.done, x.failed, x.dropped, (100 * x.done / greatest(p.due, 1))::int AS percent,\n"
	"       CASE p.export WHEN true THEN greatest(x.done - x.failed - x.dropped, 0)\n"
	"            ELSE (SELECT count(*) FROM retention.ledger AS l WHERE l.job = p.id) END AS treated,\n"
	"       nullif(round(x.done / r.seconds)::bigint, 0) AS rate,\n"
	"       CASE WHEN x.done > 0 THEN (p.keys_left * r.seconds / x.done)::bigint END AS left_s\n"
	"  FROM (SELECT g.*, j.action = 'export' AS export FROM retention.progress AS g\n"
	"          JOIN retention.archive_journal AS j ON j.id = g.id) AS p,\n"
	"       LATERAL (SELECT greatest(p.due - p.keys_left, 0) AS done,\n"
	"                       coalesce(sum(n) FILTER (WHERE e.kind = 'failed_key'), 0)::bigint AS failed,\n"
	"                       coalesce(sum(n) FILTER (WHERE e.kind = 'dropped'), 0)::bigint AS dropped\n"
	"                  FROM retention.journal_event AS e,\n"
	"                       LATERAL (SELECT jsonb_array_length(e.details->'keys')) AS k(n)\n"
	"                 WHERE e.job = p.id AND e.kind IN ('failed_key', 'dropped')) AS x,\n"
	"       LATERAL (SELECT greatest(extract(epoch FROM p.at - p.started_at), 1)::float8 AS seconds) AS r\n"
	" WHERE p.id = $1::int";

/* What the daemon saw when it froze the list. */
static const char preview_sql[] =
	"SELECT t.value->>'table' AS table_name, t.value->>'what' AS what, t.value->>'rows' AS rows\n"
	"  FROM retention.archive_journal AS j,\n"
	"       jsonb_array_elements(j.preview->'tables') WITH ORDINALITY AS t(value, n)\n"
	" WHERE j.id = $1::int ORDER BY t.n";

static const char keys_sql[] = "SELECT k.key FROM retention.first_keys($1::int) AS k(key)";

static const char tables_sql[] =
	"SELECT f.table_name, sum(f.rows)::bigint AS rows, count(*) FILTER (WHERE f.place IS NOT NULL) AS archived\n"
	"  FROM retention.archive_file AS f WHERE f.job = $1::int GROUP BY 1 ORDER BY 1";

static const char horizon_sql[] =
	"SELECT h.step = 'T0' AS t0, h.step = 'T1' AS t1, h.step = 'T2' AS t2, h.step = 'T3' AS t3,\n"
	"       h.state = 'reached' AS reached, h.state = 'pending' AS pending, h.state = 'unknown' AS unknown,\n"
	"       h.state = 'not declared' AS undeclared, h.state = 'undone' AS undone, h.since, h.waits_for,\n"
	"       substring(h.waits_for FROM '^\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d$') AS until\n"
	"  FROM retention.horizon($1::int) AS h ORDER BY h.step";

/* The last verification of the archive by the daemon, and one that it has still to do. */
static const char verified_sql[] =
	"SELECT (SELECT r.asked_by FROM retention.request AS r\n"
	"         WHERE r.job = $1::int AND r.kind = 'verify_archive' AND r.ended_at IS NULL) AS verify_asked,\n"
	"       l.ended_at AS verified_at, l.outcome = 'ok' AS verified_ok,\n"
	"       (l.result->>'findings')::int > 0 AS verified_bad, l.result->>'text' AS verified_why\n"
	"  FROM (SELECT) AS one LEFT JOIN LATERAL (\n"
	"       SELECT r.ended_at, r.outcome, r.result FROM retention.request AS r\n"
	"        WHERE r.job = $1::int AND r.kind = 'verify_archive' AND r.ended_at IS NOT NULL\n"
	"        ORDER BY r.id DESC LIMIT 1) AS l ON true";

enum state { LISTING, SAVED, VALIDATED, RUNNING, ENDED };

static const char *const templates[] = {
	[LISTING] = "action_listing", [SAVED] = "action_saved", [VALIDATED] = "action_validated",
	[RUNNING] = "action_running", [ENDED] = "action_ended",
};

static const char *text(const struct visit *v, const char *name)
{
	return values_get(v->values, name, NULL);
}

static bool is(const struct visit *v, const char *name)
{
	return text(v, name) != NULL;
}

static enum state state_of(const struct visit *v)
{
	const char *status = text(v, "status");

	if (strcmp(status, "saved") == 0)
		return is(v, "is_listing") ? LISTING : SAVED;
	if (strcmp(status, "validated") == 0)
		return VALIDATED;
	return strcmp(status, "running") == 0 ? RUNNING : ENDED;
}

/* Draws only what will be accepted (migrations/0006_api). */
static void set_acts(struct visit *v, enum state state)
{
	const struct person *person = v->person;
	const bool alone = person->four_eyes && is(v, "mine");
	const bool waits = state == LISTING || state == SAVED || state == VALIDATED;
	const bool own_pause = is(v, "paused_by") && !is(v, "everything");

	values_flag(v->values, "can_approve",
		    state == SAVED && person->approver && !alone && !is(v, "is_empty"));
	values_flag(v->values, "needs_other",
		    state == SAVED && person->approver && alone && !is(v, "is_empty"));
	values_flag(v->values, "needs_approver",
		    state == SAVED && !person->approver && !is(v, "is_empty"));
	values_flag(v->values, "can_cancel",
		    waits && (person->approver ||
			      (person->operator&& state != VALIDATED && !is(v, "is_replay"))));
	values_flag(v->values, "can_pause",
		    (state == VALIDATED || state == RUNNING) && person->approver && !own_pause);
	values_flag(v->values, "can_resume", state != ENDED && person->approver && own_pause);
	values_flag(v->values, "can_delete_archive",
		    is(v, "has_archive") && !is(v, "archive_deleted_at") && person->approver &&
			    !alone);
}

static void set_tokens(struct visit *v)
{
	static const char *const tokens[][2] = {
		{"token_cancel", "annuler"},
		{"token_pause", "suspendre"},
		{"token_resume", "reprendre"},
		{"token_verify", "archive/verifier"},
	};

	for (size_t i = 0; i < LENGTH(tokens); i++)
		visit_token(v, tokens[i][0],
			    t_printf(visit_ctx(v), "/actions/%s/%s", v->part[0], tokens[i][1]));
}

/* Says in the reader's language what becomes of a table's rows. */
static const char *what_words(const struct language *language, const char *what)
{
	static const struct {
		const char *what, *words;
	} known[] = {
		{"deleted", _("deleted")},
		{"anonymized", _("anonymized")},
		{"detached", _("kept, without their link to the contact")},
		{"detached, cleared", _("kept, without their link to the contact, and cleared")},
		{"exported", _("copied into the archive")},
	};

	for (size_t i = 0; what && i < LENGTH(known); i++)
		if (strcmp(what, known[i].what) == 0)
			return language_text(language, known[i].words);
	return what;
}

static void list_preview(struct visit *v)
{
	const PGresult *res = visit_rows(v, "preview");

	for (int i = 0; i < PQntuples(res); i++) {
		struct values *row = values_add(v->values, "tables");

		values_row(row, res, i);
		values_set(row, "what_word",
			   what_words(v->language, values_get(row, "what", NULL)));
	}
}

/* A row of another list from an event: under name[i][0] what the event has under name[i][1]. */
static void add_event(struct visit *v, const char *list, const struct values *event,
		      const char *const names[][2], size_t n)
{
	struct values *row = values_add(v->values, list);

	for (size_t i = 0; i < n; i++)
		values_set(row, names[i][0], values_get(event, names[i][1], NULL));
}

/* Keys that failed, and files that were taken, also stand above the list of all events. */
static void list_failures(struct visit *v)
{
	static const char *const failure[][2] = {
		{"event", "event"}, {"n", "keys_n"}, {"keys", "keys"}, {"message", "words"}};
	static const char *const download[][2] = {
		{"actor", "actor"}, {"at", "at"}, {"file", "file"}};
	const int n = values_count(v->values, "events");

	values_list(v->values, "failures");
	values_list(v->values, "downloads");
	for (int i = 0; i < n; i++) {
		const struct values *event = values_at(v->values, "events", i);
		const char *kind = values_get(event, "kind", NULL);

		if (strcmp(kind, "failed_key") == 0 && values_count(v->values, "failures") < 5)
			add_event(v, "failures", event, failure, LENGTH(failure));
		else if (strcmp(kind, "archive_download") == 0)
			add_event(v, "downloads", event, download, LENGTH(download));
	}
}

static void show_saved(struct visit *v)
{
	values_list(v->values, "tables");
	values_list(v->values, "keys");
	list_preview(v);
	if (v->person->approver)
		values_rows(v->values, "keys", visit_rows(v, "keys"));
	visit_render(v, 200, templates[SAVED]);
}

static void show_running(struct visit *v)
{
	if (PQntuples(visit_rows(v, "progress")) == 0) { /* it has ended meanwhile */
		visit_redirect(v, "/actions/%s", v->part[0]);
		return;
	}
	values_row(v->values, visit_rows(v, "progress"), 0);
	values_list(v->values, "tables");
	values_rows(v->values, "tables", visit_rows(v, "tables"));
	events_list(v, "events", false);
	visit_render(v, 200, templates[RUNNING]);
}

static void show_ended(struct visit *v)
{
	const PGresult *tables = visit_rows(v, "tables");
	int archived = 0;

	values_list(v->values, "tables");
	values_rows(v->values, "tables", tables);
	for (int i = 0; i < PQntuples(tables); i++)
		archived += strcmp(values_column(tables, i, "archived"), "0") != 0;
	values_set(v->values, "tables_n",
		   archived > 0 ? t_printf(visit_ctx(v), "%d", archived) : NULL);
	values_list(v->values, "horizon");
	values_rows(v->values, "horizon", visit_rows(v, "horizon"));
	values_row(v->values, visit_rows(v, "verified"), 0);
	values_set(v->values, "next_occurrence", NULL);
	if (PQntuples(visit_rows(v, "rule")) > 0)
		values_row(v->values, visit_rows(v, "rule"), 0);
	events_list(v, "events", false);
	list_failures(v);
	visit_render(v, 200, templates[ENDED]);
}

static void show_waiting(struct visit *v)
{
	visit_render(v, 200, templates[state_of(v)]);
}

static void ask_events(struct visit *v)
{
	visit_ask(
		v, "events",
		t_printf(
			visit_ctx(v),
			"SELECT %s FROM retention.journal_event AS e WHERE e.job = $1::int ORDER BY e.id",
			events_columns),
		1, v->part);
}

static void ask_ended(struct visit *v)
{
	visit_ask(v, "tables", tables_sql, 1, v->part);
	visit_ask(v, "horizon", horizon_sql, 1, v->part);
	visit_ask(v, "verified", verified_sql, 1, v->part);
	visit_ask(v, "rule",
		  "SELECT p.next_occurrence FROM retention.policies AS p\n"
		  "  JOIN retention.archive_journal AS j ON j.policy = p.name WHERE j.id = $1::int",
		  1, v->part);
	ask_events(v);
	visit_then(v, show_ended);
}

static void on_action(struct visit *v)
{
	static const char *const steps[] = {
		[LISTING] = "at_list",   [SAVED] = "at_list",   [VALIDATED] = "at_follow",
		[RUNNING] = "at_follow", [ENDED] = "at_follow",
	};
	const PGresult *res = visit_rows(v, "action");
	enum state state;

	if (PQntuples(res) == 0) {
		visit_fail(v, 404, language_text(v->language, _("There is no such action.")));
		return;
	}
	values_row(v->values, res, 0);
	state = state_of(v);
	set_acts(v, state);
	set_tokens(v);
	steps_set(v, steps[state]);
	values_flag(v->values, "at_actions", true);
	one_action_site(v);
	if (state == LISTING || state == VALIDATED || state == RUNNING)
		values_setf(v->values, "stream", "/actions/%s/flux?etape=%s", v->part[0],
			    state == LISTING ? "listing" : text(v, "status"));
	if (state == ENDED) {
		ask_ended(v);
	} else if (state == RUNNING) {
		visit_ask(v, "progress", progress_sql, 1, v->part);
		visit_ask(v, "tables", tables_sql, 1, v->part);
		ask_events(v);
		visit_then(v, show_running);
	} else if (state == SAVED) {
		visit_ask(v, "preview", preview_sql, 1, v->part);
		if (v->person->approver) /* the only ones who may read the list */
			visit_ask(v, "keys", keys_sql, 1, v->part);
		visit_then(v, show_saved);
	} else {
		show_waiting(v);
	}
}

void page_action(struct visit *v)
{
	visit_ask(v, "action", action_sql, 1, v->part);
	visit_then(v, on_action);
}
