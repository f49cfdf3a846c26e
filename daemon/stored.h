/*
 * A finished archive as it lies in its folder: found, verified and read, whatever the journal or the
 * folder say.  (archive.h is the side that writes.)
 */
#ifndef RETENTION_STORED_H
#define RETENTION_STORED_H

#include "config.h"
#include "db.h"

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

/*
 * A file of the archive for reading from its first byte to its last, as it was archived: the caller's
 * to close; -1 with err.  What is read may be a pipe, so it is never sought in.
 */
int stored_open_file(const struct stored *s, const char *name, struct error *err);

#endif
