/*
 * The answers of a visit, and what each of them has: the headers of security, and the names that every page may show:
 *
 *	prefix, path			below which path the proxy shows the page; the path behind it
 *	lang, other_lang		"fr" and "en", or the reverse
 *	css, js				addresses with prefix
 *	version, database		of the program; the database's name
 *	idle_min, idle_s		after which time a session ends
 *	contact_link			of web.conf(5); NULL: none
 *	who				the person; NULL before log-in
 *	auditor, operator, approver	flags: the roles
 *	can_save, can_validate		flags: the same as operator and approver
 *	four_eyes			flag
 *	key_type, timezone, today	of the daemon; NULL before log-in
 *	token_logout, token_session	tokens of POST /deconnexion and POST /session; NULL before log-in
 *	at_overview, at_actions, at_rules, at_holds, at_person, at_journal, at_status
 *					flags: the section, set by the handler
 *	no_daemon, journal_bad		flags: the notes on top of the page (web/notes.h)
 *	token, refresh, notice, stream, errors_title, has_errors, errors
 *					empty until a handler sets them
 */
#include "web/visit_answer.h"

#include "base/units.h"
#include "base/version.h"
#include "web/assets.h"
#include "web/refuse.h"
#include "web/template.h"

#include <event2/bufferevent.h>
#include <limits.h>

#define HTML "text/html; charset=utf-8"

/* --- Beginning and end ------------------------------------------------------------------------ */

/* Its client has gone, or the service ends. */
static void leave_stream(struct visiting *g)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(g->v.request);

	if (connection)
		evhttp_connection_set_closecb(connection, NULL, NULL);
	else
		evhttp_send_reply_end(g->v.request); /* without a connection it is only freed */
}

static int on_visit_free(struct visiting *g)
{
	struct visit *v = &g->v;

	TAILQ_REMOVE(&v->web->visits, g, link);
	if (v->session) {
		if (g->stage != VISIT_STREAMING)
			session_busy(v->session, -1);
		session_release(v->session);
	}
	if (v->form)
		form_wipe(v->form);
	if (g->stage == VISIT_STREAMING)
		leave_stream(g);
	return 0;
}

struct visiting *visit_answer_new(struct web *web, struct evhttp_request *request)
{
	static const char *const empty[] = {
		"at_overview", "at_actions",   "at_rules",   "at_holds",  "at_person",
		"at_journal",  "at_status",    "token",      "refresh",   "notice",
		"stream",      "errors_title", "has_errors", "no_daemon", "journal_bad"};
	struct visiting *g = t_zero(web, struct visiting);

	g->v.web = web;
	g->v.request = request;
	g->v.values = values_new(g);
	g->method = evhttp_request_get_command(request);
	TAILQ_INIT(&g->results);
	TAILQ_INIT(&g->queries);
	TAILQ_INSERT_TAIL(&web->visits, g, link);
	talloc_set_destructor(g, on_visit_free);
	for (size_t i = 0; i < LENGTH(empty); i++)
		values_set(g->v.values, empty[i], NULL);
	values_list(g->v.values, "errors");
	return g;
}

void *visit_ctx(const struct visit *v)
{
	return talloc_get_type_abort(v, struct visiting);
}

void visit_answer_join(struct visit *v, struct session *session)
{
	v->session = session;
	v->person = session_person(session);
	session_hold(session);
	session_busy(session, 1);
}

void visit_answer_header(struct visit *v, const char *name, const char *value)
{
	(void)evhttp_add_header(evhttp_request_get_output_headers(v->request), name,
				value); /* fails for a newline only */
}

void visit_style(struct visit *v, const char *style)
{
	unsigned char digest[SECRET_BYTES];
	char text[SECRET_BASE64 + 1];

	secret_sha256(style, strlen(style), digest);
	secret_base64(digest, text);
	visiting(v)->style = t_printf(visit_ctx(v), "'sha256-%s'", text);
}

