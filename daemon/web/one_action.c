/* See one_action.h. */
#include "web/one_action.h"

#include "base/text.h"
#include "database/db.h"
#include "web/visit_state.h"

#include <string.h>

#define NUMBER_DIGITS 15

/*
 * The event is the one that ended the action's time as a saved one.  An archive is one when the action has ended.
 * expires: when the daemon will delete it.
 */
static const char sql[] =
	"SELECT j.id, j.action AS type, j.status, j.policy, j.from_date, j.to_date, j.subject, j.replay,\n"
	"       j.from_date || '/' || j.to_date AS days,\n"
	"       j.archive, j.archive = 'full' AS is_full, j.action = 'export' AS is_export,\n"
	"       j.action = 'delete_contacts' AS is_delete, j.action = 'anonymize_contacts' AS is_contacts,\n"
	"       j.action = 'anonymize_requests' AS is_requests,\n"
	"       j.note, j.requested_by, j.requested_at,\n"
	"       coalesce(j.finished_at, j.started_at, j.requested_at) AS date,\n"
	"       j.frozen_at, j.candidates AS listed, j.candidates_sha256 AS sha256,\n"
	"       regexp_replace(j.candidates_sha256, '^(.{4})(.{4}).*(.{4})$', '\\1 \\2 … \\3') AS digest,\n"
	"       (j.preview->>'held')::bigint AS held,\n"
	"       coalesce((j.counters->>'treated')::bigint, 0) AS treated,\n"
	"       (SELECT min(o.id) FROM retention.archive_journal AS o\n"
	"         WHERE o.status = 'running' AND o.id <> j.id) AS runs, z.paused_by,\n"
	"       m.four_eyes AND j.requested_by = m.name AS saved_by_you,\n"
	"       j.archive_bytes AS bytes, j.restored_at,\n"
	"       (SELECT count(DISTINCT f.table_name) FROM retention.archive_file AS f\n"
	"         WHERE f.job = j.id) AS tables,\n"
	"       x.archived, x.archived AND j.archive_deleted_at IS NULL AS kept,\n"
	"       k.keep, retention.kept_until(j.finished_at, k.keep) AS expires,\n"
	"       e.kind, e.actor AS by, e.at, to_char(e.at, 'HH24:MI') AS at_hour,\n"
	"       j.archive_deleted_by, j.archive_deleted_at,\n"
	"       to_char(j.archive_deleted_at, 'HH24:MI') AS archive_deleted_hour\n"
	"  FROM retention.me AS m CROSS JOIN retention.archive_journal AS j\n"
	" CROSS JOIN LATERAL (SELECT j.archive_path IS NOT NULL AND\n"
	"                            j.status IN ('done', 'failed') AS archived) AS x\n"
	"  LEFT JOIN retention.paused_action AS z\n"
	"    ON z.job = j.id AND j.status IN ('saved', 'validated', 'running')\n"
	"  LEFT JOIN (SELECT nullif(s.value, '')::interval AS keep FROM retention.setting AS s\n"
	"              WHERE s.name = 'archives_keep') AS k ON true\n"
	"  LEFT JOIN LATERAL (SELECT v.kind, v.actor, v.at FROM retention.journal_event AS v\n"
	"                      WHERE v.job = j.id AND v.kind IN ('validated', 'cancelled', 'failed')\n"
	"                      ORDER BY v.id LIMIT 1) AS e ON true\n"
	" WHERE j.id = $1::int";

void one_action_ask(struct visit *v)
{
	visit_ask(v, "action", sql, 1, v->part);
}

const PGresult *one_action_show(struct visit *v)
{
	const PGresult *row = visit_rows(v, "action");

	if (PQntuples(row) == 0) {
		visit_fail(v, 404, NULL);
		return NULL;
	}
	values_row(v->values, row, 0);
	values_flag(v->values, "at_actions", true);
	return row;
}

/* Whether the visit is about the action's archive, and not about the action itself. */
static bool about_archive(const struct visit *v)
{
	return strstr(v->path, "/archive/") != NULL;
}

