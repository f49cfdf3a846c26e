/*
 * The children: retention-job processes.  Each gets the accepted configuration by a descriptor, reports through a pipe
 * (base/job_protocol.h), and is reaped on SIGCHLD.
 */
#pragma once

#include "config/config.h"
#include "base/error.h"
#include "base/job_protocol.h"

#include <event2/event.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct child_handlers {
	void (*on_message)(void *arg, const struct job_message *message);
	/* The last call, after which the child is freed.  how: "exit status 3", "signal 11". */
	void (*on_end)(void *arg, enum job_exit end, const char *how);
	void *arg;
};

struct child_opts {
	const struct config *config; /* copied to the child at once */
	enum job_mode mode;
	int64_t job; /* MODE_ACTION: its number */
	int socket; /* MODE_HAND_OUT: its client's; the child gets a copy */
	bool once; /* MODE_ACTION: give up on a database that stays away */
	struct child_handlers handlers;
};

struct child {
	LIST_ENTRY(child) link;
	struct child_handlers handlers;
	pid_t pid;
	int status_fd; /* -1 once it is at its end, or where the program has none */
	struct event *readable;
	bool leads; /* a process group of its own */
	bool stopped; /* by child_stop */
	struct job_reader reader;
};

struct children {
	struct event_base *base;
	LIST_HEAD(child_list, child) list;
	const char *program; /* retention-job's path */
	char host[HOST_NAME_MAX +
		  1]; /* this host's name, as the journal and the children know it */
};

/*
 * One in a process, because SIGCHLD can have one reader only.  Owned by ctx; when it is freed, it kills what still
 * runs, without a callback.
 */
struct children *children_new(void *ctx, struct event_base *base);

/* *ret_child is valid until on_end. */
bool child_start(struct children *children, const struct child_opts *opts, struct child **ret_child,
		 struct error *err);

/*
 * Starts a program that is not ours, without a shell: argv begins with its absolute path and ends with NULL, and text is
 * its whole standard input.  Its standard output goes nowhere, its standard error where ours goes.  Of our environment it
 * gets the folder of systemd's credentials only.  *ret_child is as of child_start(), without messages.
 */
bool child_start_program(struct children *children, const char *const *argv, const char *text,
			 const struct child_handlers *handlers, struct child **ret_child,
			 struct error *err);

/*
 * Sends SIGTERM: the job stops between two batches.  now: SIGKILL, which is safe, too, because the batch rolls back.  A
 * program that is not ours gets it with its whole process group.
 */
void child_stop(struct child *child, bool now);

/* Prints "12000 of 50000, 3 min left", or "" while nothing is known.  80 bytes are enough. */
void progress_print(const struct job_progress *progress, char *ret_text, size_t size);

/*
 * When a job may be tried again, by how its last attempts ended.  All zero: now.
 * Times are of CLOCK_MONOTONIC, in ms.
 */
struct attempt {
	int64_t not_before_ms;
	int delay_ms; /* of the last wait that grows */
	bool refused; /* a reload may remove the reason */
	bool ended; /* at least once */
};
void attempt_note(struct attempt *attempt, enum job_exit end, int64_t now_ms);
