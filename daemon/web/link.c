/*
 * The stages of a link:
 *
 *	CONNECTING --PQconnectPoll--> PREPARING --settings made--> UP
 *	     |                            |                        |
 *	     +------------- drop() -------+------------------------+---> DOWN
 *
 * and the phases of a query: BEGIN, STATEMENT, END (COMMIT or ROLLBACK) for an act or a statement that may take longer,
 * STATEMENT alone otherwise.
 *
 * All callbacks come from the loop.  drop() only marks the link, because its callers still use it; the answers and
 * on_down follow at the loop's next turn.
 */
#include "web/link.h"

#include "base/units.h"

#include "web/link_start.h"

#include <assert.h>
#include <sys/queue.h>

enum {
	CONNECT_MS = 10000,
	GRACE_S = 5, /* the server's time-out comes first */
};

enum stage { STAGE_CONNECTING, STAGE_PREPARING, STAGE_UP, STAGE_DOWN };
enum phase { PHASE_WAITING, PHASE_BEGIN, PHASE_STATEMENT, PHASE_END };

struct link_query {
	TAILQ_ENTRY(link_query) link;
	struct link_ask ask; /* with copies of sql and values */
	enum phase phase;
	bool is_committing;
	PGresult *result; /* to be answered */
};
TAILQ_HEAD(link_queries, link_query);

struct link {
	struct event_base *base;
	enum stage stage;
	PGconn *conn; /* NULL when DOWN */
	struct event *io; /* single-shot, set anew at each wait */
	struct event *deadline;
	struct event *turn; /* after drop() */
	struct link_queries queries; /* the first one may be under way */
	PGresult *result; /* of the statement under way: the last one, or the first that failed */
	int64_t idle_s;
	bool wants_password; /* one was given, so the server has to ask for it */
	enum link_end end;
	char *why;
	void (*on_up)(void *arg);
	void (*on_down)(void *arg, enum link_end end, const char *why);
	void *arg;
	int depth; /* callbacks that are running */
};

static void on_io(evutil_socket_t fd, short what, void *arg);

bool link_succeeded(const PGresult *result)
{
	const ExecStatusType status = PQresultStatus(result);

	return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

/* --- The end ---------------------------------------------------------------------------------- */

/* The log never shows a message in which the server may have repeated what a person entered. */
static void drop(struct link *link, const char *why)
{
	if (link->stage == STAGE_DOWN)
		return;
	link->end = link->stage != STAGE_CONNECTING || !link->conn ? LINK_AWAY
		    : PQconnectionNeedsPassword(link->conn) /* and there was none */
			    ? LINK_REFUSED
			    : link_start_failure(PQerrorMessage(link->conn));
	link->why = t_strdup(link, why);
	link->stage = STAGE_DOWN;
	(void)event_del(link->io); /* before its socket is closed; not pending is fine */
	(void)event_del(link->deadline); /* likewise */
	PQclear(link->result);
	link->result = NULL;
	PQfinish(link->conn);
	link->conn = NULL;
	event_active(link->turn, 0, 0);
}

static void answer(struct link *link, struct link_query *query, struct link_answer with)
{
	TAILQ_REMOVE(&link->queries, query, link);
	link->depth++;
	if (query->ask.on_answer)
		query->ask.on_answer(query->ask.arg, with);
	else
		PQclear(with.result);
	link->depth--;
	talloc_free(query);
}

/* The loop's turn after drop(). */
static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct link *link = arg;
	struct link_query *query;

	(void)fd, (void)what; /* activated */
	while ((query = TAILQ_FIRST(&link->queries))) {
		PQclear(query->result);
		answer(link, query, (struct link_answer){.is_unknown = query->is_committing});
	}
	if (link->on_down) {
		void (*on_down)(void *, enum link_end, const char *) = link->on_down;

		link->on_down = NULL;
		on_down(link->arg, link->end, link->why); /* the last use of link */
	}
}

/* --- Waiting ---------------------------------------------------------------------------------- */

