/*
 * The batch protocol.  What may die on each line, and what then:
 *
 *   step 0    Check the ground: the server, the claim, that nobody has paused the action.
 *   step 1    Lock the subjects.
 *   step 2    Check again, in a new snapshot, that they are due and not held.
 *   step 3    Collect the keys of the rows below them.
 *             Until here nothing has changed.  The server rolls back when the connection ends.
 *   step 4    Erase: rows are deleted in an open transaction, and their bytes are on the way into the file.
 *             When the process, server, network or disk dies, the transaction never commits.  The file
 *             is cut back to the committed length when the worker opens it again.
 *   step 6    Lengths, counters, ledger and work list change in the same transaction.
 *   step 5    fdatasync, last before the COMMIT: the bytes are on the disk, or the batch fails.
 *   step 7    COMMIT.  When its answer is lost (db_commit() fails), a new session waits in batch_settle()
 *             for the worker's lock, which is taken first and held to the end.  The old transaction has
 *             then ended one way or the other, and the committed length, which session_open_archive()
 *             reads, says which.
 *   after     The keys go into the ledger's file.  If the process is killed before that, or the disk is
 *             full, the file lacks lines.  They are appended from the table when file and table are
 *             compared, at the job's end or at the next start.  Everything else is only in memory, and
 *             the next session reads it from the database.
 *
 * Locks are taken in one order:
 *
 *   1. the worker's own
 *   2. the holds', shared: a hold is placed before a batch or after it, never between its re-check
 *      and its end
 *   3. the subjects, the contacts' requests and whose those are, SKIP LOCKED
 *   4. the rows below these, as they are erased.  A row that another session has locked is waited for
 *      half a second: lock_timeout is below deadlock_timeout, so that this side gives way.
 */
#include "batch/batch_state.h"

#include "base/failpoint.h"
#include "base/sql.h"

#include <inttypes.h>

/* The keys of one array that are not in the other one. */
static bool except(struct batch *b, const char *one, const char *other, struct key_set *ret,
		   struct error *err)
{
	static const char sql[] =
		"SELECT coalesce(array_agg(x.k), '{}')::text AS keys, count(*) AS n\n"
		"  FROM (SELECT unnest($1::text[]) EXCEPT SELECT unnest($2::text[])) AS x(k)";
	const char *const values[] = {one, other};

	return batch_ask_keys(b, sql, 2, values, ret, err);
}

/* Fills err with the session that has a lock: of a change of a hold, or else of a batch, which may be ending still. */
static bool fail_locked(struct db *db, struct error *err)
{
	static const char sql[] = "SELECT retention.lock_holders('hold_lock') AS holders";
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error cause = *err;

	*err = (struct error){0};
	db_rollback(db);
	return db_query(db, sql, 0, NULL, &res, err) &&
	       /* The server is at fault, not these rows. */
	       fail(err, ERR_ENVIRONMENT, "the locks of a batch are held by %s: %s",
		    db_value(res, 0, "holders"), cause.text);
}

static bool take_worker_lock(const struct batch_job *job, int worker, struct db *db,
			     struct error *err)
{
	return db_execf(db, err,
			"BEGIN; SELECT FROM retention.batch_lock AS l\n"
			" WHERE l.job = %d AND l.worker = %d FOR UPDATE;\n"
			"LOCK TABLE retention.hold_lock IN ROW SHARE MODE",
			job->id, worker) ||
	       (err->class == ERR_BUSY && fail_locked(db, err));
}

bool batch_settle(const struct batch_job *job, int worker, struct db *db, struct error *err)
{
	return take_worker_lock(job, worker, db, err) && db_commit(db, err);
}

bool batch_refuse_role(const char *role, struct error *err)
{
	return fail(err, ERR_CONFIG,
		    "session_replication_role is %s in this database or for this role: no foreign "
		    "key would be checked; reset it",
		    role);
}

/*
 * Step 0: checks that this is a primary, the server that the job began on, that the job is still ours, and that it is
 * not paused.  The snapshot is younger than all that the worker has waited for, so no batch goes on after a pause.
 */
