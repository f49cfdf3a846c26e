/*
 * The sequence of an action.  Each step asks the journal what is done, so that starting, going on after a
 * stop and going on after a crash are the same code:
 *
 *   claim    a session lock: whoever holds it works on the job.  Lost with the session.
 *   check    clocks, policy, model against the catalog, every statement against the server.
 *   list     saved: the keys that are due, frozen with their count and digest.
 *   approve  an automatic action validates itself, unless the policy or max_share wants a person, a
 *            person validated the action whose rest it is, or a change of the tables has ended MOST_PARTS
 *            actions of its occurrence.
 *   start    validated -> running, the archive's folder.
 *   fence    raise the claim, wait until no batch of an older claim can commit.
 *   files    the archive's files into the journal, or compared with it: job/archive_files.c.  In a database that
 *            was restored from a backup, they tell what the job had done: job/restored.c.
 *   work     job/work.c.
 *   finish   job/finish.c.  Early, where a table has changed under a job that has archived rows.  The rest
 *            is a new action, which begins by itself; a job that has archived nothing goes on instead.
 *            Early, too, where a person has abandoned the action; then nothing begins for the rest.
 *
 * A failure of the server, the network or the disk at any line ends the attempt; after a pause the next
 * one begins at the top.
 */
#include "job/job_state.h"
#include "job/mode.h"
#include "job/unknown.h"

#include "preflight/check_plan.h"
#include "archive/age.h"
#include "archive/found.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "journal/configuration.h"
#include "journal/identity.h"

#include <inttypes.h>

#define BACKOFF_MIN_MS 500
#define BACKOFF_MAX_MS 30000
#define GIVE_UP_MS 60000
/* How many attempts in a row a change of the tables may end before a person is needed. */
#define MOST_CHANGES 5
/* How many actions of one occurrence may begin by themselves, where a change of the tables ends each early. */
#define MOST_PARTS 5

/* Makes complaints one error: err gets the first in full, the parent is told all. */
static bool refuse(struct job *j, const struct complaints *c, struct error *err)
{
	for (size_t i = 0; i < c->n; i++)
		report_complaint(j->opts->report, "%s", c->lines[i]);
	return fail(err, ERR_CONFIG, "%s%s", c->lines[0],
		    c->n > 1 ? t_printf(j->ctx, " (and %zu more)", c->n - 1) : "");
}

