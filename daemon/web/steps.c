/* See steps.h. */
#include "web/steps.h"

#include <string.h>

void steps_set(struct visit *v, const char *at)
{
	static const char *const steps[] = {"at_choose", "at_list", "at_validate", "at_follow"};

	for (size_t i = 0; i < LENGTH(steps); i++)
		values_flag(v->values, steps[i], strcmp(steps[i], at) == 0);
}
