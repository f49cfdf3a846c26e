/*
 * The documents of all data about one contact that operators have asked for (GDPR art. 15): encrypted files below
 * archives.directory, each named by its request, and kept for a time.
 */
#pragma once

#include "database/db.h"
#include "job/job.h"

#define DOCUMENT_FOLDER "documents" /* below archives.directory */

/* Writes a document durably, for archives.recipients.  ENVIRONMENT: age or the disk fails.  CONFIG: the directory. */
bool document_write(const struct config *config, const char *name, const char *text,
		    int64_t *ret_bytes, struct error *err);

/* Opens a document for reading; *ret_fd is the caller's.  CONFIG: it is not there, or not such a file. */
bool document_open(const char *directory, const char *name, int *ret_fd, int64_t *ret_bytes,
		   struct error *err);

/*
 * Removes the documents of this host whose time is over, and files that no request has, as those of a process that died
 * and those of a database that was restored from a backup since.  *ret_removed counts them.
 */
bool document_expire(struct db *db, const struct job_opts *opts, int *ret_removed,
		     struct error *err);
