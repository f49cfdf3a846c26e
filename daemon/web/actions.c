/* See actions.h. */
#include "web/actions.h"

#include "base/text.h"

/*
 * A job that runs is counted by its list, and one that has ended by its counters.  The cross is drawn where delete_archive()
 * lets this person pass.  An archive that is not finished is none.
 */
static const char sql[] =
	"SELECT j.id, j.action AS type, coalesce(j.finished_at, j.started_at, j.requested_at) AS date,\n"
	"       j.status, j.policy, j.from_date, j.to_date, j.subject, j.replay,\n"
	"       j.from_date || '/' || j.to_date AS days,\n"
	"       CASE WHEN j.mode = 'manual' THEN j.requested_by END AS asked_by,\n"
	"       left(j.error, 160) AS error, z.paused_by,\n"
	"       CASE j.status WHEN 'running' THEN j.candidates - p.keys_left\n"
	"                     WHEN 'cancelled' THEN NULL\n"
	"                     ELSE coalesce((j.counters->>'treated')::bigint, j.candidates)\n"
	"            END AS reached,\n"
	"       CASE j.status WHEN 'running' THEN j.candidates END AS of,\n"
	"       j.archive, j.archive_bytes AS bytes, x.archived, w.ok AS verified, NOT w.ok AS damaged,\n"
	"       x.archived AND j.archive_deleted_at IS NULL AS kept,\n"
	"       CASE WHEN j.archive_deleted_at IS NOT NULL AND j.archive_removed_at IS NULL\n"
	"            THEN left(j.archive_remark, 160) END AS remark,\n"
	"       CASE WHEN j.archive_deleted_by = 'expiry' THEN j.archive_deleted_at END AS expired_at,\n"
	"       nullif(j.archive_deleted_by, 'expiry') AS deleted_by,\n"
	"       j.archive_deleted_at AS deleted_at,\n"
	"       x.archived AND j.archive_deleted_at IS NULL AND m.approver AND\n"
	"       NOT (m.four_eyes AND j.requested_by = m.name) AS crossable\n"
	"  FROM retention.me AS m CROSS JOIN retention.archive_journal AS j\n"
	" CROSS JOIN LATERAL (SELECT j.archive_path IS NOT NULL AND\n"
	"                            j.status IN ('done', 'failed') AS archived) AS x\n"
	"  LEFT JOIN retention.progress AS p ON p.id = j.id AND p.status = 'running'\n"
	"  LEFT JOIN LATERAL (SELECT r.outcome = 'ok' AS ok FROM retention.request AS r\n"
	"                      WHERE r.kind = 'verify_archive' AND r.job = j.id AND\n"
	"                            r.outcome IN ('ok', 'failed')\n"
	"                      ORDER BY r.id DESC LIMIT 1) AS w ON true\n"
	"  LEFT JOIN retention.paused_action AS z\n"
	"    ON z.job = j.id AND j.status IN ('saved', 'validated', 'running')\n"
	" WHERE " ACTIONS_FIT " ORDER BY j.id DESC LIMIT $5::int";

bool actions_filter(struct visit *v, struct actions_filter *ret)
{
	*ret = (struct actions_filter){
		.type = form_get(v->query, "type"),
		.status = form_get(v->query, "statut"),
		.text = form_get(v->query, "q"),
		.before = form_get(v->query, "avant"),
	};
	if (ret->before &&
	    (strlen(ret->before) > 9 || strspn(ret->before, DIGITS) != strlen(ret->before))) {
		visit_fail(v, 404, NULL);
		return false;
	}
	return true;
}

void actions_ask(struct visit *v, const char *name, const struct actions_filter *filter, int n)
{
	visit_ask(v, name, sql, 5,
		  (const char *[]){filter->type, filter->status, filter->text, filter->before,
				   t_printf(visit_ctx(v), "%d", n)});
}
