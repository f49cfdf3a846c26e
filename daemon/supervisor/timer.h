/*
 * Timers of the loop.
 */
#pragma once

#include "base/mem.h"

#include <event2/event.h>
#include <stdint.h>

/* Sets a timer, or sets it anew. */
static inline void timer_arm(struct event *timer, int64_t ms)
{
	const struct timeval after = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (event_add(timer, &after) < 0)
		must_alloc(NULL); /* the only way in which a timer can fail */
}
