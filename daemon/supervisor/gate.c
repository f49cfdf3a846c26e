/*
 * Only the page's user may connect, twice: by the mode of the socket (0660 and the user's group), and by the user that the
 * kernel names for the other side (SO_PEERCRED).  The socket is made with mode 0600, and opened for the group last.
 *
 * At most PLACES children are at work.  Beyond that nothing is accepted, and clients wait in the kernel's queue.  A child
 * that has not ended after PATIENCE_S is killed, because a disk or a client may hang.
 *
 * The supervisor may die at any time: its children die with it, clients see the end of their sockets, and the file of the
 * socket stays, which refuses connections.  The next supervisor makes it anew.  A socket at which somebody still listens
 * is another daemon's, and is left alone.
 */
#include "supervisor/gate.h"

#include "base/log.h"
#include "supervisor/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	PLACES = 8,
	PATIENCE_S = 60,
	BACKLOG = 16,
};

#define USER "retentiond-web"

struct gate {
	struct children *children;
	void (*on_ended)(void *arg);
	void *arg;
	const struct config *config;
	char *path; /* of the open socket, and its user; NULL: it is closed */
	char *user;
	uid_t uid;
	int fd; /* -1: closed */
	struct event *readable; /* NULL: nothing is accepted now */
	int working;
	bool stopping;
};

/* One client, and the child that answers it. */
struct guest {
	struct gate *gate;
	struct child *child;
	struct event *patience;
};

static void listen_on(struct gate *gate);

static void on_message(void *arg, const struct job_message *message)
{
	(void)arg; /* the log only */
	if (message->word == WORD_COMPLAINT)
		log_err("%s", message->text);
	else if (message->word == WORD_DETAIL)
		log_info("%s", message->text);
}

static void on_end(void *arg, enum job_exit end, const char *how)
{
	struct guest *guest = arg;
	struct gate *gate = guest->gate;

	if (end == JOB_CRASHED)
		log_err("a file of an archive could not be handed over: %s", how);
	talloc_free(guest);
	gate->working--;
	listen_on(gate);
	gate->on_ended(gate->arg);
}

static void on_patience(evutil_socket_t fd, short what, void *arg)
{
	struct guest *guest = arg;

	(void)fd, (void)what; /* a timer */
	log_err("a file of an archive could not be handed over within a minute");
	child_stop(guest->child, true);
}

static bool is_welcome(const struct gate *gate, int fd)
{
	struct ucred peer = {0};
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return false;
	if (peer.uid != gate->uid)
		log_warn("archives.web_socket: user %u is refused: only %s may connect",
			 (unsigned int)peer.uid, gate->user);
	return peer.uid == gate->uid;
}

/* Gives the client to a child, which has its own copy of the descriptor. */
static void serve(struct gate *gate, int fd)
{
	AUTO(error) struct error err = {0};
	struct guest *guest = t_zero(gate, struct guest);

	guest->gate = gate;
	if (!child_start(
		    gate->children,
		    &(struct child_opts){
			    .config = gate->config,
			    .mode = MODE_HAND_OUT,
			    .socket = fd,
			    .handlers = {.on_message = on_message, .on_end = on_end, .arg = guest}},
		    &guest->child, &err)) {
		log_err("archives.web_socket: %s", err.text);
		talloc_free(guest);
		return;
	}
	guest->patience = loop_event(guest, gate->children->base, -1, 0, on_patience);
	loop_arm(guest->patience, (int64_t)PATIENCE_S * 1000);
	gate->working++;
}

static void on_client(evutil_socket_t listener, short what, void *arg)
{
	struct gate *gate = arg;
	AUTO(fd) int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	(void)what; /* readable */
	if (fd >= 0 && is_welcome(gate, fd))
		serve(gate, fd);
	listen_on(gate);
}

/* Accepts as long as there are places. */
static void listen_on(struct gate *gate)
{
	if (gate->readable && gate->working >= PLACES) {
		talloc_free(gate->readable);
		gate->readable = NULL;
	} else if (!gate->readable && gate->fd >= 0 && gate->working < PLACES) {
		gate->readable = loop_event(gate, gate->children->base, gate->fd,
					    EV_READ | EV_PERSIST, on_client);
	}
}

