/*
 * Tells somebody: runs notify.command for events of the journal, one at a time, with the event as JSON on its standard
 * input.  Of what somebody is told the database decides (retention.next_notice).
 */
#pragma once

#include "supervisor/child.h"
#include "supervisor/connection.h"

struct notifier;

struct notifier_opts {
	struct event_base *base;
	struct children *children;
	bool once; /* gives up after the third failure in a row: the next --once tells it */
	void (*on_settled)(
		void *arg); /* the last event was told, or is given up, or a stop has ended */
	void *arg;
};

/* Owned by ctx. */
struct notifier *notifier_new(void *ctx, const struct notifier_opts *opts);

/* Another configuration, or another connection, from now on; both are the caller's. */
void notifier_set(struct notifier *notifier, const struct config *config,
		  struct connection *connection);

/* There may be an event to tell.  Asks now, or when the connection is up and nothing is under way. */
void notifier_proceed(struct notifier *notifier);

/* Makes an event of what no action's row says: "crashed" with the action, "model_refused" with 0.  Off: does nothing. */
void notifier_record(struct notifier *notifier, const char *trouble, int64_t job);

/* Nothing is under way, and all that was to be told has been, or was given up. */
bool notifier_settled(const struct notifier *notifier);

/* It was given up: an event waits for the next --once. */
bool notifier_has_failed(const struct notifier *notifier);

/* How often in a row the command has failed. */
int notifier_failures(const struct notifier *notifier);

/* Tells nothing more.  A command that runs may end, and that it was told is noted; now: it is killed. */
void notifier_stop(struct notifier *notifier, bool now);
