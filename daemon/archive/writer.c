/*
 * The steps, and what happens when something dies in each of them.  The batch (batch/batch.c) appends, syncs and
 * commits the lengths in its transaction.  The lengths count only from then on:
 *
 *   open        an earlier process of the job may still live, stopped or cut off: each file is
 *               locked (flock) by the process that writes it.
 *   append      process or disk dies: the transaction never commits; the file is longer than its
 *               committed length and is cut back when the job resumes.
 *   sync        the same; a sync that fails (EIO) fails the batch, and the descriptor is not trusted
 *               again, because Linux forgets the error after telling it once: the job reopens the file
 *               and cuts it back to what an earlier sync has confirmed.
 *   COMMIT      the database decides: its length says whether the bytes behind it count.
 *
 * archive/finish.c says the same of the end.
 */
#include "archive/folder.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

struct segment {
	int fd;
	char *buffer; /* BUFFER_BYTES, made at the first append */
	size_t buffered;
	int64_t written_bytes; /* in the file, the buffer not counted */
	int64_t committed_bytes;
	bool dirty; /* written since the last sync */
};

struct archive_writer {
	const struct archive *archive;
	char *path; /* of the folder */
	int folder;
	int worker;
	struct segment *segments;
};

static char *segment_name(const struct archive_writer *w, size_t i)
{
	return archive_segment(w->archive->files[i].name, w->worker);
}

static bool open_segment(struct archive_writer *w, size_t i, int64_t committed_bytes,
			 struct error *err)
{
	struct segment *s = &w->segments[i];
	AUTO(char_p) char *name = segment_name(w, i);
	struct stat st;

	s->fd = openat(w->folder, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->fd < 0 || !archive_hold(s->fd, name, err) || fstat(s->fd, &st) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open archive file \"%s\"", name);
	if (st.st_size < committed_bytes)
		return archive_fail_short(name, (int64_t)st.st_size, committed_bytes, err);
	s->committed_bytes = committed_bytes;
	if (ftruncate(s->fd, committed_bytes) != 0 ||
	    lseek(s->fd, committed_bytes, SEEK_SET) != committed_bytes)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot cut back archive file \"%s\"",
				  name);
	s->written_bytes = committed_bytes;
	return true;
}

bool archive_writer_open(const struct archive *a, int worker, const int64_t *committed_bytes,
			 struct archive_writer **ret, struct error *err)
{
	AUTO(writer) struct archive_writer *w = t_zero(NULL, struct archive_writer);

	w->archive = a;
	w->worker = worker;
	w->segments = t_array(w, struct segment, a->n_files + 1);
	for (size_t i = 0; i < a->n_files; i++)
		w->segments[i].fd = -1;
	w->folder = archive_folder(a, ARCHIVE_PARTIAL);
	w->path = t_printf(w, "%s/%s" ARCHIVE_PARTIAL, a->directory, a->name);
	if (w->folder < 0)
		return fail_errno(
			err, errno == ENOENT ? ERR_CONFIG : ERR_ENVIRONMENT,
			"cannot open the folder \"%s\", which holds rows that were erased",
			w->path);
	for (size_t i = 0; i < a->n_files; i++)
		if (!open_segment(w, i, committed_bytes[i], err))
			return false;
	if (!file_sync(w->folder, w->path, err))
		return false;
	*ret = w;
	w = NULL;
	return true;
}

void archive_writer_close(struct archive_writer *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->archive->n_files; i++)
		if (w->segments[i].fd >= 0)
			(void)close(w->segments[i].fd); /* synced before it counted */
	if (w->folder >= 0)
		(void)close(w->folder); /* read-only */
	talloc_free(w);
}

/*
 * Look at the length before the first write: a file that somebody has cut would get a hole where it was
 * cut, and have its length again.
 */
static bool begin_writing(struct archive_writer *w, size_t i, struct error *err)
{
	struct segment *s = &w->segments[i];
	AUTO(char_p) char *name = segment_name(w, i);
	struct stat st;

	if (s->dirty)
		return true;
	if (fstat(s->fd, &st) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot look at archive file \"%s\"", name);
	if (st.st_size != s->written_bytes)
		return archive_fail_short(name, (int64_t)st.st_size, s->written_bytes, err);
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
	if (!file_write(s->fd, s->buffer, n, &s->written_bytes, w->archive->files[i].name, err))
		return false;
	(void)sync_file_range(s->fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* a hint */
	return true;
}

static bool put(struct archive_writer *w, size_t i, const char *bytes, size_t n, struct error *err)
{
	struct segment *s = &w->segments[i];

	if (!s->buffer)
		s->buffer = t_array(w, char, BUFFER_BYTES);
	if (s->buffered + n > BUFFER_BYTES && !archive_push(w, i, err))
		return false;
	if (n > BUFFER_BYTES) { /* a row with a large attachment goes past the buffer */
		return begin_writing(w, i, err) && file_write(s->fd, bytes, n, &s->written_bytes,
							      w->archive->files[i].name, err);
	}
	memcpy(s->buffer + s->buffered, bytes, n);
	s->buffered += n;
	return true;
}

/* Worker 0's segment becomes the file, so it begins as the file does. */
static bool put_head(struct archive_writer *w, size_t i, struct error *err)
{
	const char *head = w->archive->files[i].head;

	return w->worker != 0 || archive_length(w, i) > 0 || put(w, i, head, strlen(head), err);
}

bool archive_append(struct archive_writer *w, size_t i, const char *bytes, size_t n,
		    struct error *err)
{
	return put_head(w, i, err) && put(w, i, bytes, n, err);
}

/*
 * Somebody may have moved or deleted the folder or a file meanwhile; bytes that are then written to the open
 * descriptor are nowhere.  The batch commits only while the job's end will find the rows in these files.
 */
static bool is_in_place(const struct archive_writer *w, size_t i, struct error *err)
{
	AUTO(char_p) char *name = segment_name(w, i);
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
	for (size_t i = 0; i < w->archive->n_files; i++) {
		struct segment *s = &w->segments[i];

		if (!archive_push(w, i, err))
			return false;
		if (!s->dirty)
			continue;
		if (!is_in_place(w, i, err))
			return false;
		if (fdatasync(s->fd) != 0)
			return fail_errno(err, ERR_ENVIRONMENT, "cannot sync archive file \"%s\"",
					  w->archive->files[i].name);
		s->dirty = false;
	}
	return true;
}

int64_t archive_length(const struct archive_writer *w, size_t i)
{
	return w->segments[i].written_bytes + (int64_t)w->segments[i].buffered;
}

int64_t archive_committed(const struct archive_writer *w)
{
	int64_t sum = 0;

	for (size_t i = 0; i < w->archive->n_files; i++)
		sum += w->segments[i].committed_bytes;
	return sum;
}

void archive_commit(struct archive_writer *w)
{
	for (size_t i = 0; i < w->archive->n_files; i++) {
		assert(w->segments[i].buffered == 0);
		w->segments[i].committed_bytes = w->segments[i].written_bytes;
	}
}

/* Opens the files anew instead of only cutting them back: a descriptor that had a disk error is not trusted. */
bool archive_rollback(struct archive_writer *w, struct error *err)
{
	for (size_t i = 0; i < w->archive->n_files; i++) {
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
