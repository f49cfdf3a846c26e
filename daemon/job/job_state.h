/*
 * The state of a job, shared by the files of its steps: job/job.c and job/claim.c (claim to start),
 * job/archive_files.c, job/restored.c, job/work.c, job/finish.c (join to done), job/refresh.c and
 * job/vacuum.c.
 */
#pragma once

#include "job/job.h"
#include "journal/journal.h"
#include "journal/ledger_check.h"
#include "batch/worker.h"

/* The table behind a file of the archive. */
struct job_file {
	const char *label; /* table_name of retention.archive_file */
	const char *relation; /* schema.table */
	const char *header; /* its first line */
	bool bom; /* before it */
	const char *types; /* of its columns */
	const char *const *columns; /* n_columns, in its header */
	size_t n_columns;
};

struct job {
	const struct job_opts *opts;
	void *ctx; /* of one attempt */
	const char *id; /* the action's number, as text */
	struct db *db;
	struct journal_row row;
	const struct policy *policy; /* NULL: manual */
	struct plan *plan; /* NULL: changed is not */
	const char *configuration; /* SHA-256 of the one that this process works under */
	const char *integrity; /* how the plan keeps the foreign keys; NULL: nothing is erased */
	struct batch_job batch;
	struct archive archive; /* its name is NULL where nothing is archived */
	struct job_file *files; /* archive.n_files, one behind each */
	struct journal_changed changed; /* why the job ends before its list is empty, if it does */
	int64_t done_before; /* keys that earlier attempts had finished with */
	int claim;
	struct courtesy *courtesy;
	struct ledger *ledger; /* NULL: an export, or not open yet */
};

#define CLAIM_SLOT 0 /* of stop_watch() */

/*
 * Opens the control session, which a stop cancels, and takes the claim.  *ret_mine: nobody else has it.
 * Whoever has the claim works on the job.
 */
bool claim_take(struct job *j, bool *ret_mine, struct error *err);

/* Closes the control session; the claim goes with it. */
void claim_drop(struct job *j);

/*
 * Checks that the claim is still this process's, and makes a lost control session anew.  STOPPED: another
 * daemon has the job now.
 */
bool claim_keep(struct job *j, struct error *err);

/* The policy that began the action, NULL where none did.  CONFIG: it may not go on by that. */
bool job_find_policy(struct job *j, struct error *err);

/*
 * Writes the keys that are due into retention.candidate, instead of those of an earlier attempt.  Reads the CRM's tables by a
 * session that may change nothing else.
 */
bool job_list_keys(struct job *j, const struct journal_interval *due, struct error *err);

/*
 * Counts the subjects that holds keep off the list and, where a person is asked to validate it, what the list would touch:
 * as the text of a jsonb, NULL for a replay.  Journals the keys of the held.  Never fails because something could not be counted.
 */
bool job_preview(struct job *j, const struct journal_interval *due, bool asks, const char **ret,
		 struct error *err);

/* Counts the keys on the list, as the row has them once it is frozen. */
bool job_count_list(struct job *j, struct error *err);

/* How many subjects would be on the list but for a hold; 0 where that could not be counted. */
int64_t job_count_held(struct job *j);

/* Removes keys that became no list, because the action was cancelled meanwhile, if the database can be reached. */
void job_drop_list(struct job *j);

/* Names the steps' rows of retention.archive_file, and the archive's files, as the plan has them. */
void job_name_files(struct job *j);

/* The labels of the files, as the text of a text[] owned by the job's ctx. */
const char *job_labels(const struct job *j);

/*
 * Before a row is archived, writes the archive's files to the journal.  Later compares them with the plan's,
 * as long as keys are left and the job has not to end early; otherwise takes them as they are.  CHANGED: a
 * table is not what it was when the archive began.  CONFIG: the configuration has another delimiter, or the
 * model archives a table under another name.
 */
bool job_settle_files(struct job *j, struct error *err);

/*
 * Before more is erased: what earlier attempts have archived is there.  A worker checks its own segments
 * only when it has work.  With an empty list, they may be joined already.
 */
bool job_check_segments(struct job *j, struct error *err);

/*
 * The archive's folder, for an action that starts.  A folder of that name can be what a database, restored since, has
 * forgotten: then it stays as it is, and the job is marked to end early.  CONFIG: it is another's.
 */
bool job_begin_folder(struct job *j, const struct archive *a, struct error *err);

/* Reads whether the job has to end early, and why. */
bool job_read_changed(struct job *j, struct error *err);

/*
 * In a database that was restored from a backup: takes off the list what the action has erased, so that *left is what
 * is left.  Finds out, too, that an archive was finished after the backup.
 */
bool job_settle_list(struct job *j, int64_t *left, struct error *err);

/* Then, once the archive's files are known: takes their lengths from the disk. */
bool job_settle_lengths(struct job *j, struct error *err);

/* Works through the keys that are left.  false: a worker failed; err is the weightiest failure. */
bool job_work(struct job *j, struct error *err);

/*
 * Joins, sums and seals the archive, and ends the journal's row; *ret_note says how it went.  *ret_failures:
 * keys failed, or are left for nobody.
 */
bool job_finish(struct job *j, char **ret_note, bool *ret_failures, struct error *err);

/*
 * Before the job ends, refreshes the materialized views that read tables with refresh = true; the event "refreshed"
 * tells which, and why some were not.  false: stopped, or the connection is lost.
 */
bool job_refresh(struct job *j, struct error *err);

/*
 * After the job has ended, removes the files outside the database that its rows named, and appends to *note
 * what became of them.  The daemon retries later what cannot be removed now.
 */
void job_remove_files(struct job *j, char **note);

/*
 * After the job has ended: ANALYZE of the tables that lost rows, or, where limits.vacuum asks for it, VACUUM with it,
 * each as soon as the throttle permits.  The job is done whatever becomes of it: the event "analyzed" or
 * "vacuumed" tells what was skipped, and after VACUUM *note says that something was.
 */
void job_vacuum(struct job *j, char **note);
