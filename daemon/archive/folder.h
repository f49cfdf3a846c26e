/*
 * What archive/writer.c and its like (archive/folder.c, archive/finish.c, archive/remove.c) share; nobody else's.
 */
#ifndef RETENTION_ARCHIVE_FOLDER_H
#define RETENTION_ARCHIVE_FOLDER_H

#include "archive/writer.h"

#include <dirent.h>

#define BUFFER_BYTES ((size_t)64 * 1024)

/* A descriptor of directory/NAMEsuffix, the caller's to close; below 0, with errno: it cannot be opened. */
int archive_folder(const char *directory, const char *name, const char *suffix);

/* The entries of folder/name, the caller's to closedir(3); NULL, with errno: they cannot be read. */
DIR *archive_entries(int folder, const char *name);

/* Of TABLE.csv, and what it is called while a job runs (TABLE.csv.3), what is behind ".csv"; NULL: no such name. */
const char *archive_suffix(const char *file);

/* fsync(2); what: for the message. */
bool archive_sync_fd(int fd, const char *what, struct error *err);

#endif
