/*
 * The kernel ends age together with this process, because otherwise age would go on writing.  age's standard
 * error is a pipe of ours, from which we take one line for the error's text.
 */
#include "archive/age.h"

#include "base/mem.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#define PROGRAM "age"

/* Starts age.  class: what it is when age is not installed. */
static bool start_age(const char *const *argv, int in, int out, enum error_class class,
		      struct process *ret, struct error *err)
{
	const struct process_opts opts = {.argv = argv,
					  .in = in,
					  .out = out,
					  .catches_errors = true,
					  .death_signal = SIGKILL};
	AUTO(error) struct error cause = {0};

	if (process_start(&opts, ret, &cause))
		return true;
	if (cause.class == ERR_CONFIG)
		return fail(err, class,
			    "%s; archives.recipients needs it: install the Debian package " PROGRAM,
			    cause.text);
	return fail(err, cause.class, "%s", cause.text);
}

/* Waits for its end.  class: what it is when age refuses. */
static bool end_age(struct process *age, enum error_class class, struct error *err)
{
	struct process_result end;
	const char *complaint = end.complaint;

	process_end(age, 0, &end);
	if (WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0)
		return true;
	if (WIFSIGNALED(end.status))
		return fail(err, ERR_ENVIRONMENT, PROGRAM " was ended by signal %d",
			    WTERMSIG(end.status));
	return fail(err, class, "%s%s", *complaint ? complaint : PROGRAM " has failed",
		    strncmp(complaint, PROGRAM ": ", strlen(PROGRAM ": ")) == 0 || !*complaint
			    ? ""
			    : " (" PROGRAM ")");
}

static bool encrypt(const char *const *recipients, size_t n, int in, int out,
		    enum error_class class, struct error *err)
{
	AUTO(talloc) const char **argv = t_array(NULL, const char *, 2 * n + 3);
	AUTO(process) struct process age = {0};
	size_t argc = 0;

	argv[argc++] = PROGRAM;
	argv[argc++] = "--encrypt";
	for (size_t i = 0; i < n; i++) {
		argv[argc++] = "-r";
		argv[argc++] = recipients[i];
	}
	return start_age(argv, in, out, class, &age, err) && end_age(&age, class, err);
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

bool age_decrypt(const char *identity, int in, struct process *ret, int *ret_fd, struct error *err)
{
	const char *const argv[] = {PROGRAM, "--decrypt", "-i", identity, NULL};
	AUTO(fd) int read_end = -1, write_end = -1;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "no pipe for " PROGRAM);
	read_end = ends[0];
	write_end = ends[1];
	if (!start_age(argv, in, write_end, ERR_CONFIG, ret, err))
		return false;
	*ret_fd = read_end;
	read_end = -1;
	return true;
}

bool age_decrypt_end(struct process *age, struct error *err)
{
	AUTO(error) struct error cause = {0};

	return end_age(age, ERR_CONFIG, &cause) ||
	       fail(err, cause.class, "cannot decrypt the archive: %s", cause.text);
}