static bool check_model(struct job *j, struct error *err)
{
	AUTO(complaints) struct complaints c = {0};
	const struct config *config = j->opts->config;
	struct check check = {.db = j->db, .config = config, .ctx = j->ctx, .complaints = &c};
	struct plan_opts opts;

	if (!job_find_policy(j, err))
		return false;
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

/* Would the action erase more of the subjects than max_share?  Then *ret_why says so, owned by ctx. */
static bool exceeds_share(struct job *j, char **ret_why, struct error *err)
{
	const double most = j->opts->config->max_share;
	AUTO(result) PGresult *res = NULL;
	int64_t total;

	if (j->row.action == ACTION_EXPORT || j->row.candidates == 0)
		return true;
	if (!db_query_apart(j->db, j->plan->total_sql, 0, NULL, &res, err))
		return false;
	total = db_int(res, 0, PQfname(res, 0));
	if ((double)j->row.candidates > most * (double)total)
		*ret_why = t_printf(j->ctx,
				    "a person's validation: %" PRId64 " of %" PRId64
				    " are due, more than max_share (%g)",
				    j->row.candidates, total, most);
	return true;
}

/* Why an automatic action waits for a person; NULL: it does not.  Known before the list is frozen, with what a person asks. */
static bool find_reason(struct job *j, char **ret_why, struct error *err)
{
	const char *reason = NULL;

	if (j->row.replay || !j->row.automatic || !job_count_list(j, err))
		return err->class == ERR_NONE;
	if (j->row.by_person)
		reason = "as the action whose rest it is";
	else if (j->row.part > MOST_PARTS)
		reason = t_printf(j->ctx,
				  "because a change of the tables has ended %d actions of this "
				  "occurrence",
				  j->row.part - 1);
	else if (j->policy->approval)
		reason = "as the policy asks";
	if (!reason)
		return exceeds_share(j, ret_why, err);
	*ret_why = t_printf(j->ctx, "a person's validation, %s (%" PRId64 " due)", reason,
			    j->row.candidates);
	return true;
}

/* Step "approve".  why: find_reason().  *ret_go false: the action stays saved, and waits for a person. */
static bool approve(struct job *j, const char *why, bool *ret_go, struct error *err)
{
	*ret_go = j->row.replay;
	if (j->row.replay) /* each of these erasures was validated once */
		return journal_approve(j->db, j->row.id, j->row.requested_by, err) &&
		       reload_row(j, err);
	if (!j->row.automatic) {
		report_note(j->opts->report, "retentionctl validate %d runs it", j->row.id);
		return true;
	}
	if (why) {
		report_note(j->opts->report, "%s: retentionctl validate %d", why, j->row.id);
		return journal_note(j->db, j->row.id, why, NULL, NULL, err);
	}
	*ret_go = true;
	return journal_approve(j->db, j->row.id,
			       t_printf(j->ctx, JOURNAL_BY_POLICY "%s", j->row.policy), err) &&
	       reload_row(j, err);
}

/* A list that waits for a person: the rules for that may have changed. */
static bool approve_again(struct job *j, bool *ret_go, struct error *err)
{
	char *why = NULL;

	return find_reason(j, &why, err) && approve(j, why, ret_go, err);
}

/*
 * Steps "list", once per job, and "approve".  The list is frozen and approved in one transaction: otherwise a crash
 * between them would leave a list that nobody is asked about.  Until then, the keys (job/listing.c) are no list.
 */
static bool list(struct job *j, bool *ret_go, struct error *err)
{
	struct journal_interval due = {0};
	const char *preview = NULL;
	char *why = NULL;

	failpoint("job-before-list");
	if (!db_exec(j->db, "BEGIN", err) ||
	    !journal_interval(j->db, j->row.id, j->opts->config->timezone, j->ctx, &due, err) ||
	    !job_list_keys(j, &due, err) || !find_reason(j, &why, err) ||
	    !job_preview(j, &due, why || !j->row.automatic, &preview, err) ||
	    !journal_freeze(j->db, j->row.id,
			    &(struct journal_list){due.cutoff, preview, j->configuration},
			    &j->row.candidates, err) ||
	    !approve(j, why, ret_go, err) || !db_commit(j->db, err)) {
		db_rollback(j->db);
		job_drop_list(j);
		return false;
	}
	failpoint("job-after-list");
	return true;
}

/* The name of the action's folder, made of what cannot change in the journal. */
static const char *archive_name(struct job *j)
{
	return t_printf(j->ctx, "%s-%s-%s-%d", j->row.day, action_names[j->row.action],
			j->row.policy ? j->row.policy : "manual", j->row.id);
}

/* Step "start": checks that the list is the one that was validated; then the action is running. */
static bool start(struct job *j, struct error *err)
{
	const struct archive a = {.directory = j->archive.directory,
				  .name = archive_name(j),
				  .files = j->archive.files,
				  .n_files = j->archive.n_files};
	/* After a restored backup nobody may be due, because the replay has come first, and the folder is there. */
	const bool archives = a.n_files > 0 && (j->row.candidates > 0 || archive_is_used(&a));
	const char *path = archives ? t_printf(j->ctx, "%s/%s", a.directory, a.name) : NULL;
	bool intact = false;

	if (!journal_list_is_intact(j->db, j->row.id, &intact, err))
		return false;
	if (!intact)
		return fail(
			err, ERR_CONFIG,
			"the list of keys is not the one that was validated (its digest differs): "
			"save the action anew");
	/* Before the journal says running, so that a folder that cannot be made refuses the job untouched. */
	if (archives && !job_begin_folder(j, &a, err))
		return false;
	failpoint("job-before-start");
	return journal_start(j->db, j->row.id, j->opts->host, path, err) && reload_row(j, err);
}

/*
 * Before anything is erased, checks that the directory is this database's, that the ledger's file can be written, and
 * that the database knows all that the file knows.  A replay repairs a database that does not.
 */
static bool open_ledger(struct job *j, struct error *err)
{
	const bool erases = j->row.action != ACTION_EXPORT;
	struct ledger_found found = {0};

	/* An export erases nothing, but must not write beside another database's archives either. */
	if (!identity_bind(j->db, j->opts->config->directory, err) ||
	    !ledger_open(j->db, j->opts->config->directory, erases ? LEDGER_CREATE : LEDGER_APPEND,
			 &j->ledger, err))
		return false;
	if (!erases) {
		ledger_close(j->ledger);
		j->ledger = NULL;
		return true;
	}
	if (!ledger_check(j->db, j->ledger, &found, err))
		return false;
	j->batch.ledger = j->ledger;
	return found.ahead == 0 || j->row.replay ||
	       fail(err, ERR_CONFIG,
		    "the database was restored from a backup: it has forgotten %" PRId64
		    " erasures that the ledger's file knows: run retentionctl replay first",
		    found.ahead);
}

/* Steps "fence" and "files", and the archive's folder as an earlier attempt left it. */
static bool prepare(struct job *j, struct error *err)
{
	int64_t left = 0;
	bool archived = false;

	if (!journal_fence(j->db, j->row.id, j->opts->host, j->configuration, &j->claim, err) ||
	    !db_query_int(j->db, "SELECT count(*) FROM retention.candidate WHERE job = $1::int", 1,
			  &j->id, &left, err) ||
	    !journal_has_archived(j->db, j->row.id, &archived, err))
		return false;
	j->archive.name = j->row.archive_path ? archive_name(j) : NULL;
	if (!job_settle_list(j, &left, err))
		return false;
	j->done_before = j->row.candidates - left;
	j->batch.id = j->row.id;
	j->batch.claim = j->claim;
	j->batch.system = j->row.system;
	j->batch.from = j->row.automatic ? NULL : j->row.from;
	j->batch.cutoff = j->row.cutoff;
	if ((j->row.candidates > 0 || j->archive.name) && !job_settle_files(j, err))
		return false;
	if (!j->archive.name)
		return true;
	if (archive_is_finished(&j->archive))
		return job_settle_lengths(j, err);
	/* start() found no folder of that name, so a folder that is there now is this job's. */
	return archive_create(&j->archive,
			      archived || j->changed.restored || archive_is_begun(&j->archive),
			      err) &&
	       job_settle_lengths(j, err) && job_check_segments(j, err);
}

/*
 * Does the archive lie on the host that began the job, with rows that are nowhere else?  The job is taken
 * over only where the folder can be reached from here, or has nothing in it yet.  The journal says so: where that host
 * is gone for good, a person has to know.
 */
static bool is_elsewhere(struct job *j, bool *ret, struct error *err)
{
	const struct archive a = {.directory = j->archive.directory, .name = archive_name(j)};
	const char *why;
	bool archived = false;

	*ret = false;
	if (!j->row.archive_path || !j->row.host || strcmp(j->row.host, j->opts->host) == 0)
		return true;
	if (!journal_has_archived(j->db, j->row.id, &archived, err))
		return false;
	*ret = archived && !archive_is_begun(&a) && !archive_is_finished(&a);
	if (!*ret)
		return true;
	why = t_printf(j->ctx,
		       "its archive lies on host %s: it goes on there, or where its folder is; "
		       "retentionctl abandon %d ends it",
		       j->row.host, j->row.id);
	report_note(j->opts->report, "%s", why);
	return journal_note(j->db, j->row.id, why, NULL, NULL, err);
}

/* Runs the steps from "claim" to "start"; *ret_go false: the job ends here, with *ret_exit. */
static bool begin(struct job *j, bool *ret_go, enum job_exit *ret_exit, struct error *err)
{
	bool mine = false, elsewhere = false;

	*ret_go = false;
	*ret_exit = JOB_TAKEN;
	if (!claim_take(j, &mine, err))
		return false;
	if (!mine)
		return true;
	/* Counts from now what others do until the first batch. */
	if (!courtesy_look(j->courtesy, j->db, err) || !reload_row(j, err))
		return false;
	if (strcmp(j->row.status, "saved") != 0 && strcmp(j->row.status, "validated") != 0 &&
	    strcmp(j->row.status, "running") != 0)
		return true;
	if (!is_elsewhere(j, &elsewhere, err))
		return false;
	if (elsewhere)
		return true;
	if (!job_read_changed(j, err) || !mode_check_clocks(j->db, err) ||
	    (!(j->changed.why && (j->changed.has_files || j->changed.abandoned)) &&
	     !check_model(j, err)))
		return false;
	if (!configuration_keep(j->db, j->opts->config, j->ctx, &j->configuration, err) ||
	    (strcmp(j->row.status, "running") != 0 && !unknown_check_number(j->db, j->opts, err)))
		return false;
	if (strcmp(j->row.status, "saved") == 0) {
		*ret_exit = JOB_SAVED;
		if (!(j->row.frozen ? approve_again : list)(j, ret_go, err) || !*ret_go)
			return err->class == ERR_NONE;
	}
	*ret_go = true;
	return open_ledger(j, err) && (strcmp(j->row.status, "validated") != 0 || start(j, err)) &&
	       job_read_changed(j, err);
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
	report_detail(j->opts->report, "integrity: %s", j->integrity);
	return journal_integrity(j->db, j->row.id, j->integrity, err);
}

/*
 * A table has changed under a job that has archived rows.  Notes it, so that the next attempt ends the job,
 * whether the model holds then or not.  Killed before it, the next attempt finds the change
 * itself, or, where it was undone, goes on.  Always false: err stands.
 */
static bool mark_changed(struct job *j, const struct error *err)
{
	AUTO(error) struct error ignored = {0};

	if (err->class == ERR_CHANGED && j->archive.name && db_alive(j->db) &&
	    journal_mark_changed(j->db, j->row.id, err->text, &ignored))
		failpoint("changed-after-mark");
	return false;
}

/*
 * Runs step "work".  A failure that looks like a change may have another cause, such as a trigger of the CRM
 * that misses a table of its own.  Then the tables are what they were, and the job does not end for it.
 */
static bool work(struct job *j, struct error *err)
{
	AUTO(error) struct error change = {0};

	if (j->changed.why || j->done_before >= j->row.candidates || job_work(j, err))
		return true;
	if (err->class == ERR_CHANGED && db_alive(j->db) &&
	    !batch_check_tables(j->db, j->plan, &change) && change.class == ERR_CHANGED)
		return mark_changed(j, err);
	return false;
}

static bool attempt(struct job *j, enum job_exit *ret_exit, struct error *err)
{
	char *note = NULL;
	bool go, failures = false;

	if (!begin(j, &go, ret_exit, err) || !go)
		return err->class == ERR_NONE;
	if (!note_integrity(j, err))
		return false;
	if (!prepare(j, err))
		return mark_changed(j, err);
	if (!work(j, err))
		return false;
	/* The workers may have outlived the control session, if the server came back between two looks. */
	if ((!db_alive(j->db) && !claim_keep(j, err)) || !job_finish(j, &note, &failures, err))
		return false;
	job_remove_files(j, &note);
	if (j->row.action != ACTION_EXPORT)
		job_vacuum(j, &note);
	report_note(j->opts->report, "%s", note);
	*ret_exit = failures ? JOB_INCOMPLETE : JOB_DONE;
	return true;
}

/*
 * Notes in the journal, where a person looks for it, what the next attempt waits for (NULL: nothing), and why the job
 * ended (NULL: it was stopped, or goes on); if the database can be reached.
 */
static void note_end(struct job *j, const char *waiting, const char *why)
{
	AUTO(error) struct error ignored = {0};

	if (!db_alive(j->db))
		return;
	stop_watch(j->opts->stop, CLAIM_SLOT, NULL); /* or a stop would cancel this, too */
	db_rollback(j->db);
	if (!db_exec(j->db, "SET lock_timeout = 500; SET statement_timeout = 1000", &ignored))
		return;
	(void)journal_note(j->db, j->row.id, waiting, waiting ? wait_words[WAIT_OTHER] : NULL, why,
			   &ignored); /* logged too */
}

/* The attempts in a row that a change of the tables has ended, with the same number of keys done. */
struct changes {
	int n;
	int64_t done;
};

static enum job_exit exit_of(struct job *j, const struct error *err)
{
	report_note(j->opts->report, "%s", err->text);
	return err->class == ERR_STOPPED || (stop_asked(j->opts->stop) && err->class != ERR_CONFIG)
		       ? JOB_STOPPED
		       : JOB_REFUSED;
}

/*
 * The tables have changed under the job.  The next attempt ends it early, or, without an archive, checks the
 * model anew and goes on.  When that happens again and again and no key gets done, a person is needed.
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
				.id = t_printf(ctx, "%d", opts->id),
				.row = {.id = opts->id},
				.archive = {.directory = opts->config->directory,
					    .group_readable = opts->config->group_readable},
				.courtesy = courtesy_new(opts->config->courtesy)};
		enum job_exit exit_status = JOB_FAILED;
		const bool ok = attempt(&j, &exit_status, &err);

		count_change(&j, &changes, &err);
		if (!ok && err.class == ERR_CONFIG)
			note_end(&j, NULL, err.text);
		else if (!ok && err.class == ERR_STOPPED && j.claim > 0)
			note_end(&j, NULL, NULL);
		else if (!ok && j.row.status &&
			 (err.class == ERR_ENVIRONMENT || err.class == ERR_BUSY) &&
			 !stop_asked(opts->stop))
			note_end(&j, err.text, NULL);
		claim_drop(&j);
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
			report_note(opts->report, "%s", err.text);
			return JOB_AWAY;
		}
		if (stop_sleep_ms(opts->stop, backoff_ms))
			return JOB_STOPPED;
		away_ms += backoff_ms;
		backoff_ms = backoff_ms * 2 < BACKOFF_MAX_MS ? backoff_ms * 2 : BACKOFF_MAX_MS;
	}
}
