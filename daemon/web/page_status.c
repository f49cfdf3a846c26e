/* GET /etat: what works, and what waits for somebody. */
#include "web/route.h"

/* Everything in one row, each column with its own question. */
static const char state_sql[] =
	"SELECT (SELECT min(a.backend_start) FROM retention.daemons AS d\n"
	"          JOIN pg_stat_activity AS a ON a.pid = d.pid) AS daemon_since,\n"
	"       split_part(current_setting('server_version'), ' ', 1) AS server_version,\n"
	"       EXISTS (SELECT FROM retention.policies AS p WHERE p.overdue > 0) AS has_overdue,\n"
	"       (SELECT max(p.measured_at) FROM retention.policies AS p) AS measured_at,\n"
	"       (SELECT count(*) FROM retention.archive_journal AS j\n"
	"         WHERE j.status = 'saved' AND j.frozen_at IS NOT NULL AND j.candidates > 0) AS to_validate,\n"
	"       (SELECT count(*) FROM retention.replay_due) AS replay_n,\n"
	"       EXISTS (SELECT FROM retention.replay_due) AS has_replay,\n"
	"       (SELECT count(*) FROM retention.archive_journal AS j\n"
	"         WHERE j.archive_path IS NOT NULL AND j.archive_deleted_at IS NULL) AS archives_n,\n"
	"       (SELECT sum(j.archive_bytes) FROM retention.archive_journal AS j\n"
	"         WHERE j.archive_path IS NOT NULL AND j.archive_deleted_at IS NULL) AS archives_bytes,\n"
	"       (SELECT nullif(count(*), 0) FROM retention.archive_journal AS j\n"
	"         WHERE j.archive_remark IS NOT NULL AND j.archive_removed_at IS NULL) AS hindered_n,\n"
	"       (SELECT nullif(count(*), 0) FROM retention.unknown_archive AS u\n"
	"         WHERE u.deleted_at IS NULL) AS unknown_n,\n"
	"       (SELECT nullif(sum(l.files), 0) FROM retention.files_left AS l) AS files_left,\n"
	"       (SELECT p.paused_by FROM retention.pause AS p WHERE p.job IS NULL) AS all_paused_by,\n"
	"       (SELECT p.paused_at FROM retention.pause AS p WHERE p.job IS NULL) AS all_paused_at,\n"
	"       (SELECT count(*) FROM retention.holds_in_force AS f\n"
	"         WHERE f.review_date < retention.today()) AS reviews_n";

static const char verified_sql[] =
	"SELECT e.at AS verified_at, e.actor AS verified_by, (e.details->>'whole')::boolean AS whole\n"
	"  FROM retention.journal_event AS e WHERE e.kind = 'verified' ORDER BY e.id DESC LIMIT 1";

static const char residue_sql[] =
	"SELECT r.recorded_at AS residue_at, r.recorded_by AS residue_by, nullif(r.found, 0) AS residue_found,\n"
	"       r.contacts AS residue_contacts\n"
	"  FROM retention.residue_report AS r ORDER BY r.id DESC LIMIT 1";

static const char policies_sql[] =
	"SELECT p.name, p.refused, p.overdue, p.overdue_since, p.action = 'anonymize_requests' AS of_requests\n"
	"  FROM retention.policies AS p WHERE p.refused IS NOT NULL OR p.overdue > 0 ORDER BY p.place";

static const char running_sql[] =
	"SELECT p.id, (100 * greatest(p.due - p.keys_left, 0) / greatest(p.due, 1))::int AS percent,\n"
	"       CASE WHEN p.waiting IS NOT NULL THEN p.waiting_for END AS waiting_for\n"
	"  FROM retention.progress AS p WHERE p.status = 'running' ORDER BY p.id";

static const char requests_sql[] =
	"SELECT r.id, r.kind = 'verify_archive' AS verifies, r.kind = 'subject_export' AS exports,\n"
	"       r.kind = 'find_contact' AS finds, r.kind = 'measure' AS measures, r.job, r.asked_by, r.asked_at, r.ended_at, r.outcome = 'ok' AS is_ok,\n"
	"       r.outcome <> 'ok' AS is_bad, r.result->>'text' AS why\n"
	"  FROM retention.request AS r ORDER BY r.id DESC LIMIT 20";

static void show(struct visit *v)
{
	static const char *const lists[] = {"policies", "actions_running", "requests"};

	values_row(v->values, visit_rows(v, "state"), 0);
	values_set(v->values, "residue_at", NULL);
	if (PQntuples(visit_rows(v, "residue")) > 0)
		values_row(v->values, visit_rows(v, "residue"), 0);
	values_flag(v->values, "is_verified", PQntuples(visit_rows(v, "verified")) > 0);
	if (PQntuples(visit_rows(v, "verified")) > 0)
		values_row(v->values, visit_rows(v, "verified"), 0);
	for (int i = 0; i < 3; i++) {
		values_list(v->values, lists[i]);
		values_rows(v->values, lists[i], visit_rows(v, lists[i]));
	}
	values_flag(v->values, "at_status", true);
	visit_token(v, "token_measure", "/etat/mesurer");
	visit_render(v, 200, "status");
}

void page_status(struct visit *v)
{
	visit_ask(v, "state", state_sql, 0, NULL);
	visit_ask(v, "verified", verified_sql, 0, NULL);
	visit_ask(v, "residue", residue_sql, 0, NULL);
	visit_ask(v, "policies", policies_sql, 0, NULL);
	visit_ask(v, "actions_running", running_sql, 0, NULL);
	visit_ask(v, "requests", requests_sql, 0, NULL);
	visit_then(v, show);
}

static void on_asked(struct visit *v)
{
	visit_redirect(v, "/etat");
}

static void on_not_asked(struct visit *v)
{
	/* Somebody has asked already: the page shows the answer to both. */
	if (v->refusal->id && strcmp(v->refusal->id, "retention.request_twice") == 0)
		on_asked(v);
	else
		visit_fail(v, v->refusal->status, v->refusal->text);
}

void page_measure_post(struct visit *v)
{
	visit_act(v, "SELECT retention.ask('measure')", 0, NULL, on_asked, on_not_asked);
}
