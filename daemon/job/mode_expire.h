/*
 * Removes the files of archives that a person deleted, and of archives that archives.keep lets expire.
 */
#pragma once

#include "job/job.h"

/* --expire: looks at all archives once; does not use opts->id. */
enum job_exit mode_expire_run(const struct job_opts *opts);
