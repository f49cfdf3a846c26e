/*
 * The documents of all data about one contact that operators have asked for (GDPR art. 15): encrypted files below
 * archives.directory, each named by its request, and kept for a time.
 */
#pragma once

#include "base/error.h"

#include <stdint.h>

#define DOCUMENT_FOLDER "documents" /* below archives.directory */

/* Opens a document for reading; *ret_fd is the caller's.  CONFIG: it is not there, or not such a file. */
bool document_open(const char *directory, const char *name, int *ret_fd, int64_t *ret_bytes,
		   struct error *err);