static void arm(struct event *timer, int64_t ms)
{
	const struct timeval after = units_timeval(ms);

	if (event_add(timer, &after) < 0)
		must_alloc(NULL); /* the only way in which a timer can fail */
}

static void wait_for(struct link *link, short what)
{
	const int fd = PQsocket(link->conn);

	(void)event_del(link->io); /* not pending is fine */
	if (fd < 0 || event_assign(link->io, link->base, fd, what, on_io, link) < 0 ||
	    event_add(link->io, NULL) < 0)
		drop(link, "its socket cannot be waited for");
}

/* Sends the queued bytes, or waits until it can.  Always waits for input, because the server may speak first. */
static void wait_for_server(struct link *link)
{
	const int left = PQflush(link->conn);

	if (left < 0)
		drop(link, "the connection was lost");
	else
		wait_for(link, left ? EV_READ | EV_WRITE : EV_READ);
}

/* --- Statements ------------------------------------------------------------------------------- */

static int patience_s(const struct link_query *query)
{
	return query->ask.patience_s ? query->ask.patience_s : LINK_PATIENCE_S;
}

static bool is_in_transaction(const struct link_query *query)
{
	return query->ask.act || query->ask.patience_s;
}

static void send_begin(struct link *link, struct link_query *query)
{
	AUTO(talloc)
	char *sql = t_printf(NULL, "BEGIN %s; SET LOCAL statement_timeout = '%ds'",
			     query->ask.act ? "READ WRITE" : "READ ONLY", patience_s(query));

	query->phase = PHASE_BEGIN;
	if (!PQsendQuery(link->conn, sql))
		drop(link, "the connection was lost");
}

static void send_statement(struct link *link, struct link_query *query)
{
	query->phase = PHASE_STATEMENT;
	if (!PQsendQueryParams(link->conn, query->ask.sql, query->ask.n, NULL, query->ask.values,
			       NULL, NULL, 0))
		drop(link, "the connection was lost");
}

static void send_end(struct link *link, struct link_query *query)
{
	query->phase = PHASE_END;
	query->is_committing = query->ask.act && link_succeeded(query->result);
	if (!PQsendQuery(link->conn, link_succeeded(query->result) ? "COMMIT" : "ROLLBACK"))
		drop(link, "the connection was lost");
}

static void send_next(struct link *link)
{
	struct link_query *query = TAILQ_FIRST(&link->queries);

	if (link->stage != STAGE_UP || !query || query->phase != PHASE_WAITING)
		return;
	arm(link->deadline, (int64_t)(patience_s(query) + GRACE_S) * 1000);
	if (is_in_transaction(query))
		send_begin(link, query);
	else
		send_statement(link, query);
}

static void finish(struct link *link, struct link_query *query)
{
	const struct link_answer with = {.result = query->result};

	(void)event_del(link->deadline); /* not pending is fine */
	query->result = NULL;
	answer(link, query, with);
}

/* COMMIT or ROLLBACK is answered.  A COMMIT that only rolled back has failed, too. */
static void ended(struct link *link, struct link_query *query, PGresult *result)
{
	if (!link_succeeded(result)) {
		PQclear(query->result);
		query->result = result;
	} else if (query->is_committing && strcmp(PQcmdStatus(result), "COMMIT") != 0) {
		PQclear(result);
		query->is_committing = false;
		drop(link, "the server rolled back instead of committing");
		return;
	} else {
		PQclear(result);
	}
	if (PQtransactionStatus(link->conn) != PQTRANS_IDLE)
		drop(link, "a transaction stayed open");
	else
		finish(link, query);
}

/* The answer to a statement of the first query is complete. */
static void step(struct link *link, struct link_query *query, PGresult *result)
{
	if (query->phase == PHASE_END) {
		ended(link, query, result);
		return;
	}
	if (query->phase == PHASE_BEGIN && link_succeeded(result)) {
		PQclear(result);
		send_statement(link, query);
		return;
	}
	query->result = result;
	if (PQtransactionStatus(link->conn) != PQTRANS_IDLE)
		send_end(link, query);
	else
		finish(link, query);
}

