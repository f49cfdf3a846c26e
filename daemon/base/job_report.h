/*
 * What a job says while it runs: lines on the status descriptor (base/job_exit.h), for its parent.
 * Safe to call from any thread.
 */
#ifndef RETENTION_BASE_JOB_REPORT_H
#define RETENTION_BASE_JOB_REPORT_H

#include "base/metrics.h"

#include <stdint.h>

struct report;

/* fd -1: nobody listens. */
struct report *report_new(int fd);

void report_progress(struct report *r, int64_t done, int64_t due, int64_t eta_s);

/* What the job waits for; NULL: nothing any more.  The same as last time is not said again. */
void report_waiting(struct report *r, const char *what);

void report_complaint(struct report *r, const char *text);
void report_note(struct report *r, const char *text);
void report_sample(struct report *r, const char *text);
void report_batch(struct report *r, const struct metrics_batch *batch);

/* What is waited for now; a copy, the caller's to free; NULL: nothing. */
char *report_wait_reason(struct report *r);

#endif
