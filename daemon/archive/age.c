/*
 * fork and exec, as supervisor/child.c does, and for its reasons; between the two nothing is called that could
 * need a lock of another thread's.  The kernel ends age with us (PR_SET_PDEATHSIG): one that lived on
 * would go on writing.  Its standard error is a pipe of ours, for one line of an error's text.
 */
#include "archive/age.h"

#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define EXIT_NO_EXEC 127
#define MOST_COMPLAINT 300
#define PROGRAM "age"

struct age {
	pid_t pid; /* 0: none */
	int complaint; /* read end of its standard error */
};

static void close_age(struct age *age)
{
	int status;

	if (age->complaint >= 0)
		(void)close(age->complaint); /* only read from */
	age->complaint = -1;
	if (age->pid <= 0)
		return;
	(void)kill(age->pid, SIGKILL); /* not reaped yet, so the pid is its own */
	while (waitpid(age->pid, &status, 0) < 0 && errno == EINTR)
		;
	age->pid = 0;
}

static void auto_age(struct age *age)
{
	close_age(age);
}

/* dup2 clears close-on-exec, unless there is nothing to do: then it has to be done by hand. */
static bool place(int fd, int at)
{
	return fd == at ? fcntl(fd, F_SETFD, 0) == 0 : dup2(fd, at) == at;
}

static void exec_age(const char *const *argv, const int fds[3], pid_t parent)
{
	/* execvp's prototype lacks a const that it honours. */
	union {
		const char *const *given;
		char *const *taken;
	} arguments = {.given = argv};
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		(void)signal(number, SIG_DFL); /* fails for those that cannot be handled anyway */
	(void)sigemptyset(&none); /* cannot fail */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent && place(fds[0], 0) &&
	    place(fds[1], 1) && place(fds[2], 2) && sigprocmask(SIG_SETMASK, &none, NULL) == 0)
		(void)execvp(PROGRAM, arguments.taken); /* returns only when it failed */
	(void)dprintf(fds[2], "%s", strerror(errno)); /* a pipe that is empty takes it */
	_exit(EXIT_NO_EXEC);
}

/* Starts age; neither in nor out may be 0, 1 or 2 unless it already is where age wants it. */
static bool start_age(const char *const *argv, int in, int out, struct age *ret, struct error *err)
{
	const pid_t parent = getpid();
	sigset_t all, old;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "no pipe for " PROGRAM);
	(void)sigfillset(&all); /* neither can fail */
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid == 0)
		exec_age(argv, (const int[]){in, out, ends[1]}, parent);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL); /* as above */
	(void)close(ends[1]); /* age's */
	if (pid < 0) {
		(void)close(ends[0]); /* never used */
		return fail_errno(err, ERR_ENVIRONMENT, "no process for " PROGRAM);
	}
	*ret = (struct age){.pid = pid, .complaint = ends[0]};
	return true;
}

/* Everything that age says, or it would block; the first line of it. */
static void read_complaint(int fd, char text[MOST_COMPLAINT])
{
	size_t length = 0;
	char part[512];
	ssize_t n;

	while ((n = read(fd, part, sizeof(part))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		for (ssize_t i = 0; i < n && length < MOST_COMPLAINT - 1; i++)
			text[length++] = part[i];
	}
	text[length] = '\0';
	text[strcspn(text, "\n")] = '\0';
	for (char *c = text; *c; c++)
		if (!isprint((unsigned char)*c))
			*c = '?';
}

/* Waits for its end.  class: what it is when age refuses; that it is not there is CONFIG. */
static bool end_age(struct age *age, enum error_class class, struct error *err)
{
	char complaint[MOST_COMPLAINT];
	int status = 0;

	read_complaint(age->complaint, complaint);
	while (waitpid(age->pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail_errno(err, ERR_ENVIRONMENT, "cannot wait for " PROGRAM);
	age->pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_EXEC)
		return fail(
			err, class,
			"cannot run " PROGRAM
			", which archives.recipients needs: %s; install the Debian package " PROGRAM,
			complaint);
	if (WIFSIGNALED(status))
		return fail(err, ERR_ENVIRONMENT, PROGRAM " was ended by signal %d",
			    WTERMSIG(status));
	return fail(err, class, "%s%s", *complaint ? complaint : PROGRAM " has failed",
		    strncmp(complaint, PROGRAM ": ", strlen(PROGRAM ": ")) == 0 || !*complaint
			    ? ""
			    : " (" PROGRAM ")");
}

static bool encrypt(const char *const *recipients, size_t n, int in, int out,
		    enum error_class class, struct error *err)
{
	AUTO(talloc) const char **argv = t_array(NULL, const char *, 2 * n + 3);
	AUTO(age) struct age age = {.complaint = -1};
	size_t argc = 0;

	argv[argc++] = PROGRAM;
	argv[argc++] = "--encrypt";
	for (size_t i = 0; i < n; i++) {
		argv[argc++] = "-r";
		argv[argc++] = recipients[i];
	}
	return start_age(argv, in, out, &age, err) && end_age(&age, class, err);
}

bool age_check(const char *const *recipients, size_t n, struct error *err)
{
	AUTO(fd) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	AUTO(error) struct error cause = {0};

	if (null < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open /dev/null");
	if (encrypt(recipients, n, null, null, ERR_CONFIG, &cause))
		return true;
	return fail(err, cause.class, "archives.recipients: %s", cause.text);
}

bool age_encrypt(const char *const *recipients, size_t n, int in, int out, struct error *err)
{
	AUTO(error) struct error cause = {0};

	return encrypt(recipients, n, in, out, ERR_ENVIRONMENT, &cause) ||
	       fail(err, ERR_ENVIRONMENT, "cannot encrypt the archive: %s", cause.text);
}

struct decryption {
	struct age age;
	int fd;
};

bool decryption_begin(const char *identity, int in, struct decryption **ret, struct error *err)
{
	const char *const argv[] = {PROGRAM, "--decrypt", "-i", identity, NULL};
	AUTO(decryption) struct decryption *d = xcalloc(1, sizeof(*d));
	AUTO(fd) int write_end = -1;
	int ends[2];

	d->age.complaint = d->fd = -1;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "no pipe for " PROGRAM);
	d->fd = ends[0];
	write_end = ends[1];
	if (!start_age(argv, in, write_end, &d->age, err))
		return false;
	*ret = d;
	d = NULL;
	return true;
}

int decryption_fd(const struct decryption *d)
{
	return d->fd;
}

bool decryption_end(struct decryption *d, struct error *err)
{
	AUTO(error) struct error cause = {0};

	return end_age(&d->age, ERR_CONFIG, &cause) ||
	       fail(err, cause.class, "cannot decrypt the archive: %s", cause.text);
}

void decryption_free(struct decryption *d)
{
	if (!d)
		return;
	close_age(&d->age);
	if (d->fd >= 0)
		(void)close(d->fd); /* only read from */
	free(d);
}
