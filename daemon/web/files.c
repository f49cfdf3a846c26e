/*
 *	connect		a full queue of the daemon's is tried again each RETRY_MS
 *	send		one packet, which the socket takes at once
 *	receive		one packet, with its descriptor; the end of the socket before it is a failure
 *
 * All within PATIENCE_MS.  The daemon may die on each line: its socket ends, or refuses.
 */
#include "web/files.h"

#include "base/mem.h"
#include "base/secret.h"
#include "base/units.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_MS = 15000, RETRY_MS = 100 };

struct files_request {
	struct event_base *base;
	char *path, *packet;
	files_answer on_answer;
	void *arg;
	struct event *event; /* a timer until it is connected, then readable */
	int64_t until_ms;
	int fd; /* -1: not connected */
};

static int on_request_free(struct files_request *r)
{
	if (r->event)
		event_free(r->event);
	if (r->fd >= 0)
		(void)close(r->fd); /* nothing is left to write */
	secret_wipe(r->packet, strlen(r->packet)); /* a ticket */
	return 0;
}

/* Frees the request first, because its owner may be freed in the callback. */
static void answer(struct files_request *r, const struct handover_answer *answer, int fd,
		   const char *why)
{
	const files_answer on_answer = r->on_answer;
	void *arg = r->arg;

	talloc_free(r);
	on_answer(arg, answer, fd, why);
}

static void fail_with(struct files_request *r, const char *why)
{
	AUTO(talloc)
	char *text = t_printf(NULL, "%s: %s", why, errno ? strerror(errno) : "no answer");

	answer(r, NULL, -1, text);
}

/* Waits for the descriptor, or for a time, and then calls callback. */
static void wait_for(struct files_request *r, int fd, int64_t ms, event_callback_fn callback)
{
	const struct timeval time = units_timeval(ms);

	if (r->event)
		event_free(r->event);
	r->event = must_alloc(event_new(r->base, fd, fd < 0 ? 0 : EV_READ, callback, r));
	if (event_add(r->event, &time) < 0)
		must_alloc(NULL); /* the only way in which it can fail */
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct files_request *r = arg;
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(error) struct error err = {0};
	struct handover_answer said;
	char *packet = t_array(ctx, char, HANDOVER_MAX);
	int file = -1;
	ssize_t n;

	errno = 0;
	n = what & EV_TIMEOUT ? 0 : handover_receive(fd, packet, &file);
	if (n <= 0) {
		fail_with(r, r->path);
	} else if (!handover_parse(ctx, packet, (size_t)n, &said, &err) ||
		   (said.download > 0) != (file >= 0)) {
		if (file >= 0)
			(void)close(file); /* nothing was read */
		answer(r, NULL, -1, "the daemon's answer makes no sense");
	} else {
		answer(r, &said, file, NULL);
	}
}

static void on_time(evutil_socket_t none, short what, void *arg)
{
	struct files_request *r = arg;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	AUTO(error) struct error err = {0};
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)none, (void)what; /* a timer */
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", r->path);
	if (fd < 0) {
		fail_with(r, "no socket");
		return;
	}
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		const bool is_full = errno == EAGAIN;

		(void)close(fd); /* nothing was written */
		if (is_full && monotonic_ms() < r->until_ms)
			wait_for(r, -1, RETRY_MS, on_time);
		else
			fail_with(r, r->path);
		return;
	}
	r->fd = fd;
	if (handover_send(fd, r->packet, -1, &err))
		wait_for(r, fd, PATIENCE_MS, on_readable);
	else
		answer(r, NULL, -1, err.text);
}

void files_ask(void *ctx, struct event_base *base, const char *path, const char *packet,
	       files_answer on_answer, void *arg)
{
	struct files_request *r = t_zero(ctx, struct files_request);

	r->base = base;
	r->path = t_strdup(r, path);
	r->packet = t_strdup(r, packet);
	r->on_answer = on_answer;
	r->arg = arg;
	r->fd = -1;
	r->until_ms = monotonic_ms() + PATIENCE_MS;
	talloc_set_destructor(r, on_request_free);
	wait_for(r, -1, 0, on_time);
}
