/*
 * Each function is one statement, or runs in a transaction that the caller has open.  A job reads from here
 * what it needs to go on after a crash, and remembers nothing: so resuming is the same code as starting.
 */
#include "journal/journal.h"

#include <inttypes.h>

/* A statement about one action, whose id is $1; the others are $2 and what follows. */
struct statement {
	const char *sql;
	int n_others;
	const char *others[6];
};

/* Runs it; NULL with err.  The caller clears the result. */
static PGresult *query(struct db *db, int id, struct statement s, struct error *err)
{
	char number[16];
	const char *values[7] = {number};
	PGresult *res = NULL;

	(void)snprintf(number, sizeof(number), "%d", id); /* fits */
	memcpy(values + 1, s.others, sizeof(s.others));
	return db_query(db, s.sql, 1 + s.n_others, values, &res, err) ? res : NULL;
}

static bool run(struct db *db, int id, struct statement s, struct error *err)
{
	AUTO(result) PGresult *res = query(db, id, s, err);

	return res != NULL;
}

/* Runs a statement that returns one number; 0 where it returns no row. */
static bool query_int(struct db *db, int id, struct statement s, int64_t *ret, struct error *err)
{
	AUTO(result) PGresult *res = query(db, id, s, err);

	if (res)
		*ret = PQntuples(res) > 0 ? db_int(res, 0, PQfname(res, 0)) : 0;
	return res != NULL;
}

static bool query_bool(struct db *db, int id, struct statement s, bool *ret, struct error *err)
{
	AUTO(result) PGresult *res = query(db, id, s, err);

	if (res)
		*ret = db_bool(res, 0, PQfname(res, 0));
	return res != NULL;
}

/* SQL: how many keys are on the list. */
#define LISTED "(SELECT count(*) FROM retention.candidate AS c WHERE c.job = $1::int)"

bool journal_load(struct db *db, int id, const char *timezone, void *ctx, struct journal_row *ret,
		  struct error *err)
{
	static const char sql[] =
		"SELECT j.action, j.mode, j.archive, j.status, j.policy, j.policy_version, j.part,\n"
		"       j.requested_by, j.validated_by, coalesce(j.replay, false) AS replay, j.replay_of,\n"
		"       EXISTS (SELECT FROM retention.archive_journal AS p\n"
		"                WHERE p.policy = j.policy AND p.occurrence = j.occurrence\n"
		"                  AND p.part = j.part - 1\n"
		"                  AND p.validated_by <> '" JOURNAL_BY_POLICY
		"' || p.policy) AS by_person,\n"
		"       j.replay OR j.subject IS NOT NULL AS by_key,\n"
		"       (j.from_date::timestamp AT TIME ZONE $2)::text AS from_instant,\n"
		"       j.cutoff::text AS cutoff, j.host, j.system_identifier, j.archive_path,\n"
		"       to_char(j.cutoff AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')\n"
		"         AS cutoff_iso,\n"
		"       to_char(j.requested_at AT TIME ZONE $2, 'YYYYMMDD') AS day,\n"
		"       j.frozen_at IS NOT NULL AS frozen, j.candidates, j.claim\n"
		"  FROM retention.archive_journal AS j WHERE j.id = $1";
	AUTO(result) PGresult *res = query(db, id, (struct statement){sql, 1, {timezone}}, err);

	if (!res)
		return false;
	if (PQntuples(res) != 1)
		return fail(err, ERR_CONFIG, "the journal has no action %d", id);
	*ret = (struct journal_row){
		.id = id,
		.action = action_parse(db_text(res, 0, "action")),
		.automatic = strcmp(db_value(res, 0, "mode"), "automatic") == 0,
		.replay = db_bool(res, 0, "replay"),
		.replay_of = (int)db_int(res, 0, "replay_of"),
		.part = (int)db_int(res, 0, "part"),
		.by_person = db_bool(res, 0, "by_person"),
		.by_key = db_bool(res, 0, "by_key"),
		.archive = archive_mode_parse(db_text(res, 0, "archive")),
		.requested_by = db_text_copy(ctx, res, 0, "requested_by"),
		.validated_by = db_text_copy(ctx, res, 0, "validated_by"),
		.status = db_text_copy(ctx, res, 0, "status"),
		.policy = db_text_copy(ctx, res, 0, "policy"),
		.policy_version = (int)db_int(res, 0, "policy_version"),
		.from = db_text_copy(ctx, res, 0, "from_instant"),
		.cutoff = db_text_copy(ctx, res, 0, "cutoff"),
		.cutoff_iso = db_text_copy(ctx, res, 0, "cutoff_iso"),
		.host = db_text_copy(ctx, res, 0, "host"),
		.system = db_text_copy(ctx, res, 0, "system_identifier"),
		.archive_path = db_text_copy(ctx, res, 0, "archive_path"),
		.day = db_text_copy(ctx, res, 0, "day"),
		.frozen = db_bool(res, 0, "frozen"),
		.candidates = db_int(res, 0, "candidates"),
		.claim = (int)db_int(res, 0, "claim"),
	};
	return true;
}

