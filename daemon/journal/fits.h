/* Is the schema retention of a database the one that this program is for? */
#pragma once

#include "database/db.h"

/*
 * false with ERR_ENVIRONMENT if it is of another version: an administrator upgrades one of the two, and what was to be done
 * is done then.  Asked by each process before it works on the journal, because the schema can be upgraded while the daemon
 * is running.
 */
bool schema_fits(struct db *db, struct error *err);
