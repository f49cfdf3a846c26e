/*
 * What may die on each line, and what then.  The batch (batch/batch.c) appends, syncs, commits the lengths
 * in its transaction, and only then calls them true:
 *
 *   open        an earlier process of the job may still live, stopped or cut off: each file is
 *               locked (flock) by the one that writes it.
 *   append      process or disk dies: the transaction never commits; the file is longer than its
 *               committed length and is cut back when the job resumes.
 *   sync        the same; a sync that fails (EIO) fails the batch, and the descriptor is not trusted
 *               again: Linux forgets the error after telling it once, so the job reopens the file
 *               and cuts it back to what an earlier sync had confirmed.
 *   COMMIT      the database decides: its length says whether the bytes behind it count.
 *   join        segments are only read until SHA256SUMS and manifest.json are on the disk; the
 *               joined file is cut back to worker 0's committed length first, so it can be redone.
 *   seal        the manifest is there: removing segments and renaming can be repeated.
 */
#include "archive/folder.h"

#include "base/mem.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char bom[] = "\xEF\xBB\xBF";

struct segment {
	int fd;
	char *buffer; /* BUFFER_BYTES, made at the first append */
	size_t buffered;
	int64_t written_bytes; /* in the file, the buffer not counted */
	int64_t committed_bytes;
	bool dirty; /* written since the last sync */
};

struct archive_writer {
	const struct archive_file *files;
	size_t n;
	char *path; /* of the folder */
	int folder;
	int worker;
	struct segment *segments;
};

