/*
 * The connection is a state machine in the loop:
 *
 *	DOWN --timer--> CONNECTING --PQconnectPoll--> ASKING --its own process--> PREPARING --LISTEN done--> UP
 *	  ^                 |                          |  |                        ^  |                    |
 *	  |                 |                          |  +--a pooler--> POOLED ---+  |                    |
 *	  +---- drop() -----+--------------------------+-------------------+----------+--------------------+
 *
 * A pooler has told libpq another process than the server has.  If it is not in session mode, the settings of PREPARING
 * would reach other clients.  The check of the model, a child, tells that (database/connect.c): POOLED waits for it.
 *
 * Every failure ends in drop(): it closes the connection, answers the queries that wait with NULL, and sets the timer
 * for the next attempt.  There is no other way back.
 *
 * libpq has no time-outs for what runs asynchronously (connect_timeout does nothing with PQconnectPoll), so every wait
 * for the server is under `deadline`.  The ping finds a server that vanished without a word, because a LISTEN alone
 * would wait for ever.
 *
 * The socket is asked for again at each wait, and the event is single-shot, because PQconnectPoll may close one socket
 * and open another, of the next host or for another attempt at encryption.
 */
#include "supervisor/connection.h"

#include "base/mem.h"
#include "base/text.h"
#include "supervisor/loop.h"

#include <assert.h>
#include <sys/queue.h>

enum {
	CONNECT_DEADLINE_MS = 15000,
	QUERY_DEADLINE_MS = 30000,
	PING_MS = 60000,
	BACKOFF_MIN_MS = 500,
	BACKOFF_MAX_MS = 60000,
};

enum stage { STAGE_DOWN, STAGE_CONNECTING, STAGE_ASKING, STAGE_POOLED, STAGE_PREPARING, STAGE_UP };

struct query {
	TAILQ_ENTRY(query) link;
	struct connection_query ask; /* with copies of sql and values */
};
TAILQ_HEAD(queries, query);

struct connection {
	struct event_base *base;
	struct connection_handlers handlers;
	char *conninfo;
	enum stage stage;
	PGconn *conn; /* NULL when DOWN */
	struct event *io; /* single-shot, set anew at each wait */
	struct event *deadline; /* of the connect or of the current query */
	struct event *timer; /* DOWN: the next attempt; UP: the next ping */
	struct queries queries; /* those that wait */
	struct query *current; /* sent, not answered; NULL while ASKING and PREPARING */
	PGresult *result; /* of current: the last one, or the first that failed */
	int backoff_ms;
	int depth; /* callbacks that are running; while one does, it must not be freed */
};

/*
 * Settings of the session.  search_path: so that no table can stand in for a catalog's.
 * default_transaction_read_only: because a role may have it on.  The time-outs are the server's side of
 * QUERY_DEADLINE_MS, so that a statement of a connection that was dropped does not go on there.
 */
static const char prepare_sql[] = "SET search_path = pg_catalog;"
				  "SET client_min_messages = error;"
				  "SET default_transaction_read_only = off;"
				  "SET idle_in_transaction_session_timeout = 0;"
				  "SET statement_timeout = 30000;"
				  "SET lock_timeout = 25000;"
				  "LISTEN retention;";

static void on_io(evutil_socket_t fd, short what, void *arg);

static void query_answer(struct connection *connection, struct query *query, const PGresult *res)
{
	connection->depth++;
	if (query->ask.on_answer)
		query->ask.on_answer(query->ask.arg, query->ask.tag, res);
	connection->depth--;
	talloc_free(query);
}

/* Random, so that the clients of a server that comes back do not all arrive in the same instant. */
static int next_backoff_ms(struct connection *connection)
{
	unsigned int noise = 0;
	int delay_ms = connection->backoff_ms ? connection->backoff_ms * 2 : BACKOFF_MIN_MS;

	if (delay_ms > BACKOFF_MAX_MS)
		delay_ms = BACKOFF_MAX_MS;
	connection->backoff_ms = delay_ms;
	evutil_secure_rng_get_bytes(&noise, sizeof(noise));
	return delay_ms / 2 + (int)(noise % (unsigned int)(delay_ms / 2 + 1));
}

/* why may lie in libpq's own memory, so it is copied before the connection is closed. */
static void drop(struct connection *connection, const char *why)
{
	AUTO(talloc) char *message = t_strdup(NULL, why);
	AUTO(talloc) char *text = NULL;
	struct queries orphans;
	struct query *query;

	text_trim(message);
	text = t_printf(NULL, "%s%s", message, text_forbidden(message));
	(void)event_del(connection->io); /* before its socket is closed; not pending is fine */
	(void)event_del(connection->deadline); /* likewise */
	(void)event_del(connection->timer); /* likewise */
	PQclear(connection->result);
	connection->result = NULL;
	PQfinish(connection->conn);
	connection->conn = NULL;
	connection->stage = STAGE_DOWN;
	loop_arm(connection->timer, next_backoff_ms(connection));

	/* Callbacks come last, on a consistent state.  Their queries are dropped, because the connection is down. */
	TAILQ_INIT(&orphans);
	if (connection->current)
		TAILQ_INSERT_HEAD(&connection->queries, connection->current, link);
	connection->current = NULL;
	TAILQ_CONCAT(&orphans, &connection->queries, link);
	while ((query = TAILQ_FIRST(&orphans))) {
		TAILQ_REMOVE(&orphans, query, link);
		query_answer(connection, query, NULL);
	}
	connection->depth++;
	connection->handlers.on_down(connection->handlers.arg, text);
	connection->depth--;
}

