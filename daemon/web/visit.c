/*
 * Statements and steps of a visit.  A step runs within visit_run(), and the visit is freed by settle() behind it, so
 * a handler may use its visit until it returns.
 *
 *	OPEN --visit_render() and the like--> OVER
 *	  +---visit_stream()--> STREAMING ----> OVER
 *
 * An open visit that waits for nothing after a step is a programmer's error, answered with 500.
 */
#include "web/visit.h"

#include "base/log.h"
#include "database/refusal.h"
#include "web/refuse.h"
#include "web/visit_answer.h"
#include "web/visit_state.h"

/* --- Steps ------------------------------------------------------------------------------------ */

static void call(struct visiting *g, visit_step step)
{
	g->depth++;
	step(&g->v);
	g->depth--;
}

/* Runs what has become possible, and frees a visit that is over. */
static void settle(struct visiting *g)
{
	if (g->depth > 0 || g->waiting > 0)
		return;
	while (g->stage != VISIT_OVER && !g->has_gone && g->next && TAILQ_EMPTY(&g->queries)) {
		const visit_step next = g->next;

		g->next = NULL;
		call(g, next);
		if (g->waiting > 0)
			return;
	}
	if (g->stage == VISIT_OPEN && TAILQ_EMPTY(&g->queries) && !g->next) {
		log_err("%s: the handler ended without an answer", g->v.path);
		visit_fail(&g->v, 500, NULL);
	}
	if (g->stage == VISIT_OVER || g->has_gone)
		talloc_free(g);
}

void visit_run(struct visit *v, visit_step step)
{
	if (visiting(v)->stage != VISIT_OVER)
		call(visiting(v), step);
	settle(visiting(v));
}

void visit_wait(struct visit *v)
{
	visiting(v)->waiting++;
}

void visit_resume(struct visit *v, visit_step step)
{
	visiting(v)->waiting--;
	visit_run(v, step);
}

/* --- Statements ------------------------------------------------------------------------------- */

static int on_result_free(struct visit_result *r)
{
	PQclear(r->result);
	return 0;
}

/* A stream asks the same thing again and again: it keeps the last rows of each name, and no others. */
static void forget(struct visiting *g, const char *name)
{
	struct visit_result *r, *next;

	for (r = TAILQ_FIRST(&g->results); r; r = next) {
		next = TAILQ_NEXT(r, link);
		if (strcmp(r->name, name) != 0)
			continue;
		TAILQ_REMOVE(&g->results, r, link);
		talloc_free(r);
	}
}

static void keep(struct visiting *g, const char *name, PGresult *result)
{
	struct visit_result *r = t_zero(g, struct visit_result);

	if (g->stage == VISIT_STREAMING)
		forget(g, name);
	r->name = t_strdup(r, name);
	r->result = result;
	talloc_set_destructor(r, on_result_free);
	TAILQ_INSERT_HEAD(&g->results, r, link); /* the last one of a name is found first */
}

static void log_refusal(struct visit *v, const PGresult *result)
{
	AUTO(char_p)
	char *why = result ? refusal_text(result) : xstrdup("the connection was lost");

	visit_answer_log(v, why);
}

/* A statement has failed. */
static void refused(struct visiting *g, PGresult *result, const struct visit_query *query,
		    bool is_unknown)
{
	const visit_step step = query->is_act ? g->on_refused : g->on_ask_refused;

	refuse_fill(g, g->v.language, result, is_unknown, &g->refusal);
	g->v.refusal = &g->refusal;
	if (g->refusal.status == 500 || g->refusal.status == 503)
		log_refusal(&g->v, result);
	PQclear(result);
	g->next = NULL;
	if (step)
		call(g, step);
	else if (g->stage == VISIT_STREAMING)
		visit_cut(&g->v);
	else
		visit_answer_refusal(&g->v);
}

static void on_answer(void *arg, struct link_answer answer)
{
	struct visit_query *query = arg;
	struct visiting *g = query->g;

	TAILQ_REMOVE(&g->queries, query, link);
	query->query = NULL;
	if (g->stage == VISIT_OVER) {
		PQclear(answer.result);
	} else if (!link_succeeded(answer.result)) {
		refused(g, answer.result, query, answer.is_unknown);
	} else {
		keep(g, query->name, answer.result);
		if (query->is_act)
			call(g, g->done);
	}
	talloc_free(query);
	settle(g);
}

