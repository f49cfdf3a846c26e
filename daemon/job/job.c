/*
 * The sequence of an action.  It is one function after another over what the journal says, so that
 * starting, going on after a stop and going on after a crash are the same code:
 *
 *   claim    a session lock: whoever holds it works on the job.  Lost with the session.
 *   check    clocks, policy, model against the catalog, every statement against the server.
 *   list     saved: the keys that are due, frozen with their count and digest.
 *   approve  an automatic pass validates itself, unless the policy or max_share wants a person.
 *   start    validated -> running, the archive's folder.
 *   fence    raise the claim, wait until no batch of an older claim can commit.
 *   work     job/work.c.
 *   finish   job/finish.c.
 *
 * A failure of the surroundings at any line ends the attempt; after a pause the next one begins at
 * the top.
 */
#include "job/job_state.h"

#include "preflight/check_plan.h"
#include "archive/age.h"
#include "batch/session.h"
#include "base/failpoint.h"
#include "journal/ledger_sync.h"
#include "base/mem.h"

#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#define CLOCK_TOLERANCE_S 120
#define CONTROL_SLOT 0
#define BACKOFF_MIN_MS 500
#define BACKOFF_MAX_MS 30000
#define GIVE_UP_MS 60000
/* Tries in a row that a change of the tables ended, before a person is needed. */
#define MOST_CHANGES 5

static bool open_control(struct job *j, struct error *err)
{
	struct db_opts opts = session_opts(j->opts->config, 0);

	opts.lock_timeout_ms = 0; /* the fence waits for batches to end; a stop cancels it */
	if (!db_open(&opts, &j->db, err))
		return false;
	stop_watch(j->opts->stop, CONTROL_SLOT, db_conn(j->db));
	return true;
}

static void close_control(struct job *j)
{
	stop_watch(j->opts->stop, CONTROL_SLOT, NULL);
	db_close(j->db);
	j->db = NULL;
}

/*
 * Clocks.  The database's decides what is due; a host whose clock differs by minutes, or a database
 * whose clock stands before what its journal has recorded, is a server restored or set wrong.
 */
bool job_check_clocks(struct db *db, struct error *err)
{
	static const char sql[] =
		"SELECT extract(epoch FROM clock_timestamp())::bigint AS now,\n"
		"       coalesce(extract(epoch FROM (SELECT at FROM retention.journal_event\n"
		"                                     ORDER BY id DESC LIMIT 1))::bigint, 0) AS "
		"newest";
	AUTO(result) PGresult *res = NULL;
	int64_t now, newest;

	if (!db_query(db, sql, 0, NULL, &res, err))
		return false;
	now = db_int(res, 0, "now");
	newest = db_int(res, 0, "newest");
	if (llabs(now - (int64_t)time(NULL)) > CLOCK_TOLERANCE_S)
		return fail(err, ERR_CONFIG,
			    "the clocks of this host and of the database differ by %" PRId64
			    " s: set them right; nothing is erased by a wrong date",
			    (int64_t)time(NULL) - now);
	if (now + 1 < newest)
		return fail(
			err, ERR_CONFIG,
			"the database's clock is %" PRId64
			" s behind its newest journal row: set it right; nothing is erased by a "
			"wrong date",
			newest - now);
	return true;
}

/* Complaints as one error: the first in full, the others told to the parent. */
static bool refuse(struct job *j, const struct complaints *c, struct error *err)
{
	for (size_t i = 0; i < c->n; i++)
		report_complaint(j->opts->report, c->lines[i]);
	return fail(err, ERR_CONFIG, "%s%s", c->lines[0],
		    c->n > 1 ? t_printf(j->ctx, " (and %zu more)", c->n - 1) : "");
}

