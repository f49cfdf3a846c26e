/*
 * A finished archive as it lies in its folder: found, verified and read, whatever the journal or the
 * folder say.  (archive/writer.h is the side that writes.)
 */
#ifndef RETENTION_ARCHIVE_READER_H
#define RETENTION_ARCHIVE_READER_H

#include "base/error.h"

struct stored; /* one archive, its folder open */

/*
 * Opens the archive at path, which must lie below root (archives.directory), and reads SHA256SUMS and
 * manifest.json.  It is owned by ctx, which closes it.  CONFIG: it cannot be read, or leads out of root.
 */
bool stored_open(const char *root, const char *path, void *ctx, struct stored **ret,
		 struct error *err);

/*
 * Holds every file against SHA256SUMS.  Prints a line to stdout for each that does not hold, and with
 * tell_good for each that does; *ret_bad counts the first.  false: SHA256SUMS itself cannot be used.
 */
bool stored_verify_files(const struct stored *s, bool tell_good, int *ret_bad, struct error *err);

/* The texts of manifest.json and SHA256SUMS; owned by s. */
const char *stored_manifest(const struct stored *s);
const char *stored_sums(const struct stored *s);

struct stored_file; /* one file, being read */

/*
 * A file of the archive for reading from its first byte to its last, as it was archived; name as it is
 * stored.  One that is encrypted (NAME.age) takes identity, the path of age's identity file.  The
 * caller closes it.
 */
bool stored_file_open(const struct stored *s, const char *name, const char *identity,
		      struct stored_file **ret, struct error *err);

/* What to read from; it may be a pipe, so it is never sought in. */
int stored_file_fd(const struct stored_file *file);

/* At its end: was that all of it, and undamaged?  Nothing that was read counts before. */
bool stored_file_end(struct stored_file *file, struct error *err);

/* NULL is fine. */
void stored_file_close(struct stored_file *file);

static inline void auto_stored_file(struct stored_file **file)
{
	stored_file_close(*file);
}

#endif
