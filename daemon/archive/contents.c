/*
 * What an archive's folder holds: small files, digests, lengths.  Nothing here writes.
 */
#include "archive/finish.h"

#include "archive/folder.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

char *archive_read_file(const struct archive *a, const char *file, void *ctx, struct error *err)
{
	AUTO(fd) int folder = archive_folder(a, "");
	AUTO(fd) int fd = -1;

	if (folder >= 0)
		fd = openat(folder, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		(void)fail_errno(err, ERR_ENVIRONMENT, "cannot open \"%s/%s/%s\"", a->directory,
				 a->name, file);
		return NULL;
	}
	return file_read_text(fd, file, ctx, err);
}

bool archive_size(const struct archive *a, int64_t *ret_bytes, struct error *err)
{
	AUTO(fd) int folder = archive_folder(a, "");
	int64_t bytes = 0;
	struct stat st;

	if (folder < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open the folder \"%s/%s\"",
				  a->directory, a->name);
	for (size_t i = 0; i < a->n_files; i++) {
		const char *plain = a->files[i].name;
		AUTO(char_p) char *encrypted = xprintf("%s" ARCHIVE_ENCRYPTED, plain);

		if (fstatat(folder, plain, &st, AT_SYMLINK_NOFOLLOW) != 0 &&
		    fstatat(folder, encrypted, &st, AT_SYMLINK_NOFOLLOW) != 0)
			return fail_errno(err, ERR_ENVIRONMENT, "cannot look at \"%s\"", plain);
		bytes += st.st_size;
	}
	*ret_bytes = bytes;
	return true;
}

bool archive_digest(const struct archive *a, const char *file, char ret_hex[65], struct error *err)
{
	AUTO(fd) int folder = archive_partial(a, err);
	AUTO(fd) int fd = -1;

	if (folder < 0)
		return false;
	fd = openat(folder, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open archive file \"%s\"", file);
	return file_digest(fd, file, ret_hex, err);
}