static bool check_model(struct job *j, struct error *err)
{
	AUTO(complaints) struct complaints c = {0};
	const struct config *config = j->opts->config;
	struct check check = {.db = j->db, .config = config, .ctx = j->ctx, .complaints = &c};
	struct plan_opts opts;

	if (j->row.policy) {
		j->policy = config_policy(config, j->row.policy);
		if (!j->policy)
			return fail(
				err, ERR_CONFIG,
				"policy \"%s\" of action %d is not in the configuration any more: "
				"put it back%s",
				j->row.policy, j->row.id,
				strcmp(j->row.status, "saved") == 0
					? ", or cancel the action"
					: " under this name, so that what was begun can end");
		if (j->policy->action != j->row.action)
			return fail(err, ERR_CONFIG,
				    "policy \"%s\" was %s when action %d was saved, and is %s now",
				    j->row.policy, action_name(j->row.action), j->row.id,
				    action_name(j->policy->action));
	}
	opts = check_opts(config, j->policy, j->row.action, j->row.archive);
	opts.by_key = j->row.by_key;
	if (!check_action(&check, j->policy, &opts, &j->plan, err))
		return c.n > 0 ? refuse(j, &c, err) : false;
	j->integrity = check.integrity;
	j->batch.plan = j->plan;
	job_name_files(j);
	return j->archive.n_files == 0 || config->n_recipients == 0 ||
	       age_check(config->recipients, config->n_recipients, err);
}

static bool reload_row(struct job *j, struct error *err)
{
	return journal_load(j->db, j->row.id, j->opts->config->timezone, j->ctx, &j->row, err);
}

/* Would the pass erase more of the subjects than max_share?  *ret_why says so, owned by ctx. */
static bool exceeds_share(struct job *j, char **ret_why, struct error *err)
{
	AUTO(result) PGresult *res = NULL;
	const double most = j->opts->config->max_share;
	int64_t total;

	if (j->row.action == ACTION_EXPORT || j->row.candidates == 0)
		return true;
	if (!db_query(j->db, j->plan->total_sql, 0, NULL, &res, err))
		return false;
	total = db_int(res, 0, "n");
	if ((double)j->row.candidates > most * (double)total)
		*ret_why = t_printf(j->ctx,
				    "a person's validation: %" PRId64 " of %" PRId64
				    " are due, more than max_share (%g)",
				    j->row.candidates, total, most);
	return true;
}

/* Step "approve".  *ret_go false: it stays saved, and waits for a person. */
static bool approve(struct job *j, bool *ret_go, struct error *err)
{
	char *why = NULL;

	*ret_go = j->row.replay;
	if (j->row.replay) /* each of these erasures was validated once */
		return journal_approve(j->db, j->row.id, j->row.requested_by, err) &&
		       reload_row(j, err);
	if (!j->row.automatic) {
		report_note(j->opts->report,
			    t_printf(j->ctx, "retentionctl validate %d runs it", j->row.id));
		return true;
	}
	if (j->policy->approval)
		why = t_printf(j->ctx,
			       "a person's validation, as the policy asks (%" PRId64 " due)",
			       j->row.candidates);
	else if (!exceeds_share(j, &why, err))
		return false;
	if (why) {
		report_note(j->opts->report,
			    t_printf(j->ctx, "%s: retentionctl validate %d", why, j->row.id));
		return journal_note(j->db, j->row.id, why, NULL, err);
	}
	*ret_go = true;
	return journal_approve(j->db, j->row.id, t_printf(j->ctx, "policy %s", j->row.policy),
			       err) &&
	       reload_row(j, err);
}

static bool list_in_transaction(struct job *j, bool *ret_go, struct error *err)
{
	struct journal_interval due = {0};

	return db_exec(j->db, "BEGIN", err) &&
	       journal_interval(j->db, j->row.id, j->opts->config->timezone, j->ctx, &due, err) &&
	       keys_list(j->db, j->plan, j->row.id, due.from, due.cutoff, err) &&
	       journal_freeze(j->db, j->row.id, due.cutoff, &j->row.candidates, err) &&
	       approve(j, ret_go, err) && db_commit(j->db, err);
}

