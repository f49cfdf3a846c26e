/*
 * The supervisor's one connection: asynchronous, reconnecting, and listening on channel `retention`.
 *
 * Nothing here blocks, with one exception that libpq imposes: PQconnectStart looks up a host's name with
 * getaddrinfo(3).  So WatchdogSec has to be longer than the resolver may take (resolv.conf(5): 5 s times 2 attempts
 * for each server).  Addresses and unix sockets need no look-up.
 */
#pragma once

#include <event2/event.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

struct connection;

struct connection_handlers {
	void (*on_up)(void *arg); /* connected, prepared, listening */
	void (*on_pooled)(
		void *arg); /* through a pooler: connection_trust(), once it is in session mode */
	/* After each attempt that failed, and when an established connection is lost. */
	void (*on_down)(void *arg, const char *why);
	void (*on_notify)(void *arg, const char *payload);
	void *arg;
};

/*
 * Begins to connect at the loop's next turn; conninfo is copied.  Owned by ctx.  talloc_free() closes it: queries
 * without an answer get none (on_answer is not called).  It must not be freed by one of the callbacks.
 */
struct connection *connection_new(void *ctx, struct event_base *base, const char *conninfo,
				  const struct connection_handlers *handlers);

/* It waits for connection_trust(). */
bool connection_pooled(const struct connection *connection);

/* The pooler keeps a session for each client.  Does nothing where no pooler was met.  Not within a callback. */
void connection_trust(struct connection *connection);

/* It can be queried now. */
bool connection_up(const struct connection *connection);

struct connection_query {
	const char *sql; /* one statement */
	int n;
	const char *const *values; /* n text parameters; NULL: SQL NULL */
	/*
	 * res: the answer, which may be an error of the server; NULL: the connection was lost first.  It is freed
	 * after the call.
	 */
	void (*on_answer)(void *arg, int64_t tag, const PGresult *res);
	void *arg;
	int64_t tag; /* for on_answer */
};

/*
 * Queues a query, of which all is copied.  Queries run one after the other, and one that takes longer than 30 s costs
 * the connection.  Where the connection is down, the query is dropped and on_answer never called: on_up is the time
 * to ask again.
 */
void connection_ask(struct connection *connection, const struct connection_query *query);

/* NULL: the server has done it; else its primary message, never the DETAIL, because that quotes rows. */
const char *connection_failure(const PGresult *res);
