/*
 * Files outside the database: removed once the batch that erased their rows has committed.  What is still
 * to be removed stands in retention.file_outbox, filled by that batch.
 */
#ifndef RETENTION_JOB_OUTBOX_H
#define RETENTION_JOB_OUTBOX_H

#include "config/config.h"
#include "database/db.h"
#include "database/stop.h"

struct outbox_opts {
	const struct config *config;
	const char *
		host; /* files of jobs that ran elsewhere are left to that host; a command serves all */
	int job; /* 0: of all jobs, those that have waited long enough since their last try */
	struct stop *stop;
};

struct outbox_result {
	int64_t removed; /* or not there any more */
	int64_t kept; /* another row names the same */
	int64_t failed; /* they stay in the outbox, with their reason */
	char *why; /* of the first that failed; NULL: none; owned by ctx */
};

/*
 * Removes what can be removed.  A file that cannot is no failure of this call.  false: the database failed
 * us, or we were asked to stop; what was removed by then counts.
 */
bool outbox_work(struct db *db, const struct outbox_opts *opts, void *ctx,
		 struct outbox_result *ret, struct error *err);

/* Roots that are not there, commands that cannot be run, a kernel without openat2: complaints. */
bool outbox_check(const struct config *config, struct complaints *c);

/*
 * Removes one file below root: location is relative, or begins with root.  Nothing above root is ever
 * reached, no link is followed; a link itself is removed, not what it points at.  Not there: done.
 */
bool outbox_remove_file(const char *root, const char *location, struct error *err);

/* Runs the command with location as its last word, for at most timeout_ms; exit status 0: done. */
bool outbox_run_command(const char *const *command, size_t n, const char *location, int timeout_ms,
			struct error *err);

#endif
