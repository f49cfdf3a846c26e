/*
 * One request on its way to an answer.  A handler asks the database by visit_ask(), names what follows by visit_then(),
 * and returns; the loop goes on with others meanwhile.  Each visit ends in exactly one of visit_render(),
 * visit_redirect(), visit_fail(), visit_send() or a stream.  It stays valid until the step that ended it returns.
 *
 * All SQL runs in the person's own session, which is read-only except within visit_act().
 */
#pragma once

#include "config/web.h"
#include "web/form.h"
#include "web/language.h"
#include "web/values.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <libpq-fe.h>

struct session;
struct web;

/* The person that asks: retention.me, read at log-in and again by each visit. */
struct person {
	char *name; /* the role */
	bool auditor, operator, approver;
	bool four_eyes;
	char *timezone, *key_type;
	char *today; /* YYYY-MM-DD in that zone */
};

/* The reason why the database refused, as the page needs it. */
struct refusal {
	int status; /* 403, 404, 409, 422, 500, 503: by SQLSTATE, see web/visit.c */
	const char *id; /* CONSTRAINT: "role_needed", "list_seen"; may be NULL */
	const char *field; /* COLUMN: the form's field at fault; may be NULL */
	const char *text; /* in the reader's language; never a text of a trigger of the CRM */
	bool is_away; /* the database cannot be asked, and nothing was done */
};

struct visit {
	struct web *web;
	struct evhttp_request *request;
	struct session *session; /* NULL before log-in */
	const struct person *person; /* NULL before log-in */
	const struct language *language;
	const char *path; /* without prefix and query */
	const char *part
		[3]; /* what the stars of the route's path stood for: numbers are checked already */
	struct form *query; /* of GET */
	struct form *form; /* of POST; its token is checked already */
	struct values *values; /* for the template */
	const struct refusal *refusal; /* in visit_act()'s on_refused */
	void *data; /* the handler's own, talloc under the visit */
};

typedef void (*visit_step)(struct visit *v);

/*
 * Queues a query of n text parameters (copied; NULL: SQL NULL).  Its rows are kept under name.  A failure answers the
 * request by the table of SQLSTATEs in web/visit.c, and visit_then() is not called.
 */
void visit_ask(struct visit *v, const char *name, const char *sql, int n,
	       const char *const values[]);

/* Calls step when all queries asked so far have been answered.  Further visit_ask() and visit_then() may follow in it. */
void visit_then(struct visit *v, visit_step step);

/*
 * Runs one statement in a transaction of its own that may write.  done: it has committed; its row is under "act".
 * on_refused: v->refusal says why not, with nothing changed; NULL: the usual page for that status.
 */
void visit_act(struct visit *v, const char *sql, int n, const char *const values[], visit_step done,
	       visit_step on_refused);

/* The time that the server has for each statement of this visit from now on, instead of 10 seconds. */
void visit_patience(struct visit *v, int seconds);

/* The rows under a name; never NULL after visit_then()'s step has begun.  Owned by the visit. */
const PGresult *visit_rows(const struct visit *v, const char *name);

/* Shows the template (web/pages/NAME.html) with v->values and the names that every page has (see web/visit.c). */
void visit_render(struct visit *v, int status, const char *name);

/* 303 to a path below the prefix, formatted.  Numbers and fixed words only. */
void visit_redirect(struct visit *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The page of a status: 401, 403, 404, 405, 409, 421, 422, 429, 500, 503.  sentence: translated; NULL: the usual one. */
void visit_fail(struct visit *v, int status, const char *sentence);

/*
 * Marks a field as wrong for a form that is shown again with 422: sets error_FIELD, adds a row {field, text} to the list
 * "errors" (the error summary), and sets has_errors.  The form's values go back by visit_keep_form().
 */
void visit_complain(struct visit *v, const char *field, const char *sentence);

/* Sets value_FIELD of each named field from the form, so that the form keeps what was entered. */
void visit_keep_form(struct visit *v, const char *const fields[], size_t n);

/* The form's own token: sets "token" for the POST route with this path.  Templates use {{> token}}. */
void visit_token(struct visit *v, const char *name, const char *path);

/* Allows this style, byte by byte, within the HTML of a whole answer, which has no other style. */
void visit_style(struct visit *v, const char *style);

/* A whole answer that is no page of the templates; takes what is in body.  Further headers go onto v->request before. */
void visit_send(struct visit *v, int status, const char *type, struct evbuffer *body);

/*
 * Begins an answer in parts.  filename: what a browser calls the file it makes; NULL: none.  From then on a query that
 * fails cuts the connection, and v is freed when the client goes; a destructor of v->data may notice that.
 */
void visit_stream(struct visit *v, const char *type, const char *filename);

/* Sends a part, and takes what is in it.  next, which may be NULL, is called when the client can take more. */
void visit_chunk(struct visit *v, struct evbuffer *part, visit_step next);

/* Ends the stream. */
void visit_end(struct visit *v);

/* Ends a stream so that the client sees that a part is missing. */
void visit_cut(struct visit *v);

/* Runs a step of a visit from an event of the handler's own, such as a timer.  v may be freed when it returns. */
void visit_run(struct visit *v, visit_step step);

/*
 * The visit goes on with something else than a statement: visit_wait() keeps it, until visit_resume() runs the next step.
 * v may be freed when visit_resume() returns.
 */
void visit_wait(struct visit *v);
void visit_resume(struct visit *v, visit_step step);

/* Called by visit_render() just before it shows the page. */
void visit_on_render(struct visit *v, visit_step step);

/* The loop, for timers.  They are freed with the visit. */
struct event_base *visit_base(const struct visit *v);

/* The value of a header of the request; NULL: it is not there. */
const char *visit_header(const struct visit *v, const char *name);

/* v's memory. */
void *visit_ctx(const struct visit *v);
