#include "batch/session.h"

#include "journal/journal.h"

#define LOCK_TIMEOUT_MS 500 /* below deadlock_timeout (1 s), so that this session gives way */
#define BACKOFF_MIN_MS 250
#define BACKOFF_MAX_MS 30000
#define GIVE_UP_MS 60000

struct db_opts session_opts(const struct config *config, int statement_timeout_ms)
{
	return (struct db_opts){
		.conninfo = config->conninfo,
		.timezone = config->timezone,
		.application_name = "retention-job",
		.lock_timeout_ms = LOCK_TIMEOUT_MS,
		.statement_timeout_ms = statement_timeout_ms,
	};
}

void session_close(struct session *s)
{
	stop_watch(s->pool->stop, s->worker + 1, NULL);
	if (s->writer)
		s->committed_bytes = archive_committed(s->writer);
	archive_writer_close(s->writer);
	s->writer = NULL;
	db_close(s->db);
	s->db = NULL;
}

/*
 * A standby that was promoted, or a backup that was put back under the job, may lack batches that had committed.  Their
 * rows in the archive are not cut back.  The attempt ends, and the next one finds that the ledger's file is ahead
 * (job/restored.c).
 */
static bool check_committed(const struct session *s, const int64_t *bytes, struct error *err)
{
	int64_t sum = 0;

	for (size_t i = 0; i < s->pool->archive->n_files; i++)
		sum += bytes[i];
	if (sum >= s->committed_bytes)
		return true;
	stop_ask(s->pool->stop);
	return fail(err, ERR_STOPPED,
		    "the server has lost batches that it had committed: is it a standby that was "
		    "promoted, or a restored backup?");
}

bool session_open_archive(struct session *s, struct error *err)
{
	struct worker_pool *pool = s->pool;
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct committed committed;
	const int64_t *bytes;

	if (!pool->archive->name || s->writer)
		return true;
	if (!journal_committed(s->db, pool->batch->id, pool->labels, ctx, &committed, err))
		return false;
	bytes = journal_bytes_of(&committed, s->worker, ctx);
	return check_committed(s, bytes, err) &&
	       archive_writer_open(pool->archive, s->worker, bytes, &s->writer, err);
}

/*
 * Keys come in arrays of any length.  A plan that reads a whole table of the CRM disturbs the other sessions, even
 * where it is faster.  The entry takes all rights in schema retention from the session, except those of its batches,
 * because triggers of the CRM run in it.
 */
static const char session_sql[] = "SET enable_seqscan = off;"
				  "INSERT INTO retention.erasing (job, worker) VALUES (%d, %d)";

/*
 * A plan for the very keys reads only their partitions, so the server prefers it to one for any keys, and makes it anew
 * each time.  It does not count that making it takes longer than running it: it grows with the number of partitions.
 * A plan that is made once leaves out partitions while it runs.
 */
static bool keep_plans(struct session *s, struct error *err)
{
	const struct plan *plan = s->pool->batch->plan;

	for (size_t i = 0; i < plan->model->n_tables; i++)
		if (plan->catalog->relations[i].partitioned)
			return db_exec(s->db, "SET plan_cache_mode = force_generic_plan", err);
	return true;
}

/*
 * integrity = "set": makes the session a replica.  The triggers of schema retention fire nevertheless.  Where every
 * session is a replica by default, no foreign key is checked, and the question for rows that lost their parent would
 * prove nothing.
 */
static bool become_replica(struct session *s, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!s->pool->batch->plan->orphans.sql)
		return true;
	if (!db_query(s->db, "SELECT current_setting('session_replication_role') AS role", 0, NULL,
		      &res, err))
		return false;
	if (strcmp(db_value(res, 0, "role"), "origin") != 0)
		return batch_refuse_role(db_text(res, 0, "role"), err);
	return db_exec(s->db, "SET session_replication_role = replica", err);
}

bool session_open(struct session *s, struct error *err)
{
	const struct db_opts opts = session_opts(s->pool->config, s->statement_timeout_ms);

	if (s->db && db_alive(s->db))
		return true;
	session_close(s);
	if (!db_open(&opts, &s->db, err))
		return false;
	stop_watch(s->pool->stop, s->worker + 1, db_conn(s->db));
	if (!db_execf(s->db, err, session_sql, s->pool->batch->id, s->worker)) {
		if (strcmp(err->sqlstate, "23505") != 0)
			return false;
		session_close(s);
		err->class =
			ERR_ENVIRONMENT; /* a pooler's session of a process that was killed: another one next time */
		return false;
	}
	return keep_plans(s, err) && become_replica(s, err) &&
	       batch_settle(s->pool->batch, s->worker, s->db, err);
}

bool session_wait_for_throttle(struct session *s, struct error *err)
{
	const struct worker_pool *pool = s->pool;

	return courtesy_look(pool->courtesy, s->db, err) &&
	       throttle_wait(pool->throttle, s->db, pool->stop, pool->report, NULL, err);
}

bool session_back_off(struct session *s, const struct error *cause, struct error *err)
{
	struct worker_pool *pool = s->pool;

	if (!pool->patient && s->away_ms > GIVE_UP_MS)
		return fail(err, ERR_ENVIRONMENT, "%s", cause->text);
	report_waiting(pool->report, WAIT_OTHER, cause->text);
	session_close(s);
	ledger_let_go(pool->batch->ledger); /* it may be the disk that fails */
	s->backoff_ms = s->backoff_ms ? s->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (s->backoff_ms > BACKOFF_MAX_MS)
		s->backoff_ms = BACKOFF_MAX_MS;
	s->away_ms += s->backoff_ms;
	return !stop_sleep_ms(pool->stop, s->backoff_ms) || fail(err, ERR_STOPPED, "asked to stop");
}