static bool check_ground(struct batch *b, struct error *err)
{
	static const char sql[] =
		"SELECT pg_is_in_recovery() AS standby,\n"
		"       (SELECT system_identifier::text FROM pg_control_system()) AS system,\n"
		"       current_setting('session_replication_role') AS role,\n"
		"       CASE WHEN EXISTS (SELECT FROM retention.batch_lock AS l WHERE l.job = j.id)\n"
		"            THEN j.claim END AS claim, j.status, p.job IS NOT NULL AS paused\n"
		"  FROM retention.archive_journal AS j\n"
		"  LEFT JOIN retention.paused_action AS p ON p.job = j.id\n"
		" WHERE j.id = $1::int";
	AUTO(result) PGresult *res = NULL;

	if (!db_query_kept(b->db, sql, 1, &b->id, &res, err))
		return false;
	if (db_bool(res, 0, "standby"))
		return fail(err, ERR_ENVIRONMENT, DB_STANDBY);
	if (strcmp(db_value(res, 0, "role"), b->plan->orphans.sql ? "replica" : "origin") != 0)
		return batch_refuse_role(db_text(res, 0, "role"), err);
	if (PQntuples(res) != 1 || db_int(res, 0, "claim") != b->job->claim ||
	    strcmp(db_value(res, 0, "status"), "running") != 0)
		return fail(err, ERR_STOPPED, "job %d has been taken over", b->job->id);
	if (strcmp(db_value(res, 0, "system"), b->job->system) != 0)
		return fail(
			err, ERR_CONFIG,
			"the server is not the one that the job began on (system identifier %s, "
			"was %s): a job is never continued on another",
			db_text(res, 0, "system"), b->job->system);
	b->result->paused = db_bool(res, 0, "paused");
	return !b->result->paused || fail(err, ERR_STOPPED, "job %d is paused", b->job->id);
}

/* Locks the subjects that no other session has locked, and with a contact all of its requests. */
static bool lock_all(struct batch *b, struct error *err)
{
	const struct plan *plan = b->plan;
	const char *const further[] = {plan->lock_requests_sql, plan->lock_links_sql};
	const char *const wanted[] = {b->keys->array};

	if (!batch_ask_keys(b, plan->lock_sql, 1, wanted, &b->locked, err))
		return false;
	for (size_t i = 0; i < LENGTH(further); i++) {
		const char *const locked[] = {b->locked.array};

		if (further[i] && b->locked.n > 0 &&
		    !batch_ask_keys(b, further[i], 1, locked, &b->locked, err))
			return false;
	}
	return true;
}

/* Step 1: leaves out what another session has locked, and tells it apart from what no longer exists. */
static bool lock_subjects(struct batch *b, struct error *err)
{
	const char *const wanted[] = {b->keys->array};
	struct key_set present, missing, done_with;

	if (!lock_all(b, err))
		return false;
	b->gone.array = t_strdup(b->ctx, "{}");
	b->done_with = b->keys->array;
	if (b->locked.n == b->keys->n)
		return true;
	if (!batch_ask_keys(b, b->plan->present_sql, 1, wanted, &present, err) ||
	    !except(b, b->keys->array, present.array, &b->gone, err) ||
	    !except(b, present.array, b->locked.array, &missing, err) ||
	    !except(b, b->keys->array, missing.array, &done_with, err))
		return false;
	b->result->left = missing.n;
	b->done_with = done_with.array;
	return true;
}

/* Step 2: a new statement has a new snapshot, so that a subject that became active since the listing stays. */
static bool recheck(struct batch *b, struct error *err)
{
	const char *const values[] = {b->job->from, b->job->cutoff, b->locked.array};

	if (!batch_ask_keys(b, b->plan->recheck_sql, 3, values, &b->due, err))
		return false;
	b->dropped.array = t_strdup(b->ctx, "{}");
	return b->due.n == b->locked.n ||
	       except(b, b->locked.array, b->due.array, &b->dropped, err);
}

static bool collect_one(struct batch *b, const struct collect *c, struct error *err)
{
	const size_t n = c->n_others + 1 + (c->limited ? 1 : 0);
	const char **values = t_array(b->ctx, const char *, n);
	AUTO(result) PGresult *res = NULL;

	values[0] = batch_array(b, c->from);
	for (size_t o = 0; o < c->n_others; o++)
		values[o + 1] = batch_array(b, c->others[o]);
	if (c->limited && b->worker->most_rows > 0)
		values[n - 1] = t_printf(b->ctx, "%" PRId64, b->worker->most_rows);
	if ((c->lock_sql && !batch_command(b, c->lock_sql, 1, values, NULL, err)) ||
	    !batch_query(b, c->sql, (int)n, values, &res, err))
		return false;
	batch_keep_arrays(b, c, res);
	return !c->limited || !values[n - 1] ||
	       b->collected[c->table->index] < b->worker->most_rows ||
	       batch_too_large(b, c->table, err);
}

