/*
 * The supervisor: one loop that never blocks and decides what is due and what runs.
 */
#pragma once

#include "config/config.h"

#include <stdbool.h>

/*
 * Runs until a signal ends it or, with once, until what is due is done.  config: the first generation, which it frees.
 * Returns the exit status of the process.
 */
int supervisor_run(struct config *config, bool once);
