/*
 * Removes the files of an archive that was deleted.  Knows files, no SQL: who calls has committed to
 * the journal that the archive is deleted, and records afterwards that its files are gone.
 */
#ifndef RETENTION_ARCHIVE_REMOVE_H
#define RETENTION_ARCHIVE_REMOVE_H

#include "base/error.h"

/* Is there a folder of the archive called name under directory, whole or half removed? */
bool archive_is_there(const char *directory, const char *name);

/*
 * Removes the files of the archive called name under directory, durably, and what an earlier try left
 * of them; the empty folder stays for archive_remove_folders(), so that a crash before the caller has
 * recorded it cannot be taken for an archive that was never there.  name is one component of a path;
 * one that is anything else is refused.  Nothing outside that folder can be touched, and in it nothing
 * but the archive's own files.
 *
 * CONFIG: something in the folder is not the archive's (the text says what): nothing was touched,
 * unless it came while we removed.  ENVIRONMENT: the disk fails; try again.  That nothing is there is
 * no failure: *ret_found says whether anything was.
 */
bool archive_remove(const char *directory, const char *name, bool *ret_found, struct error *err);

/* Removes the empty folders that archive_remove() has left under directory.  One that is not empty stays. */
bool archive_remove_folders(const char *directory, struct error *err);

#endif