bool journal_claim(struct db *db, int id, bool *ret, struct error *err)
{
	static const char sql[] = "SELECT retention.claim_action($1, retention.session_start())";

	return query_bool(db, id, (struct statement){.sql = sql}, ret, err);
}

bool journal_fence(struct db *db, int id, const char *host, const char *configuration,
		   int *ret_claim, struct error *err)
{
	static const char claim_sql[] = "UPDATE retention.archive_journal SET claim = claim + 1,\n"
					"       error = NULL, host = $2, configuration = $3\n"
					" WHERE id = $1 RETURNING claim";
	static const char wait_sql[] = "SELECT FROM retention.batch_lock AS l\n"
				       " WHERE l.job = $1::int ORDER BY l.worker FOR UPDATE";
	int64_t claim = 0;

	/* The rows come before the claim by which a batch locks one.  Those of actions that have ended go. */
	if (!db_execf(db, err,
		      "WITH ended AS (DELETE FROM retention.batch_lock AS l\n"
		      "  USING retention.archive_journal AS j\n"
		      "  WHERE j.id = l.job AND j.status IN ('done', 'failed', 'cancelled'))\n"
		      "INSERT INTO retention.batch_lock (job, worker)\n"
		      "SELECT %d, w FROM generate_series(0, %d) AS w ON CONFLICT DO NOTHING",
		      id, CONFIG_WORKERS_MAX - 1) ||
	    !query_int(db, id, (struct statement){claim_sql, 2, {host, configuration}}, &claim,
		       err))
		return false;
	*ret_claim = (int)claim;
	return run(db, id, (struct statement){.sql = wait_sql}, err);
}

bool journal_has_archived(struct db *db, int id, bool *ret, struct error *err)
{
	static const char sql[] = "SELECT EXISTS (SELECT FROM retention.archive_file\n"
				  "                WHERE job = $1::int AND bytes > 0) AS archived";

	return query_bool(db, id, (struct statement){.sql = sql}, ret, err);
}

bool journal_interval(struct db *db, int id, const char *timezone, void *ctx,
		      struct journal_interval *ret, struct error *err)
{
	/* Calendar days, both included.  The rest of an occurrence has its first part's cutoff. */
	static const char sql[] =
		"SELECT (j.from_date::timestamp AT TIME ZONE $2)::text AS from_instant,\n"
		"       CASE WHEN j.replay THEN\n"
		"         (SELECT max(r.erased_at) FROM retention.replay AS r\n"
		"            JOIN retention.selection AS s ON s.job = j.id AND s.key = r.key\n"
		"           WHERE r.action = j.action)\n"
		"       WHEN j.subject IS NOT NULL THEN 'infinity'::timestamptz\n"
		"       WHEN j.mode = 'manual' THEN (j.to_date + 1)::timestamp AT TIME ZONE $2\n"
		"       ELSE coalesce(j.cutoff, retention.cutoff(j.depth, $2)) END::text AS cutoff\n"
		"  FROM retention.archive_journal AS j WHERE j.id = $1 AND j.status = 'saved'\n"
		"   FOR KEY SHARE"; /* a cancel waits for this, and then removes the list, too */
	AUTO(result) PGresult *res = query(db, id, (struct statement){sql, 1, {timezone}}, err);

	if (!res)
		return false;
	if (PQntuples(res) == 0)
		return fail(err, ERR_STOPPED, "action %d was cancelled", id);
	*ret = (struct journal_interval){.from = db_text_copy(ctx, res, 0, "from_instant"),
					 .cutoff = db_text_copy(ctx, res, 0, "cutoff")};
	return true;
}

