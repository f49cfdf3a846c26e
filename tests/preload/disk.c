/*
 * A disk that fails on demand, for LD_PRELOAD.  DISK_FAULT=CALL:N, CALL being
 *	fdatasync, fsync, write	the N-th of it fails with EIO (writes to regular files count)
 *	sync			the N-th of fdatasync and fsync together fails with EIO
 *	stuck			the same, and every later sync of that descriptor until it is closed
 *	short			from the N-th on, a write of more than a byte takes all but one
 *	full			from the N-th on, writes fail with ENOSPC as long as the file DISK_FULL exists
 *	exchange		before the N-th renameat2, the folder DISK_OTHER takes the name of what is renamed
 * DISK_LOG=FILE: each fdatasync and fsync is a line there, with the path that it is about.
 * DISK_FAILED=FILE: so is each call that failed with EIO.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_long passed;
static atomic_int stuck = -1; /* the descriptor that keeps failing */

/* How many times the wished-for call was made, this one counted; 0: another is wished for. */
static long nth_of(const char *call, long *ret_wanted)
{
	const char *wish = getenv("DISK_FAULT");
	const size_t length = strlen(call);

	if (!wish || strncmp(wish, call, length) != 0 || wish[length] != ':')
		return 0;
	*ret_wanted = strtol(wish + length + 1, NULL, 10);
	return atomic_fetch_add(&passed, 1) + 1;
}

static int is_turn(const char *call)
{
	long wanted = 0;
	const long nth = nth_of(call, &wanted);

	return nth > 0 && nth == wanted;
}

static void log_path(const char *log, int fd)
{
	char link[64], path[4096];
	ssize_t n;
	FILE *out;

	if (!log)
		return;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path));
	out = fopen(log, "ae");
	if (!out)
		abort();
	(void)fprintf(out, "%.*s\n", n > 0 ? (int)n : 0, path);
	(void)fclose(out);
}

static int fail_on(int fd)
{
	log_path(getenv("DISK_FAILED"), fd);
	errno = EIO;
	return -1;
}

static int sync_with(const char *call, int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, call);

	log_path(getenv("DISK_LOG"), fd);
	if (is_turn("stuck"))
		atomic_store(&stuck, fd);
	if (is_turn(call) || is_turn("sync") || fd == atomic_load(&stuck))
		return fail_on(fd);
	return real(fd);
}

int fdatasync(int fd)
{
	return sync_with("fdatasync", fd);
}

int fsync(int fd)
{
	return sync_with("fsync", fd);
}

int close(int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "close");
	int old = fd;

	(void)atomic_compare_exchange_strong(&stuck, &old, -1);
	return real(fd);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned int flags)
{
	int (*real)(int, const char *, int, const char *, unsigned int) =
		(int (*)(int, const char *, int, const char *, unsigned int))dlsym(RTLD_NEXT,
										   "renameat2");

	if (is_turn("exchange") && (renameat(from_fd, from, from_fd, "aside") != 0 ||
				    renameat(AT_FDCWD, getenv("DISK_OTHER"), from_fd, from) != 0))
		abort();
	return real(from_fd, from, to_fd, to, flags);
}

ssize_t write(int fd, const void *bytes, size_t n)
{
	ssize_t (*real)(int, const void *, size_t) =
		(ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
	struct stat st;
	long wanted = 0, nth;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return real(fd, bytes, n);
	nth = nth_of("write", &wanted);
	if (nth > 0 && nth == wanted)
		return fail_on(fd);
	nth = nth_of("full", &wanted);
	if (nth > 0 && nth >= wanted && access(getenv("DISK_FULL"), F_OK) == 0) {
		errno = ENOSPC;
		return -1;
	}
	nth = nth_of("short", &wanted);
	if (nth > 0 && nth >= wanted && n > 1)
		n--;
	return real(fd, bytes, n);
}
