/*
 * A child is another program (base/process.h), so it shares no loop, no connection and no heap with the supervisor.  It
 * inherits two descriptors, or three.  One is the configuration's text in a sealed memfd, so that the job runs under what was
 * accepted, whatever the file holds now.  The other is the write end of the status pipe.
 *
 * A child may die at any moment, by itself or by our signal: what it has committed stays, and its open batch rolls
 * back.  It ends together with the supervisor (PR_SET_PDEATHSIG), because its successor would otherwise wait for its
 * lock.  SIGCHLD alone tells its end.  The pipe is read to its end before on_end is called, so that the last lines
 * come before the end.
 */
#include "supervisor/child.h"

#include "base/file.h"
#include "base/process.h"
#include "base/version.h"
#include "supervisor/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum {
	RETRY_MIN_MS = 1000,
	TAKEN_MIN_MS = 5000,
	RETRY_MAX_MS = 60000,
	REFUSED_MS = 3600 * 1000,
};

static void close_status(struct child *child)
{
	if (child->status_fd < 0)
		return;
	talloc_free(child->readable); /* before its descriptor is closed */
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

static int on_child_free(struct child *child)
{
	LIST_REMOVE(child, link);
	close_status(child);
	return 0;
}

static void on_sigchld(evutil_socket_t fd, short what, void *arg)
{
	struct children *children = arg;
	int status;
	pid_t pid;

	(void)fd, (void)what; /* one signal may stand for several ends, so all are collected */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct child *child = LIST_FIRST(&children->list);
		char how[40];

		while (child && child->pid != pid)
			child = LIST_NEXT(child, link);
		if (!child)
			continue; /* inherited by the exec that started us */
		read_status(child);
		(void)snprintf(how, sizeof(how),
			       WIFSIGNALED(status) ? "signal %d" : "exit status %d",
			       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		child->handlers.on_end(child->handlers.arg, job_exit_of(status, child->stopped),
				       how);
		talloc_free(child);
	}
}

static int on_children_free(struct children *children)
{
	for (struct child *child = LIST_FIRST(&children->list); child;
	     child = LIST_NEXT(child, link)) {
		child_stop(child, true);
		(void)waitpid(child->pid, NULL, 0); /* killed: this does not last */
	}
	return 0;
}

struct children *children_new(void *ctx, struct event_base *base)
{
	struct children *children = t_zero(ctx, struct children);

	children->base = base;
	children->program = file_beside(children, "retention-job", LIBEXECDIR "/retention-job");
	if (gethostname(children->host, sizeof(children->host) - 1) < 0)
		(void)snprintf(children->host, sizeof(children->host), "localhost");
	(void)loop_event(children, base, SIGCHLD, EV_SIGNAL | EV_PERSIST, on_sigchld);
	talloc_set_destructor(children, on_children_free);
	return children;
}

/* Starts retention-job with its two descriptors. */
static bool start_job(const struct children *children, const struct child_opts *opts,
		      const int fds[2], struct process *ret, struct error *err)
{
	AUTO(talloc) void *ctx = talloc_new(NULL);
	const bool serves = opts->mode == MODE_HAND_OUT;
	const char *const asked_by = opts->mode == MODE_CHECK ? opts->config->asked_by : NULL;
	const int inherited[] = {fds[0], fds[1], opts->socket};
	const char *const argv[] = {
		children->program,
		"--config-fd",
		t_printf(ctx, "%d", fds[0]),
		"--status-fd",
		t_printf(ctx, "%d", fds[1]),
		"--host",
		children->host,
		"--build",
		program_build,
		t_printf(ctx, "--%s", job_mode_option(opts->mode)),
		serves                      ? t_printf(ctx, "%d", opts->socket)
		: opts->mode == MODE_ACTION ? t_printf(ctx, "%lld", (long long)opts->job)
		: asked_by                  ? "--asked-by"
					    : NULL,
		opts->once ? "--once" : asked_by,
		NULL,
	};

	return process_start(&(struct process_opts){.argv = argv,
						    .in = 0,
						    .out = 1,
						    .inherited = inherited,
						    .n_inherited = serves ? 3 : 2,
						    .death_signal = SIGTERM},
			     ret, err);
}

/* The program that runs now is one of the children. */
static struct child *add_child(struct children *children, const struct process *process,
			       const struct child_handlers *handlers)
{
	struct child *child = t_zero(children, struct child);

	child->handlers = *handlers;
	child->pid = process->pid;
	child->status_fd = -1;
	LIST_INSERT_HEAD(&children->list, child, link);
	talloc_set_destructor(child, on_child_free);
	return child;
}

bool child_start(struct children *children, const struct child_opts *opts, struct child **ret_child,
		 struct error *err)
{
	AUTO(fd) int config_fd = -1;
	int ends[2] = {-1, -1};
	const bool piped = pipe2(ends, O_CLOEXEC) == 0;
	AUTO(fd) int read_fd = ends[0];
	AUTO(fd) int write_fd = ends[1];
	struct process process;
	struct child *child;

	/* Only our end does not block: the job's writes may, which slows it down. */
	if (!piped || fcntl(read_fd, F_SETFL, O_NONBLOCK) < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "no pipe for a job");
	if (!config_memfd(opts->config, &config_fd, err) ||
	    !start_job(children, opts, (const int[]){config_fd, write_fd}, &process, err))
		return false;

	child = add_child(children, &process, &opts->handlers);
	child->status_fd = read_fd;
	read_fd = -1;
	child->readable = loop_event(child, children->base, child->status_fd, EV_READ | EV_PERSIST,
				     on_readable);
	*ret_child = child;
	return true;
}

bool child_start_program(struct children *children, const char *const *argv, const char *text,
			 const struct child_handlers *handlers, struct child **ret_child,
			 struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(fd) int in = memfd_create("event", MFD_CLOEXEC); /* no pipe: a write would wait */
	AUTO(fd) int out = open("/dev/null", O_WRONLY | O_CLOEXEC);
	const char *const credentials = getenv("CREDENTIALS_DIRECTORY");
	const char *const environment[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LANG=C.UTF-8",
		credentials ? t_printf(ctx, "CREDENTIALS_DIRECTORY=%s", credentials) : NULL,
		NULL,
	};
	struct process process;
	int64_t written = 0;

	if (in < 0 || out < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "no descriptor for %s", argv[0]);
	if (!file_write(in, text, strlen(text), &written, "an event in memory", err))
		return false;
	if (lseek(in, 0, SEEK_SET) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "an event in memory");
	if (!process_start(&(struct process_opts){.argv = argv,
						  .in = in,
						  .out = out,
						  .death_signal = SIGKILL,
						  .environment = environment},
			   &process, err))
		return false;
	*ret_child = add_child(children, &process, handlers);
	(*ret_child)->leads = true;
	return true;
}

void child_stop(struct child *child, bool now)
{
	const pid_t to = child->leads ? -child->pid : child->pid;

	child->stopped = true;
	(void)kill(to, now ? SIGKILL : SIGTERM); /* not reaped yet, so the pid is its own */
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
	int delay_ms = end == JOB_REFUSED ? REFUSED_MS : RETRY_MIN_MS;

	/* An action that has finished has left the list, or leaves it when the database is next asked. */
	if (end != JOB_REFUSED && end != JOB_STOPPED)
		delay_ms = attempt->delay_ms =
			grown_ms(attempt->delay_ms, end == JOB_TAKEN ? TAKEN_MIN_MS : RETRY_MIN_MS);
	attempt->ended = true;
	attempt->refused = end == JOB_REFUSED;
	attempt->not_before_ms = now_ms + delay_ms;
}
