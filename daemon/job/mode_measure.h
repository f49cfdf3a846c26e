/* retention-job --measure: reads from the database what a monitoring system needs. */
#ifndef RETENTION_JOB_MODE_MEASURE_H
#define RETENTION_JOB_MODE_MEASURE_H

#include "job/job.h"

/* Reports each value as a sample (base/metrics.h).  Returns JOB_DONE, _REFUSED, _STOPPED or _AWAY. */
enum job_exit mode_measure_run(const struct job_opts *opts);

#endif
