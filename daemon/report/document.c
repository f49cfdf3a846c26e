/*
 * The statements that make a report.  Everything in it is of one moment, because one statement reads it.  It holds counts,
 * names of tables and columns, and what people have written as reasons.  Keys of subjects only where they are asked for.
 */
#include "report/report.h"

#include "base/mem.h"
#include "base/sql.h"

/* Knows a policy that has ever been, even if its name has left the configuration.  Without a number and a policy: all. */
const char report_actions_sql[] =
	"SELECT coalesce(array_agg(j.id ORDER BY j.id), '{}')::text AS ids,\n"
	"       count(*) > 0 OR $1::int IS NULL AND $2::text IS NULL\n"
	"       OR EXISTS (SELECT FROM retention.policies AS p WHERE p.name = $2)\n"
	"       OR EXISTS (SELECT FROM retention.page_policy AS p WHERE p.name = $2)\n"
	"       OR EXISTS (SELECT FROM retention.archive_journal AS o WHERE o.policy = $2) AS known\n"
	"  FROM retention.archive_journal AS j\n"
	" WHERE CASE WHEN $1::int IS NOT NULL THEN j.id = $1::int\n"
	"            ELSE ($2::text IS NULL OR j.policy = $2)\n"
	"             AND ($3::date IS NULL OR\n"
	"                  CASE WHEN j.started_at IS NULL THEN coalesce(j.occurrence, j.requested_at)\n"
	"                       ELSE coalesce(j.finished_at, now()) END >=\n"
	"                  $3::date::timestamp AT TIME ZONE retention.time_zone())\n"
	"             AND ($4::date IS NULL OR coalesce(j.started_at, j.occurrence, j.requested_at) <\n"
	"                  ($4::date + 1)::timestamp AT TIME ZONE retention.time_zone())\n"
	"       END";

/* The last configuration stands in the action's row, and the earlier ones in its events. */
#define USED                                                                                       \
	"SELECT DISTINCT u.sha256, j.id AS job, j.action, j.archive, j.policy\n"                   \
	"  FROM retention.archive_journal AS j CROSS JOIN LATERAL (\n"                             \
	"       SELECT j.configuration AS sha256 UNION\n"                                          \
	"       SELECT e.details->>'configuration' FROM retention.journal_event AS e\n"            \
	"        WHERE e.job = j.id AND e.details ? 'requested_by') AS u\n"                        \
	" WHERE j.id = ANY ($1::int[]) AND u.sha256 IS NOT NULL"

const char report_used_sql[] =
	"SELECT DISTINCT u.sha256, u.action, u.archive, u.policy, encode(c.content, 'hex') AS hex\n"
	"  FROM (" USED ") AS u LEFT JOIN retention.configuration AS c ON c.sha256 = u.sha256\n"
	" ORDER BY u.sha256, u.action, u.archive, u.policy";

/* A report of one action is asked for without a policy and without days. */
#define IS_ONE "num_nonnulls($5::text, $6::date, $7::date, $9::jsonb) = 0"

/* An interval of whole months and days: "18 months". */
static const char depth_sql[] =
	"nullif(concat_ws(' ', nullif(extract(year FROM {of}) * 12 + extract(month FROM {of}), 0)::int || ' months',\n"
	"  nullif(extract(day FROM {of}), 0)::int || ' days'), '')";

/* The state in one word.  A refused action is tried again; "incomplete": done, and some subjects failed. */
static const char state_sql[] =
	"CASE WHEN j.restored_at IS NOT NULL THEN 'restored'\n"
	"     WHEN j.status IN ('failed', 'cancelled') THEN j.status\n"
	"     WHEN j.status = 'done' THEN CASE WHEN c.failed + c.locked + coalesce(c.rest, 0) > 0\n"
	"                                      THEN 'incomplete' ELSE 'done' END\n"
	"     WHEN j.error IS NOT NULL AND j.waiting IS NULL THEN 'refused'\n"
	"     WHEN p.paused_at IS NOT NULL THEN 'paused'\n"
	"     WHEN j.status = 'saved' THEN CASE WHEN j.frozen_at IS NULL THEN 'listing' ELSE 'waiting' END\n"
	"     ELSE j.status END";