/*
 * Steps "list", once per job, and "approve", in one transaction: a list that nobody is asked about, and that nobody
 * approved, would lie for ever.  The snapshot ends with it.
 */
static bool list(struct job *j, bool *ret_go, struct error *err)
{
	failpoint("job-before-list");
	if (!list_in_transaction(j, ret_go, err)) {
		db_rollback(j->db);
		return false;
	}
	failpoint("job-after-list");
	return true;
}

/* The name of the action's folder, made of what cannot change in the journal. */
static const char *archive_name(struct job *j)
{
	return t_printf(j->ctx, "%s-%s-%s-%d", j->row.day, action_name(j->row.action),
			j->row.policy ? j->row.policy : "manual", j->row.id);
}

/* Step "start": the list is the one that was validated; then running, in the journal first. */
static bool start(struct job *j, struct error *err)
{
	const bool archives = j->archive.n_files > 0 && j->row.candidates > 0;
	const struct archive a = {.directory = j->archive.directory, .name = archive_name(j)};
	const char *path = archives ? t_printf(j->ctx, "%s/%s", a.directory, a.name) : NULL;
	bool intact = false;

	if (!journal_list_is_intact(j->db, j->row.id, &intact, err))
		return false;
	if (!intact)
		return fail(
			err, ERR_CONFIG,
			"the list of keys is not the one that was validated (its digest differs): "
			"save the action anew");
	/* Before the journal says running: a folder that cannot be made refuses the job untouched. */
	if (archives && !archive_create(&a, false, err))
		return false;
	failpoint("job-before-start");
	return journal_start(j->db, j->row.id, j->opts->host, path, err) && reload_row(j, err);
}

static bool count_done(struct job *j, struct error *err)
{
	const char *const values[] = {t_printf(j->ctx, "%d", j->row.id)};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(j->db, "SELECT count(*) AS n FROM retention.candidate WHERE job = $1::int", 1,
		      values, &res, err))
		return false;
	j->done_before = j->row.candidates - db_int(res, 0, "n");
	return true;
}

/*
 * The ledger's file, before anything is erased: it can be written, and the database knows all that it
 * knows.  A replay is what mends a database that does not.
 */
static bool open_ledger(struct job *j, struct error *err)
{
	int64_t ahead = 0;

	const bool erases = j->row.action != ACTION_EXPORT;

	/* An export erases nothing, but must not write beside another database's archives either. */
	if (!ledger_sync_open(j->db, j->opts->config->directory, erases, &j->ledger, err))
		return false;
	if (!erases) {
		ledger_close(j->ledger);
		j->ledger = NULL;
		return true;
	}
	if (!ledger_sync_check(j->db, j->ledger, &ahead, err))
		return false;
	j->batch.ledger = j->ledger;
	return ahead == 0 || j->row.replay ||
	       fail(err, ERR_CONFIG,
		    "the database was restored from a backup: it has forgotten %" PRId64
		    " erasures that the ledger's file knows: run retentionctl replay first",
		    ahead);
}

/* Step "fence", and the archive where an earlier attempt left it. */
static bool prepare(struct job *j, struct error *err)
{
	bool archived = false;

	if (!journal_fence(j->db, j->row.id, j->opts->host, &j->claim, err) ||
	    !count_done(j, err) || !journal_has_archived(j->db, j->row.id, &archived, err))
		return false;
	j->batch.id = j->row.id;
	j->batch.claim = j->claim;
	j->batch.system = j->row.system;
	j->batch.from = j->row.automatic ? NULL : j->row.from;
	j->batch.cutoff = j->row.cutoff;
	j->archive.name = j->row.archive_path ? archive_name(j) : NULL;
	if (j->archive.name && !job_continue_files(j, err))
		return false;
	if (!j->archive.name || archive_is_finished(&j->archive))
		return true;
	/* start() found no folder of that name: one that is there now is this job's. */
	return archive_create(&j->archive, archived || archive_is_begun(&j->archive), err) &&
	       job_check_segments(j, err);
}

