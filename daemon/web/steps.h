/* The four steps of an action by hand, for the template steps. */
#pragma once

#include "web/visit.h"

/* Sets the flags of the steps; at: "at_choose", "at_list", "at_validate" or "at_follow". */
void steps_set(struct visit *v, const char *at);