/*
 * The subjects that were not erased, each with the reason.  The subjects that holds kept off a list were perhaps not
 * counted in time: then a line says that it is not known.  An event has the keys of a whole batch, so what it says of some
 * of them is joined, and not looked up for each key.
 */
static const char left_out_sql[] =
	"told AS MATERIALIZED (\n"
	"  SELECT e.id, e.job, e.at, e.kind, e.details FROM retention.journal_event AS e\n"
	"   WHERE e.job = ANY ($1::int[]) AND e.kind IN ('failed_key', 'dropped', 'left', 'kept')),\n"
	"marked AS MATERIALIZED (\n"
	"  SELECT DISTINCT t.id, m.mark, k.key FROM told AS t, unnest(ARRAY['held', 'gone', 'partly_erased']) AS m(mark),\n"
	"         jsonb_array_elements_text(CASE WHEN jsonb_typeof(t.details->m.mark) = 'array' THEN t.details->m.mark END) AS k(key)\n"
	"   WHERE t.kind = 'dropped'),\n"
	"kept_key AS MATERIALIZED (\n"
	"  SELECT t.job, t.at, k.key, CASE t.kind WHEN 'failed_key' THEN t.details->>'message' END AS message,\n"
	"         p.id IS NOT NULL AS partly,\n"
	"         CASE t.kind WHEN 'failed_key' THEN 'error' WHEN 'left' THEN 'locked' WHEN 'kept' THEN 'kept'\n"
	"              ELSE CASE WHEN h.id IS NOT NULL THEN 'held' WHEN g.id IS NOT NULL THEN 'gone' ELSE 'not_due' END\n"
	"         END AS reason\n"
	"    FROM told AS t CROSS JOIN LATERAL jsonb_array_elements_text(t.details->'keys') AS k(key)\n"
	"    LEFT JOIN marked AS h ON h.id = t.id AND h.key = k.key AND h.mark = 'held'\n"
	"    LEFT JOIN marked AS g ON g.id = t.id AND g.key = k.key AND g.mark = 'gone'\n"
	"    LEFT JOIN marked AS p ON p.id = t.id AND p.key = k.key AND p.mark = 'partly_erased'),\n"
	"left_out AS MATERIALIZED (\n"
	"  SELECT k.job, k.reason, k.message, count(*) AS subjects, count(*) FILTER (WHERE k.partly) AS partly_erased,\n"
	"         max(k.at) AS at, jsonb_agg(k.key ORDER BY length(k.key), k.key) AS keys\n"
	"    FROM kept_key AS k GROUP BY 1, 2, 3\n"
	"  UNION ALL\n"
	"  SELECT j.id, CASE WHEN j.preview->>'held' IS NULL THEN 'held_unknown' ELSE 'held_before' END, NULL,\n"
	"         (j.preview->>'held')::bigint, 0, j.frozen_at,\n"
	"         (SELECT jsonb_agg(k.key ORDER BY length(k.key), k.key) FROM retention.journal_event AS e,\n"
	"                 jsonb_array_elements_text(e.details->'keys') AS k(key)\n"
	"           WHERE e.job = j.id AND e.kind = 'held')\n"
	"    FROM pick AS j WHERE (j.preview->>'held')::bigint > 0\n"
	"      OR j.preview->>'held' IS NULL AND j.replay IS NOT TRUE\n"
	"     AND (j.frozen_at IS NOT NULL OR j.status = 'saved'))";

/*
 * What became of the subjects of each list.  What is not there yet, or can never be known, is NULL.  The ledger has a line
 * for each subject that was erased.  A line that is older than the action is of another one, which a restored backup has
 * forgotten.  An export has none, so that only the work list tells how far it is.
 */
