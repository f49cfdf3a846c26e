/*
 * One batch: DESIGN section 4, steps 0 to 7, one transaction.
 */
#ifndef RETENTION_BATCH_BATCH_H
#define RETENTION_BATCH_BATCH_H

#include "archive/writer.h"
#include "batch/keys.h"
#include "journal/ledger.h"
#include "plan/plan.h"

/* What all batches of a job have in common. */
struct batch_job {
	int id;
	int claim; /* the claim that must still be the job's */
	const char *system; /* the server that the job began on */
	const char *from; /* or NULL */
	const char *cutoff;
	const struct plan *plan;
	/* Of each step, for retention.archive_file, as the text of a text[]; "" where it is not archived. */
	const char *headers;
	const char *columns; /* each the text of an array in turn */
	const char *types;
	/* Of each step, archived or not. */
	const char *labels;
	const char *relations;
	struct ledger *ledger; /* NULL: nothing is erased */
};

/* What one worker brings along. */
struct batch_worker {
	int number;
	struct db *db;
	struct archive_writer *writer; /* NULL: nothing is archived */
	/*
	 * Rows of one table that a batch may take: several keys with more are BUSY, a single one goes in slices
	 * where the plan may (plan/slice.h).  0: no bound.
	 */
	int64_t most_rows;
	bool may_slice; /* false: a single one with more is BUSY, result.giant, before anything of it is gone */
	bool slicing; /* an earlier slice of the single key has said so in the journal */
	/*
	 * Count what hangs off the keys before it is erased: always for a single one.  false: that costs a tenth of a
	 * batch, and hardly anybody has so many rows.  They are counted as they go, in statements that may not take
	 * long; a batch that turns out to be too large is rolled back with result.large, to be halved and measured.
	 */
	bool measure;
	int statement_timeout_ms; /* the session's */
};

struct batch_result {
	int64_t treated; /* subjects */
	int64_t rows; /* of all tables */
	int64_t dropped; /* not due any more, held, or gone */
	int64_t left; /* locked by somebody: still in the list */
	/* A single subject goes in slices, one of which this was: it is still in the list.  Set in failure, too. */
	bool sliced;
	bool giant; /* in failure: as may_slice says */
	bool large; /* in failure: it was not measured, and has too many rows or takes too long */
	int64_t blocked; /* sessions that waited for this batch when it was about to commit */
};

/*
 * Runs one batch over keys.  true: committed.  false: rolled back, as far as we know: after a lost
 * connection only retention.archive_file, read by a new session under the worker's lock, says.
 * ERR_STOPPED: the job is no longer ours.
 */
bool batch_run(const struct batch_job *job, struct batch_worker *worker, const struct keys *keys,
	       struct batch_result *ret, struct error *err);

/* Fails: the session's role is not what the plan rests on. */
bool batch_refuse_role(const char *role, struct error *err);

/*
 * Takes the worker's lock and releases it: any batch of this worker that an older session may still
 * be running has ended when this returns true.
 */
bool batch_settle(const struct batch_job *job, int worker, struct db *db, struct error *err);

#endif
