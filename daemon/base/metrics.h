/*
 * Metrics: values, and their text in Prometheus' format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).  Knows no database, no file and no socket.
 *
 * A child measures a survey in the database, and each survey replaces the one before it as a whole.  Batches are
 * counted when they are reported.  The process puts in its own values anew for each text.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct metrics;

/*
 * The caller frees it with talloc_free().  Each sample of the text says daemon="INSTANCE", so that those of several
 * daemons of a host differ; the name needs no escapes.  NULL: none does.
 */
struct metrics *metrics_new(const char *instance);

/* Adds a line to the survey that is being taken: NAME{LABELS} VALUE.  Drops a name that is not known. */
void metrics_sample(struct metrics *metrics, const char *line);

/* The survey is complete and replaces the last one; good false: it is dropped. */
void metrics_survey_ended(struct metrics *metrics, int good);

/* A batch that has committed. */
struct metrics_batch {
	int64_t ms; /* from BEGIN to COMMIT */
	int64_t rows; /* of all tables */
	int64_t next_rows; /* target of the next batch */
	int64_t most_rows; /* batch_rows */
	int64_t blocked; /* sessions that waited for it */
};
void metrics_batch(struct metrics *metrics, const char *action, const struct metrics_batch *batch);

/* Adds the seconds that a job has waited, for a standby or for another reason. */
void metrics_waited(struct metrics *metrics, int for_replica, double seconds);

/* Values of the process itself: metrics_clear_own() forgets them, metrics_put() adds one.  label may be NULL. */
void metrics_clear_own(struct metrics *metrics);
void metrics_put(struct metrics *metrics, const char *name, const char *label, const char *value,
		 double number);

/* The text of all metrics: talloc, the caller's. */
char *metrics_text(const struct metrics *metrics);

/*
 * A sample: NAME{LABEL="VALUE"} NUMBER, the value escaped as the format asks for; talloc, the caller's.  Without
 * braces if label or value is NULL.
 */
char *metrics_line(const char *name, const char *label, const char *value, const char *number);