static const char counted_sql[] =
	"counted AS MATERIALIZED (\n"
	"  SELECT j.id, j.candidates AS listed, (j.preview->>'held')::bigint AS held_before,\n"
	"         CASE WHEN j.frozen_at IS NOT NULL THEN (SELECT count(*) FROM retention.hold AS h\n"
	"            WHERE h.placed_at <= j.frozen_at AND (h.released_at IS NULL OR h.released_at > j.frozen_at)\n"
	"              AND (h.expires_at IS NULL OR h.expires_at > j.frozen_at)) END AS holds,\n"
	"         CASE WHEN j.frozen_at IS NULL THEN NULL\n"
	"              WHEN j.counters ? 'treated' THEN (j.counters->>'treated')::bigint\n"
	"              WHEN j.action <> 'export' THEN (SELECT count(*) FROM retention.ledger AS l\n"
	"                                               WHERE l.job = j.id AND l.action = j.action AND l.erased_at >= j.requested_at)\n"
	"              WHEN g.id IS NOT NULL THEN j.candidates - g.keys_left - o.dropped - o.failed - o.locked\n"
	"         END AS treated, o.*, (j.counters->>'rest')::bigint AS rest\n"
	"    FROM pick AS j LEFT JOIN retention.progress AS g ON g.id = j.id\n"
	"   CROSS JOIN LATERAL (SELECT\n"
	"     coalesce(sum(l.subjects) FILTER (WHERE l.reason IN ('held', 'gone', 'not_due')), 0)::bigint AS dropped,\n"
	"     coalesce(sum(l.subjects) FILTER (WHERE l.reason = 'error'), 0)::bigint AS failed,\n"
	"     coalesce(sum(l.subjects) FILTER (WHERE l.reason = 'locked'), 0)::bigint AS locked\n"
	"       FROM left_out AS l WHERE l.job = j.id) AS o)";

static const char counts_sql[] =
	"SELECT c.id AS n, c.id AS action, c.listed, c.holds, c.held_before, c.treated, c.dropped, c.failed, c.locked, c.rest,\n"
	"       c.listed - c.treated - c.dropped - c.failed - c.locked - coalesce(c.rest, 0) AS open\n"
	"  FROM counted AS c";

static const char actions_sql[] =
	"SELECT j.id AS n, j.id, {state} AS state, j.action, j.mode, j.status, j.policy, j.policy_version,\n"
	"       nullif(j.part, 1) AS part, j.occurrence, j.from_date AS \"from\", j.to_date AS \"to\",\n"
	"       {depth} AS depth, j.cutoff, j.archive,\n"
	"       j.subject IS NOT NULL AS one_contact, CASE WHEN $8::boolean THEN j.subject END AS subject,\n"
	"       j.replay_of, coalesce(j.replay, false) AS replay, j.requested_by, j.requested_at, j.note,\n"
	"       j.frozen_at AS listed_at, j.candidates_sha256 AS list_sha256, j.validated_by,\n"
	"       j.validated_by = 'policy ' || j.policy AS by_rule, j.validated_at,\n"
	"       j.started_at, j.finished_at, j.waiting, j.error,\n"
	"       p.paused_by, p.paused_at, j.restored_at, j.restored_by,\n"
	"       j.host, j.system_identifier AS server, j.counters->>'integrity' AS integrity, j.configuration\n"
	"  FROM pick AS j JOIN counted AS c ON c.id = j.id\n"
	"  LEFT JOIN retention.paused_action AS p\n"
	"    ON p.job = j.id AND j.status IN ('saved', 'validated', 'running')";

/* One row for a policy, and without one a row for each kind of action: contacts and requests are not added up. */
static const char totals_sql[] =
	"SELECT k.action AS n, k.action, count(j.id) AS passes, count(*) FILTER (WHERE j.status = 'done') AS done,\n"
	"       count(*) FILTER (WHERE j.status = 'failed') AS failed_passes,\n"
	"       count(*) FILTER (WHERE j.status = 'cancelled') AS cancelled,\n"
	"       count(*) FILTER (WHERE j.finished_at IS NULL AND j.status IN ('saved', 'validated', 'running')) AS unfinished,\n"
	"       coalesce(sum(c.listed), 0) AS listed, coalesce(sum(c.treated), 0) AS treated,\n"
	"       coalesce(sum(c.dropped), 0) AS dropped, coalesce(sum(c.failed), 0) AS failed,\n"
	"       coalesce(sum(c.locked), 0) AS locked\n"
	"  FROM (SELECT DISTINCT p.action FROM pick AS p WHERE $5::text IS NULL\n"
	"         UNION ALL SELECT NULL WHERE $5::text IS NOT NULL) AS k\n"
	"  LEFT JOIN (pick AS j JOIN counted AS c ON c.id = j.id) ON k.action IS NULL OR j.action = k.action\n"
	" WHERE NOT (" IS_ONE ") AND $9::jsonb IS NULL GROUP BY k.action";

