/*
 * Removes files outside the database, once the batch that erased their rows has committed.  That batch has
 * written them to retention.file_outbox.
 */
#pragma once

#include "database/db.h"
#include "job/job.h"

struct outbox_result {
	int64_t removed; /* or missing */
	int64_t kept; /* another row names the same file */
	int64_t failed; /* stay in the outbox, with their reason */
	char *why; /* why the first one failed; NULL: none did; owned by ctx */
};

/*
 * Removes what can be removed of the files of one job, or, with 0, of all jobs whose files have waited long
 * enough since their last try.  Leaves files of jobs on other hosts to those hosts, except where a command
 * removes them.  A file that cannot be removed is not a failure of this call.  false: the
 * database failed, or a stop was asked; what was removed until then counts.
 */
bool outbox_work(struct db *db, const struct job_opts *opts, int job, void *ctx,
		 struct outbox_result *ret, struct error *err);

/* Complains about missing roots, commands that cannot be run, and a kernel without openat2. */
bool outbox_check(const struct config *config, struct complaints *c);
