/*
 * The last step of an archive that is kept encrypted: each joined file NAME.csv in NAME.partial becomes
 * NAME.csv.age, and the plain file is removed.  Knows files and age, no SQL.
 */
#pragma once

#include "archive/manifest.h"
#include "archive/writer.h"

/*
 * Has an earlier try noted what the plain files were?  Then joining is over and must not be repeated,
 * because plain files may be gone.  *ret_recipients (*ret_n, owned by ctx) are the recipients of that try:
 * they stand, whatever the configuration says now.  *ret_n 0: nothing is noted.
 */
bool archive_encryption_begun(const struct archive *a, void *ctx,
			      const char *const **ret_recipients, size_t *ret_n, struct error *err);

/*
 * Notes the files (joined, synced) and the n recipients, then encrypts file by file.  Can be repeated after
 * a crash at any line.  Sets bytes, plain_bytes and plain_sha256 of each of the files (n_files).
 * ENVIRONMENT: age has failed, or the disk; CONFIG: a file that was noted is there neither plain nor
 * encrypted.
 */
bool archive_encrypt(const struct archive *a, const char *const *recipients, size_t n,
		     struct manifest_file *files, struct error *err);
