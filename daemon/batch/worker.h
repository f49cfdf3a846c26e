/*
 * A worker: one connection, one thread, batch after batch until the list holds no key of its own.
 */
#ifndef RETENTION_BATCH_WORKER_H
#define RETENTION_BATCH_WORKER_H

#include "batch/batch.h"
#include "batch/courtesy.h"
#include "base/job_protocol.h"
#include "database/stop.h"
#include "batch/throttle.h"

#include <stdatomic.h>

/* What the workers of one job share. */
struct worker_pool {
	const struct config *config;
	const struct batch_job *batch;
	const struct archive *archive; /* its name is NULL where nothing is archived */
	const char *
		labels; /* table_name in retention.archive_file of each file, as the text of a text[] */
	int workers;
	bool patient; /* false: --once gives up on a database that stays away */
	struct stop *stop;
	struct report *report;
	struct throttle *throttle;
	struct courtesy *courtesy;
	atomic_llong treated; /* subjects */
	atomic_llong rows;
	atomic_llong failed;
	atomic_int locked; /* workers whose last sweep had to leave what others have locked */
	int64_t done_before; /* subjects that were off the list when this try began */
	atomic_int stuck; /* workers that got no further, sweep after sweep */
	atomic_int running; /* workers that have not ended */
	int ended; /* an eventfd: written to by each that ends */
};

struct worker {
	struct worker_pool *pool;
	int number;
	struct error err; /* why it ended early; NONE: its keys are done */
};

/* The thread's body; arg is a struct worker. */
void *worker_main(void *arg);

/* Session options of a job's connections. */
struct db_opts worker_db_opts(const struct config *config, int statement_timeout_ms);

#endif