/*
 * A job that another host began: its archive may lie there, with rows that are nowhere else.  It is
 * taken over where its folder can be reached from here, or has nothing in it yet.
 */
static bool is_elsewhere(struct job *j, bool *ret, struct error *err)
{
	const struct archive a = {.directory = j->archive.directory, .name = archive_name(j)};
	bool archived = false;

	*ret = false;
	if (!j->row.archive_path || !j->row.host || strcmp(j->row.host, j->opts->host) == 0)
		return true;
	if (!journal_has_archived(j->db, j->row.id, &archived, err))
		return false;
	*ret = archived && !archive_is_begun(&a) && !archive_is_finished(&a);
	if (*ret)
		report_note(j->opts->report,
			    t_printf(j->ctx, "its archive lies on host %s", j->row.host));
	return true;
}

static bool lose_claim(struct job *j, struct error *err)
{
	j->claim = 0;
	return fail(err, ERR_STOPPED, "another daemon has taken the job over");
}

bool job_keep_claim(struct job *j, struct error *err)
{
	struct journal_row now = {0};
	bool mine = false;

	if (!db_alive(j->db)) {
		close_control(j);
		if (!open_control(j, err) || !journal_claim(j->db, j->row.id, &mine, err))
			return false;
		if (!mine)
			return lose_claim(j, err);
	}
	if (!journal_load(j->db, j->row.id, j->opts->config->timezone, j->ctx, &now, err))
		return false;
	if (now.claim != j->claim)
		return lose_claim(j, err);
	return true;
}

/* From the claim to the point where rows may be touched; *ret_exit when it ends before. */
static bool begin(struct job *j, bool *ret_go, enum job_exit *ret_exit, struct error *err)
{
	bool mine = false, elsewhere = false;

	*ret_go = false;
	*ret_exit = JOB_TAKEN;
	if (!open_control(j, err) || !journal_claim(j->db, j->row.id, &mine, err))
		return false;
	if (!mine)
		return true;
	if (!courtesy_look(j->courtesy, j->db,
			   err)) /* what comes until the first batch is counted */
		return false;
	if (!reload_row(j, err))
		return false;
	if (strcmp(j->row.status, "saved") != 0 && strcmp(j->row.status, "validated") != 0 &&
	    strcmp(j->row.status, "running") != 0)
		return true;
	if (!is_elsewhere(j, &elsewhere, err))
		return false;
	if (elsewhere)
		return true;
	if (!job_check_clocks(j->db, err) || !check_model(j, err))
		return false;
	if (strcmp(j->row.status, "saved") == 0) {
		*ret_exit = JOB_SAVED;
		if (!(j->row.frozen ? approve : list)(j, ret_go, err) || !*ret_go)
			return err->class == ERR_NONE;
	}
	*ret_go = true;
	return open_ledger(j, err) && (strcmp(j->row.status, "validated") != 0 || start(j, err));
}

/*
 * How this attempt keeps the foreign keys, in the journal and the log.  Each attempt decides anew, because the rights
 * and triggers may have changed.  That is safe: either way a batch keeps them by its own commit, so that one of
 * an earlier attempt leaves nothing to the next.
 */
static bool note_integrity(struct job *j, struct error *err)
{
	if (!j->integrity)
		return true;
	report_detail(j->opts->report, t_printf(j->ctx, "integrity: %s", j->integrity));
	return journal_integrity(j->db, j->row.id, j->integrity, err);
}

