/* The first page: what waits for a person, the four actions by hand, the rules, and the latest actions. */
#include "web/actions.h"
#include "web/route.h"

#include "database/db.h"

#define LATEST 4

/* What a person can validate: a list that is made, and is not empty. */
static const char waiting_sql[] =
	"SELECT j.id, j.action AS type, j.from_date, j.to_date, j.requested_by, j.candidates AS listed,\n"
	"       j.from_date || '/' || j.to_date AS days,\n"
	"       j.action = 'anonymize_requests' AS on_requests,\n"
	"       greatest(extract(epoch FROM now() - j.requested_at), 0)::bigint AS age,\n"
	"       m.approver AND NOT (m.four_eyes AND j.requested_by = m.name) AS validatable,\n"
	"       count(*) OVER () AS n\n"
	"  FROM retention.me AS m CROSS JOIN retention.archive_journal AS j\n"
	" WHERE j.status = 'saved' AND j.candidates > 0\n"
	" ORDER BY j.id LIMIT 5";

/* Rules of the page that an approver can put in force. */
static const char rules_sql[] =
	"SELECT p.name, p.action AS type, p.depth, p.saved_by,\n"
	"       greatest(extract(epoch FROM now() - p.saved_at), 0)::bigint AS age, count(*) OVER () AS n,\n"
	"       m.approver AND NOT (m.four_eyes AND p.saved_by = m.name) AS validatable\n"
	"  FROM retention.me AS m CROSS JOIN retention.page_policies AS p\n"
	" WHERE p.status = 'saved' AND p.refused IS NULL ORDER BY p.saved_at LIMIT 5";

static const char policies_sql[] =
	"SELECT p.name, p.action, p.depth, p.archive, p.archive <> 'none' AS archive_kept,\n"
	"       p.next_occurrence, p.last_action, p.last_status,\n"
	"       CASE WHEN p.last_status <> 'running' THEN p.last_occurrence END AS last_date,\n"
	"       g.due - g.keys_left AS done, g.due, p.overdue, p.overdue > 0 AS is_overdue\n"
	"  FROM retention.policies AS p\n"
	"  LEFT JOIN retention.progress AS g ON g.id = p.last_action AND g.status = 'running'\n"
	" WHERE p.enabled ORDER BY p.place";

static const char forgotten_sql[] =
	"SELECT EXISTS (SELECT FROM retention.replay_due) AS is_restored";

static void show(struct visit *v)
{
	const PGresult *waiting = visit_rows(v, "waiting"), *rules = visit_rows(v, "rules_waiting");

	if (db_bool(visit_rows(v, "forgotten"), 0, "is_restored")) {
		page_restored(v); /* nothing else runs until that is repaired */
		return;
	}
	values_rows(v->values, "waiting", waiting);
	values_set(v->values, "waiting_n",
		   PQntuples(waiting) > 0 ? db_value(waiting, 0, "n") : "0");
	values_rows(v->values, "rules_waiting", rules);
	values_set(v->values, "rules_waiting_n",
		   PQntuples(rules) > 0 ? db_value(rules, 0, "n") : "0");
	values_rows(v->values, "policies", visit_rows(v, "policies"));
	values_rows(v->values, "actions", visit_rows(v, "actions"));
	values_flag(v->values, "at_overview", true);
	visit_render(v, 200, "overview");
}

void page_overview(struct visit *v)
{
	visit_ask(v, "forgotten", forgotten_sql, 0, NULL);
	visit_ask(v, "waiting", waiting_sql, 0, NULL);
	visit_ask(v, "rules_waiting", rules_sql, 0, NULL);
	visit_ask(v, "policies", policies_sql, 0, NULL);
	actions_ask(v, "actions", &(struct actions_filter){.type = NULL}, LATEST);
	visit_then(v, show);
}
