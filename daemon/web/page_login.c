/*
 * The ways in and out.  By password: the person's name and password open a connection as that role, and nothing else
 * decides.  By the proxy: the header that it sets names the role, and pg_ident.conf says whether this service may log in
 * as it.  Refused in both: a superuser, the daemon's role, and a role without one of the three groups.
 *
 * A name that does not exist and a wrong password have the same answer, and the log has neither.  libpq keeps its copy
 * of the password as long as the connection lives, and gives no way to wipe it.
 */
#include "web/page_login.h"

#include "base/schema_version.h"
#include "base/text.h"
#include "base/units.h"
#include "web/cookie.h"
#include "web/person.h"
#include "web/refuse.h"
#include "web/route.h"
#include "web/visit_answer.h"

#define LOGIN_PATH "/connexion"
#define SIGN_OUT "/oauth2/sign_out" /* of oauth2-proxy */

enum { NAME_MAX_LENGTH = 63, SUITE_MAX = 1024 };

/* A log-in under way, owned by its visit. */
struct login {
	struct visit *v;
	char *name;
	bool is_counted; /* as a try */
	struct link *link;
	int64_t schema; /* its version */
	visit_step next; /* NULL: back to where the person wanted to go */
};

/* --- The log-in page -------------------------------------------------------------------------- */

/* A path on this site, with its query. */
static bool is_suite(const char *text)
{
	return text && text[0] == '/' && text[1] != '/' && strlen(text) <= SUITE_MAX &&
	       text[strspn(text, DIGITS LETTERS "/_.-~?=&%+")] == '\0';
}

static const char *before_token(struct visit *v, const char *cookie)
{
	unsigned char digest[SECRET_BYTES];
	char hex[SECRET_HEX + 1];

	secret_sha256(cookie, strlen(cookie), digest);
	secret_hmac(v->web->key, digest, LOGIN_PATH, hex);
	return t_strdup(visit_ctx(v), hex);
}

/* The token of the log-in form, and the cookie that it belongs to. */
static const char *new_before_token(struct visit *v)
{
	const char *cookie = cookie_get(v, COOKIE_BEFORE);
	unsigned char bytes[SECRET_BYTES];
	char hex[SECRET_HEX + 1];

	if (cookie && strlen(cookie) == SECRET_HEX)
		return before_token(v, cookie);
	secret_random(bytes);
	secret_print(bytes, hex);
	cookie_set(v, COOKIE_BEFORE, hex);
	return before_token(v, hex);
}

static bool before_token_fits(struct visit *v)
{
	const char *cookie = cookie_get(v, COOKIE_BEFORE);
	const char *given = form_get(v->form, "jeton");

	return cookie && given && strlen(given) == SECRET_HEX &&
	       secret_equal(before_token(v, cookie), given, SECRET_HEX);
}

static void show(struct visit *v, int status, const char *template, const char *suite)
{
	static const char *const fields[] = {"nom"};

	visit_keep_form(v, fields, LENGTH(fields));
	values_set(v->values, "token", new_before_token(v));
	values_set(v->values, "suite", is_suite(suite) ? suite : "/");
	visit_render(v, status, template);
}

/* The form again, with what is wrong. */
static void show_again(struct visit *v, int status, const char *sentence)
{
	visit_complain(v, NULL, language_text(v->language, sentence));
	show(v, status, "login", form_get(v->form, "suite"));
}

/*
 * A link on another site brings no cookie along, because it is SameSite=Strict.  A reload from our own page does, so the
 * page asks for one, once.
 */
static bool may_have_cookie(const struct visit *v)
{
	const char *site = visit_header(v, "Sec-Fetch-Site");

	return !((const struct visiting *)v)->cookie && !form_get(v->query, "encore") &&
	       (!site || (strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0));
}

void page_login(struct visit *v)
{
	const char *suite = form_get(v->query, "suite");

	/* Any other page logs in the person that the proxy names. */
	if (v->session || v->web->config->login == WEB_LOGIN_HEADER)
		visit_redirect(v, "%s", is_suite(suite) ? suite : "/");
	else
		show(v, 200, "login", suite);
}

/* --- The person ------------------------------------------------------------------------------- */

static void show_no_role(struct visit *v, const char *name)
{
	visit_answer_note(v, LOG_NOTICE, "a log-in was refused: the page is not for this role");
	v->person = NULL;
	values_set(v->values, "name", name);
	visit_render(v, 403, "norole");
}

/* The person has lost the roles: the session ends. */
static void lock_out(struct visit *v)
{
	const char *name = t_strdup(visit_ctx(v), v->person->name);

	session_end(v->session);
	cookie_clear(v, COOKIE_SESSION);
	show_no_role(v, name);
}

static void on_me_refused(struct visit *v)
{
	if (v->refusal->status == 403)
		lock_out(v); /* not even the schema may be used */
	else
		visit_answer_refusal(v);
}

void page_login_ask_me(struct visit *v)
{
	visiting(v)->on_ask_refused = on_me_refused;
	visit_ask(v, "me", person_sql, 0, NULL);
}

