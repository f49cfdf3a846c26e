/*
 * The steps, and what happens when the process or the machine dies in each of them:
 *
 *   lengths     lengths.json, what each segment has committed: for a database that is restored from a backup
 *               and knows an earlier length (archive/found.c).
 *   join        segments are only read until SHA256SUMS and manifest.json are on the disk; the joined
 *               file is cut back to worker 0's committed length first, so it can be redone.
 *   encrypt     archive/encrypt.c.
 *   sums,       written under a temporary name and renamed: whole or not there.  The manifest is the
 *   manifest    mark that joining is over.
 *   seal        the manifest is there: removing segments can be repeated, and the rename comes last.
 */
#include "archive/finish.h"

#include "archive/folder.h"
#include "base/failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

bool archive_fail_head(const char *name, struct error *err)
{
	return fail(
		err, ERR_CONFIG,
		"archive file \"%s\" was not begun with the delimiter that the configuration has now, "
		"or by another version: its rows would not be told apart; undo that, end the job, and "
		"change it then",
		name);
}

/* Checks that a file, written by an earlier attempt, begins with its header. */
static bool check_head(int folder, const char *name, const struct archive_file *f,
		       struct error *err)
{
	const size_t length = strlen(f->head);
	AUTO(char_p) char *found = must_alloc(malloc(length + 1));
	AUTO(fd) int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t got;

	if (fd < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open archive file \"%s\"", name);
	got = read(fd, found, length);
	if (got < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot read archive file \"%s\"", name);
	return ((size_t)got == length && memcmp(found, f->head, length) == 0) ||
	       archive_fail_head(name, err);
}

static bool check_segment(int folder, const char *name, int64_t committed_bytes, struct error *err)
{
	struct stat st = {0};

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot look at archive file \"%s\"", name);
	return st.st_size >= committed_bytes ||
	       archive_fail_short(name, (int64_t)st.st_size, committed_bytes, err);
}

/* Checks the segments of the workers from first on; bytes: [worker * n_files + file]. */
static bool check_workers(const struct archive *a, int folder, int first, int workers,
			  const int64_t *bytes, struct error *err)
{
	for (int w = first; w < workers; w++)
		for (size_t i = 0; i < a->n_files; i++) {
			const int64_t committed = bytes[(size_t)w * a->n_files + i];
			AUTO(char_p) char *segment = archive_segment(a->files[i].name, w);

			if (!check_segment(folder, segment, committed, err) ||
			    (w == 0 && committed > 0 &&
			     !check_head(folder, segment, &a->files[i], err)))
				return false;
		}
	return true;
}

bool archive_check(const struct archive *a, int workers, const int64_t *bytes, struct error *err)
{
	AUTO(fd) int folder = archive_partial(a, err);

	return folder >= 0 && check_workers(a, folder, 0, workers, bytes, err);
}

/* A join under way. */
struct joining {
	const struct archive *archive;
	int folder; /* open */
	int workers;
	const int64_t *bytes; /* committed: [worker * n_files + file] */
};

/* Appends the first n bytes of segment name to fd. */
static bool append_segment(int folder, const char *name, int64_t n, int fd, struct error *err)
{
	AUTO(char_p) char *buffer = must_alloc(malloc(BUFFER_BYTES));
	AUTO(fd) int in = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int64_t written = 0;

	if (in < 0)
		return fail_errno(err, ERR_CONFIG, "archive file \"%s\" is missing", name);
	if (!archive_hold(in, name, err))
		return false;
	while (n > 0) {
		const size_t want = n < (int64_t)BUFFER_BYTES ? (size_t)n : BUFFER_BYTES;
		const ssize_t got = read(in, buffer, want);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return fail(err, ERR_CONFIG,
				    "archive file \"%s\" is shorter than what was committed", name);
		if (!file_write(fd, buffer, (size_t)got, &written, name, err))
			return false;
		n -= got;
	}
	return true;
}

