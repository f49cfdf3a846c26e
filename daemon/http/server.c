/*
 * evhttp's own time-out starts anew with each byte, so a client that sends one now and then keeps its connection.
 * It takes the first of two Content-Length headers, and cuts a header at a NUL.  Therefore:
 *
 *	deadline	the sweep closes a connection whose request is not complete in time
 *	places		beyond 64 connections a new one takes the place of the oldest that is not being answered, or of
 *			the oldest where all are.  Slow clients keep no honest one out, because a client that sends its
 *			request at once is answered before 64 others have come
 *	descriptors	a closed connection keeps its descriptor until the loop's next turn; beyond 128 no more are accepted
 *			in this turn, or one loop of accept(2) could take all that the process has
 *	NUL		a callback looks at all bytes that come in, before evhttp does
 *	headers		the request is looked at before on_request sees it; a refusal closes the connection, because
 *			the start of the next request is not certain
 *
 * evhttp does not tell when a connection begins or ends.  But it asks for a bufferevent when one begins.  We hold a
 * reference, so the bufferevent stays after the connection's end.  It then has no callbacks, and the sweep recognises
 * the end by that.  Its descriptor stays open until the sweep gives the reference back, so shutdown(2) never
 * hits a descriptor that has been reused.
 */
#include "http/server.h"

#include "base/mem.h"
#include "base/units.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <errno.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define LOCAL "unix:"

enum {
	CONNECTIONS_MAX = 64,
	DESCRIPTORS_MAX = 2 * CONNECTIONS_MAX,
	SWEEPS = 16, /* in a deadline */
};

struct connection {
	TAILQ_ENTRY(connection) link;
	struct http_server *server;
	struct bufferevent *stream;
	int64_t until_ms; /* for the complete request */
	bool answering; /* on_request has it */
	bool has_nul;
	bool cut; /* closed by us; evhttp learns it at the loop's next turn */
};
TAILQ_HEAD(connections, connection);

struct http_server {
	struct http_opts opts;
	struct evhttp *evhttp;
	struct evconnlistener *listener;
	struct event *sweep;
	struct event *reopen; /* pending: the listener is disabled */
	struct connections connections; /* the oldest first */
	struct sockaddr_un local; /* with the path of the socket that is ours; "": none */
	ino_t inode; /* of that path */
};

/* --- Connections ------------------------------------------------------------------------------ */

/* New bytes are in the buffer, and evhttp has not seen them yet. */
static void on_input(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
	struct connection *c = arg;
	struct evbuffer_ptr at;

	if (info->n_added == 0 || c->has_nul ||
	    evbuffer_ptr_set(buffer, &at, info->orig_size, EVBUFFER_PTR_SET) < 0)
		return;
	c->has_nul = evbuffer_search(buffer, "", 1, &at).pos >= 0;
}

static int on_connection_free(struct connection *c)
{
	TAILQ_REMOVE(&c->server->connections, c, link);
	(void)evbuffer_remove_cb(bufferevent_get_input(c->stream), on_input, c); /* it is there */
	(void)bufferevent_decref(c->stream); /* whether it was the last reference */
	return 0;
}

static void cut(struct connection *c)
{
	if (!c->cut)
		(void)shutdown(bufferevent_getfd(c->stream), SHUT_RDWR); /* gone is as good */
	c->cut = true;
}

/* evhttp has freed the connection. */
static bool has_ended(const struct connection *c)
{
	bufferevent_data_cb on_read = NULL;
	bufferevent_data_cb on_write = NULL;
	bufferevent_event_cb on_event = NULL;
	void *arg = NULL;

	bufferevent_getcb(c->stream, &on_read, &on_write, &on_event, &arg);
	return !on_read && !on_write && !on_event;
}

/* Not from a listener's callback: libevent closes what is freed after it, and the listener would count on it. */
static void sweep(struct http_server *server)
{
	const int64_t now_ms = monotonic_ms();
	struct connection *next;

	for (struct connection *c = TAILQ_FIRST(&server->connections); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (has_ended(c))
			talloc_free(c);
		else if (!c->answering && now_ms >= c->until_ms)
			cut(c);
	}
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what; /* a timer */
	sweep(arg);
}

/* Makes room for one more; how many descriptors there are, with those that are cut or have ended. */
static int make_place(struct http_server *server)
{
	struct connection *oldest = NULL;
	int n = 0, all = 0;

	for (struct connection *c = TAILQ_FIRST(&server->connections); c; c = TAILQ_NEXT(c, link)) {
		all++;
		if (c->cut || has_ended(c))
			continue;
		n++;
		if (!oldest || (oldest->answering && !c->answering))
			oldest = c;
	}
	if (n >= CONNECTIONS_MAX)
		cut(oldest);
	return all;
}

/* Accepts no more until the descriptors of what is cut are closed.  evconnlistener leaves its loop when it is disabled
 * in it. */
