/*
 * The statements that make a report.  Everything in it is of one moment, because one statement reads it.  It holds counts,
 * names of tables and columns, and what people have written as reasons.  Keys of subjects only where they are asked for.
 */
#include "report/report.h"

/* Each is known for a policy that has ever been: its name may have left the configuration. */
const char report_actions_sql[] =
	"SELECT coalesce(array_agg(j.id ORDER BY j.id), '{}')::text AS ids,\n"
	"       count(*) > 0 OR EXISTS (SELECT FROM retention.policies AS p WHERE p.name = $2)\n"
	"       OR EXISTS (SELECT FROM retention.page_policy AS p WHERE p.name = $2)\n"
	"       OR EXISTS (SELECT FROM retention.archive_journal AS o WHERE o.policy = $2) AS known\n"
	"  FROM retention.archive_journal AS j\n"
	" WHERE CASE WHEN $1::int IS NOT NULL THEN j.id = $1::int\n"
	"            ELSE j.policy = $2\n"
	"             AND ($3::date IS NULL OR j.occurrence >= $3::date::timestamp AT TIME ZONE retention.time_zone())\n"
	"             AND ($4::date IS NULL OR j.occurrence < ($4::date + 1)::timestamp AT TIME ZONE retention.time_zone())\n"
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

/* In whole seconds. */
#define S(time) "date_trunc('second', " time ")"

/* An array of the rows of a query with the column n, by which they are sorted, without it. */
#define ROWS(query)                                                                                \
	"(SELECT coalesce(jsonb_agg(to_jsonb(x) - 'n' ORDER BY x.n), '[]') FROM (" query ") AS x)"

/* An interval of whole months and days: "18 months". */
#define PERIOD(interval)                                                                           \
	"nullif(concat_ws(' ', nullif(extract(year FROM " interval                                 \
	") * 12 + extract(month FROM " interval                                                    \
	"), 0)::int || ' months', nullif(extract(day FROM " interval "), 0)::int || ' days'), '')"

/* The state in one word.  A refused action is tried again; "incomplete": done, and some subjects failed. */
#define STATE                                                                                                 \
	"CASE WHEN j.restored_at IS NOT NULL THEN 'restored'\n"                                               \
	"     WHEN j.status IN ('failed', 'cancelled') THEN j.status\n"                                       \
	"     WHEN j.status = 'done' THEN CASE WHEN c.failed + c.locked + coalesce(c.rest, 0) > 0\n"          \
	"                                      THEN 'incomplete' ELSE 'done' END\n"                           \
	"     WHEN j.error IS NOT NULL AND j.waiting IS NULL THEN 'refused'\n"                                \
	"     WHEN p.paused_at IS NOT NULL THEN 'paused'\n"                                                   \
	"     WHEN j.status = 'saved' THEN CASE WHEN j.frozen_at IS NULL THEN 'listing' ELSE 'waiting' END\n" \
	"     ELSE j.status END"

/* The subjects that were not erased, each with the reason. */
#define LEFT_OUT                                                                                                          \
	"kept_key AS MATERIALIZED (\n"                                                                                    \
	"  SELECT e.job, e.at, k.key, CASE e.kind WHEN 'failed_key' THEN e.details->>'message' END AS message,\n"         \
	"         coalesce(e.details->'partly_erased' ? k.key, false) AS partly,\n"                                       \
	"         CASE e.kind WHEN 'failed_key' THEN 'failed' WHEN 'left' THEN 'locked' WHEN 'kept' THEN 'kept'\n"        \
	"              ELSE CASE WHEN e.details->'held' ? k.key THEN 'held'\n"                                            \
	"                        WHEN e.details->'gone' ? k.key THEN 'gone' ELSE 'not_due' END END AS reason\n"           \
	"    FROM retention.journal_event AS e, jsonb_array_elements_text(e.details->'keys') AS k(key)\n"                 \
	"   WHERE e.job = ANY ($1::int[]) AND e.kind IN ('failed_key', 'dropped', 'left', 'kept')),\n"                    \
	"left_out AS MATERIALIZED (\n"                                                                                    \
	"  SELECT k.job, k.reason, k.message, count(*) AS subjects, count(*) FILTER (WHERE k.partly) AS partly_erased,\n" \
	"         " S(                                                                                                    \
		"max(k.at)") " AS at, jsonb_agg(k.key ORDER BY length(k.key), k.key) AS keys\n"                           \
			     "    FROM kept_key AS k GROUP BY 1, 2, 3\n"                                                  \
			     "  UNION ALL\n"                                                                              \
			     "  SELECT j.id, 'held_before', NULL, (j.preview->>'held')::bigint, 0, " S(                   \
				     "j.frozen_at") ", NULL\n"                                                            \
						    "    FROM pick AS j WHERE (j.preview->>'held')::bigint > 0)"