bool page_login_check_me(struct visit *v)
{
	const PGresult *me = visit_rows(v, "me");
	const struct person *person = person_read(visit_ctx(v), me);

	visiting(v)->on_ask_refused = NULL;
	if (!person) {
		lock_out(v);
		return false;
	}
	if (!person_check_schema(v, strtoll(values_column(me, 0, "schema_version"), NULL, 10)))
		return false;
	v->person = person; /* this visit's own: another one of the session cannot free it */
	return true;
}

/* --- Connecting ------------------------------------------------------------------------------- */

static int on_login_free(struct login *login)
{
	login->v->web->logins--;
	return 0;
}

static void show_refused(struct visit *v)
{
	visit_answer_note(v, LOG_NOTICE, "a log-in was refused: PostgreSQL's log says why");
	if (v->form)
		show_again(v, 401, _("Name or password refused."));
	else
		visit_fail(v, 403, NULL);
}

static void show_away(struct visit *v)
{
	visit_fail(v, 503, NULL);
}

static void show_failure(struct visit *v)
{
	visit_fail(v, 500, NULL);
}

static void show_login_no_role(struct visit *v)
{
	const struct login *login = v->data;

	show_no_role(v, login->name);
}

static void show_schema(struct visit *v)
{
	const struct login *login = v->data;

	(void)person_check_schema(v, login->schema); /* which is another one */
}

/* Neither the name nor the password was wrong. */
static void forgive(struct login *login)
{
	if (login->is_counted)
		tries_forgive(login->v->web->tries, login->name, visiting(login->v)->remote);
	login->is_counted = false;
}

static void on_down(void *arg, enum link_end end, const char *why)
{
	struct login *login = arg;
	AUTO(talloc) char *text = t_printf(NULL, "a log-in failed: %s", why);

	if (end != LINK_REFUSED)
		forgive(login);
	if (end == LINK_AWAY)
		visit_answer_note(login->v, LOG_ERR, text);
	visit_resume(login->v, end == LINK_REFUSED     ? show_refused
			       : end == LINK_FORBIDDEN ? show_login_no_role
						       : show_away);
}

static void show_where(struct visit *v)
{
	const char *suite = form_get(v->form, "suite");

	visit_redirect(v, "%s", is_suite(suite) ? suite : "/");
}

static void log_in(struct login *login, struct person *person)
{
	struct visit *v = login->v;
	struct session *before = v->session;
	char cookie[SESSION_COOKIE_MAX];
	struct session *session;

	if (!v->web->database)
		v->web->database = t_strdup(v->web, link_database(login->link));
	session = session_begin(v->web->sessions, login->link, person, cookie);
	if (before) {
		session_busy(before, -1);
		session_release(before);
		session_end(before);
	}
	visit_answer_join(v, session);
	cookie_set(v, COOKIE_SESSION, cookie);
	cookie_clear(v, COOKIE_BEFORE);
	secret_wipe(cookie, sizeof(cookie));
	visit_answer_note(v, LOG_INFO, "logged in");
	v->data = NULL; /* is the handler's */
	visit_resume(login->v, login->next ? login->next : show_where);
}

/* retention.me is answered. */
static void on_me(void *arg, struct link_answer answer)
{
	struct login *login = arg;
	struct visit *v = login->v;
	const char *sqlstate = PQresultErrorField(answer.result, PG_DIAG_SQLSTATE);
	struct person *person =
		link_succeeded(answer.result) ? person_read(v, answer.result) : NULL;
	const bool is_known = link_succeeded(answer.result) || refuse_status(sqlstate) == 403;
	const bool is_away = refuse_status(sqlstate) == 503;

	PQclear(answer.result);
	if (!person)
		link_close(login->link, v->web);
	if (person)
		log_in(login, person);
	else
		visit_resume(login->v, is_known  ? show_login_no_role
				       : is_away ? show_away
						 : show_failure);
}

/* The version of the schema is answered.  retention.me of another one need not be what the page expects. */
static void on_schema(void *arg, struct link_answer answer)
{
	struct login *login = arg;
	const char *sqlstate = PQresultErrorField(answer.result, PG_DIAG_SQLSTATE);

	if (link_succeeded(answer.result)) {
		login->schema = strtoll(PQgetvalue(answer.result, 0, 0), NULL, 10);
	} else if (!schema_version_is_missing(sqlstate)) {
		on_me(arg, answer);
		return;
	}
	PQclear(answer.result);
	if (schema_version_compare(login->schema) == 0) {
		link_ask(login->link,
			 &(struct link_ask){.sql = person_sql, .on_answer = on_me, .arg = login});
		return;
	}
	link_close(login->link, login->v->web);
	visit_resume(login->v, show_schema);
}

static void on_up(void *arg)
{
	struct login *login = arg;

	forgive(login);
	link_ask(login->link, &(struct link_ask){.sql = SCHEMA_VERSION_SQL,
						 .on_answer = on_schema,
						 .arg = login});
}

