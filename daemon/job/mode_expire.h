/*
 * Archives whose time has come: those that a person deleted, and those that archives.keep lets expire.
 */
#ifndef RETENTION_JOB_MODE_EXPIRE_H
#define RETENTION_JOB_MODE_EXPIRE_H

#include "job/job.h"

/* --tidy: one pass over all of them.  opts->id is not looked at. */
enum job_exit mode_expire_run(const struct job_opts *opts);

#endif
