/*
 * health: asks the daemon of this host how it is, at metrics.listen.  For probes that can only run a program, as those of
 * containers.  It opens no session: the daemon knows whether it has one.
 */
#include "command/command.h"

#include "base/file.h"

#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

/* A daemon whose loop is alive answers in milliseconds. */
#define PATIENCE_S 5
/* A status line, headers, and one sentence. */
#define ANSWER_MAX 8192

/* Connects to "127.0.0.1:9187" or "[::1]:9187", as the configuration was checked to have it. */
static int connect_to(void *ctx, const char *listen)
{
	const char *colon = strrchr(listen, ':');
	const bool v6 = *listen == '[';
	const char *host = t_printf(ctx, "%.*s", (int)(colon - listen) - (v6 ? 2 : 0), listen + v6);
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				       .ai_socktype = SOCK_STREAM};
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	struct addrinfo *address = NULL;
	int fd = -1;

	if (getaddrinfo(host, colon + 1, &hints, &address) != 0)
		return -1;
	fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0 ||
			setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) != 0 ||
			connect(fd, address->ai_addr, address->ai_addrlen) != 0)) {
		const int cause = errno;

		close(fd);
		errno = cause;
		fd = -1;
	}
	freeaddrinfo(address);
	return fd;
}

/* Reads to the end, or as much as there is room for; false: nothing came in time. */
static bool ask(int fd, char answer[ANSWER_MAX])
{
	static const char request[] = "GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n";
	size_t n = 0;
	ssize_t got = 0;

	if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(request) - 1)
		return false;
	while (n + 1 < ANSWER_MAX && (got = recv(fd, answer + n, ANSWER_MAX - 1 - n, 0)) > 0)
		n += (size_t)got;
	answer[n] = '\0';
	return got >= 0 && n > 0;
}

/* What the daemon says stands behind the headers, which are there. */
static const char *body_of(const char *answer)
{
	return strstr(answer, "\r\n\r\n") + 4;
}

bool command_health(struct command *cmd, struct error *err)
{
	const char *listen = cmd->config->metrics_listen;
	AUTO(fd) int fd = listen ? connect_to(cmd->ctx, listen) : -1;
	char answer[ANSWER_MAX] = "";

	if (!listen)
		return fail(err, ERR_CONFIG,
			    _("%s has no metrics.listen, at which the daemon says how it is"),
			    cmd->path);
	if (fd < 0)
		return fail_errno(err, ERR_ENVIRONMENT, _("nobody listens at %s"), listen);
	if (!ask(fd, answer))
		return fail(err, ERR_ENVIRONMENT, _("no answer from %s within %d seconds"), listen,
			    PATIENCE_S);
	if (strncmp(answer, "HTTP/1.", 7) != 0 || !strstr(answer, "\r\n\r\n"))
		return fail(err, ERR_ENVIRONMENT, _("what answers at %s is no daemon"), listen);
	printf("%s", body_of(answer));
	return cmd->options.alive || strncmp(answer + 8, " 200 ", 5) == 0;
}
