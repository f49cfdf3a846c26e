/*
 * Other programs: started by fork and exec, never by a shell.  A child gets no signal handler, no blocked
 * signal and no descriptor of ours except those that are named.
 */
#pragma once

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process_opts {
	const char *const *argv; /* ends with NULL; a name without a slash is found by PATH */
	/* Its standard input and output.  0, 1 or 2 only where it is to have that very descriptor. */
	int in, out;
	bool catches_errors; /* its standard error is a pipe, for process_end() to read */
	const int
		*inherited; /* n_inherited: further descriptors, under the numbers that they have */
	size_t n_inherited;
	/* The signal that it gets when the thread that started it ends; 0: none. */
	int death_signal;
	/*
	 * For a program that is not ours: its whole environment, which ends with NULL.  It leads a process group of its
	 * own, and gets no descriptor that somebody has forgotten to close.  NULL: it has our environment and group.
	 */
	const char *const *environment;
};

/*
 * Keeps this process and those that it starts from writing a core file, because it has data of persons in memory.
 * systemd-coredump is not given one either.
 */
void process_forbid_core(void);

/* All zero: none. */
struct process {
	pid_t pid;
	int errors; /* read end of its standard error; -1: it is not a pipe */
};

/* Returns once the program runs.  CONFIG: it cannot be run.  ENVIRONMENT: no process, no descriptor. */
bool process_start(const struct process_opts *opts, struct process *ret, struct error *err);

struct process_result {
	int status; /* as waitpid() says; -1: it is not known, which counts as a failure */
	bool too_long; /* it was killed at the end of its time */
	char complaint[300]; /* the first line of its standard error, without control characters */
};

/*
 * Reads its standard error, if that is a pipe, and waits until the process has ended.  At the end of timeout_ms it
 * kills the process; 0: waits without limit.  Then *process is none.
 */
void process_end(struct process *process, int64_t timeout_ms, struct process_result *ret);

/* Kills the process, waits until it has ended and closes the pipe.  None is fine. */
void process_kill(struct process *process);

#define auto_process process_kill /* AUTO(process) */
