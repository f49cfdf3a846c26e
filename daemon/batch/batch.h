/*
 * A batch: steps 0 to 7 of the protocol (batch/batch.c), in one transaction.
 */
#pragma once

#include "archive/writer.h"
#include "batch/keys.h"
#include "journal/ledger.h"
#include "plan/plan.h"

/* Common to all batches of a job. */
struct batch_job {
	int id;
	int claim; /* the job's; a later claim takes the job over */
	const char *system; /* identifier of the server that the job began on */
	const char *from; /* or NULL */
	const char *cutoff;
	const struct plan *plan;
	const char *
		labels; /* table_name in retention.archive_file of each step, as the text of a text[] */
	struct ledger *ledger; /* NULL: nothing is erased */
};

/* How far a single subject with too many rows for one transaction has come. */
enum slice_state {
	SLICE_NOT_CLEARED, /* its own row might be refused in the end: nothing of it may go yet */
	SLICE_CLEARED,
	SLICE_UNDER_WAY, /* a slice of it has committed, and the journal says so */
	SLICE_GIVEN_UP, /* slices have failed: the rest goes in one transaction */
};

/* A worker's part of a batch. */
struct batch_worker {
	int number;
	struct db *db;
	struct archive_writer *writer; /* NULL: nothing is archived */
	/*
	 * Rows of one table that a batch may take; 0: no bound.  Several subjects with more are BUSY.  A single one with
	 * more goes in slices, where the plan may (plan/slice.h).
	 */
	int64_t most_rows;
	enum slice_state slice;
	/*
	 * Counts the rows of the subjects before it erases.  That costs a tenth of a batch, and hardly any batch has too
	 * many.  Without it the rows are counted as they are deleted, by statements that may not take long, and a batch
	 * that turns out to be too large is rolled back.  A single subject is always measured.
	 */
	bool measure;
	int statement_timeout_ms; /* the session's */
};

/* Whether a batch that failed was too large. */
enum batch_fit {
	BATCH_FITS, /* it failed for another reason */
	BATCH_TOO_LARGE, /* too many rows of several subjects, or, not measured, too slow */
	BATCH_NEEDS_SLICES, /* too many rows of a single one, whose slices are SLICE_NOT_CLEARED */
};

struct batch_result {
	int64_t treated; /* subjects */
	int64_t rows; /* of all tables */
	int64_t left; /* locked by other sessions: still in the list */
	int64_t blocked; /* sessions that waited for this batch when it was about to commit */
	bool sliced; /* this was a slice of a single subject, which is still in the list; set in failure, too */
	enum batch_fit fit; /* set in failure only */
	bool paused; /* set in failure only: somebody has paused the action, and the batch has not begun */
};

/*
 * Runs one batch over keys.  *ret is zero before.  true: committed.  false: rolled back, as far as this side knows.
 * After a lost connection only retention.archive_file says, read by a new session under the worker's lock.
 * ERR_STOPPED: the job belongs to another process now, or ret->paused.
 */
bool batch_run(const struct batch_job *job, struct batch_worker *worker, const struct keys *keys,
	       struct batch_result *ret, struct error *err);

/* CHANGED: a table of the model, or a partition, differs from what the plan was made for. */
bool batch_check_tables(struct db *db, const struct plan *plan, struct error *err);

/* The same of the tables, and of their partitions that this transaction has locked. */
bool batch_check_touched(struct db *db, const struct plan *plan, struct error *err);

/* Fails, because the session's role is not the one that the plan relies on. */
bool batch_refuse_role(const char *role, struct error *err);

/*
 * Takes the worker's lock and releases it.  When this returns true, any batch of this worker that an older
 * session was still running has ended.
 */
bool batch_settle(const struct batch_job *job, int worker, struct db *db, struct error *err);