/*
 * What became of the subjects of each list.  What is not there yet, or can never be known, is NULL.  The ledger has a line
 * for each subject that was erased.  An export has none, so that only the work list tells how far it is.
 */
#define COUNTED                                                                                                          \
	"counted AS MATERIALIZED (\n"                                                                                    \
	"  SELECT j.id, j.candidates AS listed, (j.preview->>'held')::bigint AS held_before,\n"                          \
	"         CASE WHEN j.frozen_at IS NULL THEN NULL\n"                                                             \
	"              WHEN j.counters ? 'treated' THEN (j.counters->>'treated')::bigint\n"                              \
	"              WHEN j.action <> 'export' THEN (SELECT count(*) FROM retention.ledger AS l\n"                     \
	"                                               WHERE l.job = j.id AND l.action = j.action)\n"                   \
	"              WHEN g.id IS NOT NULL THEN j.candidates - g.keys_left - o.dropped - o.failed - o.locked\n"        \
	"         END AS treated, o.*, (j.counters->>'rest')::bigint AS rest\n"                                          \
	"    FROM pick AS j LEFT JOIN retention.progress AS g ON g.id = j.id\n"                                          \
	"   CROSS JOIN LATERAL (SELECT\n"                                                                                \
	"     coalesce(sum(l.subjects) FILTER (WHERE l.reason IN ('held', 'gone', 'not_due')), 0)::bigint AS dropped,\n" \
	"     coalesce(sum(l.subjects) FILTER (WHERE l.reason = 'failed'), 0)::bigint AS failed,\n"                      \
	"     coalesce(sum(l.subjects) FILTER (WHERE l.reason = 'locked'), 0)::bigint AS locked\n"                       \
	"       FROM left_out AS l WHERE l.job = j.id) AS o)"

#define COUNTS                                                                                                           \
	"SELECT c.id AS n, c.id AS action, c.listed, c.held_before, c.treated, c.dropped, c.failed, c.locked, c.rest,\n" \
	"       c.listed - c.treated - c.dropped - c.failed - c.locked - coalesce(c.rest, 0) AS open\n"                  \
	"  FROM counted AS c"

#define ACTIONS                                                                                                                                                                                                                                                                           \
	"SELECT j.id AS n, j.id, " STATE                                                                                                                                                                                                                                                  \
	" AS state, j.action, j.mode, j.status, j.policy, j.policy_version,\n"                                                                                                                                                                                                            \
	"       nullif(j.part, 1) AS part, " S(                                                                                                                                                                                                                                           \
		"j.occurrence") " AS occurrence, j.from_date AS \"from\", j.to_date AS \"to\",\n"                                                                                                                                                                                         \
				"       " PERIOD("j.depth") " AS depth, " S(                                                                                                                                                                                                              \
					"j.cutoff") " AS cutoff, j.archive,\n"                                                                                                                                                                                                            \
						    "       j.subject IS NOT NULL AS one_contact, CASE WHEN $8::boolean THEN j.subject END AS subject,\n"                                                                                                                                 \
						    "       j.replay_of, coalesce(j.replay, false) AS replay, j.requested_by, " S(                                                                                                                                                        \
							    "j.requested_at") " AS requested_at, j.note,\n"                                                                                                                                                                               \
									      "       " S(                                                                                                                                                                                                \
										      "j.frozen_at") " AS listed_at, j.candidates_sha256 AS list_sha256, j.validated_by,\n"                                                                                                               \
												     "       j.validated_by = 'policy ' || j.policy AS by_rule, " S(                                                                                                                      \
													     "j.validated_at") " AS validated_at,\n"                                                                                                                                      \
															       "       " S("j.started_at") " AS started_at, " S(                                                                                                          \
																       "j.finished_at") " AS finished_at, j.waiting, j.error,\n"                                                                                          \
																			"       p.paused_by, " S("p.paused_at") " AS paused_at, " S(                                                                      \
																				"j.restored_at") " AS restored_at, j.restored_by,\n"                                                                      \
																						 "       j.host, j.system_identifier AS server, j.counters->>'integrity' AS integrity, j.configuration\n" \
																						 "  FROM pick AS j JOIN counted AS c ON c.id = j.id\n"                                                    \
																						 "  LEFT JOIN retention.paused_action AS p\n"                                                             \
																						 "    ON p.job = j.id AND j.status IN ('saved', 'validated', 'running')"

