/*
 * Throttling: whether a batch may begin now, and if not, why not.  Shared by the workers of one job.
 */
#pragma once

#include "config/config.h"
#include "database/db.h"
#include "base/job_protocol.h"
#include "database/stop.h"

struct throttle;

/* config outlives it.  job is the id of the action whose pause counts.  nodes: Citus has rows on other servers. */
struct throttle *throttle_new(const struct config *config, int job, bool nodes);
void throttle_free(struct throttle *t);

/*
 * Waits until a batch may begin.  Reports what it waits for; the caller reports that it goes on.  A lag that cannot be
 * read means wait, not go.  *patience_ms is the time that is left, and counts down; NULL: no limit.  BUSY, with the
 * reason: no time is left.  STOPPED: stop was asked.
 */
bool throttle_wait(struct throttle *t, struct db *db, struct stop *stop, struct report *report,
		   int64_t *patience_ms, struct error *err);

/*
 * The next throttle_wait() asks the database whether the action is paused.  Otherwise it asks only while it waits for
 * something else, because each batch asks by itself, in its own transaction (batch_result.paused).
 */
void throttle_expect_pause(struct throttle *t);

/*
 * Looks for a limit that cannot be checked right now, because a right is missing: a pass would wait.  *ret_why names its
 * key and what to grant, and is the caller's to free; NULL: none.
 */
bool throttle_blind(const struct config *config, bool nodes, struct db *db, char **ret_why,
		    struct error *err);

/* Counts the rows that a batch has worked on. */
void throttle_spend(struct throttle *t, int64_t rows);