static bool attempt(struct job *j, enum job_exit *ret_exit, struct error *err)
{
	char *note = NULL;
	bool go, failures = false;

	if (!begin(j, &go, ret_exit, err))
		return false;
	if (!go)
		return true;
	if (!note_integrity(j, err) || !prepare(j, err) ||
	    (j->done_before < j->row.candidates && !job_work(j, err)))
		return false;
	/* The workers may have gone on without it: a server that came back between two looks. */
	if (!db_alive(j->db) && !job_keep_claim(j, err))
		return false;
	if (!job_finish(j, &note, &failures, err))
		return false;
	job_remove_files(j, &note);
	if (j->opts->config->vacuum && j->row.action != ACTION_EXPORT)
		job_vacuum(j, &note);
	report_note(j->opts->report, note);
	*ret_exit = failures ? JOB_INCOMPLETE : JOB_DONE;
	return true;
}

/*
 * Why it ended early (NULL: it was stopped) stands in the journal, where a person looks for it, if the database can be
 * reached; and what it waited for last does not any more.
 */
static void note_end(struct job *j, const char *why)
{
	AUTO(error) struct error ignored = {0};

	if (!db_alive(j->db))
		return;
	stop_watch(j->opts->stop, CONTROL_SLOT, NULL); /* or a stop would cancel this, too */
	db_rollback(j->db);
	if (!db_exec(j->db, "SET lock_timeout = 500; SET statement_timeout = 1000", &ignored))
		return;
	(void)journal_note(j->db, j->row.id, NULL, why, &ignored); /* logged too */
}

/* Tries in a row that a change of the tables has ended, each with so many keys done before. */
struct changes {
	int n;
	int64_t done;
};

static enum job_exit exit_of(struct job *j, const struct error *err)
{
	report_note(j->opts->report, err->text);
	if (err->class == ERR_STOPPED || stop_asked(j->opts->stop))
		return err->class == ERR_CONFIG ? JOB_REFUSED : JOB_STOPPED;
	return JOB_REFUSED;
}

/*
 * The tables have changed under the job: what became of them is for the next try's check of the model to judge, at
 * once.  One that finds nothing, again and again, and gets no further, needs a person.
 */
static void count_change(const struct job *j, struct changes *changes, struct error *err)
{
	if (err->class != ERR_CHANGED)
		return;
	if (j->done_before != changes->done)
		changes->n = 0;
	changes->done = j->done_before;
	if (++changes->n >= MOST_CHANGES)
		err->class = ERR_CONFIG;
}

enum job_exit job_run(const struct job_opts *opts)
{
	int64_t backoff_ms = BACKOFF_MIN_MS, away_ms = 0;
	struct changes changes = {0};

	for (;;) {
		AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
		AUTO(error) struct error err = {0};
		struct job j = {.opts = opts,
				.ctx = ctx,
				.row = {.id = opts->id},
				.archive = {.directory = opts->config->directory},
				.courtesy = courtesy_new(opts->config->courtesy)};
		enum job_exit exit_status = JOB_FAILED;
		const bool ok = attempt(&j, &exit_status, &err);

		count_change(&j, &changes, &err);
		if (!ok && err.class == ERR_CONFIG)
			note_end(&j, err.text);
		else if (!ok && err.class == ERR_STOPPED && j.claim > 0)
			note_end(&j, NULL);
		close_control(&j);
		ledger_close(j.ledger);
		courtesy_free(j.courtesy);
		if (ok)
			return exit_status;
		if ((err.class != ERR_ENVIRONMENT && err.class != ERR_BUSY &&
		     err.class != ERR_CHANGED) ||
		    stop_asked(opts->stop))
			return exit_of(&j, &err);
		report_waiting(opts->report, WAIT_OTHER, err.text);
		if (opts->once && away_ms > GIVE_UP_MS) {
			report_note(opts->report, err.text);
			return JOB_AWAY;
		}
		if (stop_sleep_ms(opts->stop, backoff_ms))
			return JOB_STOPPED;
		away_ms += backoff_ms;
		backoff_ms = backoff_ms * 2 < BACKOFF_MAX_MS ? backoff_ms * 2 : BACKOFF_MAX_MS;
	}
}