#define TOTALS                                                                                                                    \
	"SELECT 1 AS n, count(*) AS passes, count(*) FILTER (WHERE j.status = 'done') AS done,\n"                                 \
	"       count(*) FILTER (WHERE j.status = 'failed') AS failed_passes,\n"                                                  \
	"       count(*) FILTER (WHERE j.status = 'cancelled') AS cancelled,\n"                                                   \
	"       count(*) FILTER (WHERE j.finished_at IS NULL AND j.status IN ('saved', 'validated', 'running')) AS unfinished,\n" \
	"       coalesce(sum(c.listed), 0) AS listed, coalesce(sum(c.treated), 0) AS treated,\n"                                  \
	"       coalesce(sum(c.dropped), 0) AS dropped, coalesce(sum(c.failed), 0) AS failed,\n"                                  \
	"       coalesce(sum(c.locked), 0) AS locked\n"                                                                           \
	"  FROM pick AS j JOIN counted AS c ON c.id = j.id WHERE $5::text IS NOT NULL AND $9::jsonb IS NULL"

#define EXPECTED                                                                                                                       \
	"SELECT (j.id, t.n) AS n, j.id AS action, t.value->>'table' AS \"table\", t.value->>'what' AS what, t.value->'rows' AS rows\n" \
	"  FROM pick AS j, jsonb_array_elements(j.preview->'tables') WITH ORDINALITY AS t(value, n)\n"                                 \
	" WHERE j.status IN ('saved', 'validated')\n"                                                                                  \
	" UNION ALL\n"                                                                                                                 \
	"SELECT (0, t.n), NULL, t.value->>'table', t.value->>'what', t.value->'rows'\n"                                                \
	"  FROM jsonb_array_elements($9::jsonb->'tables') WITH ORDINALITY AS t(value, n)"

#define TABLES                                                                                                          \
	"SELECT (f.job, f.table_name) AS n, f.job AS action, f.table_name AS \"table\", max(f.relation) AS relation,\n" \
	"       sum(f.rows) AS rows, CASE WHEN count(f.place) > 0 THEN sum(f.bytes) END AS archived_bytes\n"            \
	"  FROM retention.archive_file AS f WHERE f.job = ANY ($1::int[]) GROUP BY f.job, f.table_name"

#define LEFT_ROWS                                                                                                              \
	"SELECT (l.job, l.reason, l.message) AS n, l.job AS action, l.reason, l.subjects, l.partly_erased, l.at, l.message,\n" \
	"       CASE WHEN $8::boolean THEN l.keys END AS keys FROM left_out AS l"

#define SELECTION                                                                                                             \
	"SELECT l.n, l.f[1] AS configuration, l.f[2] AS action, nullif(l.f[3], '') AS policy, nullif(l.f[4], '') AS depth,\n" \
	"       nullif(l.f[5], '') AS schedule, nullif(l.f[6], '') AS archive, nullif(l.f[7], '') AS scope,\n"                \
	"       l.f[8] = 'true' AS without_requests, l.f[9] = 'true' AS approval, nullif(l.f[10], '') AS due_when,\n"         \
	"       nullif(l.f[11], '') AS date, nullif(l.f[12], '') AS created\n"                                                \
	"  FROM (SELECT r.n, r.line::text[] AS f FROM unnest($3::text[]) WITH ORDINALITY AS r(line, n) OFFSET 0) AS l"

#define RULES                                                                                                                           \
	"SELECT l.n, l.f[1] AS configuration, l.f[2] AS action, l.f[3] AS \"table\", l.f[4] AS relation, l.f[5] AS rule,\n"             \
	"       l.f[6]::text[] AS columns, nullif(l.f[7], '') AS value, nullif(l.f[8], '') AS \"where\", l.f[9] = 'true' AS archived\n" \
	"  FROM (SELECT r.n, r.line::text[] AS f FROM unnest($2::text[]) WITH ORDINALITY AS r(line, n) OFFSET 0) AS l"

