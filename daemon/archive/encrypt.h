/*
 * The last step of an archive that is kept encrypted: of each joined file NAME.csv in NAME.partial
 * becomes NAME.csv.age, and the plain one goes.  Knows files and age, no SQL.
 */
#ifndef RETENTION_ARCHIVE_ENCRYPT_H
#define RETENTION_ARCHIVE_ENCRYPT_H

#include "archive/writer.h"

/* What a file was before, and is now. */
struct encrypted_file {
	char plain_sha256[65];
	int64_t plain_bytes;
	int64_t bytes;
};

/*
 * Has an earlier try noted what the plain files were?  Then joining is over and must not be done again,
 * since plain files may be gone; *ret_recipients (*ret_n, owned by ctx) are those that it had: they
 * stand, whatever the configuration says by now.  *ret_n 0: it has not.
 */
bool archive_encryption_begun(const char *directory, const char *name, void *ctx,
			      const char *const **ret_recipients, size_t *ret_n, struct error *err);

/*
 * Notes the files (joined, synced) and the recipients, then encrypts file by file.  Can be repeated
 * after a crash at any line.  ret (n) is filled.  ENVIRONMENT: age has failed, or the disk; CONFIG: a
 * file that was noted is there neither plain nor encrypted.
 */
bool archive_encrypt(const char *directory, const char *name, const struct archive_file *files,
		     size_t n, const char *const *recipients, size_t n_recipients,
		     struct encrypted_file *ret, struct error *err);

/* Is every file of the folder there encrypted, and none plain? */
bool archive_is_encrypted(const char *directory, const char *name, const struct archive_file *files,
			  size_t n);

#endif
