/*
 * A child is another program (base/process.h), so it shares no loop, no connection and no heap with the supervisor.  It
 * inherits two descriptors.  One is the configuration's text in a sealed memfd, so that the job runs under what was
 * accepted, whatever the file holds now.  The other is the write end of the status pipe.
 *
 * A child may die at any moment, by itself or by our signal: what it has committed stays, and its open batch rolls
 * back.  It ends together with the supervisor (PR_SET_PDEATHSIG), because its successor would otherwise wait for its
 * lock.  SIGCHLD alone tells its end.  The pipe is read to its end before on_end is called, so that the last lines
 * come before the end.
 */
#include "supervisor/child.h"

#include "base/mem.h"
#include "base/process.h"
#include "base/units.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/wait.h>

enum {
	RETRY_MIN_MS = 1000,
	TAKEN_MIN_MS = 5000,
	RETRY_MAX_MS = 60000,
	REFUSED_MS = 3600 * 1000,
};

struct child {
	struct child *next;
	struct children *children;
	struct child_handlers handlers;
	pid_t pid;
	int status_fd; /* -1 once it is at its end */
	struct event *readable;
	bool stopped; /* by child_stop */
	struct job_reader reader;
};

struct children {
	struct event_base *base;
	struct event *sigchld;
	struct child *first;
	char *program; /* retention-job's path */
	char host[HOST_NAME_MAX + 1];
};

/* Finds it beside our own executable, as in a build folder, or else where it is installed. */
static char *find_program(void)
{
	char self[PATH_MAX];
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;
	char *path = NULL;

	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		if (slash)
			*slash = '\0';
		path = xprintf("%s/retention-job", self);
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return xstrdup(LIBEXECDIR "/retention-job");
}

static void close_status(struct child *child)
{
	if (child->status_fd < 0)
		return;
	event_free(child->readable);
	child->readable = NULL;
	(void)close(child->status_fd); /* only read from */
	child->status_fd = -1;
}

/* Reads a limited number of bytes, because a child that never stops writing must not stop the loop. */
static void read_status(struct child *child)
{
	char bytes[4096];

	for (int i = 0; i < 16 && child->status_fd >= 0; i++) {
		const ssize_t n = read(child->status_fd, bytes, sizeof(bytes));

		if (n > 0)
			job_reader_take(&child->reader, bytes, (size_t)n,
					child->handlers.on_message, child->handlers.arg);
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			close_status(child);
		else if (errno == EAGAIN)
			return;
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what; /* the child knows its descriptor */
	read_status(arg);
}

static void child_free(struct child *child)
{
	struct child **link = &child->children->first;

	while (*link != child)
		link = &(*link)->next;
	*link = child->next;
	close_status(child);
	free(child);
}

static void on_sigchld(evutil_socket_t fd, short what, void *arg)
{
	struct children *children = arg;
	int status;
	pid_t pid;

	(void)fd, (void)what; /* one signal may stand for several ends, so all are collected */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct child *child = children->first;
		char how[40];

		while (child && child->pid != pid)
			child = child->next;
		if (!child)
			continue; /* inherited by the exec that started us */
		read_status(child);
		(void)snprintf(how, sizeof(how),
			       WIFSIGNALED(status) ? "signal %d" : "exit status %d",
			       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		child->handlers.on_end(child->handlers.arg, job_exit_of(status, child->stopped),
				       how);
		child_free(child);
	}
}

struct children *children_new(struct event_base *base)
{
	struct children *children = xcalloc(1, sizeof(*children));

	children->base = base;
	children->program = find_program();
	if (gethostname(children->host, sizeof(children->host) - 1) < 0)
		(void)snprintf(children->host, sizeof(children->host), "localhost");
	children->sigchld = must_alloc(evsignal_new(base, SIGCHLD, on_sigchld, children));
	if (event_add(children->sigchld, NULL) < 0)
		must_alloc(NULL); /* the only way in which a signal's event can fail */
	return children;
}

void children_free(struct children *children)
{
	if (!children)
		return;
	while (children->first) {
		child_stop(children->first, true);
		(void)waitpid(children->first->pid, NULL, 0); /* killed: this does not last */
		child_free(children->first);
	}
	event_free(children->sigchld);
	free(children->program);
	free(children);
}

const char *children_host(const struct children *children)
{
	return children->host;
}

/* The arguments, and the text of those that are made here. */
struct arguments {
	const char *argv[12];
	char config_fd[16], status_fd[16], mode[16], job[24];
};

static void set_arguments(struct arguments *a, const struct children *children,
			  const struct child_opts *opts, const int fds[2])
{
	int argc = 8;

	*a = (struct arguments){.argv = {children->program, "--config-fd", a->config_fd,
					 "--status-fd", a->status_fd, "--host", children->host,
					 a->mode}};
	(void)snprintf(a->config_fd, sizeof(a->config_fd), "%d", fds[0]);
	(void)snprintf(a->status_fd, sizeof(a->status_fd), "%d", fds[1]);
	(void)snprintf(a->mode, sizeof(a->mode), "--%s", job_mode_option(opts->mode));
	(void)snprintf(a->job, sizeof(a->job), "%lld", (long long)opts->job);
	if (opts->mode == MODE_ACTION)
		a->argv[argc++] = a->job;
	if (opts->once)
		a->argv[argc++] = "--once";
}

bool child_start(struct children *children, const struct child_opts *opts, struct child **ret_child,
		 struct error *err)
{
	AUTO(fd) int config_fd = config_memfd(opts->config);
	AUTO(fd) int read_fd = -1;
	AUTO(fd) int write_fd = -1;
	struct arguments arguments;
	struct process process;
	struct child *child;
	int ends[2];

	if (config_fd < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "no memory file for the configuration");
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "no pipe for a job");
	read_fd = ends[0];
	write_fd = ends[1];
	/* Only our end: the job's writes may block, which slows it down. */
	if (fcntl(read_fd, F_SETFL, O_NONBLOCK) < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "no pipe for a job");
	set_arguments(&arguments, children, opts, (const int[]){config_fd, write_fd});
	if (!process_start(&(struct process_opts){.argv = arguments.argv,
						  .in = 0,
						  .out = 1,
						  .inherited = (const int[]){config_fd, write_fd},
						  .n_inherited = 2,
						  .death_signal = SIGTERM},
			   &process, err))
		return false;

	child = xcalloc(1, sizeof(*child));
	child->next = children->first;
	children->first = child;
	child->children = children;
	child->handlers = opts->handlers;
	child->pid = process.pid;
	child->status_fd = read_fd;
	read_fd = -1;
	child->readable = must_alloc(event_new(children->base, child->status_fd,
					       EV_READ | EV_PERSIST, on_readable, child));
	if (event_add(child->readable, NULL) < 0)
		must_alloc(NULL); /* epoll takes any pipe, so it can only lack memory */
	*ret_child = child;
	return true;
}

