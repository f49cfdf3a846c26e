/*
 * The steps, and what happens when the process or the machine dies in each of them:
 *
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
#include "base/file.h"
#include "base/mem.h"

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
	AUTO(char_p) char *head = xprintf("%s%s", f->bom ? ARCHIVE_BOM : "", f->header);
	AUTO(char_p) char *found = NULL;
	AUTO(fd) int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	const size_t length = strlen(head);
	ssize_t got;

	if (fd < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open archive file \"%s\"", name);
	found = must_alloc(malloc(length + 1));
	got = read(fd, found, length);
	if (got < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot read archive file \"%s\"", name);
	return ((size_t)got == length && memcmp(found, head, length) == 0) ||
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

/* Checks one worker's segments; committed: n_files lengths. */
static bool check_worker(const struct archive *a, int folder, int worker, const int64_t *committed,
			 struct error *err)
{
	for (size_t i = 0; i < a->n_files; i++) {
		AUTO(char_p) char *segment = archive_segment(a->files[i].name, worker);

		if (!check_segment(folder, segment, committed[i], err) ||
		    (worker == 0 && committed[i] > 0 &&
		     !check_head(folder, segment, &a->files[i], err)))
			return false;
	}
	return true;
}

bool archive_check(const struct archive *a, int workers, const int64_t *bytes, struct error *err)
{
	AUTO(fd) int folder = archive_partial(a, err);
	bool ok = folder >= 0;

	for (int w = 0; ok && w < workers; w++)
		ok = check_worker(a, folder, w, bytes + (size_t)w * a->n_files, err);
	return ok;
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

/* Writes what a file begins with, where worker 0 has written nothing. */
static bool write_head(int fd, const struct archive_file *f, int64_t *written, struct error *err)
{
	const char *mark = f->bom ? ARCHIVE_BOM : "";

	return file_write(fd, mark, strlen(mark), written, f->name, err) &&
	       file_write(fd, f->header, strlen(f->header), written, f->name, err);
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
	if (first == 0 && !write_head(fd, f, &written, err))
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

bool archive_is_joined(const struct archive *a, int workers, const int64_t *bytes)
{
	AUTO(fd) int folder = archive_folder(a, ARCHIVE_PARTIAL);

	for (size_t i = 0; folder >= 0 && i < a->n_files; i++) {
		const struct archive_file *f = &a->files[i];
		const size_t head = strlen(f->bom ? ARCHIVE_BOM : "") + strlen(f->header);
		int64_t size = bytes[i] > 0 ? bytes[i] : (int64_t)head;
		struct stat st;

		for (int w = 1; w < workers; w++)
			size += bytes[(size_t)w * a->n_files + i];
		if (fstatat(folder, f->name, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_size != size)
			return false;
	}
	return folder >= 0;
}

bool archive_join(const struct archive *a, int workers, const int64_t *bytes, int64_t *ret_sizes,
		  struct error *err)
{
	AUTO(fd) int folder = archive_partial(a, err);
	const struct joining j = {
		.archive = a, .folder = folder, .workers = workers, .bytes = bytes};

	if (folder < 0)
		return false;
	/* Check all before joining any: where a segment is gone, a joined file may hold its rows. */
	for (int w = 1; w < workers; w++)
		if (!check_worker(a, folder, w, bytes + (size_t)w * a->n_files, err))
			return false;
	for (size_t i = 0; i < a->n_files; i++)
		if (!join_file(&j, i, &ret_sizes[i], err))
			return false;
	return file_sync(folder, a->name, err);
}

bool archive_has_file(const struct archive *a, const char *file)
{
	AUTO(fd) int folder = archive_folder(a, ARCHIVE_PARTIAL);

	return folder >= 0 && faccessat(folder, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool archive_write_file(const struct archive *a, const char *file, const char *text,
			struct error *err)
{
	AUTO(fd) int folder = archive_partial(a, err);
	AUTO(char_p) char *temporary = NULL;
	AUTO(fd) int fd = -1;
	int64_t written = 0;

	if (folder < 0)
		return false;
	temporary = xprintf("%s" ARCHIVE_TEMPORARY, file);
	fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open \"%s\"", temporary);
	if (!file_write(fd, text, strlen(text), &written, file, err) || !file_sync(fd, file, err))
		return false;
	if (renameat(folder, temporary, folder, file) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot rename \"%s\"", temporary);
	return file_sync(folder, a->name, err);
}

static bool remove_segments(int folder, struct error *err)
{
	DIR *stream = archive_entries(folder, ".");
	const struct dirent *e;
	bool ok = true;

	if (!stream)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot read the archive's folder");
	errno = 0;
	while (ok && (e = readdir(stream))) {
		/* Whichever worker began it: the first try may have had more of them. */
		if (archive_is_segment(e->d_name) && unlinkat(folder, e->d_name, 0) != 0 &&
		    errno != ENOENT)
			ok = fail_errno(err, ERR_ENVIRONMENT, "cannot remove \"%s\"", e->d_name);
		errno = 0;
	}
	if (ok && errno != 0)
		ok = fail_errno(err, ERR_ENVIRONMENT, "cannot read the archive's folder");
	(void)closedir(stream); /* read-only */
	return ok;
}

bool archive_seal(const struct archive *a, struct error *err)
{
	AUTO(fd) int parent = open(a->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(fd) int folder = archive_partial(a, err);
	AUTO(char_p) char *partial = NULL;

	if (parent < 0 || folder < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open the folder \"%s\"",
				  a->directory);
	if (!remove_segments(folder, err))
		return false;
	failpoint("seal-after-segments");
	if (unlinkat(folder, ARCHIVE_PLAIN_SUMS, 0) != 0 && errno != ENOENT)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot remove \"" ARCHIVE_PLAIN_SUMS "\"");
	if (!file_sync(folder, a->name, err))
		return false;
	partial = xprintf("%s" ARCHIVE_PARTIAL, a->name);
	if (renameat(parent, partial, parent, a->name) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot rename \"%s/%s\"", a->directory,
				  partial);
	return file_sync(parent, a->directory, err);
}
