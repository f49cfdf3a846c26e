/*
 * A worker: one thread with one connection, which runs batch after batch until the list holds none of its keys.
 */
#pragma once

#include "batch/batch.h"
#include "batch/courtesy.h"
#include "base/job_protocol.h"
#include "database/stop.h"
#include "batch/throttle.h"

#include <stdatomic.h>

/* Shared by the workers of one job. */
struct worker_pool {
	const struct config *config;
	const struct batch_job *batch;
	const struct archive *archive; /* its name is NULL where nothing is archived */
	const char *labels; /* text of a text[]: each file's table_name in retention.archive_file */
	int workers;
	bool patient; /* waits for a database that stays away; --once does not */
	struct stop *stop;
	struct report *report;
	struct throttle *throttle;
	struct courtesy *courtesy;
	atomic_llong treated; /* subjects */
	atomic_llong rows;
	atomic_llong failed;
	atomic_int locked; /* workers whose last sweep left rows that others have locked */
	int64_t done_before; /* subjects that had left the list when this attempt began */
	atomic_int stuck; /* workers that made no progress, sweep after sweep */
	atomic_int running; /* workers that have not ended */
	int ended; /* an eventfd; each worker that ends writes to it */
};

struct worker {
	struct worker_pool *pool;
	int number;
	struct error err; /* the reason if it ended early; NONE: its keys are done */
};

/* The thread's body.  arg is a struct worker. */
void *worker_main(void *arg);
