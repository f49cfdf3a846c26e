/*
 * The jobs that run, and the actions that can run.  dispatch.c changes them, status.c reads them.
 */
#pragma once

#include "supervisor/dispatch.h"
#include "base/log.h"

enum slot_kind { SLOT_MAIN, SLOT_LISTING, SLOT_COUNT };

struct slot {
	struct dispatch *dispatch;
	struct child *child; /* NULL: free */
	int64_t job;
	char *label; /* "contacts-36m", "action 12"; talloc, and the texts below belong to it */
	const char *action;
	const char *policy; /* NULL: a manual action */
	struct wait wait;
	int64_t waiting_since_ms;
	struct wait logged; /* the last one in the log */
	char *note; /* NULL: none yet */
	struct job_progress progress;
	int64_t first_done, first_ms; /* the first progress and when, for the rate; 0: none yet */
};

struct task {
	int64_t id;
	const char *action;
	const char *policy; /* NULL: a manual action */
	bool saved;
	bool running; /* begun by an earlier process */
	const char *paused_by; /* a role; NULL: the task is not paused */
	struct attempt attempt;
	const char *refusal; /* the reason where attempt.refused */
};

struct dispatch {
	struct dispatch_handlers handlers;
	struct children *children;
	struct event *retry; /* the next attempt of a task that has to wait */
	const struct config *config;
	struct connection *connection;
	struct slot slots[SLOT_COUNT];
	struct task *tasks; /* talloc, n_tasks: in runnable()'s order */
	size_t n_tasks;
	char *paused_by; /* the role that has paused everything; NULL: nobody has */
	int64_t question; /* the last one; an answer to an earlier one is stale */
	bool asking;
	bool once;
	bool allowed;
	bool stopping;
};

/* The fields of a line about the slot's job. */
struct log_fields dispatch_fields(const struct slot *slot);

/* A child runs the task. */
bool dispatch_runs(const struct dispatch *dispatch, const struct task *task);
