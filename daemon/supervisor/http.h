/*
 * /metrics and /healthz over HTTP, by libevent, on an address that only this host can reach.
 */
#ifndef RETENTION_SUPERVISOR_HTTP_H
#define RETENTION_SUPERVISOR_HTTP_H

#include "base/error.h"

#include <event2/event.h>

struct metrics_http;

struct metrics_http_handlers {
	char *(*on_text)(void *arg); /* of /metrics; freed here */
	char *(*on_health)(void *arg); /* NULL: 200; else 503 with this line; freed here */
	void *arg;
};

/* listen: "127.0.0.1:9187", "[::1]:9187".  ENVIRONMENT: the address cannot be had. */
bool metrics_http_new(struct event_base *base, const char *listen,
		      const struct metrics_http_handlers *handlers, struct metrics_http **ret,
		      struct error *err);

/* NULL is fine; open connections are closed. */
void metrics_http_free(struct metrics_http *http);

#endif
