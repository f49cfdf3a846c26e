/*
 * Events of the loop.
 */
#pragma once

#include <event2/event.h>
#include <stdint.h>

/*
 * An event as of event_new(3).  Its callback gets owner, a talloc context, and it ends when owner is freed.  A signal
 * or a descriptor is waited for at once, a timer (fd -1) when it is set.
 */
struct event *loop_event(void *owner, struct event_base *base, int fd, short what,
			 event_callback_fn callback);

/* Sets a timer, or sets it anew. */
void loop_arm(struct event *timer, int64_t ms);