#define CONFIGURATIONS                                                                                                    \
	"SELECT u.first AS n, u.sha256, u.actions, u.first AS first_action, " S(                                          \
		"c.kept_at") " AS kept_at, c.kept_by,\n"                                                                  \
			     "       CASE WHEN c.sha256 IS NULL THEN 'removed'\n"                                         \
			     "            ELSE (SELECT max((r.line::text[])[2]) FROM unnest($4::text[]) AS r(line)\n"     \
			     "                   WHERE (r.line::text[])[1] = u.sha256) END AS unreadable\n"               \
			     "  FROM (SELECT u.sha256, count(DISTINCT u.job) AS actions, min(u.job) AS first FROM (" USED \
			     ") AS u GROUP BY 1) AS u\n"                                                                  \
			     "  LEFT JOIN retention.configuration AS c ON c.sha256 = u.sha256"

#define ARCHIVES                                                                                                                                                                                                                                                          \
	"SELECT j.id AS n, j.id AS action, j.archive AS content, j.archive_path AS path, j.host, j.archive_bytes AS bytes,\n"                                                                                                                                             \
	"       j.counters->>'sums_sha256' AS sums_sha256, j.counters->>'manifest_sha256' AS manifest_sha256,\n"                                                                                                                                                          \
	"       " S(                                                                                                                                                                                                                                                      \
		"v.ended_at") " AS verified_at, v.outcome AS verified, v.asked_by AS verified_for,\n"                                                                                                                                                                     \
			      "       CASE WHEN j.status = 'done' AND j.archive_deleted_at IS NULL THEN\n"                                                                                                                                                                \
			      "         " S(                                                                                                                                                                                                                              \
				      "retention.kept_until(j.finished_at, (SELECT nullif(s.value, '')::interval\n"                                                                                                                                                       \
				      "            FROM retention.setting AS s WHERE s.name = 'archives_keep'))") " END AS kept_until,\n"                                                                                                                                 \
														  "       " S(                                                                                                                                            \
															  "j.archive_deleted_at") " AS deleted_at, j.archive_deleted_by AS deleted_by, j.archive_deleted_note AS deleted_note,\n"                         \
																		  "       " S(                                                                                                            \
																			  "j.archive_removed_at") " AS removed_at, j.archive_remark AS remark\n"                                          \
																						  "  FROM pick AS j LEFT JOIN LATERAL (\n"                                                \
																						  "       SELECT r.ended_at, r.outcome, r.asked_by FROM retention.request AS r\n"         \
																						  "        WHERE r.job = j.id AND r.kind = 'verify_archive' AND r.ended_at IS NOT NULL\n" \
																						  "        ORDER BY r.id DESC LIMIT 1) AS v ON true\n"                                    \
																						  " WHERE j.archive_path IS NOT NULL"

#define PLACES                                                                                     \
	"SELECT (j.id, h.step) AS n, j.id AS action, h.step, h.what, h.state, " S(                 \
		"h.since") " AS since, h.waits_for\n"                                              \
			   "  FROM pick AS j, retention.horizon(j.id) AS h"

/* Reports of searches that were made since the first of these actions ended, for the same kind of action. */
#define SEARCHES                                                                                   \
	"retention.residue_report AS r\n"                                                          \
	" WHERE r.action IN (SELECT j.action FROM pick AS j)\n"                                    \
	"   AND r.recorded_at >= (SELECT min(j.finished_at) FROM pick AS j WHERE j.action = r.action)"

#define RESIDUE                                                                                    \
	"SELECT r.id AS n, r.id AS search, " S(                                                    \
		"r.recorded_at") " AS at, r.recorded_by AS by, r.action, r.contacts,\n"            \
				 "       r.searched_for, r.tables, r.not_searched, r.found FROM " SEARCHES

#define RESIDUE_COLUMNS                                                                                                        \
	"SELECT (r.id, f.n) AS n, r.id AS search, f.value->>'table' AS \"table\", f.value->>'column' AS \"column\",\n"         \
	"       f.value->>'of' AS of, f.value->'exact' AS exact, f.value->'inside' AS inside, f.value->'covered' AS covered\n" \
	"  FROM (SELECT r.id, r.findings FROM " SEARCHES ") AS r,\n"                                                           \
	"       jsonb_array_elements(r.findings) WITH ORDINALITY AS f(value, n)"

