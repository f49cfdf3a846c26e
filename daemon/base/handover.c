#include "base/handover.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/units.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

#define NAME_LONGEST 121
#define FILES_MAX 2000

static const char *const refusals[] = {
	[HANDOVER_REQUEST] = "no request",       [HANDOVER_TICKET_VOID] = "no ticket",
	[HANDOVER_UNFINISHED] = "no unfinished", [HANDOVER_DELETED] = "no deleted",
	[HANDOVER_ELSEWHERE] = "no elsewhere",   [HANDOVER_MISSING] = "no missing",
	[HANDOVER_DAMAGED] = "no damaged",       [HANDOVER_AWAY] = "no away",
};
static_assert(LENGTH(refusals) == HANDOVER_REFUSALS, "a packet for each");

char *handover_take(void *ctx, const unsigned char ticket[HANDOVER_TICKET])
{
	static const char word[] = "take ";
	const size_t n = sizeof(word) - 1;
	char *text = t_array(ctx, char, n + 2 * HANDOVER_TICKET + 1);

	memcpy(text, word, n);
	text_hex(ticket, HANDOVER_TICKET, text + n); /* no copy of the ticket stays anywhere */
	return text;
}

char *handover_list(void *ctx, int job)
{
	return t_printf(ctx, "list %d", job);
}

bool handover_read_request(const char *packet, size_t n, struct handover_request *ret)
{
	char text[sizeof("take ") + sizeof(ret->ticket)];
	int64_t job;

	*ret = (struct handover_request){0};
	if (n >= sizeof(text) || memchr(packet, '\0', n))
		return false;
	memcpy(text, packet, n);
	text[n] = '\0';
	if (strncmp(text, "list ", 5) == 0 && number_parse(text + 5, 1, INT_MAX, &job)) {
		ret->job = (int)job;
		return true;
	}
	ret->takes = strncmp(text, "take ", 5) == 0 && n == 5 + sizeof(ret->ticket) - 1 &&
		     strspn(text + 5, "0123456789abcdef") == sizeof(ret->ticket) - 1;
	if (ret->takes)
		memcpy(ret->ticket, text + 5, sizeof(ret->ticket));
	return ret->takes;
}

char *handover_file(void *ctx, int download, int64_t bytes, const char *name)
{
	return t_printf(ctx, "file %d %" PRId64 " %s", download, bytes, name);
}

const char *handover_no(enum handover_refusal refusal)
{
	return refusals[refusal];
}

void handover_add(char **answer, int64_t bytes, const char *name)
{
	t_append(answer, "\n%" PRId64 " %s", bytes, name);
}

bool handover_is_name(const char *name)
{
	const size_t n = strlen(name);

	return n > 0 && n <= NAME_LONGEST && *name != '.' && *name != '-' &&
	       strspn(name, DIGITS LETTERS "_.-") == n;
}

/* Reads "BYTES NAME" into a file. */
static bool read_file(void *ctx, char *text, struct handover_file *ret)
{
	char *blank = strchr(text, ' ');

	if (!blank)
		return false;
	*blank = '\0';
	ret->name = t_strdup(ctx, blank + 1);
	return number_parse(text, 0, INT64_MAX, &ret->bytes) && handover_is_name(ret->name);
}

static bool parse_file(void *ctx, char *rest, struct handover_answer *ret)
{
	char *blank = strchr(rest, ' ');
	int64_t download;

	if (!blank)
		return false;
	*blank = '\0';
	if (!number_parse(rest, 1, INT_MAX, &download))
		return false;
	ret->download = (int)download;
	ret->files = t_array(ctx, struct handover_file, 1);
	ret->n_files = 1;
	return read_file(ctx, blank + 1, ret->files);
}

static bool parse_files(void *ctx, char *rest, struct handover_answer *ret)
{
	for (char *line; (line = strsep(&rest, "\n"));) {
		ret->files = t_grow(ctx, ret->files, struct handover_file, ret->n_files + 1);
		if (ret->n_files >= FILES_MAX || !read_file(ctx, line, &ret->files[ret->n_files++]))
			return false;
	}
	return true;
}

static bool parse(void *ctx, char *text, struct handover_answer *ret)
{
	if (strncmp(text, "file ", 5) == 0)
		return parse_file(ctx, text + 5, ret);
	if (strcmp(text, "files") == 0)
		return true;
	return strncmp(text, "files\n", 6) == 0 && parse_files(ctx, text + 6, ret);
}

bool handover_parse(void *ctx, const char *packet, size_t n, struct handover_answer *ret,
		    struct error *err)
{
	AUTO(talloc) char *text = must_alloc(talloc_strndup(NULL, packet, n));

	*ret = (struct handover_answer){0};
	for (int i = 0; i < HANDOVER_REFUSALS; i++)
		if (strcmp(text, refusals[i]) == 0) {
			ret->refusal = (enum handover_refusal)i;
			return true;
		}
	ret->given = strlen(text) == n && parse(ctx, text, ret);
	return ret->given || fail(err, ERR_CONFIG, "the daemon's answer makes no sense");
}

/* Room for one descriptor, aligned as the kernel wants it. */
union control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(int))];
};

bool handover_send(int socket, const char *packet, int fd, struct error *err)
{
	struct iovec part = {.iov_len = strlen(packet)};
	union control control = {.bytes = {0}};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	AUTO(char_p) char *copy = strdup(packet);

	part.iov_base = must_alloc(copy);
	if (fd >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		*CMSG_FIRSTHDR(&message) = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
							    .cmsg_type = SCM_RIGHTS,
							    .cmsg_len = CMSG_LEN(sizeof(int))};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof(fd));
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL) == (ssize_t)part.iov_len ||
	       fail_errno(err, ERR_ENVIRONMENT, "the other side of the socket does not take it");
}

ssize_t handover_receive(int socket, char packet[HANDOVER_MAX], int *ret_fd)
{
	struct iovec part = {.iov_base = packet, .iov_len = HANDOVER_MAX};
	union control control = {.bytes = {0}};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes)};
	const ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	const struct cmsghdr *head = n < 0 ? NULL : CMSG_FIRSTHDR(&message);

	*ret_fd = -1;
	if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
	    head->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(head), sizeof(*ret_fd));
	if (n >= 0 && message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		if (*ret_fd >= 0)
			(void)close(*ret_fd); /* not used */
		*ret_fd = -1;
		errno = EMSGSIZE;
		return -1;
	}
	return n;
}
