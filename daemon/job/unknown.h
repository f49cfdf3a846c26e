/*
 * Archives in archives.directory that the journal does not know.
 */
#pragma once

#include "database/db.h"
#include "job/job.h"

/*
 * Reads archives.directory, and sees to it that no number that it or the ledger has used is given again.  *ret has a row
 * a folder that the journal does not know: entry (its name in the directory), name (of the archive), job.
 */
bool unknown_find(struct db *db, const char *directory, PGresult **ret, struct error *err);

/* CONFIG: the number of the action is that of an archive that the journal does not know. */
bool unknown_check_number(struct db *db, const struct job_opts *opts, struct error *err);

/* Records all of them in retention.unknown_archive, as opts->host sees them, and forgets those that are gone. */
bool unknown_record(struct db *db, const struct job_opts *opts, struct error *err);