static void wait_for(struct connection *connection, short what)
{
	const int fd = PQsocket(connection->conn);

	(void)event_del(connection->io); /* not pending is fine */
	if (fd < 0 ||
	    event_assign(connection->io, connection->base, fd, what, on_io, connection) < 0 ||
	    event_add(connection->io, NULL) < 0)
		drop(connection, "its socket cannot be waited for");
}

/* Sends the queued bytes, or waits until it can.  Always waits for input, because the server may speak first. */
static void wait_for_server(struct connection *connection)
{
	const int left = PQflush(connection->conn);

	if (left < 0)
		drop(connection, PQerrorMessage(connection->conn));
	else
		wait_for(connection, left ? EV_READ | EV_WRITE : EV_READ);
}

static void send_next(struct connection *connection)
{
	struct query *query = TAILQ_FIRST(&connection->queries);

	if (connection->stage != STAGE_UP || connection->current || !query)
		return;
	TAILQ_REMOVE(&connection->queries, query, link);
	connection->current = query;
	loop_arm(connection->deadline, QUERY_DEADLINE_MS);
	if (!PQsendQueryParams(connection->conn, query->ask.sql, query->ask.n, NULL,
			       query->ask.values, NULL, NULL, 0))
		drop(connection, PQerrorMessage(connection->conn));
}

static void prepare(struct connection *connection)
{
	connection->stage = STAGE_PREPARING;
	loop_arm(connection->deadline, QUERY_DEADLINE_MS);
	if (!PQsendQuery(connection->conn, prepare_sql))
		drop(connection, PQerrorMessage(connection->conn));
}

static void asked(struct connection *connection, const PGresult *result)
{
	const long pid = strtol(PQgetvalue(result, 0, 0), NULL, 10); /* an int, always */

	if (pid == PQbackendPID(connection->conn)) {
		prepare(connection);
		return;
	}
	connection->stage = STAGE_POOLED;
	connection->depth++;
	connection->handlers.on_pooled(connection->handlers.arg);
	connection->depth--;
}

static void prepared(struct connection *connection)
{
	connection->stage = STAGE_UP;
	connection->backoff_ms = 0;
	loop_arm(connection->timer, PING_MS);
	connection->depth++;
	connection->handlers.on_up(connection->handlers.arg);
	connection->depth--;
}

/* The answer to the current statement is complete. */
static void finish_current(struct connection *connection)
{
	struct query *query = connection->current;
	PGresult *result = connection->result;

	(void)event_del(connection->deadline); /* not pending is fine */
	connection->current = NULL;
	connection->result = NULL;
	if (query)
		query_answer(connection, query, result);
	else if (connection_failure(result))
		drop(connection, connection_failure(result));
	else if (connection->stage == STAGE_ASKING)
		asked(connection, result);
	else
		prepared(connection);
	PQclear(result);
}

/* Takes the results that libpq has parsed. */
static void take_results(struct connection *connection)
{
	while (connection->conn &&
	       (connection->current || connection->stage == STAGE_ASKING ||
		connection->stage == STAGE_PREPARING) &&
	       !PQisBusy(connection->conn)) {
		PGresult *res = PQgetResult(connection->conn);

		if (!res) {
			finish_current(connection);
			if (connection->conn)
				send_next(connection);
		} else if (connection->result && connection_failure(connection->result)) {
			PQclear(res); /* of several statements the first failure is the cause */
		} else {
			PQclear(connection->result);
			connection->result = res;
		}
	}
}

static void take_notifies(struct connection *connection)
{
	PGnotify *notify;

	while (connection->conn && (notify = PQnotifies(connection->conn))) {
		connection->depth++;
		connection->handlers.on_notify(connection->handlers.arg, notify->extra);
		connection->depth--;
		PQfreemem(notify);
	}
}

