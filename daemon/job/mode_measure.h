/* retention-job --measure: reads from the database what a monitoring system needs. */
#pragma once

#include "job/job.h"

/* Reports each value as a sample (base/metrics.h).  Returns JOB_DONE, _REFUSED, _STOPPED or _AWAY. */
enum job_exit mode_measure_run(const struct job_opts *opts);
