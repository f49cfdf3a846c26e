/*
 * The supervisor's one connection: asynchronous, reconnecting, LISTENing on channel `retention`.
 *
 * Nothing here blocks, with one exception that libpq imposes: PQconnectStart looks a host's name up
 * with getaddrinfo(3), so WatchdogSec has to stay above what the resolver may take (resolv.conf(5):
 * 5 s times 2 attempts for each server).  Addresses and unix sockets need no look-up.
 */
#ifndef RETENTION_SUPERVISOR_CONNECTION_H
#define RETENTION_SUPERVISOR_CONNECTION_H

#include <event2/event.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

struct connection;

struct connection_handlers {
	void (*on_up)(void *arg); /* connected, prepared, listening */
	/* After each attempt that failed, and when an established connection is lost. */
	void (*on_down)(void *arg, const char *why);
	void (*on_notify)(void *arg, const char *payload);
	void *arg;
};

/* Begins to connect at the loop's next turn; conninfo is copied. */
struct connection *connection_new(struct event_base *base, const char *conninfo,
				  const struct connection_handlers *handlers);

/*
 * Closes.  Queries that have no answer yet get none: their callbacks are not called.  Never from
 * one of the callbacks.  NULL is fine.
 */
void connection_free(struct connection *watch);

/* Can it be queried now? */
bool connection_up(const struct connection *watch);

/*
 * res: the answer, which may be an error of the server's; NULL when the connection was lost first.
 * It is freed afterwards.  tag is what the query was given.
 */
typedef void (*connection_callback)(void *arg, int64_t tag, const PGresult *res);

/*
 * Queues one statement with n text parameters (NULL: SQL NULL), all copied.  Queries run one after
 * the other; one that takes longer than 30 s costs the connection.  Where it is down, the query is
 * forgotten at once and its callback never called: on_up is the time to ask again.
 */
void connection_query(struct connection *watch, const char *sql, int n, const char *const values[],
		      connection_callback callback, void *arg, int64_t tag);

/* Did the server do it?  If not, *ret_why is its primary message, never the DETAIL (it quotes rows). */
bool connection_ok(const PGresult *res, const char **ret_why);

#endif
