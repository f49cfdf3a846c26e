/*
 * What an archive holds: lengths, small files, digests.  Nothing here writes.
 */
#include "archive/folder.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

bool archive_size(const char *directory, const char *name, const struct archive_file *files,
		  size_t n, int64_t *ret_bytes, struct error *err)
{
	AUTO(fd) int folder = archive_folder(directory, name, "");
	int64_t bytes = 0;
	struct stat st;

	if (folder < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open the folder \"%s/%s\"",
				  directory, name);
	for (size_t i = 0; i < n; i++) {
		AUTO(char_p) char *encrypted = NULL;

		if (asprintf(&encrypted, "%s.age", files[i].name) < 0)
			must_alloc(NULL);
		if (fstatat(folder, files[i].name, &st, AT_SYMLINK_NOFOLLOW) != 0 &&
		    fstatat(folder, encrypted, &st, AT_SYMLINK_NOFOLLOW) != 0)
			return fail_errno(err, ERR_ENVIRONMENT, "cannot look at \"%s\"",
					  files[i].name);
		bytes += st.st_size;
	}
	*ret_bytes = bytes;
	return true;
}

bool archive_read_file(const char *directory, const char *name, const char *file, char **ret_text,
		       struct error *err)
{
	AUTO(char_p) char *text = xcalloc(1, BUFFER_BYTES);
	AUTO(fd) int folder = archive_folder(directory, name, "");
	AUTO(fd) int fd = -1;
	size_t length = 0;
	ssize_t n = 1;

	if (folder >= 0)
		fd = openat(folder, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open \"%s/%s/%s\"", directory, name,
				  file);
	while (n > 0) {
		if (length + 1 >= BUFFER_BYTES)
			return fail(err, ERR_CONFIG, "\"%s/%s/%s\" is too long", directory, name,
				    file);
		n = read(fd, text + length, BUFFER_BYTES - 1 - length);
		if (n < 0 && errno != EINTR)
			return fail_errno(err, ERR_ENVIRONMENT, "cannot read \"%s/%s/%s\"",
					  directory, name, file);
		length += n > 0 ? (size_t)n : 0;
		n = n < 0 ? 1 : n; /* interrupted: again */
	}
	*ret_text = text;
	text = NULL;
	return true;
}

static void auto_digest(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}

bool archive_digest(const char *directory, const char *name, const char *file, char ret_hex[65],
		    struct error *err)
{
	AUTO(char_p) char *buffer = must_alloc(malloc(BUFFER_BYTES));
	AUTO(digest) EVP_MD_CTX *ctx = must_alloc(EVP_MD_CTX_new());
	AUTO(fd) int folder = archive_folder(directory, name, ".partial");
	AUTO(fd) int fd = -1;
	unsigned char digest[32];
	ssize_t n;

	if (folder >= 0)
		fd = openat(folder, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot read archive file \"%s\"", file);
	while ((n = read(fd, buffer, BUFFER_BYTES)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno(err, ERR_ENVIRONMENT, "cannot read archive file \"%s\"",
					  file);
		if (EVP_DigestUpdate(ctx, buffer, (size_t)n) != 1)
			return fail(err, ERR_ENVIRONMENT, "SHA-256 failed");
	}
	if (EVP_DigestFinal_ex(ctx, digest, NULL) != 1)
		return fail(err, ERR_ENVIRONMENT, "SHA-256 failed");
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]); /* two digits */
	return true;
}
