/*
 * Jobs: the actions that can run, as the database says, and the places for them.
 */
#pragma once

#include "supervisor/child.h"
#include "base/metrics.h"
#include "supervisor/connection.h"

struct dispatch;

struct dispatch_handlers {
	void (*on_change)(void *arg); /* the status may have changed */
	/* A child has ended; good: nothing went wrong. */
	void (*on_ended)(void *arg, bool good);
	/* A batch of the action has committed; a job has waited. */
	void (*on_batch)(void *arg, const char *action, const struct metrics_batch *batch);
	void (*on_waited)(void *arg, enum wait_reason reason, int64_t ms);
	/* The database has answered, nothing runs and nothing can be started. */
	void (*on_idle)(void *arg);
	/* The database refused the question; why is its message.  NULL: it answers again. */
	void (*on_trouble)(void *arg, const char *why);
	void *arg;
};

struct dispatch *dispatch_new(struct event_base *base, struct children *children,
			      const struct dispatch_handlers *handlers, bool once);

/* NULL is fine.  Call it after children_free() and connection_free(), because both may still call back. */
void dispatch_free(struct dispatch *dispatch);

/*
 * Sets the generation and the connection from now on; neither is copied.  Refused actions are tried again.  forget: it
 * is another database, where the numbers mean other actions.
 */
void dispatch_set(struct dispatch *dispatch, const struct config *config,
		  struct connection *connection, bool forget);

/* Allows starts, or forbids them as at first.  Jobs that run go on in any case. */
void dispatch_allow(struct dispatch *dispatch, bool allowed);

/* Asks the database for the actions that can run, and starts them.  May be called at any time. */
void dispatch_refresh(struct dispatch *dispatch);

/* Starts nothing more, and asks the children to stop; now: kills them. */
void dispatch_stop(struct dispatch *dispatch, bool now);

/* A child runs. */
bool dispatch_busy(const struct dispatch *dispatch);
