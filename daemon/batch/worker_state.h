/*
 * What batch/worker.c and batch/retry.c share of a worker; nobody else's.
 */
#ifndef RETENTION_BATCH_WORKER_STATE_H
#define RETENTION_BATCH_WORKER_STATE_H

#include "batch/batch_size.h"
#include "batch/worker.h"

#define AS_REPLICA "SET session_replication_role = replica"
#define AS_ORIGIN "SET session_replication_role = origin"

struct state {
	struct worker *worker;
	struct worker_pool *pool;
	struct db *db;
	struct archive_writer *writer;
	struct batch_size size;
	struct key_window window;
	int64_t left; /* keys that this sweep had to leave */
	int64_t backoff_ms;
	int64_t refused; /* of those left: a foreign key points at them from elsewhere */
	int64_t treated_before; /* by all workers, when this sweep began */
	int in_vain; /* sweeps in a row in which nobody has treated anything */
	bool alone; /* no sibling is left: the whole list is this worker's */
	bool along; /* every batch takes along who refers to it, where that can be asked */
	const struct keys
		*dealt; /* the batch under way was made of them, and others along; or NULL */
	bool apart; /* such a batch has failed: only small ones are made of its halves */
	bool plain; /* and none at all */
	bool entire; /* the batch under way may have any number of rows */
	bool unasked; /* who refers to whom cannot be asked */
	bool may_slice; /* the single key under way will not be refused in the end */
	bool last_chance; /* a sweep has changed nothing: what is refused now has failed */
	int64_t away_ms; /* how long the surroundings have failed us */
	int statement_timeout_ms;
	int64_t slice_rows; /* what the next slice may take of a table */
	bool slicing; /* the key under way has lost a slice */
	bool whole; /* and cannot go on in slices */
	bool locked; /* told to the pool: its last sweep left rows that others have locked */
	bool measure; /* the keys under way are part of a batch that was too large */
};

/* The session and the segments, until the next one is opened. */
void worker_disconnect(struct state *s);

/* Waits as long as the brakes say.  false: err, or asked to stop. */
bool worker_pass_throttle(struct state *s, struct error *err);

/*
 * Erases those keys, in one batch or in as many as it takes: what fails is halved, journalled, or left for the next
 * sweep.  false: err says what the sweep has to do.
 */
bool worker_run_keys(struct state *s, const struct keys *keys, void *ctx, struct error *err);

#endif
