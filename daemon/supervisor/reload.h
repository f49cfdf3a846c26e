/*
 * Reloads, and the result of each check of a model: that of the new configuration, or that of the one in force.
 */
#pragma once

#include "supervisor/supervisor_state.h"

/* Loads the file anew and checks its model; remembers the wish where that cannot begin yet. */
void reload(struct supervisor *s);

/* Handlers of the check of a model; arg is the struct supervisor. */
void reload_on_complaint(void *arg, const struct job_message *message);
void reload_on_warning(void *arg, const struct job_message *message);
void reload_on_checked(void *arg, enum job_exit end, const char *how, const char *note);
