/*
 * The one session of retention-job's short modes (mode_check, mode_expire, mode_measure), and how a session's
 * failure ends the process.
 */
#pragma once

#include "database/db.h"
#include "job/job.h"

/*
 * Opens a session whose statements may take timeout_ms and which a stop cancels, and calls body in it.
 * Returns JOB_DONE when body returns true.  Otherwise err holds the failure, and its class decides:
 * JOB_STOPPED, JOB_AWAY, or JOB_REFUSED.
 */
enum job_exit mode_run(const struct job_opts *opts, int timeout_ms,
		       bool (*body)(const struct job_opts *opts, void *arg, struct db *db,
				    struct error *err),
		       void *arg, struct error *err);

/*
 * Compares the host's clock with the database's, and that with the journal.  CONFIG: one is wrong, and
 * nothing may be erased by its date.
 */
bool mode_check_clocks(struct db *db, struct error *err);
