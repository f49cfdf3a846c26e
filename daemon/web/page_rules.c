/* GET /regles: the automatic rules, as the daemon has understood them, and what they would reach. */
#include "web/route.h"

static const char rules_sql[] =
	"SELECT p.name, p.action, p.depth, p.archive, p.scope, p.schedule, p.approval, p.enabled,\n"
	"       p.source = 'page' AS of_page, p.next_occurrence, p.cutoff_next, p.due_next,\n"
	"       nullif(p.held_next, 0) AS held_next, nullif(p.overdue, 0) AS overdue, p.refused,\n"
	"       p.action = 'anonymize_requests' AS of_requests, p.last_action, p.last_status, p.measured_at\n"
	"  FROM retention.policies AS p ORDER BY p.place";

static void show(struct visit *v)
{
	values_list(v->values, "rules");
	values_rows(v->values, "rules", visit_rows(v, "rules"));
	values_setf(v->values, "rules_n", "%d", PQntuples(visit_rows(v, "rules")));
	values_flag(v->values, "at_rules", true);
	visit_render(v, 200, "rules");
}

void page_rules(struct visit *v)
{
	visit_ask(v, "rules", rules_sql, 0, NULL);
	visit_then(v, show);
}
