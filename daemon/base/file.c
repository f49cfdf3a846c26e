#include "base/file.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define MOST_BYTES ((off_t)16 * 1024 * 1024)
#define PART_BYTES ((size_t)64 * 1024)

int file_open_beneath(int folder, const char *path, int flags)
{
	const struct open_how how = {
		.flags = (uint64_t)(unsigned int)flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, folder, path, &how, sizeof(how));
}

/* read(2) again while a signal interrupts it. */
static ssize_t read_some(int fd, char *bytes, size_t n)
{
	ssize_t got;

	do
		got = read(fd, bytes, n);
	while (got < 0 && errno == EINTR);
	return got;
}

char *file_read_text(int fd, const char *name, void *ctx, struct error *err)
{
	struct stat st;
	size_t size, done = 0;
	char *text;

	if (fstat(fd, &st) != 0) {
		(void)fail_errno(err, ERR_ENVIRONMENT, "cannot look at \"%s\"", name);
		return NULL;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > MOST_BYTES) {
		(void)fail(err, ERR_CONFIG, "\"%s\" is %s", name,
			   S_ISREG(st.st_mode) ? "larger than such a file ever is"
					       : "not a regular file");
		return NULL;
	}
	size = (size_t)st.st_size;
	text = t_array(ctx, char, size + 1);
	while (done < size) {
		const ssize_t n = read_some(fd, text + done, size - done);

		if (n <= 0) {
			(void)(n < 0 ? fail_errno(err, ERR_ENVIRONMENT, "cannot read \"%s\"", name)
				     : fail(err, ERR_CONFIG, "\"%s\" was cut while it was read",
					    name));
			return NULL;
		}
		done += (size_t)n;
	}
	if (strlen(text) != size) {
		(void)fail(err, ERR_CONFIG, "\"%s\" is not a text: it has been overwritten", name);
		return NULL;
	}
	return text;
}

bool file_write(int fd, const char *bytes, size_t n, int64_t *written, const char *name,
		struct error *err)
{
	while (n > 0) {
		const ssize_t done = write(fd, bytes, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return fail_errno(err, ERR_ENVIRONMENT, "cannot write \"%s\"", name);
		*written += done;
		bytes += done;
		n -= (size_t)done;
	}
	return true;
}

bool file_sync(int fd, const char *name, struct error *err)
{
	return (fd >= 0 && fsync(fd) == 0) ||
	       fail_errno(err, ERR_ENVIRONMENT, "cannot sync \"%s\"", name);
}

bool file_sync_folder(const char *path, struct error *err)
{
	AUTO(fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return file_sync(fd, path, err);
}

struct digest {
	EVP_MD_CTX *ctx;
	bool failed;
};

struct digest *digest_new(void)
{
	struct digest *d = xcalloc(1, sizeof(*d));

	d->ctx = must_alloc(EVP_MD_CTX_new());
	d->failed = EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1;
	return d;
}

void digest_add(struct digest *d, const char *bytes, size_t n)
{
	d->failed = d->failed || EVP_DigestUpdate(d->ctx, bytes, n) != 1;
}

bool digest_end(struct digest *d, char ret_hex[FILE_HEX + 1], struct error *err)
{
	unsigned char bytes[FILE_HEX / 2];

	if (d->failed || EVP_DigestFinal_ex(d->ctx, bytes, NULL) != 1)
		return fail(err, ERR_ENVIRONMENT, "SHA-256 failed");
	for (size_t i = 0; i < sizeof(bytes); i++)
		(void)snprintf(ret_hex + 2 * i, 3, "%02x", bytes[i]); /* always two digits */
	return true;
}

void digest_free(struct digest *d)
{
	if (!d)
		return;
	EVP_MD_CTX_free(d->ctx);
	free(d);
}

bool file_digest(int fd, const char *name, char ret_hex[FILE_HEX + 1], struct error *err)
{
	AUTO(char_p) char *part = must_alloc(malloc(PART_BYTES));
	AUTO(digest) struct digest *d = digest_new();
	ssize_t n;

	while ((n = read_some(fd, part, PART_BYTES)) > 0)
		digest_add(d, part, (size_t)n);
	if (n < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot read \"%s\" to its end", name);
	return digest_end(d, ret_hex, err);
}