/*
 * The settings of the session.  A setting that this version does not have is left out.  The process tells a pooler,
 * which could give the session to others.
 */
static const char prepare_sql[] =
	"SELECT pg_catalog.pg_backend_pid(), pg_catalog.count(pg_catalog.set_config(s.name, v.value, false))"
	"  FROM (VALUES ('search_path', 'pg_catalog'),"
	"               ('client_min_messages', 'error'),"
	"               ('default_transaction_read_only', 'on'),"
	"               ('statement_timeout', '10s'),"
	"               ('lock_timeout', '3s'),"
	"               ('idle_in_transaction_session_timeout', '30s'),"
	"               ('idle_session_timeout', $1),"
	"               ('DateStyle', 'ISO, YMD'),"
	"               ('IntervalStyle', 'postgres'),"
	"               ('bytea_output', 'hex')) AS v (name, value)"
	"  JOIN pg_catalog.pg_settings AS s ON s.name = v.name";

static void prepare(struct link *link)
{
	AUTO(talloc) char *idle = t_printf(NULL, "%llds", (long long)link->idle_s);
	const char *const values[] = {idle};

	link->stage = STAGE_PREPARING;
	if (PQsetnonblocking(link->conn, 1) != 0 ||
	    !PQsendQueryParams(link->conn, prepare_sql, 1, NULL, values, NULL, NULL, 0))
		drop(link, "the connection was lost");
	else
		wait_for_server(link);
}

static void prepared(struct link *link, PGresult *result)
{
	const long pid = link_succeeded(result) ? strtol(PQgetvalue(result, 0, 0), NULL, 10) : -1;

	PQclear(result);
	(void)event_del(link->deadline); /* pending */
	if (pid < 0) {
		drop(link, "the session cannot be prepared");
	} else if (pid != PQbackendPID(link->conn)) {
		drop(link, "a pooler stands between the page and the server: name the server "
			   "itself in conninfo");
	} else {
		link->stage = STAGE_UP;
		link->depth++;
		link->on_up(link->arg);
		link->depth--;
	}
}

/* Takes the results that libpq has parsed. */
static void take_results(struct link *link)
{
	while (link->conn && !PQisBusy(link->conn)) {
		struct link_query *query = TAILQ_FIRST(&link->queries);
		PGresult *result = PQgetResult(link->conn);
		PGresult *whole = link->result;

		if (result && whole && !link_succeeded(whole)) {
			PQclear(result); /* of several statements the first failure is the cause */
		} else if (result) {
			PQclear(whole);
			link->result = result;
		} else if (whole) {
			link->result = NULL;
			if (link->stage == STAGE_PREPARING)
				prepared(link, whole);
			else
				step(link, query, whole);
			if (link->conn)
				send_next(link);
		} else {
			return;
		}
	}
}

static void poll_connect(struct link *link)
{
	switch (PQconnectPoll(link->conn)) {
	case PGRES_POLLING_READING:
		wait_for(link, EV_READ);
		break;
	case PGRES_POLLING_WRITING:
		wait_for(link, EV_WRITE);
		break;
	case PGRES_POLLING_OK:
		/* Under "trust" or "peer" every password would be the right one. */
		if (link->wants_password && !PQconnectionUsedPassword(link->conn))
			drop(link, "the server has not asked for the password: see pg_hba.conf");
		else
			prepare(link);
		break;
	default:
		drop(link, "the server cannot be reached, or refuses the role");
	}
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
	struct link *link = arg;

	(void)fd; /* PQsocket() is asked instead */
	if (link->stage == STAGE_DOWN)
		return;
	if (link->stage == STAGE_CONNECTING) {
		poll_connect(link);
		return;
	}
	if ((what & EV_READ) && !PQconsumeInput(link->conn)) {
		drop(link, "the connection was lost");
		return;
	}
	take_results(link);
	if (link->conn)
		send_next(link);
	if (link->conn)
		wait_for_server(link);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what; /* a timer */
	drop(arg, "the server did not answer in time");
}

