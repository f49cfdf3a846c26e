/*
 * One connection as a state machine in the loop:
 *
 *	DOWN --timer--> CONNECTING --PQconnectPoll--> PREPARING --LISTEN done--> UP
 *	  ^                 |                             |                       |
 *	  +---- drop() -----+-----------------------------+-----------------------+
 *
 * Whatever goes wrong anywhere ends in drop(): the connection is closed, the queries that wait are
 * answered with NULL, and the timer is set for the next attempt.  There is no other way back.
 *
 * libpq has no time-outs for what runs asynchronously (connect_timeout does nothing with
 * PQconnectPoll), so every wait for the server is under `deadline`.  And a server that vanished
 * without a word is found by the ping: a LISTEN alone would wait for ever.
 *
 * The socket is asked for again at each wait and the event is single-shot: PQconnectPoll may close
 * one socket and open another, of the next host or for another attempt at encryption.
 */
#include "supervisor/connection.h"

#include "base/mem.h"

#include <assert.h>
#include <event2/util.h>
#include <sys/queue.h>

enum {
	CONNECT_DEADLINE_MS = 15000,
	QUERY_DEADLINE_MS = 30000,
	PING_MS = 60000,
	BACKOFF_MIN_MS = 500,
	BACKOFF_MAX_MS = 60000,
};

enum stage { STAGE_DOWN, STAGE_CONNECTING, STAGE_PREPARING, STAGE_UP };

struct query {
	TAILQ_ENTRY(query) link;
	char *sql;
	int n;
	char **values; /* n */
	connection_callback callback;
	void *arg;
	int64_t tag;
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
	struct query *current; /* sent, not answered; NULL while PREPARING */
	PGresult *result; /* what has come of current: the last, or the first that failed */
	int backoff_ms;
	int depth; /* callbacks that are running: it must not be freed below them */
};

/*
 * What each control session is.  search_path: nobody's table can stand in for a catalog's.
 * default_transaction_read_only: a role may have it on.  The time-outs are the server's side of
 * QUERY_DEADLINE_MS: a statement of a connection that was dropped must not go on there.
 */
static const char prepare_sql[] = "SET search_path = pg_catalog;"
				  "SET client_min_messages = error;"
				  "SET default_transaction_read_only = off;"
				  "SET idle_in_transaction_session_timeout = 0;"
				  "SET statement_timeout = 30000;"
				  "SET lock_timeout = 25000;"
				  "LISTEN retention;";

static void on_io(evutil_socket_t fd, short what, void *arg);