static void add_headers(struct visit *v)
{
	static const char *const fixed[][2] = {
		{"X-Content-Type-Options", "nosniff"},
		{"Referrer-Policy", "no-referrer"},
		{"Cross-Origin-Opener-Policy", "same-origin"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Permissions-Policy", "camera=(), geolocation=(), microphone=()"},
	};
	const char *frame = v->web->config->frame;
	const char *style = visiting(v)->style;
	AUTO(talloc)
	char *policy = t_printf(
		NULL, "default-src 'none'; %sstyle-src %s; %sframe-ancestors %s; base-uri 'none'",
		style ? "" : "script-src 'self'; ", style ? style : "'self'",
		style ? "form-action 'none'; "
		      : "img-src 'self'; connect-src 'self'; form-action 'self'; ",
		frame ? frame : "'none'");

	visit_answer_header(v, "Content-Security-Policy", policy);
	for (size_t i = 0; i < LENGTH(fixed); i++)
		visit_answer_header(v, fixed[i][0], fixed[i][1]);
	if (!evhttp_find_header(evhttp_request_get_output_headers(v->request), "Cache-Control")) {
		visit_answer_header(v, "Cache-Control", "no-store");
		visit_answer_header(v, "Vary", "Cookie, Accept-Language");
	}
}

static const char *reason_of(int status)
{
	return status == 421   ? "Misdirected Request"
	       : status == 422 ? "Unprocessable Content"
	       : status == 429 ? "Too Many Requests"
			       : NULL; /* libevent's own */
}

/* Sends the answer, of which HEAD gets the head only. */
static void finish(struct visit *v, int status, struct evbuffer *body)
{
	struct visiting *g = visiting(v);
	char length[24];

	add_headers(v);
	if (g->method == EVHTTP_REQ_HEAD && body) {
		(void)snprintf(length, sizeof(length), "%zu", evbuffer_get_length(body));
		visit_answer_header(v, "Content-Length", length);
		body = NULL;
	}
	g->stage = VISIT_OVER;
	evhttp_send_reply(v->request, status, reason_of(status), body);
	v->request = NULL; /* evhttp frees it */
}

void visit_send(struct visit *v, int status, const char *type, struct evbuffer *body)
{
	if (visiting(v)->stage != VISIT_OPEN)
		return;
	visit_answer_header(v, "Content-Type", type);
	finish(v, status, body);
}

void visit_redirect(struct visit *v, const char *fmt, ...)
{
	AUTO(char_p) char *path = NULL;
	AUTO(talloc) char *to = NULL;
	va_list args;

	if (visiting(v)->stage != VISIT_OPEN)
		return;
	va_start(args, fmt);
	path = xvprintf(fmt, args);
	va_end(args);
	to = t_printf(NULL, "%s%s", v->web->config->prefix, path);
	visit_answer_header(v, "Location", to);
	visit_answer_header(v, "Content-Type", "text/plain"); /* of nothing */
	finish(v, 303, NULL);
}

/* --- Pages ------------------------------------------------------------------------------------ */

static void set_page(struct visit *v)
{
	const struct web_config *config = v->web->config;
	struct values *to = v->values;
	const char *language = language_name(v->language);

	values_set(to, "prefix", config->prefix);
	values_set(to, "path", v->path);
	values_set(to, "lang", language);
	values_set(to, "other_lang", strcmp(language, "fr") == 0 ? "en" : "fr");
	values_setf(to, "css", "%s%s", config->prefix, asset_path("page.css"));
	values_setf(to, "js", "%s%s", config->prefix, asset_path("page.js"));
	values_set(to, "program_version", program_version);
	values_set(to, "database", v->web->database);
	values_setf(to, "idle_min", "%lld", (long long)(config->idle_s / 60));
	values_setf(to, "idle_s", "%lld", (long long)config->idle_s);
	values_set(to, "contact_link", config->contact_link);
}

static void set_person(struct visit *v)
{
	static const struct person nobody = {0};
	const struct person *person = v->person ? v->person : &nobody;
	struct values *to = v->values;

	values_set(to, "who", person->name);
	values_flag(to, "auditor", person->auditor);
	values_flag(to, "operator", person->operator);
	values_flag(to, "approver", person->approver);
	values_flag(to, "can_save", person->operator);
	values_flag(to, "can_validate", person->approver);
	values_flag(to, "four_eyes", person->four_eyes);
	values_set(to, "key_type", person->key_type);
	values_set(to, "timezone", person->timezone);
	values_set(to, "today", person->today);
	if (v->session) {
		visit_token(v, "token_logout", "/deconnexion");
		visit_token(v, "token_session", "/session");
	} else {
		values_set(to, "token_logout", NULL);
		values_set(to, "token_session", NULL);
	}
}

void visit_render(struct visit *v, int status, const char *name)
{
	AUTO(error) struct error err = {0};
	struct evbuffer *body;

	if (visiting(v)->stage != VISIT_OPEN)
		return;
	body = must_alloc(evbuffer_new());
	set_page(v);
	set_person(v);
	if (visiting(v)->on_render)
		visiting(v)->on_render(v);
	if (template_render(name, v->values, v->language, body, &err)) {
		visit_send(v, status, HTML, body);
	} else {
		log_err("the page %s cannot be shown: %s", name, err.text);
		(void)evbuffer_drain(body, evbuffer_get_length(body)); /* all of it */
		(void)evbuffer_add_printf(body, "500\n"); /* into memory */
		visit_send(v, 500, "text/plain", body);
	}
	evbuffer_free(body);
}

/* The page of a status, without a person's navigation where nobody is logged in. */
static void show_error(struct visit *v, int status, const char *sentence)
{
	values_setf(v->values, "status", "%d", status);
	values_set(v->values, "title", language_text(v->language, refuse_title(status)));
	values_set(v->values, "sentence", sentence);
	if (status == 500 && v->web->failures)
		values_setf(v->values, "number", "%lld", v->web->failures);
	else
		values_set(v->values, "number", NULL);
	values_set(v->values, "back", visiting(v)->back ? visiting(v)->back : "/");
	visit_render(v, status, "error");
}

void visit_fail(struct visit *v, int status, const char *sentence)
{
	const bool is_usual = !sentence;

	if (is_usual)
		sentence = language_text(v->language, refuse_sentence(status));
	if (status == 429)
		visit_answer_header(v, "Retry-After", "60");
	if (status == 500 && is_usual)
		visit_answer_log(v, "the page failed");
	if (status == 503 && is_usual)
		visit_render(v, 503, "away");
	else
		show_error(v, status, sentence);
}

void visit_answer_refusal(struct visit *v)
{
	if (v->refusal->is_away)
		visit_fail(v, 503, NULL);
	else
		show_error(v, v->refusal->status, v->refusal->text);
}

/* --- Forms ------------------------------------------------------------------------------------ */

static char *name_of(struct visit *v, const char *before, const char *field)
{
	return t_printf(visit_ctx(v), "%s_%s", before, field);
}

void visit_complain(struct visit *v, const char *field, const char *sentence)
{
	struct values *row = values_add(v->values, "errors");

	values_set(row, "field", field);
	values_set(row, "text", sentence);
	if (field)
		values_set(v->values, name_of(v, "error", field), sentence);
	values_flag(v->values, "has_errors", true);
}

void visit_keep_form(struct visit *v, const char *const fields[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *error = name_of(v, "error", fields[i]);
		bool is_known = false;

		values_set(v->values, name_of(v, "value", fields[i]),
			   v->form ? form_get(v->form, fields[i]) : NULL);
		(void)values_get(v->values, error, &is_known); /* its text stays */
		if (!is_known)
			values_set(v->values, error, NULL);
	}
}

void visit_token(struct visit *v, const char *name, const char *path)
{
	values_set(v->values, name, session_token(v->session, visit_ctx(v), path));
}

/* --- Streams ---------------------------------------------------------------------------------- */

void visit_answer_stream(struct visit *v, const char *type, const char *filename)
{
	visit_answer_header(v, "Content-Type", type);
	if (filename)
		visit_answer_header(
			v, "Content-Disposition",
			t_printf(visit_ctx(v), "attachment; filename=\"%s\"", filename));
	visit_answer_header(v, "X-Accel-Buffering", "no");
	add_headers(v);
	evhttp_send_reply_start(v->request, 200, NULL);
}

void visit_end(struct visit *v)
{
	struct visiting *g = visiting(v);
	struct evhttp_connection *connection;

	if (g->stage != VISIT_STREAMING || g->has_gone)
		return;
	connection = evhttp_request_get_connection(v->request);
	if (connection)
		evhttp_connection_set_closecb(connection, NULL, NULL);
	g->stage = VISIT_OVER;
	session_busy(v->session, 1); /* as for every visit, until it is freed */
	evhttp_send_reply_end(v->request);
	v->request = NULL;
}

void visit_cut(struct visit *v)
{
	struct evhttp_connection *connection;

	if (visiting(v)->stage != VISIT_STREAMING || visiting(v)->has_gone)
		return;
	connection = evhttp_request_get_connection(v->request);
	if (connection)
		(void)shutdown(bufferevent_getfd(evhttp_connection_get_bufferevent(connection)),
			       SHUT_RDWR); /* gone is as good */
	visit_end(v);
}

/* --- The log ---------------------------------------------------------------------------------- */

void visit_answer_note(const struct visit *v, int priority, const char *text)
{
	const struct visiting *g = (const struct visiting *)v;
	struct log_fields fields = {.person = v->person ? v->person->name : NULL,
				    .remote = g->remote};

	if (v->part[0] && strncmp(v->path, "/actions/", strlen("/actions/")) == 0)
		(void)number_parse(v->part[0], 1, INT_MAX,
				   &fields.job); /* the routes have read it */
	log_event(priority, KIND_GENERAL, &fields, "%s", text);
}

void visit_answer_log(struct visit *v, const char *why)
{
	AUTO(talloc)
	char *text = t_printf(NULL, "failure %lld at %s: %s", ++v->web->failures, v->path, why);

	visit_answer_note(v, LOG_ERR, text);
}
