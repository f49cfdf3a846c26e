/*
 * The state of a worker.  Private to batch/worker.c and batch/retry.c.
 */
#pragma once

#include "batch/batch_size.h"
#include "batch/session.h"

/* How far the sweeps over the list have come.  Each stage tries more than the one before it. */
enum stage {
	STAGE_SHARED, /* each worker has its own share of the list */
	STAGE_ALONE, /* the other workers have ended, or there was one from the start */
	STAGE_TOGETHER, /* subjects go in one batch with the subjects that refer to them */
	STAGE_LAST, /* a sweep has changed nothing: a refusal is now a failure */
};

/* A pass over the list.  Its keys leave the list, are journalled as failed, or are left for the next sweep. */
struct sweep {
	enum stage stage;
	struct key_page page;
	int64_t left; /* keys that this sweep had to leave */
	int64_t refused; /* of these: a foreign key of another row refers to them */
	bool met_locks; /* a batch failed because other sessions had locked rows */
	int64_t treated_before; /* subjects, by all workers, when this sweep began */
	int in_vain; /* sweeps in a row during which no worker has treated a subject */
	int64_t pause_ms; /* before the next one, while rows are locked */
	int64_t waited_ms; /* the sum of those pauses */
	bool told_locked; /* this worker counts in pool->locked */
	/* Citus: a server is away.  Why, and the last group of keys (struct keys) that is there; NULL: none is. */
	char *away, *away_group;
};

struct worker_state {
	struct worker_pool *pool;
	struct session session;
	struct batch_size size;
	struct sweep sweep;
	bool cannot_ask; /* the question which subjects refer to these has failed */
};

/*
 * From the keys of one batch to their end (batch/retry.c): erases the subjects of keys in as many batches as it takes.
 * Subjects of a batch that fails are halved, journalled as failed, or left for the next sweep.  false: err says what the
 * sweep has to do (batch/worker.c), and what is not done is in the list.
 */
bool retry_run(struct worker_state *w, const struct keys *keys, void *ctx, struct error *err);
