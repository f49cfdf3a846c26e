/*
 * What a monitoring system is told, in Prometheus' text format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).  Values and their text; knows no
 * database, no file and no socket.
 *
 * A survey is what a child has measured in the database; it replaces the one before it whole.  Batches
 * are counted as they are heard of.  What the process itself knows is put in anew for each text.
 */
#ifndef RETENTION_BASE_METRICS_H
#define RETENTION_BASE_METRICS_H

#include <stddef.h>
#include <stdint.h>

struct metrics;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

/* A line of the survey that is being taken: NAME{LABELS} VALUE.  One of no known name is dropped. */
void metrics_sample(struct metrics *metrics, const char *line);

/* The survey is complete: it stands for the last one.  good false: it is thrown away. */
void metrics_survey_ended(struct metrics *metrics, int good);

/* A batch that has committed. */
struct metrics_batch {
	int64_t ms; /* from BEGIN to COMMIT */
	int64_t rows; /* of all tables */
	int64_t next_rows; /* what the next one aims at */
	int64_t most_rows; /* batch_rows */
	int64_t blocked; /* sessions that waited for it */
};
void metrics_batch(struct metrics *metrics, const char *action, const struct metrics_batch *batch);

/* Seconds that a job has waited: for a standby, or for anything else. */
void metrics_waited(struct metrics *metrics, int for_replica, double seconds);

/* What the process knows: forgotten by metrics_clear_own(), then put in.  label may be NULL. */
void metrics_clear_own(struct metrics *metrics);
void metrics_put(struct metrics *metrics, const char *name, const char *label, const char *value,
		 double number);

/* All of it; the caller frees it. */
char *metrics_text(const struct metrics *metrics);

/* label="value" with what the format wants escaped; the caller frees it. */
char *metrics_label(const char *label, const char *value);

#endif