static struct timeval timeval_of_ms(int ms)
{
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

static void arm(struct event *event, int ms)
{
	const struct timeval after = timeval_of_ms(ms);

	if (event_add(event, &after) < 0)
		must_alloc(NULL); /* the only way in which a timer can fail */
}

static void query_free(struct query *query)
{
	for (int i = 0; i < query->n; i++)
		free(query->values[i]);
	free(query->values);
	free(query->sql);
	free(query);
}

static void query_answer(struct connection *watch, struct query *query, const PGresult *res)
{
	watch->depth++;
	if (query->callback)
		query->callback(query->arg, query->tag, res);
	watch->depth--;
	query_free(query);
}

/* Equal clients of one server that comes back must not all arrive in the same instant. */
static int next_backoff_ms(struct connection *watch)
{
	unsigned int noise = 0;
	int delay_ms = watch->backoff_ms ? watch->backoff_ms * 2 : BACKOFF_MIN_MS;

	if (delay_ms > BACKOFF_MAX_MS)
		delay_ms = BACKOFF_MAX_MS;
	watch->backoff_ms = delay_ms;
	evutil_secure_rng_get_bytes(&noise, sizeof(noise));
	return delay_ms / 2 + (int)(noise % (unsigned int)(delay_ms / 2 + 1));
}

/* why may be of libpq's own memory: it is copied before the connection goes. */
static void drop(struct connection *watch, const char *why)
{
	AUTO(char_p) char *text = xstrdup(why);
	struct queries orphans;
	struct query *query;

	for (char *end = text + strlen(text); end > text && end[-1] == '\n'; end--)
		end[-1] = '\0';
	(void)event_del(watch->io); /* before its socket is closed; not pending is fine */
	(void)event_del(watch->deadline); /* likewise */
	(void)event_del(watch->timer); /* likewise */
	PQclear(watch->result);
	watch->result = NULL;
	PQfinish(watch->conn);
	watch->conn = NULL;
	watch->stage = STAGE_DOWN;
	arm(watch->timer, next_backoff_ms(watch));

	/* Callbacks last, on a consistent state: what they ask now is refused, since it is down. */
	TAILQ_INIT(&orphans);
	if (watch->current)
		TAILQ_INSERT_HEAD(&watch->queries, watch->current, link);
	watch->current = NULL;
	TAILQ_CONCAT(&orphans, &watch->queries, link);
	while ((query = TAILQ_FIRST(&orphans))) {
		TAILQ_REMOVE(&orphans, query, link);
		query_answer(watch, query, NULL);
	}
	watch->depth++;
	watch->handlers.on_down(watch->handlers.arg, text);
	watch->depth--;
}

static void wait_for(struct connection *watch, short what)
{
	const int fd = PQsocket(watch->conn);

	(void)event_del(watch->io); /* not pending is fine */
	if (fd < 0 || event_assign(watch->io, watch->base, fd, what, on_io, watch) < 0 ||
	    event_add(watch->io, NULL) < 0)
		drop(watch, "its socket cannot be waited for");
}

/* Everything that waits to be sent is sent, or waited for; the server may always speak first. */
static void wait_for_server(struct connection *watch)
{
	const int left = PQflush(watch->conn);

	if (left < 0)
		drop(watch, PQerrorMessage(watch->conn));
	else
		wait_for(watch, left ? EV_READ | EV_WRITE : EV_READ);
}

static void send_next(struct connection *watch)
{
	struct query *query = TAILQ_FIRST(&watch->queries);

	if (watch->stage != STAGE_UP || watch->current || !query)
		return;
	TAILQ_REMOVE(&watch->queries, query, link);
	watch->current = query;
	arm(watch->deadline, QUERY_DEADLINE_MS);
	if (!PQsendQueryParams(watch->conn, query->sql, query->n, NULL,
			       (const char *const *)query->values, NULL, NULL, 0))
		drop(watch, PQerrorMessage(watch->conn));
}

static void prepared(struct connection *watch)
{
	const char *why = NULL;

	if (!connection_ok(watch->result, &why)) {
		drop(watch, why);
		return;
	}
	PQclear(watch->result);
	watch->result = NULL;
	watch->stage = STAGE_UP;
	watch->backoff_ms = 0;
	arm(watch->timer, PING_MS);
	watch->depth++;
	watch->handlers.on_up(watch->handlers.arg);
	watch->depth--;
}

/* The current statement has been answered to its end. */
static void finish_current(struct connection *watch)
{
	struct query *query = watch->current;
	PGresult *result = watch->result;

	(void)event_del(watch->deadline); /* not pending is fine */
	if (watch->stage == STAGE_PREPARING) {
		prepared(watch);
		return;
	}
	watch->current = NULL;
	watch->result = NULL;
	query_answer(watch, query, result);
	PQclear(result);
}

/* Takes what libpq has parsed; false: the connection is gone. */
static void take_results(struct connection *watch)
{
	while (watch->conn && (watch->current || watch->stage == STAGE_PREPARING) &&
	       !PQisBusy(watch->conn)) {
		PGresult *res = PQgetResult(watch->conn);
		const char *why = NULL;

		if (!res) {
			finish_current(watch);
			if (watch->conn)
				send_next(watch);
		} else if (watch->result && !connection_ok(watch->result, &why)) {
			PQclear(res); /* of several statements the first failure is the cause */
		} else {
			PQclear(watch->result);
			watch->result = res;
		}
	}
}

static void take_notifies(struct connection *watch)
{
	PGnotify *notify;

	while (watch->conn && (notify = PQnotifies(watch->conn))) {
		watch->depth++;
		watch->handlers.on_notify(watch->handlers.arg, notify->extra);
		watch->depth--;
		PQfreemem(notify);
	}
}

static void poll_connect(struct connection *watch)
{
	switch (PQconnectPoll(watch->conn)) {
	case PGRES_POLLING_READING:
		wait_for(watch, EV_READ);
		break;
	case PGRES_POLLING_WRITING:
		wait_for(watch, EV_WRITE);
		break;
	case PGRES_POLLING_OK:
		watch->stage = STAGE_PREPARING;
		arm(watch->deadline, QUERY_DEADLINE_MS);
		if (PQsetnonblocking(watch->conn, 1) != 0 || !PQsendQuery(watch->conn, prepare_sql))
			drop(watch, PQerrorMessage(watch->conn));
		else
			wait_for_server(watch);
		break;
	case PGRES_POLLING_FAILED:
	case PGRES_POLLING_ACTIVE: /* unused by libpq since long; no state to be in */
	default:
		drop(watch, PQerrorMessage(watch->conn));
	}
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
	struct connection *watch = arg;

	(void)fd; /* PQsocket() is asked instead */
	if (watch->stage == STAGE_CONNECTING) {
		poll_connect(watch);
		return;
	}
	if ((what & EV_READ) && !PQconsumeInput(watch->conn)) {
		drop(watch, PQerrorMessage(watch->conn));
		return;
	}
	take_results(watch);
	take_notifies(watch);
	if (watch->conn)
		send_next(watch);
	if (watch->conn)
		wait_for_server(watch);
}

static void ignore_notice(void *arg, const PGresult *res)
{
	(void)arg; /* a notice may quote a row: nothing of it is logged */
	(void)res;
}

static void connect_start(struct connection *watch)
{
	/* Behind the file's own settings, so that conninfo can override what it names. */
	const char *const names[] = {"fallback_application_name", "keepalives_idle",
				     "keepalives_interval",       "keepalives_count",
				     "tcp_user_timeout",          "dbname",
				     "client_encoding",           NULL};
	const char *const values[] = {"retentiond",    "30",   "10", "3", "60000",
				      watch->conninfo, "UTF8", NULL};

	watch->stage = STAGE_CONNECTING;
	watch->conn = must_alloc(PQconnectStartParams(names, values, 1));
	if (PQstatus(watch->conn) == CONNECTION_BAD) {
		drop(watch, PQerrorMessage(watch->conn));
		return;
	}
	(void)PQsetNoticeReceiver(watch->conn, ignore_notice, NULL); /* returns the old one */
	arm(watch->deadline, CONNECT_DEADLINE_MS);
	wait_for(watch, EV_WRITE); /* as PQconnectPoll wants it the first time */
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct connection *watch = arg;

	(void)fd, (void)what; /* a timer */
	drop(watch, watch->stage == STAGE_CONNECTING ? "no connection within 15 s"
						     : "no answer within 30 s");
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct connection *watch = arg;

	(void)fd, (void)what; /* a timer */
	if (watch->stage == STAGE_DOWN) {
		connect_start(watch);
	} else if (watch->stage == STAGE_UP) {
		arm(watch->timer, PING_MS);
		if (!watch->current)
			connection_query(watch, "SELECT 1", 0, NULL, NULL, NULL, 0);
	}
}

struct connection *connection_new(struct event_base *base, const char *conninfo,
				  const struct connection_handlers *handlers)
{
	struct connection *watch = xcalloc(1, sizeof(*watch));

	watch->base = base;
	watch->handlers = *handlers;
	watch->conninfo = xstrdup(conninfo);
	watch->io = must_alloc(event_new(base, -1, 0, on_io, watch));
	watch->deadline = must_alloc(evtimer_new(base, on_deadline, watch));
	watch->timer = must_alloc(evtimer_new(base, on_timer, watch));
	TAILQ_INIT(&watch->queries);
	arm(watch->timer, 0);
	return watch;
}

void connection_free(struct connection *watch)
{
	struct query *query;

	if (!watch)
		return;
	assert(watch->depth == 0);
	event_free(watch->io);
	event_free(watch->deadline);
	event_free(watch->timer);
	while ((query = TAILQ_FIRST(&watch->queries))) {
		TAILQ_REMOVE(&watch->queries, query, link);
		query_free(query);
	}
	if (watch->current)
		query_free(watch->current);
	PQclear(watch->result);
	PQfinish(watch->conn);
	free(watch->conninfo);
	free(watch);
}

bool connection_up(const struct connection *watch)
{
	return watch && watch->stage == STAGE_UP;
}

void connection_query(struct connection *watch, const char *sql, int n, const char *const values[],
		      connection_callback callback, void *arg, int64_t tag)
{
	struct query *query;

	if (!connection_up(watch))
		return;
	query = xcalloc(1, sizeof(*query));
	*query = (struct query){
		.sql = xstrdup(sql), .n = n, .callback = callback, .arg = arg, .tag = tag};
	query->values = xcalloc((size_t)n + 1, sizeof(*query->values));
	for (int i = 0; i < n; i++)
		query->values[i] = values[i] ? xstrdup(values[i]) : NULL;
	TAILQ_INSERT_TAIL(&watch->queries, query, link);
	/* Sent from the loop: a failure to send must not call back while the caller still asks. */
	event_active(watch->io, 0, 0);
}

bool connection_ok(const PGresult *res, const char **ret_why)
{
	const ExecStatusType status = PQresultStatus(res);
	const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return true;
	*ret_why = !res ? "the connection was lost" : text ? text : "an answer that makes no sense";
	return false;
}