bool journal_not_listed(struct db *db, int id, void *ctx, const char **ret_keys, struct error *err)
{
	static const char sql[] =
		"SELECT coalesce(array_agg(s.key), '{}')::text AS keys FROM retention.selection AS s\n"
		" WHERE s.job = $1::int AND s.key NOT IN (\n"
		"       SELECT l.key FROM retention.ledger AS l WHERE l.job = $1::int\n"
		"       UNION ALL\n"
		"       SELECT c.key FROM retention.candidate AS c WHERE c.job = $1::int\n"
		"       UNION ALL\n"
		"       SELECT jsonb_array_elements_text(e.details -> 'keys')\n"
		"         FROM retention.journal_event AS e\n"
		"        WHERE e.job = $1::int AND e.kind IN ('failed_key', 'dropped', 'left'))";
	AUTO(result) PGresult *res = query(db, id, (struct statement){.sql = sql}, err);

	if (res)
		*ret_keys = db_text_copy(ctx, res, 0, "keys");
	return res != NULL;
}

bool journal_kept(struct db *db, int id, const char *keys, struct error *err)
{
	static const char sql[] =
		"INSERT INTO retention.journal_event (job, kind, details)\n"
		"VALUES ($1::int, 'kept', jsonb_build_object('keys', $2::text[]))";

	return run(db, id, (struct statement){sql, 1, {keys}}, err);
}

/* SQL: the digest of the keys in their order, a newline behind each. */
#define LIST_DIGEST                                                                                \
	"(SELECT encode(sha256(textsend(coalesce(string_agg(c.key || E'\\n', '' ORDER BY c.n),"    \
	" ''))), 'hex')\n     FROM retention.candidate AS c WHERE c.job = $1::int)"

bool journal_freeze(struct db *db, int id, const struct journal_list *list, int64_t *ret_n,
		    struct error *err)
{
	static const char sql[] =
		"UPDATE retention.archive_journal AS j SET cutoff = $2::timestamptz, error = NULL,\n"
		"       frozen_at = clock_timestamp(), preview = $3, waiting = NULL, waiting_for = NULL,\n"
		"       configuration = $4, candidates = " LISTED
		", candidates_sha256 = " LIST_DIGEST "\n"
		" WHERE j.id = $1::int RETURNING j.candidates";
	const struct statement s = {sql, 3, {list->cutoff, list->preview, list->configuration}};

	return query_int(db, id, s, ret_n, err);
}

bool journal_list_is_intact(struct db *db, int id, bool *ret, struct error *err)
{
	static const char sql[] = "SELECT j.candidates_sha256 = " LIST_DIGEST " AS intact\n"
				  "  FROM retention.archive_journal AS j WHERE j.id = $1::int";

	return query_bool(db, id, (struct statement){.sql = sql}, ret, err);
}

bool journal_approve(struct db *db, int id, const char *by, struct error *err)
{
	static const char sql[] = "UPDATE retention.archive_journal SET status = 'validated',\n"
				  "       validated_by = $2, validated_at = clock_timestamp()\n"
				  " WHERE id = $1::int AND status = 'saved'";

	return run(db, id, (struct statement){sql, 1, {by}}, err);
}

bool journal_start(struct db *db, int id, const char *host, const char *archive_path,
		   struct error *err)
{
	static const char sql[] =
		"UPDATE retention.archive_journal SET status = 'running', host = $2,\n"
		"       archive_path = $3, started_at = clock_timestamp(), error = NULL,\n"
		"       waiting = NULL, waiting_for = NULL,\n"
		"       system_identifier = (SELECT system_identifier FROM pg_control_system())\n"
		" WHERE id = $1::int AND status = 'validated'";

	return run(db, id, (struct statement){sql, 2, {host, archive_path}}, err);
}

bool journal_integrity(struct db *db, int id, const char *integrity, struct error *err)
{
	static const char sql[] = "UPDATE retention.archive_journal\n"
				  "   SET counters = coalesce(counters, '{}') ||\n"
				  "                  jsonb_build_object('integrity', $2::text)\n"
				  " WHERE id = $1::int AND status = 'running'";

	return run(db, id, (struct statement){sql, 1, {integrity}}, err);
}