#define EVENTS                                                                                     \
	"SELECT e.id AS n, e.id, " S(                                                              \
		"e.at") " AS at, e.kind, e.actor, encode(e.hash, 'hex') AS hash\n"                 \
			"  FROM retention.journal_event AS e\n"                                    \
			" WHERE $5::text IS NULL AND e.job = ANY ($1::int[])"

#define POLICY                                                                                     \
	"SELECT 1 AS n, p.name, p.source, p.action, " PERIOD(                                      \
		"p.depth") " AS depth, p.schedule, p.archive, p.scope,\n"                          \
			   "       p.approval, p.enabled, " S(                                     \
				   "p.next_occurrence") " AS next, p.refused\n"                    \
							"  FROM retention.policies AS p WHERE p.name = $5"

#define PREVIEW                                                                                                                                               \
	"SELECT 1 AS n, p->>'policy' AS policy, p->>'action' AS action, p->>'as_of' AS as_of,\n"                                                              \
	"       " S(                                                                                                                                          \
		"(p->>'cutoff')::timestamptz") " AS cutoff, p->'due' AS due, p->'held' AS held,\n"                                                            \
					       "       " S("(p->>'oldest')::timestamptz") " AS oldest, " S(                                                   \
						       "(p->>'newest')::timestamptz") " AS newest,\n"                                                         \
										      "       CASE WHEN $8::boolean THEN p->'first_keys' END AS first_keys\n" \
										      "  FROM (SELECT $9::jsonb AS p) AS given WHERE $9::jsonb IS NOT NULL"

#define ABOUT                                                                                                       \
	"jsonb_build_object('format', 'retentiond-report', 'version', 1, 'kind',\n"                                 \
	"  CASE WHEN $9::jsonb IS NOT NULL THEN 'preview' WHEN $5::text IS NULL THEN 'action' ELSE 'policy' END,\n" \
	"  'policy', $5::text, 'from', $6::date, 'to', $7::date, 'keys', $8::boolean,\n"                            \
	"  'made_at', " S(                                                                                          \
		"now()") ", 'made_by', session_user, 'zone', current_setting('TimeZone'),\n"                        \
			 "  'database', current_database())"

#define JOURNAL                                                                                                                                 \
	"(SELECT jsonb_build_object('events', e.id, 'last_hash', encode(e.hash, 'hex'), 'last_at', " S(                                         \
		"e.at") ",\n"                                                                                                                   \
			"   'verified_at', " S(                                                                                                 \
				"v.at") ", 'verified_by', v.by, 'verified_whole', v.whole)\n"                                                   \
					"   FROM (SELECT) AS one\n"                                                                             \
					"   LEFT JOIN (SELECT l.* FROM retention.journal_event AS l ORDER BY l.id DESC LIMIT 1) AS e ON true\n" \
					"   LEFT JOIN retention.last_verified AS v ON true)"

const char report_document_sql[] =
	"WITH pick AS MATERIALIZED (\n"
	"  SELECT j.* FROM retention.archive_journal AS j WHERE j.id = ANY ($1::int[])),\n" LEFT_OUT
	",\n" COUNTED "\n"
	"SELECT jsonb_pretty(jsonb_build_object('report', " ABOUT ",\n"
	"  'actions', " ROWS(ACTIONS) ", 'counts', " ROWS(COUNTS) ", 'totals', " ROWS(
		TOTALS) ",\n"
			"  'left_out', " ROWS(LEFT_ROWS) ", 'tables', " ROWS(TABLES) ", 'expected', " ROWS(
				EXPECTED) ",\n"
					  "  'selection', " ROWS(SELECTION) ", 'rules', " ROWS(RULES) ", 'configurations', " ROWS(
						  CONFIGURATIONS) ",\n"
								  "  'archives', " ROWS(ARCHIVES) ", 'places', " ROWS(PLACES) ", 'residue', " ROWS(
									  RESIDUE) ",\n"
										   "  'residue_columns', " ROWS(RESIDUE_COLUMNS) ", 'events', " ROWS(
											   EVENTS) ",\n"
												   "  'policy', " ROWS(POLICY) ", 'preview', " ROWS(
													   PREVIEW) ", 'journal', " JOURNAL
														    ")) AS json";

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
