/*
 * The children: one retention-job process each, started with the accepted configuration on an
 * inherited descriptor, heard through a pipe (base/job_protocol.h has the protocol), reaped on SIGCHLD.
 */
#ifndef RETENTION_SUPERVISOR_CHILD_H
#define RETENTION_SUPERVISOR_CHILD_H

#include "config/config.h"
#include "base/error.h"
#include "base/job_protocol.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

struct child_handlers {
	void (*on_message)(void *arg, const struct job_message *message);
	/* The last call; the child is freed behind it.  how: "exit status 3", "signal 11". */
	void (*on_end)(void *arg, enum job_exit end, const char *how);
	void *arg;
};

struct child_opts {
	const struct config *config; /* copied to the child at once */
	const char *host; /* jobs and --tidy */
	int64_t job; /* 0: --check, --tidy or --measure */
	bool tidy;
	bool measure;
	bool once;
	struct child_handlers handlers;
};

struct children; /* all of a process: SIGCHLD can have one reader only */
struct child;

struct children *children_new(struct event_base *base);

/* Kills what still runs, without a call to anybody.  NULL is fine. */
void children_free(struct children *children);

/* *ret_child is valid until on_end. */
bool child_start(struct children *children, const struct child_opts *opts, struct child **ret_child,
		 struct error *err);

/* SIGTERM: stop between two batches.  now: SIGKILL, which is safe too: the batch rolls back. */
void child_stop(struct child *child, bool now);

int child_pid(const struct child *child);

/* "12000 of 50000, 3 min left"; "" while nothing is known.  80 bytes are enough. */
void progress_print(const struct job_progress *progress, char *ret_text, size_t size);

/*
 * When a job may be tried again, by how it ended the last times.  All zero: now.
 * Times are of CLOCK_MONOTONIC, in ms.
 */
struct attempt {
	int64_t not_before_ms;
	int delay_ms; /* of the last wait that grows */
	bool refused; /* a reload may have mended it */
	bool ended; /* at least once */
};
void attempt_note(struct attempt *attempt, enum job_exit end, int64_t now_ms);

#endif