static const char expected_sql[] =
	"SELECT (j.id, t.n) AS n, j.id AS action, t.value->>'table' AS \"table\", t.value->>'what' AS what, t.value->'rows' AS rows\n"
	"  FROM pick AS j, jsonb_array_elements(j.preview->'tables') WITH ORDINALITY AS t(value, n)\n"
	" WHERE j.status IN ('saved', 'validated')\n"
	" UNION ALL\n"
	"SELECT (0, t.n), NULL, t.value->>'table', t.value->>'what', t.value->'rows'\n"
	"  FROM jsonb_array_elements($9::jsonb->'tables') WITH ORDINALITY AS t(value, n)";

static const char tables_sql[] =
	"SELECT (f.job, f.table_name) AS n, f.job AS action, f.table_name AS \"table\", max(f.relation) AS relation,\n"
	"       sum(f.rows) AS rows, CASE WHEN count(f.place) > 0 THEN sum(f.bytes) END AS archived_bytes\n"
	"  FROM retention.archive_file AS f WHERE f.job = ANY ($1::int[]) GROUP BY f.job, f.table_name";

static const char left_rows_sql[] =
	"SELECT (l.job, l.reason, l.message) AS n, l.job AS action, l.reason, l.subjects, l.partly_erased, l.at, l.message,\n"
	"       CASE WHEN $8::boolean THEN l.keys END AS keys FROM left_out AS l";

static const char selection_sql[] =
	"SELECT l.n, l.f[1] AS configuration, l.f[2] AS action, nullif(l.f[3], '') AS policy, nullif(l.f[4], '') AS depth,\n"
	"       nullif(l.f[5], '') AS schedule, nullif(l.f[6], '') AS archive, nullif(l.f[7], '') AS scope,\n"
	"       l.f[8] = 'true' AS without_requests, l.f[9] = 'true' AS approval, nullif(l.f[10], '') AS due_when,\n"
	"       nullif(l.f[11], '') AS date, nullif(l.f[12], '') AS created,\n"
	"       nullif(l.f[13], '') AS date_unit, nullif(l.f[14], '') AS created_unit\n"
	"  FROM (SELECT r.n, r.line::text[] AS f FROM unnest($3::text[]) WITH ORDINALITY AS r(line, n) OFFSET 0) AS l";

static const char rules_sql[] =
	"SELECT l.n, l.f[1] AS configuration, l.f[2] AS action, l.f[3] AS \"table\", l.f[4] AS relation, l.f[5] AS rule,\n"
	"       coalesce(nullif(l.f[6]::text[], '{}'), CASE WHEN l.f[5] IN ('deleted', 'copied') THEN (\n"
	"         SELECT array_agg(a.attname::text ORDER BY a.attnum)\n"
	"           FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid\n"
	"           JOIN pg_namespace AS n ON n.oid = c.relnamespace\n"
	"          WHERE (n.nspname, c.relname) = (l.f[11], l.f[12]) AND a.attnum > 0 AND NOT a.attisdropped) END,\n"
	"         '{}') AS columns,\n"
	"       nullif(l.f[7], '') AS value, nullif(l.f[8], '') AS \"where\", l.f[9] = 'true' AS archived,\n"
	"       l.f[10] = 'true' AS shared, nullif(l.f[13]::text[], '{}') AS by\n"
	"  FROM (SELECT r.n, r.line::text[] AS f FROM unnest($2::text[]) WITH ORDINALITY AS r(line, n) OFFSET 0) AS l";

static const char configurations_sql[] =
	"SELECT u.first AS n, u.sha256, u.actions, u.first AS first_action, c.kept_at AS kept_at, c.kept_by,\n"
	"       CASE WHEN c.sha256 IS NULL THEN 'removed'\n"
	"            ELSE (SELECT max((r.line::text[])[2]) FROM unnest($4::text[]) AS r(line)\n"
	"                   WHERE (r.line::text[])[1] = u.sha256) END AS unreadable\n"
	"  FROM (SELECT u.sha256, count(DISTINCT u.job) AS actions, min(u.job) AS first FROM (" USED
	") AS u GROUP BY 1) AS u\n"
	"  LEFT JOIN retention.configuration AS c ON c.sha256 = u.sha256";

