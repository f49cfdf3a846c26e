/*
 * The end of an archive: its segments are checked and joined, its files maybe encrypted, its small files
 * written, its folder sealed.  Knows files and age, no SQL.
 */
#pragma once

#include "archive/manifest.h"
#include "archive/writer.h"

/*
 * Checks that the segments of all workers are there, that none is shorter than its committed length
 * (bytes[worker * n_files + file]), and that each file begins with its header.  CONFIG where not: the disk
 * has lost rows that are nowhere else, or the file was begun with another header.  Before any are joined.
 */
bool archive_check(const struct archive *a, int workers, const int64_t *bytes, struct error *err);

/*
 * Joins the segments of all workers, each up to its committed length (as above).  Can be repeated after a
 * crash at any line.  Sets bytes, the length of the joined file, of each of the files (n_files).
 */
bool archive_join(const struct archive *a, int workers, const int64_t *bytes,
		  struct manifest_file *files, struct error *err);

/*
 * Has an earlier try noted what the plain files were?  Then joining is over and must not be repeated,
 * because plain files may be gone.  *ret_recipients (*ret_n, owned by ctx) are the recipients of that try:
 * they stand, whatever the configuration says now.  *ret_n 0: nothing is noted.
 */
bool archive_encryption_begun(const struct archive *a, void *ctx,
			      const char *const **ret_recipients, size_t *ret_n, struct error *err);

/* A text that becomes an encrypted file. */
struct archive_text {
	const char *name; /* of the file */
	const char *text;
	const char *const *recipients; /* n_recipients */
	size_t n_recipients;
};

/*
 * Writes a text to its file in folder durably, encrypted, in the place of an older file.  The plain text
 * is never in a file with a name.  ENVIRONMENT: age has failed, or the disk.
 */
bool archive_encrypt_text(int folder, const struct archive_text *text, int64_t *ret_bytes,
			  struct error *err);

/*
 * Notes the files (joined, synced) and the n recipients, then encrypts file by file.  Can be repeated after
 * a crash at any line.  Sets bytes, plain_bytes and plain_sha256 of each of the files (n_files).
 * ENVIRONMENT: age has failed, or the disk; CONFIG: a file that was noted is there neither plain nor
 * encrypted.
 */
bool archive_encrypt(const struct archive *a, const char *const *recipients, size_t n,
		     struct manifest_file *files, struct error *err);

/*
 * Has an earlier try written the manifest?  Then the files are on the disk, joined or encrypted.  A manifest
 * without the files that it names is not this job's: nothing is skipped because of it.
 */
bool archive_is_whole(const struct archive *a, int workers, const int64_t *bytes);

/*
 * Removes what is left of segments, whichever worker began them, and the notes of the end, then renames
 * NAME.partial to NAME, durably.  Once the segments are joined.
 */
bool archive_seal(const struct archive *a, struct error *err);

/* Writes a small file of the unfinished folder durably: temporary name, fsync, rename, fsync of the folder. */
bool archive_write_file(const struct archive *a, const char *file, const char *text,
			struct error *err);

/* The text of a small file of the finished folder, owned by ctx; NULL with err. */
char *archive_read_file(const struct archive *a, const char *file, void *ctx, struct error *err);

/* How many bytes the files of the finished folder, encrypted or not, hold together. */
bool archive_size(const struct archive *a, int64_t *ret_bytes, struct error *err);

/* SHA-256 of a file of the unfinished folder, as 64 hexadecimal digits and a NUL. */
bool archive_digest(const struct archive *a, const char *file, char ret_hex[65], struct error *err);