static int on_query_free(struct visit_query *query)
{
	if (query->query)
		link_forget(query->query);
	return 0;
}

static void ask(struct visiting *g, const char *name, const struct link_ask *what)
{
	struct visit_query *query;
	struct link_ask full = *what;

	if (g->stage == VISIT_OVER)
		return;
	if (!g->v.session || !session_lives(g->v.session)) {
		if (g->stage == VISIT_STREAMING)
			visit_cut(&g->v);
		else
			visit_fail(&g->v, 401, NULL);
		return;
	}
	query = t_zero(g, struct visit_query);
	query->g = g;
	query->name = t_strdup(query, name);
	query->is_act = what->act;
	full.patience_s = g->patience_s;
	full.on_answer = on_answer;
	full.arg = query;
	query->query = link_ask(session_link(g->v.session), &full);
	talloc_set_destructor(query, on_query_free);
	TAILQ_INSERT_TAIL(&g->queries, query, link);
}

void visit_ask(struct visit *v, const char *name, const char *sql, int n,
	       const char *const values[])
{
	ask(visiting(v), name, &(struct link_ask){.sql = sql, .n = n, .values = values});
}

void visit_then(struct visit *v, visit_step step)
{
	visiting(v)->next = step;
}

void visit_act(struct visit *v, const char *sql, int n, const char *const values[], visit_step done,
	       visit_step on_refused)
{
	visiting(v)->done = done;
	visiting(v)->on_refused = on_refused;
	ask(visiting(v), "act",
	    &(struct link_ask){.sql = sql, .n = n, .values = values, .act = true});
}

void visit_patience(struct visit *v, int seconds)
{
	visiting(v)->patience_s = seconds;
}

const PGresult *visit_rows(const struct visit *v, const char *name)
{
	const struct visiting *g = (const struct visiting *)v;
	const struct visit_result *r;

	TAILQ_FOREACH(r, &g->results, link)
		if (strcmp(r->name, name) == 0)
			return r->result;
	return NULL;
}

const char *visit_header(const struct visit *v, const char *name)
{
	return evhttp_find_header(evhttp_request_get_input_headers(v->request), name);
}

struct event_base *visit_base(const struct visit *v)
{
	return v->web->base;
}

void visit_on_render(struct visit *v, visit_step step)
{
	visiting(v)->on_render = step;
}

/* --- Streams ---------------------------------------------------------------------------------- */

static void on_close(struct evhttp_connection *connection, void *arg)
{
	struct visiting *g = arg;

	(void)connection; /* being freed */
	g->has_gone = true;
	settle(g);
}

void visit_stream(struct visit *v, const char *type, const char *filename)
{
	struct visiting *g = visiting(v);
	struct evhttp_connection *connection;

	if (g->stage != VISIT_OPEN)
		return;
	visit_answer_stream(v, type, filename);
	g->stage = VISIT_STREAMING;
	session_busy(v->session, -1);
	connection = evhttp_request_get_connection(v->request);
	if (connection)
		evhttp_connection_set_closecb(connection, on_close, g);
	else
		g->has_gone = true;
	if (g->method == EVHTTP_REQ_HEAD)
		visit_end(v); /* the head was all */
}

static void on_written(struct evhttp_connection *connection, void *arg)
{
	struct visiting *g = arg;
	const visit_step step = g->written;

	(void)connection; /* that of the request */
	g->written = NULL;
	if (step)
		visit_run(&g->v, step);
}

void visit_chunk(struct visit *v, struct evbuffer *part, visit_step next)
{
	struct visiting *g = visiting(v);

	if (g->stage != VISIT_STREAMING || g->has_gone)
		return;
	if (evbuffer_get_length(part) == 0) {
		g->next = next; /* evhttp calls nobody back for nothing */
		return;
	}
	g->written = next;
	evhttp_send_reply_chunk_with_cb(v->request, part, on_written, g);
}
