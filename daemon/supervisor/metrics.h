/*
 * Metrics: when the database is surveyed (retention-job --measure), and where the text goes.  That is a file for
 * node_exporter's textfile collector, and HTTP on a loopback address: /metrics and /healthz.
 */
#pragma once

#include "base/metrics.h"
#include "supervisor/child.h"

struct supervisor_metrics;

struct supervisor_metrics_handlers {
	/* Puts in the values of the process (metrics_put), before each text. */
	void (*on_text)(void *arg, struct metrics *metrics);
	/* NULL: all is well; else the reason in one line, which the caller frees. */
	char *(*on_health)(void *arg);
	void (*on_ended)(void *arg); /* a survey has ended */
	void *arg;
};

struct supervisor_metrics *supervisor_metrics_new(
	struct event_base *base, struct children *children,
	const struct supervisor_metrics_handlers *handlers);

/* NULL is fine.  Call it after children_free(), because the children may still call back. */
void supervisor_metrics_free(struct supervisor_metrics *m);

/*
 * Sets the generation from now on: other files, another address.  Logs an address that cannot be had.  The caller
 * frees the former generation after the call.
 */
void supervisor_metrics_set(struct supervisor_metrics *m, const struct config *config);

/* The figures have changed: the next survey comes soon. */
void supervisor_metrics_want(struct supervisor_metrics *m);

/* Starts a survey when it is time for one.  The database must be up and its schema the right one. */
void supervisor_metrics_proceed(struct supervisor_metrics *m);

/* No survey runs or is wanted. */
bool supervisor_metrics_settled(const struct supervisor_metrics *m);

bool supervisor_metrics_busy(const struct supervisor_metrics *m);

/* Starts nothing more, and kills the child, which only reads. */
void supervisor_metrics_stop(struct supervisor_metrics *m);

/* The figures, to count events as they happen. */
struct metrics *supervisor_metrics_figures(struct supervisor_metrics *m);
