/*
 * A disk that fails on demand, for LD_PRELOAD.  DISK_FAULT=CALL:N, CALL being
 *	fdatasync, fsync, write	the N-th of it fails with EIO (writes to regular files count)
 *	short			from the N-th on, a write of more than a byte takes all but one
 *	full			from the N-th on, writes fail with ENOSPC as long as the file DISK_FULL exists
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_long passed;

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

static int sync_with(const char *call, int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, call);
	long wanted = 0;
	const long nth = nth_of(call, &wanted);

	if (nth > 0 && nth == wanted) {
		errno = EIO;
		return -1;
	}
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

ssize_t write(int fd, const void *bytes, size_t n)
{
	ssize_t (*real)(int, const void *, size_t) =
		(ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
	struct stat st;
	long wanted = 0, nth;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return real(fd, bytes, n);
	nth = nth_of("write", &wanted);
	if (nth > 0 && nth == wanted) {
		errno = EIO;
		return -1;
	}
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