/* Step 3: fills each table's arrays from its parent's, from the top down. */
static bool collect(struct batch *b, struct error *err)
{
	const struct plan *plan = b->plan;

	b->arrays[plan->subject->index][0] = b->due.array;
	for (size_t i = 0; i < plan->n_collects; i++)
		if (!(plan->collects[i].gather_sql && batch_gathers(b)) &&
		    !collect_one(b, &plan->collects[i], err))
			return false;
	return true;
}

/* Journals the keys that dropped out, and why: a legal hold, gone, or due no longer. */
static bool tell_dropped(struct batch *b, struct error *err)
{
	static const char sql[] =
		"INSERT INTO retention.journal_event (job, kind, details)\n"
		"SELECT $1::int, 'dropped', jsonb_strip_nulls(jsonb_build_object('keys', $2::text[] || $4::text[],\n"
		"       'held', $3::text[], 'gone', $4::text[], 'partly_erased',\n"
		"       (SELECT jsonb_agg(DISTINCT e.details -> 'key') FROM retention.journal_event AS e\n"
		"         WHERE e.job = $1::int AND e.kind = 'sliced'\n"
		"           AND e.details ->> 'key' = ANY ($2::text[] || $4::text[]))))";
	const char *const of[] = {b->dropped.array};
	struct key_set held;

	if (b->dropped.n + b->gone.n == 0)
		return true;
	if (!batch_ask_keys(b, b->plan->held_sql, 1, of, &held, err))
		return false;
	return db_command_kept(
		b->db, sql, 4,
		(const char *const[]){b->id, b->dropped.array, held.array, b->gone.array}, NULL,
		err);
}

/* Journals that the first slice of a subject is about to commit: a part of it is gone, whatever becomes of the rest. */
static bool tell_sliced(struct batch *b, struct error *err)
{
	static const char sql[] =
		"INSERT INTO retention.journal_event (job, kind, details)\n"
		"SELECT $1::int, 'sliced', jsonb_build_object('key', ($2::text[])[1], 'rows', $3::bigint)";
	const char *const values[] = {b->id, b->due.array,
				      t_printf(b->ctx, "%" PRId64, b->worker->most_rows)};

	if (b->complete || b->worker->slice == SLICE_UNDER_WAY)
		return true;
	return db_command_kept(b->db, sql, 3, values, NULL, err);
}

static bool write_lengths(struct batch *b, struct error *err)
{
	static const char sql[] =
		"INSERT INTO retention.archive_file AS f (job, worker, table_name, bytes, rows)\n"
		"SELECT $1::int, $2::int, u.name, u.bytes, u.rows\n"
		"  FROM unnest($3::text[], $4::bigint[], $5::bigint[]) AS u(name, bytes, rows)\n"
		"    ON CONFLICT ON CONSTRAINT archive_file_pkey DO UPDATE\n"
		"   SET bytes = excluded.bytes, rows = f.rows + excluded.rows";
	const size_t n = b->plan->n_steps;
	const char **bytes = t_array(b->ctx, const char *, n + 1);
	const char **rows = t_array(b->ctx, const char *, n + 1);

	for (size_t i = 0; i < n; i++) {
		const struct step *s = &b->plan->steps[i];
		const int64_t length =
			s->archived ? archive_length(b->worker->writer, s->file_number) : 0;

		bytes[i] = t_printf(b->ctx, "%" PRId64, length);
		rows[i] = t_printf(b->ctx, "%" PRId64, b->rows[i]);
	}
	return db_command_kept(b->db, sql, 5,
			       (const char *const[]){b->id,
						     t_printf(b->ctx, "%d", b->worker->number),
						     b->job->labels, sql_array(b->ctx, bytes, n),
						     sql_array(b->ctx, rows, n)},
			       NULL, err);
}

static bool to_ledger(void *arg, const char *bytes, size_t n, struct error *err)
{
	struct batch *b = arg;

	(void)err; /* t_append() cannot fail */
	t_append(&b->ledger, "%.*s", (int)n, bytes);
	return true;
}

