/*
 * libevent's evhttp, made safe: each connection has a deadline for its request, at most 64 are open, and a request that
 * two readers could understand differently is refused.
 */
#pragma once

#include "base/error.h"

#include <event2/event.h>
#include <event2/http.h>
#include <stddef.h>

#define HTTP_DEADLINE_MS 15000

struct http_server;

struct http_opts {
	/*
	 * "127.0.0.1:9187", "[::1]:9187"; port 0: any.  "unix:/run/x/http.sock": a socket for its owner and group, which
	 * takes the place of one that nobody listens on.
	 */
	const char *listen;
	ev_uint16_t methods; /* EVHTTP_REQ_GET | ...; another method gets 501 */
	size_t headers_max, body_max; /* bytes; a larger request gets 400 or 413 */
	/*
	 * From accept, or from the end of an answer, to the complete next request.  A client that does not read its
	 * answer has as long for each part of it.
	 */
	int deadline_ms;
	/* A complete request, to be answered by http_reply() or by evhttp's functions. */
	void (*on_request)(void *arg, struct evhttp_request *request);
	void *arg;
};

/*
 * Owned by ctx; its connections are closed when it is freed.  ENVIRONMENT: the address cannot be had.  CONFIG: it has
 * no port, or a path that is too long.
 */
bool http_server_new(void *ctx, struct event_base *base, const struct http_opts *opts,
		     struct http_server **ret, struct error *err);

/* How often the request has that header. */
int http_count_header(struct evhttp_request *request, const char *name);

/* Answers with a text of that Content-Type; the status brings its usual words along. */
void http_reply(struct evhttp_request *request, int status, const char *type, const char *text);
