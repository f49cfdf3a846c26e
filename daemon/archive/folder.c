#include "archive/folder.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>

int archive_folder(const struct archive *a, const char *suffix)
{
	AUTO(char_p) char *path = xprintf("%s/%s%s", a->directory, a->name, suffix);

	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

int archive_partial(const struct archive *a, struct error *err)
{
	const int folder = archive_folder(a, ARCHIVE_PARTIAL);

	if (folder < 0)
		(void)fail_errno(err, ERR_ENVIRONMENT,
				 "cannot open the folder \"%s/%s" ARCHIVE_PARTIAL "\"",
				 a->directory, a->name);
	return folder;
}

const char **archive_list(int folder, const char *name, void *ctx)
{
	const int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
	const char **names = t_array(ctx, const char *, 1);
	const struct dirent *e;
	size_t n = 0;
	int failure;

	if (!entries) {
		if (fd >= 0)
			(void)close(fd); /* read-only */
		return NULL;
	}
	while (errno = 0, (e = readdir(entries))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		names = t_grow(ctx, names, const char *, n + 2);
		names[n++] = t_strdup(ctx, e->d_name);
		names[n] = NULL;
	}
	failure = errno;
	(void)closedir(entries); /* read-only */
	errno = failure;
	return failure ? NULL : names;
}

int64_t archive_file_bytes(int folder, const char *file)
{
	struct stat st;

	errno = EINVAL; /* not a file */
	return fstatat(folder, file, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)
		       ? st.st_size
		       : -1;
}

const char *archive_find_sum(const char *sums, const char *name, char end)
{
	const size_t length = strlen(name);

	for (const char *line = sums; line && *line;) {
		const size_t n = strcspn(line, "\n");

		if (n >= ARCHIVE_SUM_NAME + length &&
		    strncmp(line + ARCHIVE_SUM_NAME, name, length) == 0 &&
		    (line[ARCHIVE_SUM_NAME + length] == end ||
		     (end == '\n' && !line[ARCHIVE_SUM_NAME + length])))
			return line;
		line += n + (line[n] == '\n');
	}
	return NULL;
}

const char *archive_suffix(const char *file)
{
	const char *suffix = NULL;

	/* Take the last ".csv" that ends a word, because a table can have ".csv" in its own name. */
	for (const char *at = file; (at = strstr(at, ".csv"));) {
		const bool named = at != file;

		at += strlen(".csv");
		if (named && (*at == '\0' || *at == '.'))
			suffix = at;
	}
	return suffix;
}

bool archive_is_segment(const char *file)
{
	const char *number = archive_suffix(file);

	return number && *number == '.' && number[1] &&
	       number[1 + strspn(number + 1, "0123456789")] == '\0';
}

char *archive_segment(const char *file, int worker)
{
	return xprintf("%s.%d", file, worker);
}

/*
 * The database fences the batches of a process that it has lost, but not its writes: a process that was
 * stopped or cut off with rows in its buffers would write them over ours when it wakes.  The lock is held
 * until the descriptor is closed, whatever ends the process.  On a file system without locks the job goes
 * on without them.
 */
bool archive_hold(int fd, const char *name, struct error *err)
{
	if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		return fail(err, ERR_ENVIRONMENT,
			    "archive file \"%s\" is open in another process: an earlier "
			    "retention-job of this action has not ended",
			    name);
	return true;
}

bool archive_fail_short(const char *name, int64_t bytes, int64_t committed_bytes, struct error *err)
{
	return fail(err, ERR_CONFIG,
		    "archive file \"%s\" has %" PRId64 " bytes where %" PRId64
		    " were synced and committed: the disk lost them; restore the file before the "
		    "job goes on, or abandon the action",
		    name, bytes, committed_bytes);
}

/* Before a job runs its folder can only be empty; a folder that cannot be read does not count as empty. */
static bool folder_is_empty(int parent, const char *name)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char **names = archive_list(parent, name, ctx);

	return names && !*names;
}

static bool make_folder(const struct archive *a, int parent, const char *partial, struct error *err)
{
	static const char advice[] =
		"another database's archive? give each database an archives.directory of its own";

	if (faccessat(parent, a->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return fail(err, ERR_CONFIG, "\"%s/%s\" exists already: %s", a->directory, a->name,
			    advice);
	if (mkdirat(parent, partial, 0700) != 0 && errno != EEXIST)
		return fail_errno(err,
				  errno == ENOSPC || errno == EIO || errno == EDQUOT
					  ? ERR_ENVIRONMENT
					  : ERR_CONFIG,
				  "cannot make the folder \"%s/%s\"", a->directory, partial);
	if (!folder_is_empty(parent, partial))
		return fail(err, ERR_CONFIG, "\"%s/%s\" exists already and is not empty: %s",
			    a->directory, partial, advice);
	return file_sync(parent, a->directory, err);
}

bool archive_create(const struct archive *a, bool resumed, struct error *err)
{
	AUTO(char_p) char *partial = xprintf("%s" ARCHIVE_PARTIAL, a->name);
	AUTO(fd) int parent = open(a->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (parent < 0)
		return fail_errno(err, errno == EIO ? ERR_ENVIRONMENT : ERR_CONFIG,
				  "archives.directory \"%s\": cannot be opened", a->directory);
	if (!resumed)
		return make_folder(a, parent, partial, err);
	return fstatat(parent, partial, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
	       fail_errno(err, ERR_CONFIG,
			  "\"%s/%s\" holds rows that were erased already, and is not there: put "
			  "it back, run the job where it is, or abandon the action",
			  a->directory, partial);
}

bool archive_is_finished(const struct archive *a)
{
	AUTO(fd) int folder = archive_folder(a, "");

	return folder >= 0;
}

bool archive_is_begun(const struct archive *a)
{
	AUTO(fd) int folder = archive_folder(a, ARCHIVE_PARTIAL);

	return folder >= 0;
}