/* Inserts the rows of the ledger, and keeps what they return as the lines for its file. */
static bool write_ledger(struct batch *b, struct error *err)
{
	const char *sql = batch_with_arrays(
		b,
		t_printf(b->ctx,
			 "COPY (INSERT INTO retention.ledger (job, action, archive, key)\n"
			 "SELECT %d, '%s', '%s', unnest(%c::text[])\n"
			 "RETURNING job, action, archive, to_char(erased_at AT TIME ZONE 'UTC',\n"
			 "  'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), key,\n  " LEDGER_EVENT_SQL
			 ") TO STDOUT",
			 b->job->id, action_names[b->plan->opts.action],
			 archive_mode_names[b->plan->opts.archive], PLAN_KEYS),
		(const char *const[2]){b->due.array, NULL});
	int64_t rows;

	if (!sql)
		return fail(err, ERR_ENVIRONMENT, "cannot quote the keys of the ledger");
	b->ledger = t_strdup(b->ctx, "");
	return db_copy_out(b->db, sql, to_ledger, b, &rows, err);
}

/* Step 6: writes what the journal knows of the batch, in the transaction that makes it true. */
static bool account(struct batch *b, struct error *err)
{
	const char *const list[] = {b->id, b->done_with,
				    t_printf(b->ctx, "%" PRId64, b->keys->first_n),
				    t_printf(b->ctx, "%" PRId64, b->keys->last_n)};

	if (b->due.n > 0 && !write_lengths(b, err))
		return false;
	if (!b->complete)
		return true;
	if (b->due.n > 0 && b->plan->opts.action != ACTION_EXPORT && !write_ledger(b, err))
		return false;
	/* IS TRUE makes the planner filter by a hash.  = ANY would compare each key with each. */
	return db_command_kept(b->db,
			       "DELETE FROM retention.candidate\n"
			       " WHERE job = $1::int AND n BETWEEN $3::bigint AND $4::bigint\n"
			       "   AND (key IN (SELECT unnest($2::text[]))) IS TRUE",
			       4, list, NULL, err);
}

/* May a trigger of the model's tables fire in a batch?  A replica's do not. */
static bool has_triggers(const struct plan *plan)
{
	const struct relation *relations = plan->catalog->relations;

	for (size_t i = 0; i < plan->model->n_tables; i++)
		if (relations[i].delete_triggers || relations[i].update_triggers)
			return true;
	return false;
}

/*
 * Journals, once a job, into which tables outside the model the triggers of this batch have inserted rows: these may be
 * copies of what it erases.  A trigger that is deferred to the COMMIT is not seen.
 */
static bool tell_copied(struct batch *b, struct error *err)
{
	static const char sql[] =
		"INSERT INTO retention.journal_event (job, kind, details)\n"
		"SELECT $1::int, 'copied', jsonb_build_object('tables', jsonb_agg(DISTINCT\n"
		"         coalesce(pg_partition_root(s.relid), s.relid)::regclass::text))\n"
		"  FROM pg_stat_xact_user_tables AS s\n"
		" WHERE NOT EXISTS (SELECT FROM retention.journal_event AS e\n"
		"                    WHERE e.job = $1::int AND e.kind = 'copied')\n"
		"   AND s.n_tup_ins > 0 AND s.schemaname <> 'retention' AND s.schemaname !~ '^pg_'\n"
		"   AND NOT EXISTS (\n"
		"       SELECT FROM unnest($2::text[]) AS m(name), LATERAL (SELECT to_regclass(m.name)\n"
		"              UNION SELECT p.relid FROM pg_partition_tree(to_regclass(m.name)) AS p) AS t(oid)\n"
		"        WHERE t.oid = s.relid) HAVING count(*) > 0";
	const struct model *model = b->plan->model;
	const char **tables;

	if (b->due.n == 0 || b->plan->opts.action == ACTION_EXPORT || !has_triggers(b->plan))
		return true;
	tables = t_array(b->ctx, const char *, model->n_tables + 1);
	for (size_t i = 0; i < model->n_tables; i++)
		tables[i] = plan_table(b->ctx, &model->tables[i]);
	return db_command_kept(
		b->db, sql, 2,
		(const char *const[]){b->id, sql_array(b->ctx, tables, model->n_tables)}, NULL,
		err);
}

