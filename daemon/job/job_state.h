/*
 * The inside of a job, shared by job/job.c (claim to start), job/archive_files.c and job/finish.c (join to done).
 */
#ifndef RETENTION_JOB_JOB_STATE_H
#define RETENTION_JOB_JOB_STATE_H

#include "job/job.h"
#include "journal/horizon.h"
#include "journal/journal.h"
#include "journal/ledger.h"
#include "batch/worker.h"

/* What is behind a file of the archive. */
struct job_part {
	const char *label; /* table_name of retention.archive_file */
	const char *relation; /* schema.table */
	const char *types; /* of its columns; NULL: an earlier version did not tell */
	const char *const *columns; /* n_columns, in its header */
	size_t n_columns;
};

struct job {
	const struct job_opts *opts;
	void *ctx; /* of one attempt */
	struct db *db;
	struct journal_row row;
	const struct policy *policy; /* NULL: manual */
	struct plan *plan;
	const char *integrity; /* how the plan keeps the foreign keys; NULL: nothing is erased */
	struct batch_job batch;
	struct archive archive; /* its files are these */
	/*
	 * n_files: one per archived step, then those that were begun under other columns.  Once the job's end has begun,
	 * what the journal then kept.
	 */
	struct archive_file *files;
	struct job_part *parts; /* n_files */
	struct horizon_tables
		step_tables; /* each step's label, without a part's number, and its table */
	bool files_kept;
	int64_t done_before; /* keys that earlier attempts had finished with */
	int claim;
	struct courtesy *courtesy;
	struct ledger *ledger; /* NULL: an export, or not open yet */
};

/* The host's clock against the database's, and that against the journal; CONFIG: one is wrong. */
bool job_check_clocks(struct db *db, struct error *err);

/* Names, per step, of the rows of retention.archive_file; and the files of the archive. */
void job_name_files(struct job *j);

/* The labels of the files, as the text of a text[] owned by the job's ctx. */
const char *job_labels(const struct job *j);

/*
 * Where the archive was begun before a table changed, its rows go on in a file of their own (contact.2.csv), under a
 * label of their own (contact.2), and what was begun keeps its columns.  Where the job's end has begun, the files are
 * those of then.  CONFIG: something was archived under a name that the model has no more for a table that it has, or
 * with another delimiter.
 */
bool job_continue_files(struct job *j, struct error *err);

/* The job's end begins: from now on the archive has these files.  Once; the next try finds them in the journal. */
bool job_keep_files(struct job *j, struct error *err);

/*
 * Before more is erased: what earlier attempts have archived is there.  A worker checks its own segments only when it
 * has work.  With an empty list, they may be joined already.
 */
bool job_check_segments(struct job *j, struct error *err);

/* The claim is looked at; a control session that was lost is made anew.  STOPPED: the job is another's now. */
bool job_keep_claim(struct job *j, struct error *err);

/* Works through the keys that are left, until none is or a worker failed; then the weightiest failure. */
bool job_work(struct job *j, struct error *err);

/* Joins, sums, seals the archive, and ends the journal's row; *ret_note says how it went. */
bool job_finish(struct job *j, char **ret_note, bool *ret_failures, struct error *err);

/*
 * Behind a job that has ended: the files outside the database that its rows named; *note says what became of
 * them.  What cannot be removed now is left to retention-job --tidy.
 */
void job_remove_files(struct job *j, char **note);

/*
 * Behind a job that has ended, where limits.vacuum asks for it: VACUUM of the tables that lost rows, each once the
 * brakes let it.  Whatever becomes of it, the job is done: what could not be is told in the event "vacuumed", and
 * in *note that there is something.
 */
void job_vacuum(struct job *j, char **note);

#endif