void child_stop(struct child *child, bool now)
{
	child->stopped = true;
	(void)kill(child->pid, now ? SIGKILL : SIGTERM); /* not reaped yet, so the pid is its own */
}

int child_pid(const struct child *child)
{
	return (int)child->pid;
}

void progress_print(const struct job_progress *progress, char *ret_text, size_t size)
{
	char eta[40] = "";
	const int64_t s = progress->eta_s;

	*ret_text = '\0';
	if (s >= 0 && s < 60)
		(void)snprintf(eta, sizeof(eta), ", %lld s left", (long long)s);
	else if (s >= 60 && s < 120 * 60)
		(void)snprintf(eta, sizeof(eta), ", %lld min left", (long long)(s + 30) / 60);
	else if (s >= 0)
		(void)snprintf(eta, sizeof(eta), ", %lld h left", (long long)(s + 1800) / 3600);
	if (progress->done >= 0 && progress->due >= 0)
		(void)snprintf(ret_text, size, "%lld of %lld%s", (long long)progress->done,
			       (long long)progress->due, eta);
}

static int grown_ms(int delay_ms, int min_ms)
{
	return delay_ms < min_ms             ? min_ms
	       : delay_ms > RETRY_MAX_MS / 2 ? RETRY_MAX_MS
					     : delay_ms * 2;
}

void attempt_note(struct attempt *attempt, enum job_exit end, int64_t now_ms)
{
	int delay_ms = 0;

	switch (end) {
	case JOB_REFUSED:
		delay_ms = REFUSED_MS;
		break;
	case JOB_TAKEN:
		delay_ms = attempt->delay_ms = grown_ms(attempt->delay_ms, TAKEN_MIN_MS);
		break;
	case JOB_STOPPED:
		delay_ms = RETRY_MIN_MS;
		break;
	case JOB_DONE:
	case JOB_INCOMPLETE:
	case JOB_FAILED:
	case JOB_SAVED:
		/* It has left the list, or has left it when the database is next asked. */
	case JOB_AWAY:
	case JOB_CRASHED:
	case JOB_USAGE:
		delay_ms = attempt->delay_ms = grown_ms(attempt->delay_ms, RETRY_MIN_MS);
		break;
	}
	attempt->ended = true;
	attempt->refused = end == JOB_REFUSED;
	attempt->not_before_ms = now_ms + delay_ms;
}