/* Opens worker 0's file, under the name that an earlier try at joining may have given it. */
static int open_joined(int folder, const char *file)
{
	AUTO(char_p) char *first = archive_segment(file, 0);

	if (renameat(folder, first, folder, file) != 0 && errno != ENOENT)
		return -1;
	return openat(folder, file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static bool join_file(const struct joining *j, size_t i, int64_t *ret_size, struct error *err)
{
	const struct archive_file *f = &j->archive->files[i];
	AUTO(fd) int fd = open_joined(j->folder, f->name);
	const int64_t first = j->bytes[i];
	int64_t written = first;
	struct stat st;

	if (fd < 0 || !archive_hold(fd, f->name, err))
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open archive file \"%s\"", f->name);
	if (fstat(fd, &st) != 0 || st.st_size < first)
		return fail(err, ERR_CONFIG,
			    "archive file \"%s\" is shorter than what was committed", f->name);
	if (ftruncate(fd, first) != 0 || lseek(fd, 0, SEEK_END) < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot cut back archive file \"%s\"",
				  f->name);
	/* Begins the file, where worker 0 has written nothing. */
	if (first == 0 && !file_write(fd, f->head, strlen(f->head), &written, f->name, err))
		return false;
	for (int w = 1; w < j->workers; w++) {
		const int64_t bytes = j->bytes[(size_t)w * j->archive->n_files + i];
		AUTO(char_p) char *name = archive_segment(f->name, w);

		if (bytes > 0 && !append_segment(j->folder, name, bytes, fd, err))
			return false;
		written += bytes;
	}
	*ret_size = written;
	return file_sync(fd, f->name, err);
}

bool archive_join(const struct archive *a, int workers, const int64_t *bytes,
		  struct manifest_file *files, struct error *err)
{
	AUTO(fd) int folder = archive_partial(a, err);
	const struct joining j = {
		.archive = a, .folder = folder, .workers = workers, .bytes = bytes};

	/* Check all before joining any: where a segment is gone, a joined file may hold its rows. */
	if (folder < 0 || !check_workers(a, folder, 1, workers, bytes, err))
		return false;
	for (size_t i = 0; i < a->n_files; i++)
		if (!join_file(&j, i, &files[i].bytes, err))
			return false;
	return file_sync(folder, a->name, err);
}

/* The length of file i when it is joined. */
static int64_t joined_bytes(const struct archive *a, int workers, const int64_t *bytes, size_t i)
{
	int64_t sum = bytes[i] > 0 ? bytes[i] : (int64_t)strlen(a->files[i].head);

	for (int w = 1; w < workers; w++)
		sum += bytes[(size_t)w * a->n_files + i];
	return sum;
}

bool archive_is_whole(const struct archive *a, int workers, const int64_t *bytes)
{
	AUTO(fd) int folder = archive_folder(a, ARCHIVE_PARTIAL);
	bool joined =
		folder >= 0 && faccessat(folder, ARCHIVE_MANIFEST, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	bool encrypted = joined;

	for (size_t i = 0; i < a->n_files; i++) {
		AUTO(char_p) char *stored = xprintf("%s" ARCHIVE_ENCRYPTED, a->files[i].name);
		const int64_t plain = archive_file_bytes(folder, a->files[i].name);

		joined = joined && plain == joined_bytes(a, workers, bytes, i);
		encrypted = encrypted && plain < 0 && archive_file_bytes(folder, stored) >= 0;
	}
	return joined || encrypted;
}

bool archive_write_file(const struct archive *a, const char *file, const char *text,
			struct error *err)
{
	AUTO(fd) int folder = archive_partial(a, err);

	return folder >= 0 && file_replace(folder, file, text, err);
}

static bool remove_segments(int folder, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char **names = archive_list(folder, ".", ctx);

	if (!names)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot read the archive's folder");
	for (; *names; names++) /* whichever worker began it: the first try may have had more */
		if (archive_is_segment(*names) && unlinkat(folder, *names, 0) != 0 &&
		    errno != ENOENT)
			return fail_errno(err, ERR_ENVIRONMENT, "cannot remove \"%s\"", *names);
	return true;
}

/*
 * Lets the group read the folder and its files.  Which group that is, the folder above says (set-group-ID).  Before the last
 * name, so that whoever finds an archive can read all of it.
 */
static bool open_to_group(const struct archive *a, int folder, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char **names = archive_list(folder, ".", ctx);

	for (size_t i = 0; names && names[i]; i++) {
		AUTO(fd) int fd = openat(folder, names[i], O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

		if (fd < 0 || fchmod(fd, 0640) != 0)
			return fail_errno(err, ERR_ENVIRONMENT,
					  "cannot open \"%s/%s/%s\" to its group", a->directory,
					  a->name, names[i]);
	}
	return (names && fchmod(folder, 0750) == 0) ||
	       fail_errno(err, ERR_ENVIRONMENT, "cannot open \"%s/%s\" to its group", a->directory,
			  a->name);
}

bool archive_seal(const struct archive *a, struct error *err)
{
	AUTO(fd) int parent = open(a->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(fd) int folder = archive_partial(a, err);
	AUTO(char_p) char *partial = xprintf("%s" ARCHIVE_PARTIAL, a->name);

	if (parent < 0 || folder < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open the folder \"%s\"",
				  a->directory);
	if (!remove_segments(folder, err))
		return false;
	failpoint("seal-after-segments");
	if ((unlinkat(folder, ARCHIVE_PLAIN_SUMS, 0) != 0 && errno != ENOENT) ||
	    (unlinkat(folder, ARCHIVE_LENGTHS, 0) != 0 && errno != ENOENT))
		return fail_errno(err, ERR_ENVIRONMENT,
				  "cannot remove the notes of the archive's end");
	if (a->group_readable && !open_to_group(a, folder, err))
		return false;
	if (!file_sync(folder, a->name, err))
		return false;
	if (renameat(parent, partial, parent, a->name) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot rename \"%s/%s\"", a->directory,
				  partial);
	return file_sync(parent, a->directory, err);
}

char *archive_read_file(const struct archive *a, const char *file, void *ctx, struct error *err)
{
	AUTO(fd) int folder = archive_folder(a, "");
	AUTO(fd) int fd = folder < 0 ? -1 : openat(folder, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0)
		return file_read_text(fd, file, ctx, err);
	(void)fail_errno(err, ERR_ENVIRONMENT, "cannot open \"%s/%s/%s\"", a->directory, a->name,
			 file);
	return NULL;
}

bool archive_size(const struct archive *a, int64_t *ret_bytes, struct error *err)
{
	AUTO(fd) int folder = archive_folder(a, "");
	int64_t bytes = 0;

	if (folder < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open the folder \"%s/%s\"",
				  a->directory, a->name);
	for (size_t i = 0; i < a->n_files; i++) {
		const char *plain = a->files[i].name;
		AUTO(char_p) char *encrypted = xprintf("%s" ARCHIVE_ENCRYPTED, plain);
		int64_t n = archive_file_bytes(folder, plain);

		if (n < 0)
			n = archive_file_bytes(folder, encrypted);
		if (n < 0)
			return fail_errno(err, ERR_ENVIRONMENT, "cannot look at \"%s\"", plain);
		bytes += n;
	}
	*ret_bytes = bytes;
	return true;
}

bool archive_digest(const struct archive *a, const char *file, char ret_hex[65], struct error *err)
{
	AUTO(fd) int folder = archive_partial(a, err);
	AUTO(fd) int fd = folder < 0 ? -1 : openat(folder, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open archive file \"%s\"", file);
	return file_digest(fd, file, ret_hex, err);
}
