/*
 * A finished archive as it lies in its folder: found, verified and read, whatever the journal or the
 * folder say.  (archive/writer.h is the side that writes.)
 */
#ifndef RETENTION_ARCHIVE_READER_H
#define RETENTION_ARCHIVE_READER_H

#include "config/config.h"
#include "database/db.h"

struct stored; /* one archive, its folder open */

/*
 * Opens the archive of action id, below config's archives.directory, and reads SHA256SUMS and
 * manifest.json.  It is owned by ctx, which closes it.  CONFIG: there is none, it was deleted, is not
 * finished, or leads out of the directory.
 */
bool stored_open(struct db *db, const struct config *config, int id, void *ctx, struct stored **ret,
		 struct error *err);

/*
 * Every file against SHA256SUMS, the manifest against the sums and the journal's row counts, the sums
 * against the digest that the journal has.  What does not hold goes to stdout, a line a finding, and
 * with tell_good what holds, too; any finding is a failure.
 */
bool stored_verify(struct db *db, const struct stored *s, bool tell_good, struct error *err);

/* The text of manifest.json. */
const char *stored_manifest(const struct stored *s);

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
