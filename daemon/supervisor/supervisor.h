/*
 * The supervisor: one loop that never blocks and decides what is due and what runs.
 */
#pragma once

#include "config/config.h"

#include <stdbool.h>

struct supervisor_opts {
	struct config *config; /* the first generation; the supervisor frees it */
	bool once; /* runs what is due, and ends */
};

/* Runs until a signal ends it or, with once, nothing is left to do.  Returns the exit status of the process. */
int supervisor_run(const struct supervisor_opts *opts);