static void pause_listener(struct http_server *server)
{
	static const struct timeval next_turn = {0};

	(void)evconnlistener_disable(server->listener);
	if (event_add(server->reopen, &next_turn) < 0)
		must_alloc(NULL); /* the only way in which a timer can fail */
}

static void on_reopen(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *server = arg;

	(void)fd, (void)what; /* a timer */
	sweep(server);
	(void)evconnlistener_enable(server->listener);
}

static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
	struct http_server *server = arg;
	struct connection *c;

	if (make_place(server) + 1 >= DESCRIPTORS_MAX)
		pause_listener(server);
	c = t_zero(server, struct connection);
	c->server = server;
	c->stream = must_alloc(bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE));
	c->until_ms = monotonic_ms() + server->opts.deadline_ms;
	bufferevent_incref(c->stream);
	/* What comes while an answer is sent waits in the kernel; a whole request fits. */
	bufferevent_setwatermark(c->stream, EV_READ, 0,
				 server->opts.headers_max + server->opts.body_max);
	must_alloc(evbuffer_add_cb(bufferevent_get_input(c->stream), on_input, c));
	TAILQ_INSERT_TAIL(&server->connections, c, link);
	talloc_set_destructor(c, on_connection_free);
	return c->stream;
}

/* --- Requests --------------------------------------------------------------------------------- */

static struct connection *connection_of(const struct http_server *server,
					struct evhttp_request *request)
{
	const struct bufferevent *stream =
		evhttp_connection_get_bufferevent(evhttp_request_get_connection(request));
	struct connection *c;

	TAILQ_FOREACH(c, &server->connections, link)
		if (c->stream == stream)
			break;
	return c;
}

/* Whether two readers could disagree about the request, or about where it ends. */
static bool is_ambiguous(const struct connection *c, struct evhttp_request *request)
{
	const enum evhttp_cmd_type method = evhttp_request_get_command(request);
	const bool may_have_body = method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD;
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
	const struct evkeyval *header;
	int lengths = 0, hosts = 0;

	if (c->has_nul)
		return true;
	TAILQ_FOREACH(header, headers, next) {
		if (header->key[strcspn(header->key, " \t")] != '\0' ||
		    evutil_ascii_strcasecmp(header->key, "Transfer-Encoding") == 0)
			return true;
		if (evutil_ascii_strcasecmp(header->key, "Content-Length") == 0) {
			lengths++;
			if (!may_have_body && strcmp(header->value, "0") != 0)
				return true; /* evhttp would take the body for a request */
		} else if (evutil_ascii_strcasecmp(header->key, "Host") == 0) {
			hosts++;
		}
	}
	return lengths > 1 || hosts > 1;
}

/*
 * A client says nothing while it is answered, and evhttp would cut it for that: a long download, a stream, a slow
 * statement.  It still has to take each part of the answer in time.
 */
static void set_answering(struct connection *c, bool answering)
{
	const struct timeval deadline = units_timeval(c->server->opts.deadline_ms);

	c->answering = answering;
	bufferevent_set_timeouts(c->stream, answering ? NULL : &deadline, &deadline);
}

/* The answer is on its way: the next request has a deadline of its own. */
static void on_answered(struct evhttp_request *request, void *arg)
{
	const struct http_server *server = arg;
	struct connection *c = connection_of(server, request);

	if (!c)
		return;
	set_answering(c, false);
	c->until_ms = monotonic_ms() + server->opts.deadline_ms;
}

static void on_request(struct evhttp_request *request, void *arg)
{
	struct http_server *server = arg;
	struct connection *c = connection_of(server, request);

	set_answering(c, true);
	evhttp_request_set_on_complete_cb(request, on_answered, server);
	if (is_ambiguous(c, request)) {
		(void)evhttp_add_header(evhttp_request_get_output_headers(request), "Connection",
					"close"); /* constant */
		http_reply(request, HTTP_BADREQUEST, "text/plain", "the request is ambiguous\n");
		return;
	}
	server->opts.on_request(server->opts.arg, request);
}

int http_count_header(struct evhttp_request *request, const char *name)
{
	const struct evkeyval *header;
	int n = 0;

	TAILQ_FOREACH(header, evhttp_request_get_input_headers(request), next)
		if (evutil_ascii_strcasecmp(header->key, name) == 0)
			n++;
	return n;
}

void http_reply(struct evhttp_request *request, int status, const char *type, const char *text)
{
	struct evbuffer *body = must_alloc(evbuffer_new());
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);

	(void)evhttp_add_header(headers, "Content-Type", type); /* fails for a newline only */
	(void)evbuffer_add(body, text, strlen(text)); /* into memory */
	evhttp_send_reply(request, status, NULL, body);
	evbuffer_free(body);
}

/* --- The server ------------------------------------------------------------------------------- */