/* --- The link --------------------------------------------------------------------------------- */

static void ignore_notice(void *arg, const PGresult *result)
{
	(void)arg, (void)result; /* a notice may quote a row */
}

static int on_link_free(struct link *link)
{
	assert(link->depth == 0);
	(void)event_del(link->io); /* before its socket is closed; not pending is fine */
	for (struct link_query *query = TAILQ_FIRST(&link->queries); query;
	     query = TAILQ_NEXT(query, link))
		PQclear(query->result);
	PQclear(link->result);
	PQfinish(link->conn);
	return 0;
}

static int on_event_free(struct event *event)
{
	(void)event_del(event); /* not pending is fine */
	return 0;
}

static struct event *new_event(struct link *link, event_callback_fn callback)
{
	struct event *event = must_alloc(talloc_size(link, event_get_struct_event_size()));

	if (event_assign(event, link->base, -1, 0, callback, link) < 0)
		must_alloc(NULL); /* as event_new(3) says it */
	talloc_set_destructor(event, on_event_free);
	return event;
}

struct link *link_new(void *ctx, const struct link_opts *opts)
{
	struct link *link = t_zero(ctx, struct link);

	link->base = opts->base;
	link->idle_s = opts->idle_s;
	link->wants_password = opts->password != NULL;
	link->on_up = opts->on_up;
	link_set_owner(link, opts->on_down, opts->arg);
	link->io = new_event(link, on_io);
	link->deadline = new_event(link, on_deadline);
	link->turn = new_event(link, on_turn);
	TAILQ_INIT(&link->queries);
	talloc_set_destructor(link, on_link_free);
	link->conn = link_start(opts);
	if (!link->conn || PQstatus(link->conn) == CONNECTION_BAD) {
		drop(link, "conninfo cannot be used");
		return link;
	}
	(void)PQsetNoticeReceiver(link->conn, ignore_notice, NULL); /* returns the old one */
	arm(link->deadline, CONNECT_MS);
	wait_for(link, EV_WRITE); /* as PQconnectPoll wants it the first time */
	return link;
}

void link_set_owner(struct link *link, void (*on_down)(void *, enum link_end, const char *),
		    void *arg)
{
	link->on_down = on_down;
	link->arg = arg;
}

const char *link_database(const struct link *link)
{
	return link && link->conn ? PQdb(link->conn) : NULL;
}

struct link_query *link_ask(struct link *link, const struct link_ask *ask)
{
	struct link_query *query = t_zero(link, struct link_query);
	const char **values = t_array(query, const char *, ask->n);

	query->ask = *ask;
	query->ask.sql = t_strdup(query, ask->sql);
	query->ask.values = values;
	for (int i = 0; i < ask->n; i++)
		values[i] = ask->values[i] ? t_strdup(query, ask->values[i]) : NULL;
	TAILQ_INSERT_TAIL(&link->queries, query, link);
	/* Sent from the loop, because a failure to send must not call back into the caller. */
	if (link->stage == STAGE_UP || link->stage == STAGE_DOWN)
		event_active(link->stage == STAGE_UP ? link->io : link->turn, 0, 0);
	return query;
}

void link_forget(struct link_query *query)
{
	query->ask.on_answer = NULL;
}

static void on_closed(void *arg, enum link_end end, const char *why)
{
	(void)end, (void)why; /* wanted */
	talloc_free(arg);
}

void link_close(struct link *link, void *ctx)
{
	(void)talloc_steal(ctx, link); /* the same pointer */
	for (struct link_query *query = TAILQ_FIRST(&link->queries); query;
	     query = TAILQ_NEXT(query, link))
		link_forget(query);
	link_set_owner(link, on_closed, link);
	drop(link, "closed");
}
