/*
 * One connection to PostgreSQL as a person: asynchronous, never reconnecting.  Its session may not write, except in
 * the transaction of an act.  One statement runs at a time; the others wait in the order in which they came.
 */
#pragma once

#include "base/mem.h"

#include <event2/event.h>
#include <libpq-fe.h>
#include <stdbool.h>

struct link;
struct link_query;

enum link_end {
	LINK_REFUSED, /* the name or the password */
	LINK_FORBIDDEN, /* this role may not connect to this database */
	LINK_AWAY, /* the server, or what stands before it */
};

struct link_opts {
	struct event_base *base;
	const char *conninfo; /* without user and password */
	const char *user;
	const char *password; /* NULL: none is sent */
	int64_t idle_s; /* the server ends a session that nobody has used for longer, and a bit more */
	void (*on_up)(void *arg);
	/* Once, when the link is of no more use; it may be freed here.  why is for the log. */
	void (*on_down)(void *arg, enum link_end end, const char *why);
	void *arg;
};

/*
 * Connects within 10 seconds.  The texts are needed during the call only; libpq keeps a copy of the password as long as
 * the link lives.  Owned by ctx.  It must not be freed in on_up or in on_answer.
 */
struct link *link_new(void *ctx, const struct link_opts *opts);

/* The callbacks of the link from now on. */
void link_set_owner(struct link *link, void (*on_down)(void *, enum link_end, const char *),
		    void *arg);

/* The database's name; NULL while it is not up. */
const char *link_database(const struct link *link);

/* What was answered, in order to be cleared by PQclear(). */
struct link_answer {
	PGresult *result; /* NULL: the connection was lost */
	bool is_unknown; /* an act: it was lost while the server committed, so the act may be done */
};

struct link_ask {
	const char *sql;
	int n;
	const char *const *values; /* n texts, copied; NULL: SQL NULL */
	bool act; /* in a transaction that may write, committed before the answer */
	int patience_s; /* the statement's time; 0: LINK_PATIENCE_S */
	void (*on_answer)(void *arg, struct link_answer answer);
	void *arg;
};

#define LINK_PATIENCE_S 10

/* Queues a statement; on_answer is called later, from the loop. */
struct link_query *link_ask(struct link *link, const struct link_ask *ask);

/* Nobody waits for the answer.  Not after on_answer. */
void link_forget(struct link_query *query);

/* Closes the link at the loop's next turn, without a callback; it belongs to ctx until then.  Allowed in callbacks. */
void link_close(struct link *link, void *ctx);

/* Did the statement succeed? */
bool link_succeeded(const PGresult *result);
