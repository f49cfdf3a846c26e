/*
 * Who runs: the actions that the database says can run, and the places for them.
 */
#ifndef RETENTION_SUPERVISOR_DISPATCH_H
#define RETENTION_SUPERVISOR_DISPATCH_H

#include "supervisor/child.h"
#include "base/metrics.h"
#include "supervisor/connection.h"

struct dispatch;

struct dispatch_handlers {
	void (*on_change)(void *arg); /* dispatch_status() may be another */
	/* A child has ended; good: nothing went wrong. */
	void (*on_ended)(void *arg, bool good);
	/* A batch of action has committed; a job has waited, for a standby or for anything else. */
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

/* NULL is fine.  After the children and the connection, which may still call back. */
void dispatch_free(struct dispatch *dispatch);

/*
 * The generation and the connection from now on; neither is copied.  What had been refused is tried
 * again; forget: it is another database, where the numbers mean other actions.
 */
void dispatch_set(struct dispatch *dispatch, const struct config *config, struct connection *watch,
		  bool forget);

/* Whether anything may be started (at first: no); what runs goes on in any case. */
void dispatch_allow(struct dispatch *dispatch, bool allowed);

/* Asks the database what can run, and starts it.  Any number of times. */
void dispatch_refresh(struct dispatch *dispatch);

/* Starts nothing more; tells the children to stop, now: kills them. */
void dispatch_stop(struct dispatch *dispatch, bool now);

/* Why the first of *ret_n jobs that are refused is, as it stood last; NULL: none is. */
const char *dispatch_refused(const struct dispatch *dispatch, int *ret_n);

/* Does a child run? */
bool dispatch_busy(const struct dispatch *dispatch);

/* What the job in the main place has done; false: there is none. */
bool dispatch_progress(const struct dispatch *dispatch, const char **ret_label,
		       struct job_progress *ret);

/* One line on what runs, the caller's to free; NULL: nothing does. */
char *dispatch_status(const struct dispatch *dispatch);

/* What the job in the main place waits for. */
enum wait_reason dispatch_waits_for(const struct dispatch *dispatch);

/* All that is known, to the log. */
void dispatch_log_state(const struct dispatch *dispatch);

#endif