static bool run_in_transaction(struct batch *b, struct error *err)
{
	failpoint("batch-begin");
	/* A trigger that was deferred to the last COMMIT is looked at here. */
	if ((b->plan->catalog->runs_code && !db_check_settings(b->db, SQL_SESSION_PATH, err)) ||
	    !take_worker_lock(b->job, b->worker->number, b->db, err) || !check_ground(b, err) ||
	    !lock_subjects(b, err))
		return false;
	failpoint("batch-after-lock");
	if (!recheck(b, err))
		return false;
	failpoint("batch-after-recheck");
	if (b->due.n > 0) {
		if (!collect(b, err) || !batch_measure(b, err))
			return false;
		failpoint("batch-after-collect");
		if (!batch_erase(b, err))
			return false;
		failpoint("batch-after-erase");
	}
	/* Step 5 comes after step 6, because the disk writes meanwhile.  It has to be before the COMMIT. */
	if (!account(b, err) ||
	    (b->due.n > 0 && b->worker->writer && !archive_sync(b->worker->writer, err)))
		return false;
	failpoint("batch-after-sync");
	if (!batch_count_blocked(b, err) || !tell_sliced(b, err) || !tell_copied(b, err) ||
	    !tell_dropped(b, err)) /* last: they hold the journal's chain until COMMIT */
		return false;
	/* For the CRM's deferred triggers. */
	if (b->plan->catalog->runs_code && !db_exec(b->db, SQL_CRM_PATH, err))
		return false;
	failpoint("batch-before-commit");
	if (!db_commit(b->db, err)) /* step 7 */
		return false;
	failpoint("batch-after-commit");
	return true;
}

static void make_arrays(struct batch *b)
{
	const struct model *m = b->plan->model;

	b->rows = t_array(b->ctx, int64_t, b->plan->n_steps + 1);
	b->arrays = t_array(b->ctx, char **, m->n_tables);
	b->collected = t_array(b->ctx, int64_t, m->n_tables);
	b->unfinished = t_array(b->ctx, bool, m->n_tables);
	for (size_t i = 0; i < m->n_tables; i++)
		b->arrays[i] = t_array(b->ctx, char *, b->plan->n_slots[i]);
}

static bool quote_shards(struct batch *b, struct error *err)
{
	const char *shards = b->keys->shards;
	char *literal = shards ? PQescapeLiteral(db_conn(b->db), shards, strlen(shards)) : NULL;

	b->shards = "NULL";
	if (!shards)
		return true;
	if (!literal)
		return fail(err, ERR_ENVIRONMENT, "cannot quote the shards of a batch");
	b->shards = t_strdup(b->ctx, literal);
	PQfreemem(literal);
	return true;
}

/* Looks for a trigger or a rule that was made meanwhile: it looks like clients at work, or like rows at fault. */
static void look_for_change(struct batch *b, struct error *err)
{
	AUTO(error) struct error change = {0};

	if ((err->class != ERR_BUSY && err->class != ERR_DATA) || *err->sqlstate ||
	    !db_alive(b->db) || batch_check_tables(b->db, b->plan, &change) ||
	    change.class != ERR_CHANGED)
		return;
	error_clear(err);
	(void)fail(err, ERR_CHANGED, "%s", change.text);
}

bool batch_run(const struct batch_job *job, struct batch_worker *worker, const struct keys *keys,
	       struct batch_result *ret, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct batch b = {.job = job,
			  .worker = worker,
			  .keys = keys,
			  .result = ret,
			  .plan = job->plan,
			  .db = worker->db,
			  .ctx = ctx,
			  .id = t_printf(ctx, "%d", job->id),
			  .complete = true};

	make_arrays(&b);
	if (!quote_shards(&b, err))
		return false;
	if (!run_in_transaction(&b, err)) {
		db_rollback(worker->db);
		look_for_change(&b, err);
		ret->sliced = b.slicing;
		if (!worker->measure && strcmp(err->sqlstate, "57014") == 0)
			ret->fit = BATCH_TOO_LARGE;
		return false;
	}
	if (worker->writer)
		archive_commit(worker->writer);
	if (b.ledger) {
		AUTO(error) struct error behind = {0};

		/* The batch has committed: a file that lacks its lines is completed at the job's end. */
		(void)ledger_append(job->ledger, b.ledger, strlen(b.ledger), NULL, &behind);
		failpoint("batch-after-ledger");
	}
	ret->treated = b.complete ? b.due.n : 0;
	ret->sliced = !b.complete;
	for (size_t i = 0; i < job->plan->n_steps; i++)
		ret->rows += b.rows[i];
	return true;
}
