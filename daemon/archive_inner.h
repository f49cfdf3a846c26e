/*
 * What archive.c and archive_read.c share; nobody else's.
 */
#ifndef RETENTION_ARCHIVE_INNER_H
#define RETENTION_ARCHIVE_INNER_H

#include "archive.h"

#define BUFFER_BYTES ((size_t)64 * 1024)

/* A descriptor of directory/NAMEsuffix, the caller's to close; below 0, with errno: it cannot be opened. */
int archive_folder(const char *directory, const char *name, const char *suffix);

/* fsync(2); what: for the message. */
bool archive_sync_fd(int fd, const char *what, struct error *err);

#endif
