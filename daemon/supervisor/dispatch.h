/*
 * Jobs: the actions that can run, as the database says, and the places for them.  dispatch.c changes them, status.c
 * reads them.
 */
#pragma once

#include "base/log.h"
#include "supervisor/child.h"
#include "supervisor/connection.h"

struct dispatch_opts {
	struct event_base *base;
	struct children *children;
	struct metrics *figures; /* counts the batches and the waits */
	bool once;
	void (*on_change)(void *arg); /* the status may have changed */
	/* A child has ended; good: nothing went wrong. */
	void (*on_ended)(void *arg, bool good);
	/* The process of an action has died, or failed where none does.  Called before on_ended. */
	void (*on_crashed)(void *arg, int64_t job);
	/* The database has answered, nothing runs and nothing can be started. */
	void (*on_idle)(void *arg);
	/* The database refused the question; why is its message.  NULL: it answers again. */
	void (*on_trouble)(void *arg, const char *why);
	void *arg;
};

enum slot_kind { SLOT_MAIN, SLOT_LISTING, SLOT_COUNT };

struct slot {
	struct dispatch *dispatch;
	struct child *child; /* NULL: free */
	char *label; /* "contacts-36m", "action 12"; talloc, and all texts below belong to it */
	struct log_fields
		id; /* of the action, for the log too; without a policy it is a manual one */
	struct wait wait;
	int64_t waiting_since_ms;
	struct wait logged; /* the last one in the log */
	char *note; /* NULL: none yet */
	struct job_progress progress;
	int64_t first_done, first_ms; /* the first progress and when, for the rate; 0: none yet */
};

struct task {
	struct log_fields id; /* likewise */
	const char *requested_at; /* tells it from another action of the same number */
	bool saved;
	bool running; /* begun by an earlier process */
	const char *paused_by; /* a role; NULL: the task is not paused */
	struct attempt attempt;
	const char *refusal; /* the reason where attempt.refused */
};

struct dispatch {
	struct dispatch_opts opts;
	struct event *retry; /* the next attempt of a task that has to wait */
	const struct config *config;
	struct connection *connection;
	struct slot slots[SLOT_COUNT];
	struct task *tasks; /* n_tasks, in runnable()'s order; it owns their texts */
	size_t n_tasks;
	char *paused_by; /* the role that has paused everything; NULL: nobody has */
	int64_t question; /* the last one; an answer to an earlier one is stale */
	bool asking;
	bool allowed; /* to start jobs; those that run go on in any case */
	bool stopping;
};

/* A child runs the task. */
bool dispatch_runs(const struct dispatch *dispatch, const struct task *task);

/* Owned by ctx, which has to own the children and the connection, too, because both call back. */
struct dispatch *dispatch_new(void *ctx, const struct dispatch_opts *opts);

/*
 * Sets the generation and the connection from now on; neither is copied.  Refused actions are tried again.  forget: it
 * is another database, where the numbers mean other actions.
 */
void dispatch_set(struct dispatch *dispatch, const struct config *config,
		  struct connection *connection, bool forget);

/* Asks the database for the actions that can run, and starts them.  May be called at any time. */
void dispatch_refresh(struct dispatch *dispatch);

/* Starts nothing more, and asks the children to stop; now: kills them. */
void dispatch_stop(struct dispatch *dispatch, bool now);

/* The first job that runs; NULL: none does. */
const struct slot *dispatch_running(const struct dispatch *dispatch);
