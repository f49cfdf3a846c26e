#include "supervisor/http.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>

enum {
	TIMEOUT_S = 10, /* of a connection that says nothing, or does not read */
	HEADERS_MAX = 8192,
	BODY_MAX = 0,
	OPEN_MAX_FILES = 256, /* of the whole process */
};

struct metrics_http {
	struct evhttp *server;
	struct evconnlistener *listener; /* the server's */
	struct event *pause;
	struct metrics_http_handlers handlers;
};

static void reply(struct evhttp_request *request, int status, const char *reason, const char *text)
{
	struct evbuffer *body = must_alloc(evbuffer_new());
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);

	(void)evhttp_add_header(headers, "Content-Type",
				"text/plain; version=0.0.4; charset=utf-8"); /* constant */
	(void)evbuffer_add(body, text, strlen(text)); /* into memory */
	evhttp_send_reply(request, status, reason, body);
	evbuffer_free(body);
}

static void on_metrics(struct evhttp_request *request, void *arg)
{
	const struct metrics_http *http = arg;
	AUTO(char_p) char *text = http->handlers.on_text(http->handlers.arg);

	reply(request, HTTP_OK, "OK", text);
}

static void on_health(struct evhttp_request *request, void *arg)
{
	const struct metrics_http *http = arg;
	AUTO(char_p) char *why = http->handlers.on_health(http->handlers.arg);
	AUTO(char_p) char *line = NULL;

	for (char *c = why; c && *c; c++)
		if (*c == '\n' || *c == '\t')
			*c = ' '; /* libpq's messages have lines; the answer has one */
	if (asprintf(&line, "%s\n", why ? why : "ok") < 0)
		must_alloc(NULL);
	reply(request, why ? HTTP_SERVUNAVAIL : HTTP_OK, why ? "Service Unavailable" : "OK", line);
}

static void on_other(struct evhttp_request *request, void *arg)
{
	(void)arg; /* whatever it was, it is not here */
	reply(request, HTTP_NOTFOUND, "Not Found", "/metrics and /healthz are here\n");
}

/* 0 where it cannot be told: then there is no limit but the system's. */
static int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	if (!dir)
		return 0;
	while (readdir(dir))
		n++;
	(void)closedir(dir); /* it was only read */
	return n;
}

static void on_pause_end(evutil_socket_t fd, short what, void *arg)
{
	const struct metrics_http *http = arg;

	(void)fd, (void)what; /* a timer */
	(void)evconnlistener_enable(http->listener); /* cannot fail: it is bound */
}

/*
 * A connection comes.  Clients must not take the descriptors that jobs and sessions need: with too many open,
 * nobody is let in until those that say nothing have been closed.
 */
static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
	static const struct timeval pause = {.tv_sec = TIMEOUT_S};
	struct metrics_http *http = arg;

	(void)base; /* NULL: the usual one is made */
	if (open_files() > OPEN_MAX_FILES && evconnlistener_disable(http->listener) == 0 &&
	    event_add(http->pause, &pause) < 0)
		(void)evconnlistener_enable(http->listener); /* no timer: then no pause */
	return NULL;
}

/* host:port; brackets around a host of version 6 go. */
static bool bind_to(struct metrics_http *http, const char *listen, struct error *err)
{
	AUTO(char_p) char *host = xstrdup(listen);
	char *colon = strrchr(host, ':');
	struct evhttp_bound_socket *bound;
	const char *name = host;
	long port;

	if (!colon)
		return fail(err, ERR_CONFIG, "metrics.listen \"%s\" has no port", listen);
	*colon = '\0';
	port = strtol(colon + 1, NULL, 10); /* config/load.c has looked at it */
	if (*host == '[') {
		name = host + 1;
		host[strlen(host) - 1] = '\0';
	}
	bound = evhttp_bind_socket_with_handle(http->server, name, (unsigned short)port);
	if (!bound)
		return fail_errno(err, ERR_ENVIRONMENT, "metrics.listen \"%s\" cannot be had",
				  listen);
	http->listener = evhttp_bound_socket_get_listener(bound);
	return true;
}

bool metrics_http_new(struct event_base *base, const char *listen,
		      const struct metrics_http_handlers *handlers, struct metrics_http **ret,
		      struct error *err)
{
	struct metrics_http *http = xcalloc(1, sizeof(*http));

	http->handlers = *handlers;
	http->server = must_alloc(evhttp_new(base));
	evhttp_set_timeout(http->server, TIMEOUT_S);
	evhttp_set_max_headers_size(http->server, HEADERS_MAX);
	evhttp_set_max_body_size(http->server, BODY_MAX);
	evhttp_set_allowed_methods(http->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	if (evhttp_set_cb(http->server, "/metrics", on_metrics, http) != 0 ||
	    evhttp_set_cb(http->server, "/healthz", on_health, http) != 0)
		must_alloc(NULL); /* the only way in which they fail */
	evhttp_set_gencb(http->server, on_other, NULL);
	evhttp_set_bevcb(http->server, on_connection, http);
	http->pause = must_alloc(evtimer_new(base, on_pause_end, http));
	if (!bind_to(http, listen, err)) {
		metrics_http_free(http);
		return false;
	}
	*ret = http;
	return true;
}

void metrics_http_free(struct metrics_http *http)
{
	if (!http)
		return;
	event_free(http->pause);
	evhttp_free(http->server);
	free(http);
}
