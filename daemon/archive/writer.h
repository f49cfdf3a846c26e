/*
 * Archive files: append, commit length, recover, finish.  Knows files, no SQL.
 *
 * While a job runs its folder is called NAME.partial and holds, per table and worker, a segment
 * (contact.csv.0, contact.csv.1, ...).  What of a segment is true is its committed length, which the
 * database keeps: the file may be longer, after a crash, and is then cut back.  Finishing joins the
 * segments, writes SHA256SUMS and manifest.json, and renames the folder to NAME.
 * Folders are 0700, files 0600.
 */
#ifndef RETENTION_ARCHIVE_WRITER_H
#define RETENTION_ARCHIVE_WRITER_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* One file of an archive. */
struct archive_file {
	const char *name; /* "contact.csv" */
	const char *header; /* its first line */
	bool bom;
};

struct archive_writer; /* one worker's segments */

/*
 * Makes the folder NAME.partial under directory, durably; fine if it is there and empty.
 * directory itself must exist.  resumed: something was committed before, so a missing folder is a
 * failure (CONFIG: the files of this job lie elsewhere, or are lost).
 */
bool archive_create(const char *directory, const char *name, bool resumed, struct error *err);

/* Is there a finished folder of that name?  One that is being worked on? */
bool archive_is_finished(const char *directory, const char *name);
bool archive_is_begun(const char *directory, const char *name);

/*
 * Opens worker's segments of files (n, outliving the writer) at the lengths that the database has
 * committed: longer ones are cut back, shorter ones are a failure (the disk lost what was synced).
 * ENVIRONMENT while another process has one of them open.
 */
bool archive_writer_open(const char *directory, const char *name, int worker,
			 const struct archive_file *files, size_t n, const int64_t *committed_bytes,
			 struct archive_writer **ret, struct error *err);

/*
 * Are the segments of all workers there, none shorter than its committed[w * n + i] bytes, and begun with the header
 * that they are to have?  CONFIG where not: the disk has lost rows that are nowhere else, or the delimiter has changed.
 * Before any of them are joined.
 */
bool archive_check(const char *directory, const char *name, const struct archive_file *files,
		   size_t n, int workers, const int64_t *committed, struct error *err);

/* Fails with CONFIG, and says what to do: the file was begun with another header. */
bool archive_fail_head(const char *name, struct error *err);

/* Closes without syncing: what is not committed is lost anyway.  NULL is fine. */
void archive_writer_close(struct archive_writer *w);

static inline void auto_writer(struct archive_writer **w)
{
	archive_writer_close(*w);
}

/* Appends to file i.  ENVIRONMENT when the disk is full or failing. */
bool archive_append(struct archive_writer *w, size_t i, const char *bytes, size_t n,
		    struct error *err);

/* Everything appended is on the disk when this returns true. */
bool archive_sync(struct archive_writer *w, struct error *err);

/*
 * No more comes for file i in this batch: the system may begin to write it to the disk while the batch goes
 * on.  A hint, which promises nothing: archive_sync() does.
 */
bool archive_push(struct archive_writer *w, size_t i, struct error *err);

/* The length of file i with all that was appended: what the transaction commits. */
int64_t archive_length(const struct archive_writer *w, size_t i);

/* The transaction has committed: the lengths are true. */
void archive_commit(struct archive_writer *w);

/* The transaction has rolled back: cuts back to the lengths that are true. */
bool archive_rollback(struct archive_writer *w, struct error *err);

/* Has an earlier archive_join() done its work?  By the lengths that the joined files would have. */
bool archive_is_joined(const char *directory, const char *name, const struct archive_file *files,
		       size_t n, int workers, const int64_t *committed);

/*
 * Joins the segments of all workers: committed[w * n + i] bytes of worker w's file i.  Can be
 * repeated after a crash at any line.  ret_sizes (n) gets the lengths of the joined files.
 */
bool archive_join(const char *directory, const char *name, const struct archive_file *files,
		  size_t n, int workers, const int64_t *committed, int64_t *ret_sizes,
		  struct error *err);

/*
 * Removes what is left of segments, whoever began them (and archive/encrypt.h's note), and renames NAME.partial to NAME,
 * durably.  Once they are joined.
 */
bool archive_seal(const char *directory, const char *name, struct error *err);

/* Writes a small file of the folder durably: temporary name, fsync, rename, fsync of the folder. */
bool archive_write_file(const char *directory, const char *name, const char *file, const char *text,
			struct error *err);

/* How many bytes the files of the finished folder, encrypted or not, hold together. */
bool archive_size(const char *directory, const char *name, const struct archive_file *files,
		  size_t n, int64_t *ret_bytes, struct error *err);

/* The text of a small file of the finished folder; the caller frees it. */
bool archive_read_file(const char *directory, const char *name, const char *file, char **ret_text,
		       struct error *err);

/* SHA-256 of a file of the folder, as 64 hexadecimal digits and a NUL. */
bool archive_digest(const char *directory, const char *name, const char *file, char ret_hex[65],
		    struct error *err);

#endif