static const char archives_sql[] =
	"SELECT j.id AS n, j.id AS action, j.archive AS content, j.archive_path AS path, j.host, j.archive_bytes AS bytes,\n"
	"       j.counters->>'sums_sha256' AS sums_sha256, j.counters->>'manifest_sha256' AS manifest_sha256,\n"
	"       v.ended_at AS verified_at, v.verified, v.asked_by AS verified_for,\n"
	"       CASE WHEN j.status = 'done' AND j.archive_deleted_at IS NULL THEN\n"
	"         retention.kept_until(j.finished_at, (SELECT nullif(s.value, '')::interval\n"
	"            FROM retention.setting AS s WHERE s.name = 'archives_keep')) END AS kept_until,\n"
	"       j.archive_deleted_at AS deleted_at, j.archive_deleted_by AS deleted_by, j.archive_deleted_note AS deleted_note,\n"
	"       j.archive_removed_at AS removed_at, j.archive_remark AS remark\n"
	"  FROM pick AS j LEFT JOIN LATERAL (\n"
	"       SELECT r.ended_at, r.asked_by, CASE WHEN r.outcome = 'ok' THEN 'intact'\n"
	"              WHEN (r.result->>'findings')::int > 0 THEN 'damaged' ELSE 'not verified' END AS verified\n"
	"         FROM retention.request AS r\n"
	"        WHERE r.job = j.id AND r.kind = 'verify_archive' AND r.ended_at IS NOT NULL\n"
	"        ORDER BY r.id DESC LIMIT 1) AS v ON true\n"
	" WHERE j.archive_path IS NOT NULL";

/* What an action has erased that is not done yet, or has failed, is followed nowhere. */
static const char places_sql[] =
	"SELECT (j.id, h.step) AS n, j.id AS action, h.step, h.what, h.state, h.since AS since, h.waits_for\n"
	"  FROM pick AS j, retention.horizon(j.id) AS h\n"
	" UNION ALL\n"
	"SELECT (c.id, NULL::text), c.id, NULL, 'all places', 'unknown', NULL,\n"
	"       CASE WHEN j.finished_at IS NULL THEN 'the end of the action' END\n"
	"  FROM counted AS c JOIN pick AS j ON j.id = c.id\n"
	" WHERE c.treated > 0 AND j.status <> 'done' AND j.action <> 'export'";

/* Reports of searches that were made since the first of these actions ended, for the same kind of action. */
#define SEARCHES                                                                                   \
	"retention.residue_report AS r\n"                                                          \
	" WHERE r.action IN (SELECT j.action FROM pick AS j)\n"                                    \
	"   AND r.recorded_at >= (SELECT min(j.finished_at) FROM pick AS j WHERE j.action = r.action)"

static const char residue_sql[] =
	"SELECT r.id AS n, r.id AS search, r.recorded_at AS at, r.recorded_by AS by, r.action, r.contacts,\n"
	"       r.searched_for, r.tables, r.not_searched, r.found FROM " SEARCHES;

static const char residue_columns_sql[] =
	"SELECT (r.id, f.n) AS n, r.id AS search, f.value->>'table' AS \"table\", f.value->>'column' AS \"column\",\n"
	"       f.value->>'of' AS of, f.value->'exact' AS exact, f.value->'inside' AS inside, f.value->'covered' AS covered\n"
	"  FROM (SELECT r.id, r.findings FROM " SEARCHES ") AS r,\n"
	"       jsonb_array_elements(r.findings) WITH ORDINALITY AS f(value, n)";

static const char events_sql[] =
	"SELECT e.id AS n, e.id, e.at AS at, e.kind, e.actor, encode(e.hash, 'hex') AS hash\n"
	"  FROM retention.journal_event AS e\n"
	" WHERE " IS_ONE " AND e.job = ANY ($1::int[])";

static const char policy_sql[] =
	"SELECT 1 AS n, p.name, p.source, p.action, {depth} AS depth, p.schedule, p.archive, p.scope,\n"
	"       p.approval, p.enabled, p.next_occurrence AS next, p.refused\n"
	"  FROM retention.policies AS p WHERE p.name = $5";

