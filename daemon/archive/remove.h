/*
 * Removes the files of an archive that was deleted.  Knows files, no SQL: the caller has committed to the
 * journal that the archive is deleted, and records afterwards that its files are gone.
 */
#pragma once

#include "base/error.h"

/* Is there a folder of the archive called name under directory, whole or half removed? */
bool archive_is_there(const char *directory, const char *name);

/*
 * Removes the files of the archive called name under directory, durably, and what an earlier try left of
 * them.  The empty folder stays for archive_remove_folders(): so a crash before the caller has recorded the
 * removal cannot be mistaken for an archive that was never there.  name is one component of a path; any
 * other is refused.  Touches nothing outside that folder, and in it only the archive's own files.
 *
 * CONFIG: something in the folder is not the archive's (the text says what): nothing was touched, unless it
 * came during the removal.  ENVIRONMENT: the disk fails; try again.  A missing archive is not a failure:
 * *ret_found says whether anything was there.
 */
bool archive_remove(const char *directory, const char *name, bool *ret_found, struct error *err);

/* Removes the empty folders that archive_remove() has left under directory.  Others stay. */
bool archive_remove_folders(const char *directory, struct error *err);