static void poll_connect(struct connection *connection)
{
	switch (PQconnectPoll(connection->conn)) {
	case PGRES_POLLING_READING:
		wait_for(connection, EV_READ);
		break;
	case PGRES_POLLING_WRITING:
		wait_for(connection, EV_WRITE);
		break;
	case PGRES_POLLING_OK:
		connection->stage = STAGE_ASKING;
		loop_arm(connection->deadline, QUERY_DEADLINE_MS);
		if (PQsetnonblocking(connection->conn, 1) != 0 ||
		    !PQsendQuery(connection->conn, "SELECT pg_catalog.pg_backend_pid()"))
			drop(connection, PQerrorMessage(connection->conn));
		else
			wait_for_server(connection);
		break;
	default:
		drop(connection, PQerrorMessage(connection->conn));
	}
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
	struct connection *connection = arg;

	(void)fd; /* PQsocket() is asked instead */
	if (connection->stage == STAGE_CONNECTING) {
		poll_connect(connection);
		return;
	}
	if ((what & EV_READ) && !PQconsumeInput(connection->conn)) {
		drop(connection, PQerrorMessage(connection->conn));
		return;
	}
	take_results(connection);
	take_notifies(connection);
	if (connection->conn)
		send_next(connection);
	if (connection->conn)
		wait_for_server(connection);
}

static void ignore_notice(void *arg, const PGresult *res)
{
	(void)arg; /* a notice may quote a row, so it is not logged */
	(void)res;
}

static void connect_start(struct connection *connection)
{
	/* dbname, which is expanded, stands behind the others, so that conninfo can override them. */
	const char *const names[] = {"fallback_application_name", "keepalives_idle",
				     "keepalives_interval",       "keepalives_count",
				     "tcp_user_timeout",          "dbname",
				     "client_encoding",           NULL};
	const char *const values[] = {"retentiond",         "30",   "10", "3", "60000",
				      connection->conninfo, "UTF8", NULL};

	connection->stage = STAGE_CONNECTING;
	connection->conn = must_alloc(PQconnectStartParams(names, values, 1));
	if (PQstatus(connection->conn) == CONNECTION_BAD) {
		drop(connection, PQerrorMessage(connection->conn));
		return;
	}
	(void)PQsetNoticeReceiver(connection->conn, ignore_notice, NULL); /* returns the old one */
	loop_arm(connection->deadline, CONNECT_DEADLINE_MS);
	wait_for(connection, EV_WRITE); /* as PQconnectPoll wants it the first time */
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct connection *connection = arg;

	(void)fd, (void)what; /* a timer */
	drop(connection, connection->stage == STAGE_CONNECTING ? "no connection within 15 s"
							       : "no answer within 30 s");
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct connection *connection = arg;

	(void)fd, (void)what; /* a timer */
	if (connection->stage == STAGE_DOWN) {
		connect_start(connection);
	} else if (connection->stage == STAGE_UP) {
		loop_arm(connection->timer, PING_MS);
		if (!connection->current)
			connection_ask(connection, &(struct connection_query){.sql = "SELECT 1"});
	}
}

static int on_connection_free(struct connection *connection)
{
	assert(connection->depth == 0);
	(void)event_del(connection->io); /* before its socket is closed; not pending is fine */
	PQclear(connection->result);
	PQfinish(connection->conn);
	return 0;
}

struct connection *connection_new(void *ctx, struct event_base *base, const char *conninfo,
				  const struct connection_handlers *handlers)
{
	struct connection *connection = t_zero(ctx, struct connection);

	connection->base = base;
	connection->handlers = *handlers;
	connection->conninfo = t_strdup(connection, conninfo);
	connection->io = loop_event(connection, base, -1, 0, on_io);
	connection->deadline = loop_event(connection, base, -1, 0, on_deadline);
	connection->timer = loop_event(connection, base, -1, 0, on_timer);
	TAILQ_INIT(&connection->queries);
	talloc_set_destructor(connection, on_connection_free);
	loop_arm(connection->timer, 0);
	return connection;
}

bool connection_pooled(const struct connection *connection)
{
	return connection && connection->stage == STAGE_POOLED;
}

void connection_trust(struct connection *connection)
{
	if (!connection_pooled(connection))
		return;
	prepare(connection);
	if (connection->conn)
		event_active(connection->io, 0, 0); /* the loop sends it */
}

bool connection_up(const struct connection *connection)
{
	return connection && connection->stage == STAGE_UP;
}

void connection_ask(struct connection *connection, const struct connection_query *ask)
{
	struct query *query;
	const char **values;

	if (!connection_up(connection))
		return;
	query = t_zero(connection, struct query);
	query->ask = *ask;
	query->ask.sql = t_strdup(query, ask->sql);
	query->ask.values = values = t_array(query, const char *, ask->n);
	for (int i = 0; i < ask->n; i++)
		values[i] = ask->values[i] ? t_strdup(query, ask->values[i]) : NULL;
	TAILQ_INSERT_TAIL(&connection->queries, query, link);
	/* Sent from the loop, because a failure to send must not call back into the caller. */
	event_active(connection->io, 0, 0);
}

const char *connection_failure(const PGresult *res)
{
	const ExecStatusType status = PQresultStatus(res);
	const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return NULL;
	return !res ? "the connection was lost" : text ? text : "an answer that makes no sense";
}
