/*
 * What supervisor/dispatch.c and supervisor/dispatch_status.c share; nobody else's.
 */
#ifndef RETENTION_SUPERVISOR_DISPATCH_STATE_H
#define RETENTION_SUPERVISOR_DISPATCH_STATE_H

#include "supervisor/dispatch.h"
#include "base/log.h"

#include <limits.h>

enum slot_kind { SLOT_MAIN, SLOT_LISTING, SLOT_COUNT };

struct slot {
	struct dispatch *dispatch;
	struct child *child; /* NULL: free */
	int64_t job;
	char *label; /* "contacts-36m", "action 12"; this and the rest: talloc, under label */
	const char *action;
	const char *policy; /* NULL: a manual action */
	struct wait wait;
	int64_t waiting_since_ms;
	struct wait logged; /* the last one in the log */
	char *note; /* NULL: none yet */
	struct job_progress progress;
	int64_t first_done; /* and when: the rate is that of what we saw happen */
	int64_t first_ms; /* 0: nothing yet */
};

struct task {
	int64_t id;
	const char *action;
	const char *policy; /* NULL: a manual action */
	bool saved;
	bool running; /* begun by an earlier process */
	struct attempt attempt;
	const char *refusal; /* what to say of it where attempt.refused */
};

struct dispatch {
	struct dispatch_handlers handlers;
	struct children *children;
	struct event *retry; /* the next attempt of a task that has to wait */
	const struct config *config;
	struct connection *watch;
	char host[HOST_NAME_MAX + 1];
	struct slot slots[SLOT_COUNT];
	struct task *tasks; /* talloc, n_tasks: in runnable()'s order */
	size_t n_tasks;
	int64_t question; /* the last that was asked: an answer to an earlier one is stale */
	bool asking;
	bool once;
	bool allowed;
	bool stopping;
};

struct log_fields slot_fields(const struct slot *slot);

bool task_runs(const struct dispatch *dispatch, const struct task *task);

#endif
