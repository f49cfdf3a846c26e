/*
 * Metrics: when a child (retention-job --measure) measures, and where the text goes: to a file for
 * node_exporter's textfile collector, and to whoever asks over HTTP on a loopback address.
 */
#ifndef RETENTION_SUPERVISOR_METRICS_H
#define RETENTION_SUPERVISOR_METRICS_H

#include "supervisor/child.h"
#include "base/metrics.h"

struct surveyor;

struct surveyor_handlers {
	/* Puts in what the process knows (metrics_put), before each text. */
	void (*on_text)(void *arg, struct metrics *metrics);
	/* NULL: all is well; else, in one line, what is not.  The caller frees it. */
	char *(*on_health)(void *arg);
	void (*on_ended)(void *arg); /* a survey has ended */
	void *arg;
};

struct surveyor *surveyor_new(struct event_base *base, struct children *children,
			      const struct surveyor_handlers *handlers);

/* NULL is fine.  After the children, which may still call back. */
void surveyor_free(struct surveyor *surveyor);

/*
 * The generation from now on: other files, another address.  An address that is taken is said.  The former generation,
 * which the caller frees, is still there during the call.
 */
void surveyor_set(struct surveyor *surveyor, const struct config *config);

/* Something has happened that changes the figures: the next survey comes soon. */
void surveyor_want(struct surveyor *surveyor);

/* Starts a survey when it is time for one; the database is up and its schema the right one. */
void surveyor_proceed(struct surveyor *surveyor);

/* --once: nothing is left to do. */
bool surveyor_settled(const struct surveyor *surveyor);

bool surveyor_busy(const struct surveyor *surveyor);

/* Starts nothing more, and kills the child, which only reads. */
void surveyor_stop(struct surveyor *surveyor);

/* For what is counted as it happens. */
struct metrics *surveyor_metrics(struct surveyor *surveyor);

#endif