bool journal_finish(struct db *db, int id, const struct journal_end *end, int64_t *ret_treated,
		    struct error *err)
{
	static const char sql[] =
		"UPDATE retention.archive_journal AS j\n"
		"   SET status = $2, error = $3, waiting = NULL, waiting_for = NULL, finished_at = clock_timestamp(),\n"
		"       archive_bytes = CASE WHEN j.archive_path IS NOT NULL THEN $4::bigint END,\n"
		"       counters = jsonb_strip_nulls(jsonb_build_object(\n"
		"         'horizon', $6::jsonb, 'integrity', j.counters->'integrity',\n"
		"         'sums_sha256', encode(sha256(convert_to($5, 'UTF8')), 'hex'),\n"
		"         'manifest_sha256', encode(sha256(convert_to($7, 'UTF8')), 'hex'),\n"
		"         'rest', nullif(" LISTED ", 0),\n"
		"         'rows', (SELECT coalesce(jsonb_object_agg(f.table_name, f.rows), '{}')\n"
		"                    FROM (SELECT table_name, sum(rows) AS rows\n"
		"                            FROM retention.archive_file WHERE job = j.id\n"
		"                           GROUP BY 1) AS f),\n"
		"         'treated', CASE WHEN j.action = 'export'\n" /* no ledger */
		"                    THEN j.candidates - " LISTED
		" - k.failed - k.dropped - k.rest\n"
		"                    ELSE (SELECT count(*) FROM retention.ledger WHERE job = j.id) END,\n"
		"         'ledger_sha256', CASE WHEN j.action <> 'export'\n"
		"                          THEN retention.ledger_digest(j.id, j.requested_at) END,\n"
		"         'failed', k.failures, 'dropped', k.dropped, 'left', k.rest))\n"
		"  FROM (SELECT count(*) FILTER (WHERE e.kind = 'failed_key') AS failures,\n"
		"               coalesce(sum(e.n) FILTER (WHERE e.kind = 'failed_key'), 0) AS failed,\n"
		"               coalesce(sum(e.n) FILTER (WHERE e.kind = 'dropped'), 0) AS dropped,\n"
		"               coalesce(sum(e.n) FILTER (WHERE e.kind = 'left'), 0) AS rest\n"
		"          FROM (SELECT kind, jsonb_array_length(details->'keys') AS n\n"
		"                  FROM retention.journal_event WHERE job = $1::int\n"
		"                   AND kind IN ('failed_key', 'dropped', 'left')) AS e) AS k\n"
		" WHERE j.id = $1::int AND j.status IN ('running', 'validated')\n"
		" RETURNING (j.counters->>'treated')::bigint AS treated";
	static const char drop_sql[] =
		"WITH list AS (DELETE FROM retention.candidate WHERE job = $1::int),\n"
		"selection AS (DELETE FROM retention.selection WHERE job = $1::int)\n"
		"SELECT pg_notify('retention', $2 || ' ' || $1::int)";
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *bytes = t_printf(ctx, "%" PRId64, end->archive_bytes);

	if (end->replay &&
	    !run(db, id, (struct statement){.sql = "SELECT retention.settle_replay($1::int)"}, err))
		return false;
	/* No row: the action had ended already. */
	return query_int(db, id,
			 (struct statement){sql,
					    6,
					    {end->status, end->error, bytes, end->sums,
					     end->horizon, end->manifest}},
			 ret_treated, err) &&
	       run(db, id, (struct statement){drop_sql, 1, {end->status}}, err);
}

bool journal_note(struct db *db, int id, const char *waiting, const char *reason, const char *error,
		  struct error *err)
{
	static const char sql[] =
		"UPDATE retention.archive_journal\n"
		"   SET waiting = $2, waiting_for = $3, error = coalesce($4, error)\n"
		" WHERE id = $1::int AND (waiting, waiting_for, error) IS DISTINCT FROM\n"
		"       ($2, $3, coalesce($4, error))";

	return run(db, id, (struct statement){sql, 3, {waiting, reason, error}}, err);
}

bool journal_committed(struct db *db, int id, const char *labels, void *ctx, struct committed *ret,
		       struct error *err)
{
	static const char sql[] =
		"SELECT coalesce(f.bytes, 0) AS bytes, coalesce(f.rows, 0) AS rows,\n"
		"       cardinality($2::text[]) AS files\n"
		"  FROM generate_series(0, (SELECT coalesce(max(worker), 0) FROM retention.archive_file\n"
		"                            WHERE job = $1::int)) AS w(worker)\n"
		" CROSS JOIN unnest($2::text[]) WITH ORDINALITY AS l(name, i)\n"
		"  LEFT JOIN retention.archive_file AS f\n"
		"    ON f.job = $1::int AND f.worker = w.worker AND f.table_name = l.name\n"
		" ORDER BY w.worker, l.i";
	AUTO(result) PGresult *res = query(db, id, (struct statement){sql, 1, {labels}}, err);
	int n;

