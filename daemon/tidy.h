/*
 * Archives whose time has come: those that a person deleted, and those that archives.keep lets expire.
 */
#ifndef RETENTION_TIDY_H
#define RETENTION_TIDY_H

#include "job.h"

/* --tidy: one pass over all of them.  opts->id is not looked at. */
enum job_exit tidy_run(const struct job_opts *opts);

#endif
