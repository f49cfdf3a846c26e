/*
 * The bytes of a connection, given to the whole page without a database: no request may open a session or be answered
 * by anything but HTTP.
 */
#include "base/log.h"
#include "base/mem.h"
#include "web/service.h"
#include "web/template.h"

#include <assert.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { TURNS_MAX = 20 };

static const char path[] = "/tmp/retention-fuzz.sock";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct web_config *new_config(void)
{
	static const char *const hosts[] = {"h"};
	struct web_config *config = t_zero(NULL, struct web_config);

	*config = (struct web_config){.listen = t_printf(config, "unix:%s", path),
				      .hosts = hosts,
				      .n_hosts = LENGTH(hosts),
				      .prefix = "",
				      .conninfo = "host=/nowhere dbname=x",
				      .header = NULL,
				      .idle_s = 900,
				      .longest_s = 28800,
				      .sessions = 40,
				      .sessions_each = 3,
				      .language = "fr"};
	return config;
}

static struct event_base *start(void)
{
	static struct event_base *base;
	struct error err = {0};
	struct web *web = NULL;

	if (base)
		return base;
	(void)setenv("RETENTION_LOG", "syslog", 1);
	log_open("fuzz", false);
	base = must_alloc(event_base_new());
	if (!template_load(&err) || !service_new(NULL, base, new_config(), &web, &err)) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	return base;
}

/* Lets the loop run until the other end has closed; returns what it has sent. */
static size_t hear(struct event_base *base, int fd, char *answer, size_t max)
{
	size_t length = 0;

	for (int i = 0; i < TURNS_MAX; i++) {
		ssize_t n;

		(void)event_base_loop(base, EVLOOP_NONBLOCK);
		n = recv(fd, answer + length, max - length, MSG_DONTWAIT);
		if (n == 0)
			break;
		length += n > 0 ? (size_t)n : 0;
	}
	answer[length] = '\0';
	return length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char answer[1 << 18];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct event_base *base = start();
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(address.sun_path, path, sizeof(path));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		abort();
	(void)!send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)shutdown(fd, SHUT_WR);
	if (hear(base, fd, answer, sizeof(answer) - 1) > 0) {
		assert(strncmp(answer, "HTTP/", 5) ==
		       0); /* evhttp repeats the version, HTTP/0.1, too */
		assert(!strstr(answer, "Set-Cookie: __Host-rgpd="));
	}
	(void)close(fd);
	(void)event_base_loop(base, EVLOOP_NONBLOCK);
	return 0;
}