static void close_gate(struct gate *gate)
{
	if (gate->fd < 0)
		return;
	talloc_free(gate->readable); /* fails for NULL, which is fine */
	gate->readable = NULL;
	(void)close(gate->fd); /* nothing is written to it */
	gate->fd = -1;
	if (gate->path)
		(void)unlink(gate->path); /* left over, it refuses connections */
	t_replace(gate, &gate->path, NULL);
	t_replace(gate, &gate->user, NULL);
}

/* Removes what an earlier daemon has left at the path. */
static bool clear_path(const struct sockaddr_un *address, struct error *err)
{
	AUTO(fd) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (lstat(address->sun_path, &st) != 0)
		return errno == ENOENT ||
		       fail_errno(err, ERR_ENVIRONMENT, "cannot look at \"%s\"", address->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return fail(err, ERR_CONFIG, "\"%s\" is there, and is not a socket",
			    address->sun_path);
	if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	    errno == EAGAIN)
		return fail(err, ERR_CONFIG, "another process listens at \"%s\"",
			    address->sun_path);
	return unlink(address->sun_path) == 0 || errno == ENOENT ||
	       fail_errno(err, ERR_ENVIRONMENT, "cannot remove \"%s\"", address->sun_path);
}

/* Makes the socket; only the owner can connect to it yet. */
static bool bind_to(const char *path, int *ret_fd, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	mode_t mask;
	bool bound;

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s",
		       path); /* config/ has checked it */
	if (!clear_path(&address, err))
		return false;
	*ret_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*ret_fd < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "no socket");
	mask = umask(0177);
	bound = bind(*ret_fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
	(void)umask(mask); /* cannot fail */
	return (bound && listen(*ret_fd, BACKLOG) == 0) ||
	       fail_errno(err, ERR_ENVIRONMENT, "cannot listen at \"%s\"", path);
}

static bool open_gate(struct gate *gate, const char *path, const char *user, struct error *err)
{
	const struct passwd *entry = getpwnam(user);
	AUTO(fd) int fd = -1;

	if (!entry)
		return fail(err, ERR_CONFIG, "this host does not know the user \"%s\"", user);
	gate->uid = entry->pw_uid;
	if (!bind_to(path, &fd, err))
		return false;
	if (chown(path, (uid_t)-1, entry->pw_gid) != 0 || chmod(path, 0660) != 0) {
		(void)fail_errno(err, ERR_CONFIG,
				 "cannot give \"%s\" to the group of %s: make the daemon's user a "
				 "member of it, and set PrivateUsers=no in the unit",
				 path, user);
		(void)unlink(path); /* nobody listens there */
		return false;
	}
	gate->path = t_strdup(gate, path);
	gate->user = t_strdup(gate, user);
	gate->fd = fd;
	fd = -1;
	listen_on(gate);
	return true;
}

static int on_gate_free(struct gate *gate)
{
	close_gate(gate);
	return 0;
}

struct gate *gate_new(struct children *children, void (*on_ended)(void *arg), void *arg)
{
	struct gate *gate = t_zero(children, struct gate);

	gate->children = children;
	gate->on_ended = on_ended;
	gate->arg = arg;
	gate->fd = -1;
	talloc_set_destructor(gate, on_gate_free);
	return gate;
}

void gate_set(struct gate *gate, const struct config *config)
{
	const char *user = config->web_user ? config->web_user : USER;
	AUTO(error) struct error err = {0};

	gate->config = config;
	if (gate->stopping ||
	    (gate->path && config->web_socket && strcmp(gate->path, config->web_socket) == 0 &&
	     strcmp(gate->user, user) == 0))
		return;
	close_gate(gate);
	if (config->web_socket && !open_gate(gate, config->web_socket, user, &err))
		log_err("archives.web_socket: %s: the page gets no files", err.text);
}

void gate_stop(struct gate *gate)
{
	struct child *child;

	gate->stopping = true;
	close_gate(gate);
	LIST_FOREACH(child, &gate->children->list, link)
		if (child->handlers.on_end == on_end)
			child_stop(child, true);
}

bool gate_busy(const struct gate *gate)
{
	return gate->working > 0;
}
