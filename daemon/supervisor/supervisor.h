/*
 * The supervisor: one loop that never blocks, in which it is decided what is due and who runs.
 */
#ifndef RETENTION_SUPERVISOR_SUPERVISOR_H
#define RETENTION_SUPERVISOR_SUPERVISOR_H

#include "config/config.h"

#include <stdbool.h>

struct supervisor_opts {
	struct config *config; /* the first generation; owned by the supervisor from here on */
	bool once; /* run what is due, and end */
};

/* Until it is told to end, or has no more to do: the exit status of the process. */
int supervisor_run(const struct supervisor_opts *opts);

#endif
