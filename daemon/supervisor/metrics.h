/*
 * Metrics: when the database is surveyed (retention-job --measure), and where the text goes.  That is a file for
 * node_exporter's textfile collector, and HTTP on a loopback address: /metrics and /healthz.
 */
#pragma once

#include "supervisor/supervisor_state.h"

/*
 * Takes up the generation in force: other files, another address.  Logs an address that cannot be had.  old: the
 * former generation; NULL: there is none.
 */
void supervisor_metrics_set(struct supervisor *s, const struct config *old);

/* Starts a survey when it is time for one.  The database must be up and its schema the right one. */
void supervisor_metrics_proceed(struct supervisor *s);

/* No survey runs or is wanted. */
bool supervisor_metrics_settled(const struct supervisor *s);

/* A value of the survey; arg is the struct supervisor. */
void supervisor_metrics_on_sample(void *arg, const struct job_message *message);

/* The survey has ended. */
void supervisor_metrics_surveyed(struct supervisor *s, enum job_exit end, const char *how,
				 const char *note);