int archive_folder(const char *directory, const char *name, const char *suffix)
{
	AUTO(char_p) char *path = NULL;

	if (asprintf(&path, "%s/%s%s", directory, name, suffix) < 0)
		must_alloc(NULL);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

DIR *archive_entries(int folder, const char *name)
{
	const int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;

	if (!entries && fd >= 0)
		(void)close(fd); /* read-only */
	return entries;
}

const char *archive_suffix(const char *file)
{
	const char *suffix = NULL;

	/* The last that ends a word: a table can have ".csv" in its own name. */
	for (const char *at = file; (at = strstr(at, ".csv"));) {
		const bool named = at != file;

		at += strlen(".csv");
		if (named && (*at == '\0' || *at == '.'))
			suffix = at;
	}
	return suffix;
}

bool archive_sync_fd(int fd, const char *what, struct error *err)
{
	if (fsync(fd) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot sync %s", what);
	return true;
}

/* Before a job is running its folder can only be empty; what cannot be read is not taken for it. */
static bool folder_is_empty(int parent, const char *name)
{
	DIR *folder = archive_entries(parent, name);
	const struct dirent *entry;
	bool empty = true;

	if (!folder)
		return false;
	while ((entry = readdir(folder)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			empty = false;
	(void)closedir(folder); /* read-only */
	return empty;
}

bool archive_create(const char *directory, const char *name, bool resumed, struct error *err)
{
	AUTO(char_p) char *partial = NULL;
	AUTO(fd) int parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (parent < 0)
		return fail_errno(err, errno == EIO ? ERR_ENVIRONMENT : ERR_CONFIG,
				  "archives.directory \"%s\": cannot be opened", directory);
	if (asprintf(&partial, "%s.partial", name) < 0)
		must_alloc(NULL);
	if (resumed) {
		struct stat st;

		if (fstatat(parent, partial, &st, AT_SYMLINK_NOFOLLOW) != 0)
			return fail_errno(
				err, ERR_CONFIG,
				"\"%s/%s\" holds rows that were erased already, and is not "
				"there: put it back, or run the job where it is",
				directory, partial);
		return true;
	}
	if (faccessat(parent, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return fail(
			err, ERR_CONFIG,
			"\"%s/%s\" exists already: another database's archive? give each database "
			"an archives.directory of its own",
			directory, name);
	if (mkdirat(parent, partial, 0700) != 0 && errno != EEXIST)
		return fail_errno(err,
				  errno == ENOSPC || errno == EIO || errno == EDQUOT
					  ? ERR_ENVIRONMENT
					  : ERR_CONFIG,
				  "cannot make the folder \"%s/%s\"", directory, partial);
	if (!folder_is_empty(parent, partial))
		return fail(err, ERR_CONFIG,
			    "\"%s/%s\" exists already and is not empty: another database's "
			    "archive? give each database an archives.directory of its own",
			    directory, partial);
	return archive_sync_fd(parent, directory, err);
}

bool archive_is_finished(const char *directory, const char *name)
{
	AUTO(fd) int folder = archive_folder(directory, name, "");

	return folder >= 0;
}

bool archive_is_begun(const char *directory, const char *name)
{
	AUTO(fd) int folder = archive_folder(directory, name, ".partial");

	return folder >= 0;
}

static char *segment_name(const char *file, int worker)
{
	char *name = NULL;

	if (asprintf(&name, "%s.%d", file, worker) < 0)
		must_alloc(NULL);
	return name;
}

/*
 * The database fences the batches of a process that it has lost, not its writes: one that was stopped
 * or cut off with rows in its buffers would put them over ours when it wakes.  Held until the
 * descriptor is closed, by whatever end.  A file system that knows no locks is taken without.
 */
static bool hold_file(int fd, const char *name, struct error *err)
{
	if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		return fail(err, ERR_ENVIRONMENT,
			    "archive file \"%s\" is open in another process: an earlier "
			    "retention-job of this action has not ended",
			    name);
	return true;
}

static bool fail_short(const char *name, int64_t bytes, int64_t committed_bytes, struct error *err)
{
	return fail(err, ERR_CONFIG,
		    "archive file \"%s\" has %" PRId64 " bytes where %" PRId64
		    " were synced and committed: the disk lost them; restore the file before the "
		    "job goes on",
		    name, bytes, committed_bytes);
}

bool archive_fail_head(const char *name, struct error *err)
{
	return fail(
		err, ERR_CONFIG,
		"archive file \"%s\" was not begun with the delimiter that the configuration has now, "
		"or by another version: its rows would not be told apart; undo that, end the job, and "
		"change it then",
		name);
}

/* What an earlier attempt has written begins with the header that the file has. */
static bool check_head(int folder, const char *name, const struct archive_file *f,
		       struct error *err)
{
	AUTO(char_p) char *head = NULL, *found = NULL;
	AUTO(fd) int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	const int length = asprintf(&head, "%s%s", f->bom ? bom : "", f->header);
	ssize_t got;

	if (fd < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open archive file \"%s\"", name);
	if (length < 0)
		must_alloc(NULL);
	found = must_alloc(malloc((size_t)length + 1));
	got = read(fd, found, (size_t)length);
	if (got < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot read archive file \"%s\"", name);
	return (got == length && memcmp(found, head, (size_t)length) == 0) ||
	       archive_fail_head(name, err);
}

static bool check_segment(int folder, const char *name, int64_t committed_bytes, struct error *err)
{
	struct stat st = {0};

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot look at archive file \"%s\"", name);
	return st.st_size >= committed_bytes ||
	       fail_short(name, (int64_t)st.st_size, committed_bytes, err);
}

/* Of the workers from first on. */
static bool check_segments(int folder, const struct archive_file *files, size_t n, int first,
			   int workers, const int64_t *committed, struct error *err)
{
	for (int w = first; w < workers; w++)
		for (size_t i = 0; i < n; i++) {
			AUTO(char_p) char *segment = segment_name(files[i].name, w);

			if (!check_segment(folder, segment, committed[(size_t)w * n + i], err) ||
			    (w == 0 && committed[i] > 0 &&
			     !check_head(folder, segment, &files[i], err)))
				return false;
		}
	return true;
}

bool archive_check(const char *directory, const char *name, const struct archive_file *files,
		   size_t n, int workers, const int64_t *committed, struct error *err)
{
	AUTO(fd) int folder = archive_folder(directory, name, ".partial");

	if (folder < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open the folder \"%s/%s.partial\"",
				  directory, name);
	return check_segments(folder, files, n, 0, workers, committed, err);
}

static bool open_segment(struct archive_writer *w, size_t i, int64_t committed_bytes,
			 struct error *err)
{
	struct segment *s = &w->segments[i];
	AUTO(char_p) char *name = segment_name(w->files[i].name, w->worker);
	struct stat st;

	s->fd = openat(w->folder, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->fd < 0 || !hold_file(s->fd, name, err) || fstat(s->fd, &st) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open archive file \"%s\"", name);
	if (st.st_size < committed_bytes)
		return fail_short(name, (int64_t)st.st_size, committed_bytes, err);
	s->committed_bytes = committed_bytes;
	if (ftruncate(s->fd, committed_bytes) != 0 ||
	    lseek(s->fd, committed_bytes, SEEK_SET) != committed_bytes)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot cut back archive file \"%s\"",
				  name);
	s->written_bytes = committed_bytes;
	return true;
}

bool archive_writer_open(const char *directory, const char *name, int worker,
			 const struct archive_file *files, size_t n, const int64_t *committed_bytes,
			 struct archive_writer **ret, struct error *err)
{
	AUTO(writer) struct archive_writer *w = xcalloc(1, sizeof(*w));

	*w = (struct archive_writer){.files = files, .n = n, .worker = worker};
	w->segments = xcalloc(n ? n : 1, sizeof(*w->segments));
	for (size_t i = 0; i < n; i++)
		w->segments[i].fd = -1;
	w->folder = archive_folder(directory, name, ".partial");
	if (asprintf(&w->path, "%s/%s.partial", directory, name) < 0)
		must_alloc(NULL);
	if (w->folder < 0)
		return fail_errno(
			err, errno == ENOENT ? ERR_CONFIG : ERR_ENVIRONMENT,
			"cannot open the folder \"%s\", which holds rows that were erased",
			w->path);
	for (size_t i = 0; i < n; i++)
		if (!open_segment(w, i, committed_bytes[i], err))
			return false;
	if (!archive_sync_fd(w->folder, "the archive's folder", err))
		return false;
	*ret = w;
	w = NULL;
	return true;
}

void archive_writer_close(struct archive_writer *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->n; i++) {
		if (w->segments[i].fd >= 0)
			(void)close(w->segments[i].fd); /* synced before it counted */
		free(w->segments[i].buffer);
	}
	if (w->folder >= 0)
		(void)close(w->folder); /* read-only */
	free(w->segments);
	free(w->path);
	free(w);
}

static bool write_all(int fd, const char *bytes, size_t n, int64_t *written, const char *what,
		      struct error *err)
{
	while (n > 0) {
		const ssize_t done = write(fd, bytes, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return fail_errno(err, ERR_ENVIRONMENT, "cannot write archive file \"%s\"",
					  what);
		*written += done;
		bytes += done;
		n -= (size_t)done;
	}
	return true;
}

/* A file that somebody has cut would get a hole where it was cut, and have its length again. */
static bool begin_writing(struct archive_writer *w, size_t i, struct error *err)
{
	struct segment *s = &w->segments[i];
	AUTO(char_p) char *name = segment_name(w->files[i].name, w->worker);
	struct stat st;

	if (s->dirty)
		return true;
	if (fstat(s->fd, &st) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot look at archive file \"%s\"", name);
	if (st.st_size != s->written_bytes)
		return fail_short(name, (int64_t)st.st_size, s->written_bytes, err);
	s->dirty = true;
	return true;
}

bool archive_push(struct archive_writer *w, size_t i, struct error *err)
{
	struct segment *s = &w->segments[i];
	const size_t n = s->buffered;

	s->buffered = 0; /* on failure the batch is rolled back: the buffer's bytes are void */
	if (n > 0 && !begin_writing(w, i, err))
		return false;
	if (!write_all(s->fd, s->buffer, n, &s->written_bytes, w->files[i].name, err))
		return false;
	(void)sync_file_range(s->fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* a hint */
	return true;
}

static bool put(struct archive_writer *w, size_t i, const char *bytes, size_t n, struct error *err)
{
	struct segment *s = &w->segments[i];

	if (!s->buffer)
		s->buffer = must_alloc(malloc(BUFFER_BYTES));
	if (s->buffered + n > BUFFER_BYTES && !archive_push(w, i, err))
		return false;
	if (n > BUFFER_BYTES) { /* a row with a large attachment goes past the buffer */
		return begin_writing(w, i, err) &&
		       write_all(s->fd, bytes, n, &s->written_bytes, w->files[i].name, err);
	}
	memcpy(s->buffer + s->buffered, bytes, n);
	s->buffered += n;
	return true;
}

/* Worker 0's segment becomes the file: it begins with what a file begins with. */
static bool put_head(struct archive_writer *w, size_t i, struct error *err)
{
	const struct archive_file *f = &w->files[i];

	if (w->worker != 0 || archive_length(w, i) > 0)
		return true;
	return (!f->bom || put(w, i, bom, sizeof(bom) - 1, err)) &&
	       put(w, i, f->header, strlen(f->header), err);
}

bool archive_append(struct archive_writer *w, size_t i, const char *bytes, size_t n,
		    struct error *err)
{
	return put_head(w, i, err) && put(w, i, bytes, n, err);
}

/*
 * Somebody may have moved or deleted the folder or a file under our hands: what is written to an open
 * descriptor then is nowhere.  Erased rows are in the files that the job's end will find, or the batch
 * does not commit.
 */
static bool is_in_place(const struct archive_writer *w, size_t i, struct error *err)
{
	AUTO(char_p) char *name = segment_name(w->files[i].name, w->worker);
	struct stat open_file, named, folder, path;

	if (fstat(w->segments[i].fd, &open_file) == 0 &&
	    fstatat(w->folder, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	    fstat(w->folder, &folder) == 0 && lstat(w->path, &path) == 0 &&
	    open_file.st_ino == named.st_ino && open_file.st_dev == named.st_dev &&
	    folder.st_ino == path.st_ino && folder.st_dev == path.st_dev)
		return true;
	return fail(err, ERR_CONFIG,
		    "archive file \"%s/%s\" was moved or deleted while it is written to: put it "
		    "back; it holds rows that were erased",
		    w->path, name);
}

bool archive_sync(struct archive_writer *w, struct error *err)
{
	for (size_t i = 0; i < w->n; i++) {
		struct segment *s = &w->segments[i];

		if (!archive_push(w, i, err))
			return false;
		if (!s->dirty)
			continue;
		if (!is_in_place(w, i, err))
			return false;
		if (fdatasync(s->fd) != 0)
			return fail_errno(err, ERR_ENVIRONMENT, "cannot sync archive file \"%s\"",
					  w->files[i].name);
		s->dirty = false;
	}
	return true;
}

int64_t archive_length(const struct archive_writer *w, size_t i)
{
	return w->segments[i].written_bytes + (int64_t)w->segments[i].buffered;
}

void archive_commit(struct archive_writer *w)
{
	for (size_t i = 0; i < w->n; i++) {
		assert(w->segments[i].buffered == 0);
		w->segments[i].committed_bytes = w->segments[i].written_bytes;
	}
}

/* Opened anew, not only cut back: a descriptor that had an error of the disk is not trusted. */
bool archive_rollback(struct archive_writer *w, struct error *err)
{
	for (size_t i = 0; i < w->n; i++) {
		struct segment *s = &w->segments[i];

		s->buffered = 0;
		if (s->fd >= 0 && s->written_bytes == s->committed_bytes && !s->dirty)
			continue;
		if (s->fd >= 0)
			(void)close(s->fd); /* what it would have written is void */
		s->fd = -1;
		s->dirty = false;
		if (!open_segment(w, i, s->committed_bytes, err))
			return false;
	}
	return true;
}

/* Appends the first n bytes of segment name to fd. */
static bool append_segment(int folder, const char *name, int64_t n, int fd, struct error *err)
{
	AUTO(char_p) char *buffer = must_alloc(malloc(BUFFER_BYTES));
	AUTO(fd) int in = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int64_t written = 0;

	if (in < 0)
		return fail_errno(err, ERR_CONFIG, "archive file \"%s\" is missing", name);
	if (!hold_file(in, name, err))
		return false;
	while (n > 0) {
		const size_t want = n < (int64_t)BUFFER_BYTES ? (size_t)n : BUFFER_BYTES;
		const ssize_t got = read(in, buffer, want);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return fail(err, ERR_CONFIG,
				    "archive file \"%s\" is shorter than what was committed", name);
		if (!write_all(fd, buffer, (size_t)got, &written, name, err))
			return false;
		n -= got;
	}
	return true;
}

/* Opens worker 0's file, under the name that an earlier try at joining may have given it. */
static int open_joined(int folder, const char *file)
{
	AUTO(char_p) char *first = segment_name(file, 0);

	if (renameat(folder, first, folder, file) != 0 && errno != ENOENT)
		return -1;
	return openat(folder, file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static bool join_file(int folder, const struct archive_file *f, size_t i, size_t n, int workers,
		      const int64_t *committed, int64_t *ret_size, struct error *err)
{
	AUTO(fd) int fd = open_joined(folder, f->name);
	int64_t written = committed[i];
	struct stat st;

	if (fd < 0 || !hold_file(fd, f->name, err))
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open archive file \"%s\"", f->name);
	if (fstat(fd, &st) != 0 || st.st_size < committed[i])
		return fail(err, ERR_CONFIG,
			    "archive file \"%s\" is shorter than what was committed", f->name);
	if (ftruncate(fd, committed[i]) != 0 || lseek(fd, 0, SEEK_END) < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot cut back archive file \"%s\"",
				  f->name);
	if (committed[i] == 0 &&
	    ((f->bom && !write_all(fd, bom, sizeof(bom) - 1, &written, f->name, err)) ||
	     !write_all(fd, f->header, strlen(f->header), &written, f->name, err)))
		return false;
	for (int w = 1; w < workers; w++) {
		const int64_t bytes = committed[(size_t)w * n + i];
		AUTO(char_p) char *name = segment_name(f->name, w);

		if (bytes > 0 && !append_segment(folder, name, bytes, fd, err))
			return false;
		written += bytes;
	}
	*ret_size = written;
	return archive_sync_fd(fd, f->name, err);
}

bool archive_is_joined(const char *directory, const char *name, const struct archive_file *files,
		       size_t n, int workers, const int64_t *committed)
{
	AUTO(fd) int folder = archive_folder(directory, name, ".partial");

	for (size_t i = 0; folder >= 0 && i < n; i++) {
		const int64_t head = (files[i].bom ? (int64_t)sizeof(bom) - 1 : 0) +
				     (int64_t)strlen(files[i].header);
		int64_t size = committed[i] > 0 ? committed[i] : head;
		struct stat st;

		for (int w = 1; w < workers; w++)
			size += committed[(size_t)w * n + i];
		if (fstatat(folder, files[i].name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		    st.st_size != size)
			return false;
	}
	return folder >= 0;
}

bool archive_join(const char *directory, const char *name, const struct archive_file *files,
		  size_t n, int workers, const int64_t *committed, int64_t *ret_sizes,
		  struct error *err)
{
	AUTO(fd) int folder = archive_folder(directory, name, ".partial");

	if (folder < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open the folder \"%s/%s.partial\"",
				  directory, name);
	/* All, before any: where a segment is gone, what is joined already may hold its rows. */
	if (!check_segments(folder, files, n, 1, workers, committed, err))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!join_file(folder, &files[i], i, n, workers, committed, &ret_sizes[i], err))
			return false;
	return archive_sync_fd(folder, "the archive's folder", err);
}

bool archive_write_file(const char *directory, const char *name, const char *file, const char *text,
			struct error *err)
{
	AUTO(fd) int folder = archive_folder(directory, name, ".partial");
	AUTO(char_p) char *temporary = NULL;
	AUTO(fd) int fd = -1;
	int64_t written = 0;

	if (asprintf(&temporary, "%s.tmp", file) < 0)
		must_alloc(NULL);
	if (folder < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open the folder \"%s/%s.partial\"",
				  directory, name);
	fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open \"%s\"", temporary);
	if (!write_all(fd, text, strlen(text), &written, file, err) ||
	    !archive_sync_fd(fd, file, err))
		return false;
	if (renameat(folder, temporary, folder, file) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot rename \"%s\"", temporary);
	return archive_sync_fd(folder, "the archive's folder", err);
}