	if (!res)
		return false;
	n = PQntuples(res);
	*ret = (struct committed){.workers = 1,
				  .bytes = t_array(ctx, int64_t, n + 1),
				  .rows = t_array(ctx, int64_t, n + 1)};
	for (int i = 0; i < n; i++) {
		ret->n_files = (size_t)db_int(res, i, "files");
		ret->bytes[i] = db_int(res, i, "bytes");
		ret->rows[i] = db_int(res, i, "rows");
	}
	if (n > 0)
		ret->workers = n / (int)ret->n_files;
	return true;
}

const int64_t *journal_bytes_of(const struct committed *c, int worker, void *ctx)
{
	return worker < c->workers ? c->bytes + (size_t)worker * c->n_files
				   : t_array(ctx, int64_t, c->n_files + 1);
}

bool journal_key_failed(struct db *db, int id, const char *keys, const char *message,
			const char *sqlstate, struct error *err)
{
	static const char sql[] =
		"WITH gone AS (DELETE FROM retention.candidate\n"
		"               WHERE job = $1::int AND key = ANY ($2::text[]))\n"
		"INSERT INTO retention.journal_event (job, kind, details)\n"
		"VALUES ($1::int, 'failed_key', jsonb_build_object('keys', $2::text[],\n"
		"        'message', $3::text, 'sqlstate', $4::text))";

	return run(db, id, (struct statement){sql, 3, {keys, message, sqlstate}}, err);
}

bool journal_mark_changed(struct db *db, int id, const char *why, struct error *err)
{
	static const char sql[] =
		"INSERT INTO retention.journal_event (job, kind, details)\n"
		"SELECT $1::int, 'changed', jsonb_build_object('why', $2::text)\n"
		" WHERE NOT EXISTS (SELECT FROM retention.journal_event\n"
		"                    WHERE job = $1::int AND kind = 'changed')\n"
		"   AND EXISTS (SELECT FROM retention.archive_file\n"
		"                WHERE job = $1::int AND (bytes > 0 OR rows > 0))";

	return run(db, id, (struct statement){sql, 1, {why}}, err);
}

bool journal_changed(struct db *db, int id, void *ctx, struct journal_changed *ret,
		     struct error *err)
{
	static const char sql[] =
		"SELECT max(details->>'why') AS why,\n"
		"       coalesce(bool_or(details ? 'restored'), false) AS restored,\n"
		"       coalesce(bool_or(details ? 'abandoned'), false) AS abandoned,\n"
		"       EXISTS (SELECT FROM retention.archive_file\n"
		"                WHERE job = $1::int AND place IS NOT NULL) AS has_files\n"
		"  FROM retention.journal_event WHERE job = $1::int AND kind = 'changed'";
	AUTO(result) PGresult *res = query(db, id, (struct statement){.sql = sql}, err);

	if (res)
		*ret = (struct journal_changed){.why = db_text_copy(ctx, res, 0, "why"),
						.restored = db_bool(res, 0, "restored"),
						.abandoned = db_bool(res, 0, "abandoned"),
						.has_files = db_bool(res, 0, "has_files")};
	return res != NULL;
}

bool journal_mark_restored(struct db *db, int id, struct error *err)
{
	return run(db, id, (struct statement){.sql = "SELECT retention.mark_restored($1::int)"},
		   err);
}

