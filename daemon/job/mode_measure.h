/* retention-job --measure: what a monitoring system wants to know of the database. */
#ifndef RETENTION_JOB_MODE_MEASURE_H
#define RETENTION_JOB_MODE_MEASURE_H

#include "job/job.h"

/* Reads, and reports each value as a sample (base/metrics.h); DONE, REFUSED, STOPPED or AWAY. */
enum job_exit mode_measure_run(const struct job_opts *opts);

#endif
