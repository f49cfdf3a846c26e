/*
 * The children: one retention-job process each, started with the accepted configuration on an
 * inherited descriptor, heard through a pipe (base/job_exit.h has the protocol), reaped on SIGCHLD.
 */
#ifndef RETENTION_SUPERVISOR_CHILD_H
#define RETENTION_SUPERVISOR_CHILD_H

#include "config/config.h"
#include "base/error.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

/* What became of it: enum job_exit, and what a process can come to besides. */
enum child_end {
	END_DONE,
	END_INCOMPLETE, /* done, but for some who could not be treated */
	END_FAILED, /* the action has ended all the same, and its row says why */
	END_REFUSED, /* a person is needed */
	END_STOPPED, /* resumable */
	END_SAVED, /* listed; waits for a validation */
	END_TAKEN, /* another daemon has it, or it is over */
	END_AWAY, /* no database */
	END_CRASHED, /* a signal, a failed exec, an exit status that means nothing */
};

/* The words of the protocol that carry a text. */
enum child_word { WORD_WAITING, WORD_COMPLAINT, WORD_NOTE, WORD_SAMPLE, WORD_BATCH };

struct progress {
	int64_t done, due; /* -1: not known yet */
	int64_t eta_s; /* likewise */
};

struct child_handlers {
	void (*on_progress)(void *arg, const struct progress *progress);
	void (*on_text)(void *arg, enum child_word word, const char *text);
	/* The last call; the child is freed behind it.  how: "exit status 3", "signal 11". */
	void (*on_end)(void *arg, enum child_end end, const char *how);
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
void progress_print(const struct progress *progress, char *ret_text, size_t size);

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
void attempt_note(struct attempt *attempt, enum child_end end, int64_t now_ms);

#endif