static void connect_as(struct visit *v, const char *name, const char *password, visit_step next)
{
	const struct web_config *config = v->web->config;
	struct login *login = t_zero(v, struct login);

	login->v = v;
	login->name = t_strdup(login, name);
	login->is_counted = password != NULL;
	login->next = next;
	v->data = login;
	v->web->logins++;
	talloc_set_destructor(login, on_login_free);
	visit_wait(v);
	login->link = link_new(login, &(struct link_opts){.base = v->web->base,
							  .conninfo = config->conninfo,
							  .user = name,
							  .password = password,
							  .idle_s = config->idle_s + 300,
							  .on_up = on_up,
							  .on_down = on_down,
							  .arg = login});
}

static bool is_full(struct visit *v)
{
	if (!sessions_full(v->web->sessions, v->web->logins))
		return false;
	visit_fail(v, 503,
		   language_text(v->language, _("Too many people are logged in: try again in a "
						"few minutes.")));
	return true;
}

/* --- By password ------------------------------------------------------------------------------ */

void page_login_post(struct visit *v)
{
	const char *name = form_get(v->form, "nom");
	const char *password = form_raw(v->form, "mdp");

	if (v->web->config->login != WEB_LOGIN_PASSWORD) {
		visit_fail(v, 403, NULL);
	} else if (!before_token_fits(v)) {
		show_again(v, 403, _("This form was too old. Enter your password again."));
	} else if (!name || !password || strlen(name) > NAME_MAX_LENGTH) {
		show_again(v, 401, _("Name or password refused."));
	} else if (!is_full(v)) {
		if (!tries_begin(v->web->tries, name, visiting(v)->remote, monotonic_ms())) {
			visit_answer_note(v, LOG_NOTICE, "a log-in was refused: too many tries");
			visit_answer_header(v, "Retry-After", "60");
			show_again(v, 429, _("Too many tries: wait a minute."));
			return;
		}
		connect_as(v, name, password, NULL);
		form_wipe_field(v->form, "mdp");
	}
}

/* --- By the proxy ----------------------------------------------------------------------------- */

/* The name in the proxy's header; NULL: it is not there once, or no name. */
static const char *proxy_name(const struct visit *v)
{
	const char *header = v->web->config->header;
	const char *name;

	if (http_count_header(v->request, header) != 1)
		return NULL;
	name = visit_header(v, header);
	return *name && strlen(name) <= NAME_MAX_LENGTH &&
			       name[strspn(name, DIGITS LETTERS "._@-")] == '\0'
		       ? name
		       : NULL;
}

static void refuse_nameless(struct visit *v)
{
	AUTO(talloc)
	char *text =
		t_printf(NULL,
			 "a log-in was refused: the proxy says no name in %s, or one with other "
			 "characters than letters, digits and . _ @ -",
			 v->web->config->header);

	visit_answer_note(v, LOG_NOTICE, text);
	visit_fail(v, 403, NULL);
}

bool page_login_fits(const struct visit *v, const struct person *person)
{
	const char *name;

	if (v->web->config->login == WEB_LOGIN_PASSWORD)
		return true;
	name = proxy_name(v);
	return name && strcmp(name, person->name) == 0;
}

/*
 * A picture or a frame in a page of another site comes without the cookie.  If it began a session, a few of them would end
 * those in which the person works.
 */
static bool is_embedded_elsewhere(const struct visit *v)
{
	const char *site = visit_header(v, "Sec-Fetch-Site");
	const char *use = visit_header(v, "Sec-Fetch-Dest");

	if (!site || (strcmp(site, "cross-site") != 0 && strcmp(site, "same-site") != 0))
		return false;
	return !use || (strcmp(use, "document") != 0 &&
			!(v->web->config->frame && strcmp(use, "iframe") == 0));
}

void page_login_ask(struct visit *v, visit_step next)
{
	struct visiting *g = visiting(v);
	const bool is_post = g->method == EVHTTP_REQ_POST;
	const char *name;

	if (v->web->config->login == WEB_LOGIN_HEADER && !is_post) {
		name = proxy_name(v);
		if (!name)
			refuse_nameless(v);
		else if (is_embedded_elsewhere(v))
			visit_fail(v, 403, NULL);
		else if (!is_full(v))
			connect_as(v, name, NULL, next);
		return;
	}
	if (!is_post && may_have_cookie(v))
		values_setf(v->values, "refresh", "%s%s%sencore=1", v->web->config->prefix,
			    g->suite, strchr(g->suite, '?') ? "&" : "?");
	show(v, 401, g->cookie || is_post ? "session" : "login", g->suite);
}

/* --- Out -------------------------------------------------------------------------------------- */

void page_logout_post(struct visit *v)
{
	struct evbuffer *nothing;

	visit_answer_note(v, LOG_INFO, "logged out");
	session_end(v->session);
	cookie_clear(v, COOKIE_SESSION);
	if (v->web->config->login == WEB_LOGIN_PASSWORD) {
		visit_redirect(v, LOGIN_PATH);
		return;
	}
	nothing = must_alloc(evbuffer_new());
	visit_answer_header(v, "Location", SIGN_OUT);
	visit_send(v, 303, "text/plain", nothing);
	evbuffer_free(nothing);
}

void page_session_post(struct visit *v)
{
	visit_send(v, 204, "text/plain", NULL);
}
