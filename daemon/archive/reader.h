/*
 * Finds, verifies and reads a finished archive in its folder, and trusts neither the journal nor the
 * folder.  (archive/writer.h is the side that writes.)
 */
#pragma once

#include "base/process.h"

#include <unistd.h>

/* One archive.  Its texts are its own. */
struct archive_reader {
	int folder; /* open */
	const char *sums; /* the text of SHA256SUMS */
	const char *manifest; /* and of manifest.json */
};

/*
 * Opens the archive at path, which must lie below root (archives.directory), and reads SHA256SUMS and
 * manifest.json.  Owned by ctx, which closes it.  CONFIG: it cannot be read, or leads out of root.
 */
bool archive_reader_open(const char *root, const char *path, void *ctx, struct archive_reader **ret,
			 struct error *err);

/* What a folder holds that looks like an archive's. */
struct archive_survey {
	int64_t bytes; /* of its files */
	int64_t newest; /* when one of them was last changed, seconds since 1970; none: when the folder was */
	const char *sums_sha256, *manifest_sha256; /* NULL: it has no such file */
	const char *manifest; /* its text, with ? for what is not ASCII; NULL likewise */
};

/* The names in root (archives.directory), ended by a NULL, owned by ctx; NULL with err. */
const char **archive_reader_list(const char *root, void *ctx, struct error *err);

/*
 * Looks into the folder called name in root.  *ret_found false: there is no such folder.  The texts are owned by ctx.
 * ENVIRONMENT: the disk fails.
 */
bool archive_reader_survey(const char *root, const char *name, void *ctx,
			   struct archive_survey *ret, bool *ret_found, struct error *err);

/* Gets the finding about a file; fault NULL: it is good. */
typedef void archive_tell(void *arg, const char *file, const char *fault);

/* Compares every file with SHA256SUMS, and tells what it finds of each.  false: SHA256SUMS itself cannot be used. */
bool archive_reader_verify_files(const struct archive_reader *s, archive_tell *tell, void *arg,
				 struct error *err);

/*
 * Opens a file of the archive as it is stored, for reading, and says how long it is: one that SHA256SUMS names, or
 * SHA256SUMS or manifest.json; *ret_fd is the caller's.  CONFIG: any other name, or it cannot be opened.
 */
bool archive_reader_open_stored(const struct archive_reader *s, const char *name, int *ret_fd,
				int64_t *ret_bytes, struct error *err);

/* The names of these files, ended by a NULL, owned by ctx; NULL with err: SHA256SUMS cannot be used. */
const char **archive_reader_names(const struct archive_reader *s, void *ctx, struct error *err);

/* One file, being read. */
struct archive_reader_file {
	int fd; /* to read from, and maybe a pipe, so do not seek in it; -1: not open */
	struct process age; /* decrypts it; none: it is stored as it was archived */
};

/*
 * Opens a file of the archive for reading from its first byte to its last, as it was archived; name as it
 * is stored.  An encrypted file (NAME.age) needs identity, the path of age's identity file.  *ret is not
 * open before; AUTO(archive_reader_file) closes it.
 */
bool archive_reader_file_open(const struct archive_reader *s, const char *name,
			      const char *identity, struct archive_reader_file *ret,
			      struct error *err);

/* At its end: was it read whole and undamaged?  Do not use what was read before this says so. */
bool archive_reader_file_end(struct archive_reader_file *file, struct error *err);

static inline void auto_archive_reader_file(struct archive_reader_file *file)
{
	process_kill(&file->age);
	if (file->fd >= 0)
		(void)close(file->fd); /* only read from */
}
