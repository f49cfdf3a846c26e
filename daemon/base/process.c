/*
 * Between fork and exec nothing is called that may need a lock of another thread.  All signals are blocked
 * until the child has put them in order, because a handler of ours would write to our event loop.  The child
 * reports a failed exec through a pipe that a successful exec closes.
 */
#include "base/process.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/units.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define EXIT_NO_EXEC 127

void process_forbid_core(void)
{
	/* The systemd unit forbids the call, and sets the limit itself. */
	(void)setrlimit(RLIMIT_CORE, &(struct rlimit){0});
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* a handler of core files asks for no limit */
}

/*
 * dup2() clears close-on-exec, except where the descriptor is in its place already.  One that is closed in
 * us, as standard input may be, stays closed.
 */
static bool place(int fd, int at)
{
	return fd == at ? fcntl(fd, F_SETFD, 0) == 0 || errno == EBADF : dup2(fd, at) == at;
}

static bool place_all(const struct process_opts *opts, int errors)
{
	for (size_t i = 0; i < opts->n_inherited; i++)
		if (!place(opts->inherited[i], opts->inherited[i]))
			return false;
	return place(opts->in, 0) && place(opts->out, 1) && place(errors, 2);
}

/* Without the call, which Linux has since 5.11, the descriptors that are open are those that have no close-on-exec. */
static void set_apart(void)
{
	(void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	(void)setpgid(0, 0); /* fails for no process that was just forked */
}

/* exec's prototypes lack a const that they honour. */
union strings {
	const char *const *given;
	char *const *taken;
};

static void exec_child(const struct process_opts *opts, pid_t parent, int errors, int failure)
{
	const union strings arguments = {.given = opts->argv};
	const union strings environment = {.given = opts->environment};
	sigset_t none;
	int why;

	for (int number = 1; number < NSIG; number++)
		(void)signal(number, SIG_DFL); /* fails for those that cannot be handled anyway */
	(void)sigemptyset(&none); /* cannot fail */
	if (opts->environment)
		set_apart();
	if (prctl(PR_SET_PDEATHSIG, opts->death_signal) == 0 && place_all(opts, errors) &&
	    sigprocmask(SIG_SETMASK, &none, NULL) == 0) {
		if (opts->death_signal && getppid() != parent)
			_exit(EXIT_NO_EXEC); /* the parent died before the call to prctl() */
		(void)execvpe(arguments.taken[0], arguments.taken,
			      opts->environment ? environment.taken
						: environ); /* returns only on failure */
	}
	why = errno;
	(void)!write(failure, &why, sizeof(why)); /* the pipe is empty, so it takes an int */
	_exit(EXIT_NO_EXEC);
}

/* fork() with all signals blocked in the child. */
static pid_t fork_child(const struct process_opts *opts, int errors, int failure)
{
	const pid_t parent = getpid();
	sigset_t all, old;
	pid_t pid;

	(void)sigfillset(&all); /* neither can fail */
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid == 0)
		exec_child(opts, parent, errors, failure);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL); /* leaves errno as fork set it */
	return pid;
}

/* -1: the kernel does not tell the status, because SIGCHLD is ignored; it is not that of a success. */
static int reap(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* Waits for the exec.  false: errno says why there is none. */
static bool has_started(int failure, pid_t pid)
{
	int why = 0;
	ssize_t n;

	while ((n = read(failure, &why, sizeof(why))) < 0 && errno == EINTR)
		;
	if (n != sizeof(why))
		return true;
	(void)reap(pid); /* it has failed in any case */
	errno = why;
	return false;
}

bool process_start(const struct process_opts *opts, struct process *ret, struct error *err)
{
	AUTO(fd) int errors_read = -1, errors_write = -1, failure = -1;
	int ends[2];
	pid_t pid;

	if (opts->catches_errors) {
		if (pipe2(ends, O_CLOEXEC) < 0)
			return fail_errno(err, ERR_ENVIRONMENT, "no pipe for %s", opts->argv[0]);
		errors_read = ends[0];
		errors_write = ends[1];
	}
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "no pipe for %s", opts->argv[0]);
	failure = ends[0];
	pid = fork_child(opts, opts->catches_errors ? errors_write : 2, ends[1]);
	(void)close(ends[1]); /* never written to here */
	if (pid < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "no process for %s", opts->argv[0]);
	if (!has_started(failure, pid))
		return fail_errno(err, ERR_CONFIG, "cannot run %s", opts->argv[0]);
	*ret = (struct process){.pid = pid, .errors = errors_read};
	errors_read = -1;
	return true;
}

/* Reads until the process closes its standard error, or the time is over. */
static void read_complaint(int fd, int64_t end_ms, char *text, size_t size)
{
	size_t length = 0;
	ssize_t n = -1;

	while (n != 0 && monotonic_ms() < end_ms) {
		const int64_t left_ms = end_ms - monotonic_ms();
		struct pollfd p = {.fd = fd, .events = POLLIN};
		char part[512];

		if (poll(&p, 1, left_ms < 1000 ? (int)left_ms + 1 : 1000) <= 0)
			continue; /* looks at the clock again */
		n = read(fd, part, sizeof(part));
		if (n < 0 && errno != EINTR)
			break;
		for (ssize_t i = 0; i < n && length < size - 1; i++)
			text[length++] = part[i];
	}
	text[length] = '\0';
	text[strcspn(text, "\n")] = '\0';
	(void)text_plain(text);
}

/* A process may close its standard error and go on, so its end has its own wait. */
static bool ends_in_time(pid_t pid, int64_t end_ms, int *ret_status)
{
	static const struct timespec tick = {.tv_nsec = 20000000};
	pid_t done;

	*ret_status = -1; /* as reap() */
	while ((done = waitpid(pid, ret_status, WNOHANG)) == 0 && monotonic_ms() < end_ms)
		(void)nanosleep(&tick, NULL); /* early is fine */
	return done != 0;
}

static void forget(struct process *process)
{
	if (process->errors >= 0)
		(void)close(process->errors); /* only read from */
	*process = (struct process){0};
}

void process_end(struct process *process, int64_t timeout_ms, struct process_result *ret)
{
	const int64_t end_ms = timeout_ms > 0 ? monotonic_ms() + timeout_ms : INT64_MAX;

	*ret = (struct process_result){0};
	if (process->errors >= 0)
		read_complaint(process->errors, end_ms, ret->complaint, sizeof(ret->complaint));
	if (timeout_ms == 0)
		ret->status = reap(process->pid);
	else if (!ends_in_time(process->pid, end_ms, &ret->status)) {
		ret->too_long = true;
		process_kill(process);
		return;
	}
	forget(process);
}

void process_kill(struct process *process)
{
	if (process->pid == 0)
		return;
	(void)kill(process->pid, SIGKILL); /* not reaped yet, so the pid is its own */
	(void)reap(process->pid); /* killed: the status is known */
	forget(process);
}
