/*
 * Whether PostgreSQL takes connections.  It is asked at most once in 10 seconds, however often the page is asked, and the
 * connection ends before anybody would log in.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>

struct probe;

/* Owned by ctx. */
struct probe *probe_new(void *ctx, struct event_base *base);

/*
 * Calls on_answer once, now or later, and forgets about it where asker (talloc) is freed before.  conninfo is needed
 * during the call only.
 */
void probe_ask(struct probe *probe, const char *conninfo, void *asker,
	       void (*on_answer)(void *asker, bool answers));
