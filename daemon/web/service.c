#include "web/service.h"

#include "base/text.h"
#include "web/cookie.h"
#include "web/page_login.h"
#include "web/probe.h"
#include "web/route.h"
#include "web/visit_answer.h"

enum { HEADERS_MAX = 16384, BODY_MAX = 65536, PATH_MAX_LENGTH = 1024 };

/* --- What a request says ---------------------------------------------------------------------- */

static bool is_local(const struct web_config *config)
{
	return strncmp(config->listen, "unix:", 5) == 0;
}

/* The last address that X-Forwarded-For names: the one that the proxy has seen itself. */
static const char *forwarded(struct visit *v)
{
	const char *name = "X-Forwarded-For";
	const char *list = http_count_header(v->request, name) == 1 ? visit_header(v, name) : NULL;
	const char *comma = list ? strrchr(list, ',') : NULL;
	const char *address = comma ? comma + 1 : list;
	size_t n;

	if (!address)
		return "unknown";
	address += strspn(address, " ");
	n = strspn(address, DIGITS "abcdefABCDEF.:");
	return n > 0 && n < 64 && address[n] == '\0' ? t_strdup(visit_ctx(v), address) : "unknown";
}

static const char *remote_of(struct visit *v)
{
	char *address = NULL;
	ev_uint16_t port = 0;

	if (is_local(v->web->config))
		return forwarded(v);
	evhttp_connection_get_peer(evhttp_request_get_connection(v->request), &address, &port);
	return address ? t_strdup(visit_ctx(v), address) : "unknown";
}

/* Is the name, without its port, one of ours?  A page of another name could make a browser send requests here. */
static bool is_our_host(const struct web_config *config, const char *host)
{
	const size_t n = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");

	for (size_t i = 0; i < config->n_hosts; i++)
		if (strlen(config->hosts[i]) == n && strncasecmp(config->hosts[i], host, n) == 0)
			return true;
	return false;
}

static bool host_fits(const struct visit *v, const struct evhttp_uri *uri)
{
	const char *host = visit_header(v, "Host");
	const char *named = evhttp_uri_get_host(uri);

	return host && is_our_host(v->web->config, host) &&
	       (!named || is_our_host(v->web->config, named));
}

/* The path behind the prefix; NULL: it is another one, or has characters that no path of ours needs. */
static const char *path_of(struct visit *v, const struct evhttp_uri *uri)
{
	const char *prefix = v->web->config->prefix;
	const size_t n = strlen(prefix);
	const char *path = evhttp_uri_get_path(uri);

	if (!path || strlen(path) > PATH_MAX_LENGTH || strncmp(path, prefix, n) != 0 ||
	    path[n] != '/' || path[strspn(path, DIGITS LETTERS "/._~%-")] != '\0')
		return NULL;
	return t_strdup(visit_ctx(v), path + n);
}

static const struct language *language_of(struct visit *v)
{
	const char *wish = v->query ? form_get(v->query, "langue") : NULL;
	const char *kept = cookie_get(v, COOKIE_LANGUAGE);
	const struct language *fallback = language_named(v->web->config->language);
	const struct language *language = wish ? language_named(wish) : NULL;

	if (language) {
		cookie_set(v, COOKIE_LANGUAGE, language_name(language));
		return language;
	}
	language = kept ? language_named(kept) : NULL;
	return language ? language
			: language_accepted(visit_header(v, "Accept-Language"), fallback);
}

static bool parse_query(struct visit *v, const struct evhttp_uri *uri)
{
	AUTO(error) struct error err = {0};
	const char *query = evhttp_uri_get_query(uri);

	if (form_parse(visit_ctx(v), query ? query : "", query ? strlen(query) : 0, &v->query,
		       &err))
		return true;
	(void)form_parse(visit_ctx(v), "", 0, &v->query, NULL); /* an empty one cannot fail */
	return false;
}

static bool parse_form(struct visit *v)
{
	static const char type[] = "application/x-www-form-urlencoded";
	AUTO(error) struct error err = {0};
	struct evbuffer *body = evhttp_request_get_input_buffer(v->request);
	const size_t n = evbuffer_get_length(body);
	const char *given = visit_header(v, "Content-Type");
	char *bytes;
	bool is_parsed;

	if (evhttp_request_get_command(v->request) != EVHTTP_REQ_POST)
		return true;
	if (n > 0 && (!given || strncasecmp(given, type, strlen(type)) != 0))
		return false;
	bytes = (char *)evbuffer_pullup(body, -1);
	is_parsed = form_parse(visit_ctx(v), bytes ? bytes : "", n, &v->form, &err);
	if (bytes)
		secret_wipe(bytes, n);
	return is_parsed;
}

static bool has_twice(const struct visit *v)
{
	const char *const names[] = {"Cookie", "Origin", "Sec-Fetch-Site", "Content-Type",
				     v->web->config->header};

	for (size_t i = 0; i < LENGTH(names); i++)
		if (names[i] && http_count_header(v->request, names[i]) > 1)
			return true;
	return false;
}

