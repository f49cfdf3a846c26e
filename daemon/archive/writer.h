/*
 * An archive that is being written: its folder, and each worker's segments of its files.  Knows files, no
 * SQL.  archive/finish.h is the end of it.
 *
 * While a job runs its folder is called NAME.partial and holds, per table and worker, a segment
 * (contact.csv.0, contact.csv.1, ...).  The database keeps the committed length of each segment, and only
 * that much of it counts: after a crash the file may be longer, and is then cut back.  Finishing joins the
 * segments, writes SHA256SUMS and manifest.json, and renames the folder to NAME.
 * Folders are 0700, files 0600; a finished archive can be open to the group (archive_seal()).
 */
#pragma once

#include "base/error.h"
#include "base/mem.h"

#include <stddef.h>
#include <stdint.h>

/* One file of an archive. */
struct archive_file {
	const char *name; /* "contact.csv" */
	const char *head; /* its first line, behind the byte order mark where it has one */
};

/* One archive. */
struct archive {
	const char *directory; /* archives.directory, which must exist */
	const char *name; /* of its folder, one component; NULL: nothing is archived */
	struct archive_file *files; /* n_files */
	size_t n_files;
	bool group_readable; /* once it is finished, its folder's group reads it */
};

struct archive_writer; /* one worker's segments */

/*
 * Makes the folder NAME.partial, durably; a folder that is there already must be empty.  resumed:
 * something was committed before, so a missing folder is a failure (CONFIG: the files of this job lie
 * elsewhere, or are lost).
 */
bool archive_create(const struct archive *a, bool resumed, struct error *err);

/* Is there a finished folder of that name? */
bool archive_is_finished(const struct archive *a);

/* Is there a folder of that name that a job is at work on? */
bool archive_is_begun(const struct archive *a);

/*
 * Opens worker's segments of the archive's files (a outlives the writer) at the lengths that the database
 * has committed (n_files): longer segments are cut back, shorter ones are a failure, because the disk has
 * lost what was synced.  ENVIRONMENT while another process has one of them open.
 */
bool archive_writer_open(const struct archive *a, int worker, const int64_t *committed_bytes,
			 struct archive_writer **ret, struct error *err);

/* Fails with CONFIG, and says what to do: the file was begun with another header. */
bool archive_fail_head(const char *name, struct error *err);

/* Closes without syncing: what is not committed is lost anyway.  NULL is fine. */
void archive_writer_close(struct archive_writer *w);

DEFINE_AUTO(writer, struct archive_writer, archive_writer_close)

/* Appends to file i.  ENVIRONMENT when the disk is full or failing. */
bool archive_append(struct archive_writer *w, size_t i, const char *bytes, size_t n,
		    struct error *err);

/* Everything appended is on the disk when this returns true. */
bool archive_sync(struct archive_writer *w, struct error *err);

/*
 * Says that nothing more comes for file i in this batch, so that the system may write it to the disk while
 * the batch goes on.  Promises nothing: archive_sync() does.
 */
bool archive_push(struct archive_writer *w, size_t i, struct error *err);

/* The length of file i with all that was appended: what the transaction commits. */
int64_t archive_length(const struct archive_writer *w, size_t i);

/* The committed bytes of all its segments. */
int64_t archive_committed(const struct archive_writer *w);

/* The transaction has committed: the lengths are true. */
void archive_commit(struct archive_writer *w);

/* The transaction has rolled back: cuts back to the lengths that are true. */
bool archive_rollback(struct archive_writer *w, struct error *err);