static const char preview_sql[] =
	"SELECT 1 AS n, p->>'policy' AS policy, p->>'action' AS action, p->>'as_of' AS as_of,\n"
	"       (p->>'cutoff')::timestamptz AS cutoff, p->'due' AS due, p->'held' AS held,\n"
	"       (p->>'oldest')::timestamptz AS oldest, (p->>'newest')::timestamptz AS newest,\n"
	"       CASE WHEN $8::boolean THEN p->'first_keys' END AS first_keys\n"
	"  FROM (SELECT $9::jsonb AS p) AS given WHERE $9::jsonb IS NOT NULL";

static const char about_sql[] =
	"jsonb_build_object('format', 'retentiond-report', 'version', 1, 'kind',\n"
	"  CASE WHEN $9::jsonb IS NOT NULL THEN 'preview' WHEN " IS_ONE " THEN 'action'\n"
	"       WHEN $5::text IS NULL THEN 'days' ELSE 'policy' END,\n"
	"  'policy', $5::text, 'from', $6::date, 'to', $7::date, 'keys', $8::boolean,\n"
	"  'made_at', now(), 'made_by', session_user, 'zone', current_setting('TimeZone'),\n"
	"  'database', current_database())";

static const char journal_sql[] =
	"(SELECT jsonb_build_object('events', e.id, 'last_hash', encode(e.hash, 'hex'), 'last_at', e.at,\n"
	"   'verified_at', v.at, 'verified_by', v.by, 'verified_whole', v.whole)\n"
	"   FROM (SELECT) AS one\n"
	"   LEFT JOIN (SELECT l.* FROM retention.journal_event AS l ORDER BY l.id DESC LIMIT 1) AS e ON true\n"
	"   LEFT JOIN retention.last_verified AS v ON true)";

/* Each section is a list of the rows of a query, in the order of its column n. */
static char *section(void *ctx, const char *name, const char *query)
{
	return t_printf(
		ctx,
		",\n  '%s', (SELECT coalesce(jsonb_agg(to_jsonb(x) - 'n' ORDER BY x.n), '[]')\n"
		"  FROM (%s) AS x)",
		name, query);
}

char *report_document(void *ctx)
{
	const char *const sections[][2] = {
		{"actions", sql_fill(ctx, actions_sql, {"state", state_sql},
				     {"depth", sql_fill(ctx, depth_sql, {"of", "j.depth"})})},
		{"counts", counts_sql},
		{"totals", totals_sql},
		{"left_out", left_rows_sql},
		{"tables", tables_sql},
		{"expected", expected_sql},
		{"selection", selection_sql},
		{"rules", rules_sql},
		{"configurations", configurations_sql},
		{"archives", archives_sql},
		{"places", places_sql},
		{"residue", residue_sql},
		{"residue_columns", residue_columns_sql},
		{"events", events_sql},
		{"policy",
		 sql_fill(ctx, policy_sql, {"depth", sql_fill(ctx, depth_sql, {"of", "p.depth"})})},
		{"preview", preview_sql},
	};
	char *sql = t_printf(
		ctx,
		"WITH pick AS MATERIALIZED (\n"
		"  SELECT j.* FROM retention.archive_journal AS j WHERE j.id = ANY ($1::int[])),\n"
		"%s,\n%s\n"
		"SELECT jsonb_pretty(jsonb_build_object('report', %s, 'journal', %s",
		left_out_sql, counted_sql, about_sql, journal_sql);

	for (size_t i = 0; i < LENGTH(sections); i++)
		t_append(&sql, "%s", section(ctx, sections[i][0], sections[i][1]));
	return t_append(&sql, ")) AS json");
}

const char report_cells_sql[] =
	"SELECT s.key AS section, e.n, f.key AS name,\n"
	"       CASE jsonb_typeof(f.value) WHEN 'array'\n"
	"            THEN (SELECT string_agg(t.text, ', ' ORDER BY t.n)\n"
	"                    FROM jsonb_array_elements_text(f.value) WITH ORDINALITY AS t(text, n))\n"
	"            ELSE f.value #>> '{}' END AS value\n"
	"  FROM jsonb_each($1::jsonb) AS s,\n"
	"       jsonb_array_elements(CASE jsonb_typeof(s.value) WHEN 'array' THEN s.value\n"
	"                            ELSE jsonb_build_array(s.value) END) WITH ORDINALITY AS e(value, n),\n"
	"       jsonb_each(e.value) AS f\n"
	" WHERE jsonb_typeof(f.value) <> 'null' ORDER BY s.key, e.n";
