/*
 * archives.directory belongs to one database.  Its file "identity" says which: the random id that the table
 * retention.identity has too, the server's system identifier, the database's oid, the server's timeline, and when a
 * person has adopted the directory for the database.  A copy with the same directory would erase into the original's
 * ledger.  The original would then look older than its ledger, and a replay would erase in it what the copy erased.
 *
 * A copy of the whole server that is not promoted has all of this in common with the original, and is not found here.
 */
#pragma once

#include "database/db.h"

#define IDENTITY_FILE "identity"

/*
 * May db's database use the directory?  CONFIG: the directory is another database's, or the database is a copy; the
 * text says what to do.  Writes nothing.
 */
bool identity_check(struct db *db, const char *directory, struct error *err);

/*
 * The same; and if adopt_directory() has said since that the database takes the place of the directory's, binds it now, so
 * that the database that it replaces is refused from then on.
 */
bool identity_bind_adopted(struct db *db, const char *directory, struct error *err);

/*
 * The same, before the first write into the directory.  Checks that nobody else can write in it, and binds the two to
 * each other where they are not yet, or no longer: at first, after a restored backup, a failover or an adoption.
 */
bool identity_bind(struct db *db, const char *directory, struct error *err);