/* --- From request to route -------------------------------------------------------------------- */

static void join_session(struct visit *v)
{
	struct visiting *g = visiting(v);
	struct session *session;

	g->cookie = cookie_get(v, COOKIE_SESSION);
	session = g->cookie ? session_find(v->web->sessions, g->cookie) : NULL;
	if (session && page_login_fits(v, session_person(session)))
		visit_answer_join(v, session);
}

/* Where a log-in leads back to. */
static const char *suite_of(struct visit *v, const struct evhttp_uri *uri)
{
	const char *query = evhttp_uri_get_query(uri);

	if (visiting(v)->method == EVHTTP_REQ_POST)
		return visiting(v)->back;
	return query ? t_printf(visit_ctx(v), "%s?%s", v->path, query) : v->path;
}

/* Looks at the request before the routes do. */
static void begin(struct visit *v)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(v->request);
	const char *path = path_of(v, uri);
	const bool has_query = parse_query(v, uri);

	v->path = path ? path : "/";
	v->language = language_of(v);
	if (has_twice(v) || !has_query) {
		visit_fail(v, 400, NULL);
	} else if (path && strcmp(path, "/healthz") != 0 && !host_fits(v, uri)) {
		visit_fail(v, 421, NULL);
	} else if (!path) {
		visit_fail(v, 404, NULL);
	} else if (!parse_form(v)) {
		visit_fail(v, 400, NULL);
	} else {
		join_session(v);
		visiting(v)->back = route_back(v);
		visiting(v)->suite = suite_of(v, uri);
		route_run(v);
	}
}

static void on_request(void *arg, struct evhttp_request *request)
{
	struct visiting *g = visit_answer_new(arg, request);

	g->remote = remote_of(&g->v);
	visit_run(&g->v, begin);
}

/* --- The service ------------------------------------------------------------------------------ */

static struct session_limits limits_of(const struct web_config *config)
{
	return (struct session_limits){.idle_s = config->idle_s,
				       .longest_s = config->longest_s,
				       .all = config->sessions,
				       .each = config->sessions_each};
}

/* The database's name, before anybody has logged in; NULL: libpq would take the role's. */
static const char *database_of(void *ctx, const char *conninfo)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	const char *name = NULL;

	for (const PQconninfoOption *o = options; o && o->keyword; o++)
		if (strcmp(o->keyword, "dbname") == 0 && o->val)
			name = t_strdup(ctx, o->val);
	PQconninfoFree(options);
	return name;
}

/* The order matters: visits use sessions, and the server has their requests. */
static int on_web_free(struct web *web)
{
	while (!TAILQ_EMPTY(&web->visits))
		talloc_free(TAILQ_FIRST(&web->visits));
	talloc_free(web->sessions);
	talloc_free(web->server);
	secret_wipe(web->key, sizeof(web->key));
	return 0;
}

bool service_new(void *ctx, struct event_base *base, struct web_config *config, struct web **ret,
		 struct error *err)
{
	const struct session_limits limits = limits_of(config);
	struct web *web = t_zero(ctx, struct web);

	web->base = base;
	web->config = talloc_steal(web, config);
	web->sessions = sessions_new(web, base, &limits);
	web->tries = tries_new(web);
	web->probe = probe_new(web, base);
	web->database = database_of(web, config->conninfo);
	TAILQ_INIT(&web->visits);
	secret_random(web->key);
	talloc_set_destructor(web, on_web_free);
	if (!http_server_new(web, base,
			     &(struct http_opts){.listen = config->listen,
						 .methods = EVHTTP_REQ_GET | EVHTTP_REQ_HEAD |
							    EVHTTP_REQ_POST,
						 .headers_max = HEADERS_MAX,
						 .body_max = BODY_MAX,
						 .deadline_ms = HTTP_DEADLINE_MS,
						 .on_request = on_request,
						 .arg = web},
			     &web->server, err)) {
		talloc_free(web);
		return false;
	}
	*ret = web;
	return true;
}

static bool needs_restart(const struct web *web, const struct web_config *config,
			  const char **ret_key)
{
	*ret_key = strcmp(web->config->listen, config->listen) != 0       ? "listen"
		   : strcmp(web->config->conninfo, config->conninfo) != 0 ? "conninfo"
		   : web->config->login != config->login                  ? "login"
									  : NULL;
	return *ret_key;
}

bool service_reload(struct web *web, struct web_config *config, struct error *err)
{
	const struct session_limits limits = limits_of(config);
	const char *key;

	if (needs_restart(web, config, &key))
		return fail(err, ERR_CONFIG, "%s changes only by a restart", key);
	talloc_free(web->config);
	web->config = talloc_steal(web, config);
	sessions_set_limits(web->sessions, &limits);
	return true;
}
