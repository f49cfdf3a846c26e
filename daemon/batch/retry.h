/*
 * From the keys of one batch to their end: as many batches as it takes.
 */
#pragma once

#include "batch/worker_state.h"

/*
 * Erases the subjects of keys in one batch.  Subjects of a batch that fails are halved, journalled as failed, or left for
 * the next sweep.  false: err says what the sweep has to do (batch/worker.c), and what is not done is in the list.
 */
bool retry_run(struct worker_state *w, const struct keys *keys, void *ctx, struct error *err);