bool journal_take_lengths(struct db *db, int id, const char *labels, const char *found,
			  const char *contact, struct error *err)
{
	/* manifest.json has a joined file's whole length, which is worker 0's; lengths.json has each worker's. */
	static const char sql[] =
		"WITH found AS (SELECT coalesce(f.worker, 0) AS worker, l.label,\n"
		"                      coalesce(f.plain_bytes, f.bytes) AS bytes, f.rows\n"
		"  FROM json_to_recordset($3::json->'files')\n"
		"       AS f(worker int, name text, bytes bigint, plain_bytes bigint, rows bigint)\n"
		"  JOIN unnest($2::text[]) AS l(label) ON f.name IN (l.label || '.csv', l.label || '.csv.age')),\n"
		"others AS (UPDATE retention.archive_file AS a SET bytes = 0, rows = 0\n"
		"  WHERE a.job = $1::int AND a.table_name = ANY ($2::text[])\n"
		"    AND NOT EXISTS (SELECT FROM found AS f\n"
		"                     WHERE f.worker = a.worker AND f.label = a.table_name)),\n"
		"taken AS (INSERT INTO retention.archive_file AS a (job, worker, table_name, bytes, rows)\n"
		"  SELECT $1::int, f.worker, f.label, f.bytes, f.rows FROM found AS f\n"
		"  ON CONFLICT ON CONSTRAINT archive_file_pkey\n"
		"  DO UPDATE SET bytes = excluded.bytes, rows = excluded.rows)\n"
		"INSERT INTO retention.journal_event (job, kind, details)\n"
		"SELECT $1::int, 'settled', jsonb_build_object('rows', s.rows, 'ledger', s.ledger) ||\n"
		"       CASE WHEN (s.rows->>$4)::bigint <> s.ledger THEN jsonb_build_object('differ', true)\n"
		"            ELSE '{}' END\n"
		"  FROM (SELECT (SELECT jsonb_object_agg(r.label, r.rows)\n"
		"                  FROM (SELECT f.label, sum(f.rows) AS rows FROM found AS f GROUP BY 1) AS r),\n"
		"               (SELECT count(*) FROM retention.ledger AS l WHERE l.job = $1::int))\n"
		"       AS s(rows, ledger)\n"
		" WHERE NOT EXISTS (SELECT FROM retention.journal_event AS e\n"
		"                    WHERE e.job = $1::int AND e.kind = 'settled')";

	return run(db, id, (struct statement){sql, 3, {labels, found, contact}}, err);
}

bool journal_forget_treated(struct db *db, int id, bool all, int64_t *ret_left, struct error *err)
{
	static const char sql[] =
		"WITH gone AS (DELETE FROM retention.candidate AS c WHERE c.job = $1::int AND ($2::boolean OR\n"
		"       c.key IN (SELECT l.key FROM retention.ledger AS l WHERE l.job = $1::int)) RETURNING c.n)\n"
		"SELECT " LISTED " - (SELECT count(*) FROM gone)";
	const struct statement statement = {sql, 1, {all ? "true" : "false"}};

	return query_int(db, id, statement, ret_left, err);
}

bool journal_begin_rest(struct db *db, int id, int *ret_id, struct error *err)
{
	static const char sql[] =
		"INSERT INTO retention.archive_journal AS n\n"
		" (action, mode, status, policy, policy_version, occurrence, part, depth, cutoff, archive)\n"
		"SELECT j.action, j.mode, 'saved', j.policy, j.policy_version, j.occurrence, j.part + 1,\n"
		"       j.depth, j.cutoff, j.archive\n"
		"  FROM retention.archive_journal AS j WHERE j.id = $1::int\n"
		"RETURNING n.id, pg_notify('retention', 'saved ' || n.id)";
	int64_t rest = 0;
	const bool ok = query_int(db, id, (struct statement){.sql = sql}, &rest, err);

	*ret_id = (int)rest;
	return ok;
}

bool journal_left_over(struct db *db, int id, int64_t *ret_n, struct error *err)
{
	static const char sql[] =
		"WITH gone AS (DELETE FROM retention.candidate WHERE job = $1::int\n"
		"              RETURNING key),\n"
		"told AS (INSERT INTO retention.journal_event (job, kind, details)\n"
		"         SELECT $1::int, 'left', jsonb_build_object('keys', jsonb_agg(key))\n"
		"           FROM gone HAVING count(*) > 0)\n"
		"SELECT (SELECT count(*) FROM gone) +\n"
		"       (SELECT coalesce(sum(jsonb_array_length(e.details->'keys')), 0)\n"
		"          FROM retention.journal_event AS e\n"
		"         WHERE e.job = $1::int AND e.kind = 'left')";

	return query_int(db, id, (struct statement){.sql = sql}, ret_n, err);
}

bool journal_failures(struct db *db, int id, int64_t *ret, struct error *err)
{
	static const char sql[] = "SELECT count(*) FROM retention.journal_event\n"
				  " WHERE job = $1::int AND kind = 'failed_key'";

	return query_int(db, id, (struct statement){.sql = sql}, ret, err);
}
