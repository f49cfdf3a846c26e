/*
 * Folders of archives, and the names in them; for the files of archive/ only.
 */
#pragma once

#include "archive/layout.h"
#include "archive/writer.h"

#define BUFFER_BYTES ((size_t)64 * 1024)

/* The folder NAMEsuffix, a descriptor that the caller closes; -1 with errno: it cannot be opened. */
int archive_folder(const struct archive *a, const char *suffix);

/* The folder NAME.partial; -1 with err. */
int archive_partial(const struct archive *a, struct error *err);

/* The names in folder/name, ended by a NULL, owned by ctx; NULL with errno: it cannot be read. */
const char **archive_list(int folder, const char *name, void *ctx);

/* The length of a file; -1 with errno: it is not there, or not a file. */
int64_t archive_file_bytes(int folder, const char *file);

/* The line "DIGEST  NAME" of a text like SHA256SUMS, with `end` behind the name; NULL: it has none. */
const char *archive_find_sum(const char *sums, const char *name, char end);

/*
 * What is behind ".csv" in TABLE.csv, and in what such a file is called while a job runs (TABLE.csv.3).
 * NULL: not such a name.
 */
const char *archive_suffix(const char *file);

/* Is it the name of a segment, TABLE.csv.3? */
bool archive_is_segment(const char *file);

/* The name of worker's segment of file; the caller frees it. */
char *archive_segment(const char *file, int worker);

/* Locks a segment until fd is closed.  ENVIRONMENT: another process has it open. */
bool archive_hold(int fd, const char *name, struct error *err);

/* Fails with CONFIG: the disk has lost committed bytes of the file. */
bool archive_fail_short(const char *name, int64_t bytes, int64_t committed_bytes,
			struct error *err);