static void show_changed(struct visit *v)
{
	const PGresult *row = one_action_show(v);
	const char *kind, *by;
	bool is_told;

	if (!row)
		return;
	is_told = values_get(v->values, "reason", NULL) != NULL; /* by the refusal */
	kind = is_told || about_archive(v) ? NULL : db_text(row, 0, "kind");
	by = is_told || !about_archive(v) ? NULL : db_text(row, 0, "archive_deleted_by");
	values_flag(v->values, "was_validated", kind && strcmp(kind, "validated") == 0);
	values_flag(v->values, "was_cancelled", kind && strcmp(kind, "cancelled") == 0);
	values_flag(v->values, "was_failed", kind && strcmp(kind, "failed") == 0);
	values_flag(v->values, "was_expired", by && strcmp(by, "expiry") == 0);
	values_flag(v->values, "was_deleted", by && strcmp(by, "expiry") != 0);
	if (by) {
		values_set(v->values, "by", by);
		values_set(v->values, "at", db_text(row, 0, "archive_deleted_at"));
		values_set(v->values, "at_hour", db_text(row, 0, "archive_deleted_hour"));
	}
	visit_render(v, 409, "changed");
}

void one_action_changed(struct visit *v, const char *reason)
{
	values_set(v->values, "reason", reason);
	one_action_ask(v);
	visit_then(v, show_changed);
}

void one_action_site(struct visit *v)
{
	const char *host = visit_header(v, "Host");

	values_setf(v->values, "site", "%s://%s",
		    v->web->config->insecure_cookie ? "http" : "https", host ? host : "");
}

void one_action_forbidden(struct visit *v)
{
	values_flag(v->values, "deletes", about_archive(v));
	one_action_site(v);
	visit_render(v, 403, "forbidden");
}

static void show_forbidden(struct visit *v)
{
	if (one_action_show(v))
		one_action_forbidden(v);
}

void one_action_refused(struct visit *v)
{
	/* What the action's row tells better than the refusal. */
	static const char *const told[] = {"retention.validate_not_saved", "retention.cancel_begun",
					   "retention.delete_twice", "retention.delete_removed",
					   "retention.delete_hindered"};
	const char *id = v->refusal->id ? v->refusal->id : "";

	if (strcmp(id, "retention.validate_four_eyes") == 0 ||
	    strcmp(id, "retention.delete_four_eyes") == 0) {
		one_action_ask(v);
		visit_then(v, show_forbidden);
	} else if (v->refusal->status == 409) {
		const size_t n = LENGTH(told);

		one_action_changed(v, text_index(id, told, n) < n ? NULL : v->refusal->text);
	} else {
		visit_fail(v, v->refusal->status, v->refusal->text);
	}
}

const char *one_action_number(void *ctx, const char *typed)
{
	static const char *const ignored[] = {"\xc2\xa0", "\xe2\x80\xaf", " ", ".", ","};
	char *number = t_strdup(ctx, "");

	while (typed && *typed) {
		size_t skip = 0;

		for (size_t i = 0; skip == 0 && i < LENGTH(ignored); i++)
			if (strncmp(typed, ignored[i], strlen(ignored[i])) == 0)
				skip = strlen(ignored[i]);
		if (skip == 0 && !is_digit(*typed))
			return NULL;
		if (skip == 0)
			t_append(&number, "%c", *typed);
		typed += skip > 0 ? skip : 1;
	}
	return *number && strlen(number) <= NUMBER_DIGITS ? number : NULL;
}

const char *one_action_digits(void *ctx, const char *typed, size_t most)
{
	size_t n = 0;

	while (typed && *typed == ' ')
		typed++;
	while (typed && is_digit(typed[n]))
		n++;
	if (n == 0 || n > most || typed[n + strspn(typed + n, " ")] != '\0')
		return NULL;
	return t_printf(ctx, "%.*s", (int)n, typed);
}
