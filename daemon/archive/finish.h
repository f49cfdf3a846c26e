/*
 * The end of an archive: its segments are checked and joined, its small files written, its folder sealed.
 * Knows files, no SQL.
 */
#pragma once

#include "archive/writer.h"

/*
 * Checks that the segments of all workers are there, that none is shorter than its committed length
 * (bytes[worker * n_files + file]), and that each file begins with its header.  CONFIG where not: the disk
 * has lost rows that are nowhere else, or the file was begun with another header.  Before any are joined.
 */
bool archive_check(const struct archive *a, int workers, const int64_t *bytes, struct error *err);

/* Has an earlier archive_join() done its work?  The lengths of the joined files tell. */
bool archive_is_joined(const struct archive *a, int workers, const int64_t *bytes);

/*
 * Joins the segments of all workers, each up to its committed length (as above).  Can be repeated after a
 * crash at any line.  ret_sizes (n_files) gets the lengths of the joined files.
 */
bool archive_join(const struct archive *a, int workers, const int64_t *bytes, int64_t *ret_sizes,
		  struct error *err);

/*
 * Removes what is left of segments, whichever worker began them, and archive/encrypt.h's note, then renames
 * NAME.partial to NAME, durably.  Once the segments are joined.
 */
bool archive_seal(const struct archive *a, struct error *err);

/* Is a small file of that name in the unfinished folder? */
bool archive_has_file(const struct archive *a, const char *file);

/* Writes a small file of the unfinished folder durably: temporary name, fsync, rename, fsync of the folder. */
bool archive_write_file(const struct archive *a, const char *file, const char *text,
			struct error *err);

/* The text of a small file of the finished folder, owned by ctx; NULL with err. */
char *archive_read_file(const struct archive *a, const char *file, void *ctx, struct error *err);

/* How many bytes the files of the finished folder, encrypted or not, hold together. */
bool archive_size(const struct archive *a, int64_t *ret_bytes, struct error *err);

/* SHA-256 of a file of the unfinished folder, as 64 hexadecimal digits and a NUL. */
bool archive_digest(const struct archive *a, const char *file, char ret_hex[65], struct error *err);