/* Removes a socket on which nobody listens.  A path that is anything else stays, so that bind(2) fails. */
static void remove_stale(const struct sockaddr_un *address)
{
	AUTO(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat is;

	if (fd >= 0 && lstat(address->sun_path, &is) == 0 && S_ISSOCK(is.st_mode) &&
	    connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
	    errno == ECONNREFUSED)
		(void)unlink(address->sun_path); /* bind(2) says why it cannot be had */
}

/* The umask, so that the socket is at no moment open to others. */
static int bind_local(const struct sockaddr_un *address)
{
	const mode_t before = umask(0117);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && (bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ||
			listen(fd, SOMAXCONN) < 0)) {
		const int why = errno;

		(void)close(fd); /* of no use */
		errno = why;
		fd = -1;
	}
	(void)umask(before); /* cannot fail */
	return fd;
}

static bool listen_local(struct http_server *server, const char *path, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct evhttp_bound_socket *bound;
	struct stat is;
	int fd;

	if (*path != '/' || strlen(path) >= sizeof(address.sun_path))
		return fail(err, ERR_CONFIG, "\"%s\" is no path of a socket, of at most %zu bytes",
			    server->opts.listen, sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path));
	remove_stale(&address);
	fd = bind_local(&address);
	if (fd < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "\"%s\" cannot be had",
				  server->opts.listen);
	bound = must_alloc(evhttp_accept_socket_with_handle(server->evhttp, fd));
	server->listener = evhttp_bound_socket_get_listener(bound);
	if (lstat(path, &is) == 0) {
		server->local = address;
		server->inode = is.st_ino;
	}
	return true;
}

/* Another server may have put a socket of its own in the place of ours. */
static void remove_local(const struct http_server *server)
{
	struct stat is;

	if (*server->local.sun_path && lstat(server->local.sun_path, &is) == 0 &&
	    is.st_ino == server->inode)
		(void)unlink(server->local.sun_path); /* the next start removes it, too */
}

/* host:port; the brackets around a host of version 6 go. */
static bool listen_at_port(struct http_server *server, struct error *err)
{
	AUTO(talloc) char *host = t_strdup(NULL, server->opts.listen);
	char *colon = strrchr(host, ':');
	struct evhttp_bound_socket *bound;
	const char *name = host;
	int64_t port;

	if (!colon || !number_parse(colon + 1, 0, 65535, &port))
		return fail(err, ERR_CONFIG, "\"%s\" has no port", server->opts.listen);
	*colon = '\0';
	if (*host == '[') {
		name = host + 1;
		host[strlen(host) - 1] = '\0';
	}
	bound = evhttp_bind_socket_with_handle(server->evhttp, name, (ev_uint16_t)port);
	if (!bound)
		return fail_errno(err, ERR_ENVIRONMENT, "\"%s\" cannot be had",
				  server->opts.listen);
	server->listener = evhttp_bound_socket_get_listener(bound);
	return true;
}

static bool bind_to(struct http_server *server, struct error *err)
{
	const char *listen_on = server->opts.listen;

	return strncmp(listen_on, LOCAL, strlen(LOCAL)) == 0
		       ? listen_local(server, listen_on + strlen(LOCAL), err)
		       : listen_at_port(server, err);
}

static int on_server_free(struct http_server *server)
{
	event_free(server->sweep);
	event_free(server->reopen);
	remove_local(server);
	evhttp_free(server->evhttp);
	return 0;
}

bool http_server_new(void *ctx, struct event_base *base, const struct http_opts *opts,
		     struct http_server **ret, struct error *err)
{
	struct http_server *server = t_zero(ctx, struct http_server);
	const struct timeval deadline = units_timeval(opts->deadline_ms);
	const struct timeval interval = units_timeval(opts->deadline_ms / SWEEPS);

	server->opts = *opts;
	TAILQ_INIT(&server->connections);
	server->evhttp = must_alloc(evhttp_new(base));
	evhttp_set_timeout_tv(server->evhttp, &deadline);
	evhttp_set_max_headers_size(server->evhttp, (ev_ssize_t)opts->headers_max);
	evhttp_set_max_body_size(server->evhttp, (ev_ssize_t)opts->body_max);
	evhttp_set_allowed_methods(server->evhttp, opts->methods);
	evhttp_set_gencb(server->evhttp, on_request, server);
	evhttp_set_bevcb(server->evhttp, on_connection, server);
	server->sweep = must_alloc(event_new(base, -1, EV_PERSIST, on_sweep, server));
	server->reopen = must_alloc(event_new(base, -1, 0, on_reopen, server));
	if (event_add(server->sweep, &interval) < 0)
		must_alloc(NULL); /* the only way in which a timer can fail */
	talloc_set_destructor(server, on_server_free);
	if (!bind_to(server, err)) {
		talloc_free(server);
		return false;
	}
	*ret = server;
	return true;
}
