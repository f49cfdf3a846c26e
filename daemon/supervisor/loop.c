#include "supervisor/loop.h"

#include "base/mem.h"
#include "base/units.h"

/* Makes it pending.  It can only lack memory, because epoll takes our sockets, pipes and timers. */
static void add(struct event *event, const struct timeval *after)
{
	if (event_add(event, after) < 0)
		must_alloc(NULL);
}

static int on_free(struct event *event)
{
	(void)event_del(event); /* not pending is fine */
	return 0;
}

struct event *loop_event(void *owner, struct event_base *base, int fd, short what,
			 event_callback_fn callback)
{
	struct event *event = must_alloc(talloc_size(owner, event_get_struct_event_size()));

	if (event_assign(event, base, fd, what, callback, owner) < 0)
		must_alloc(NULL); /* as event_new(3) says it */
	talloc_set_destructor(event, on_free);
	if (fd >= 0)
		add(event, NULL);
	return event;
}

void loop_arm(struct event *timer, int64_t ms)
{
	const struct timeval time = units_timeval(ms);

	add(timer, &time);
}
