#include "base/file.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define MOST_BYTES ((off_t)16 * 1024 * 1024)
#define PART_BYTES ((size_t)64 * 1024)

static int open_name(int at, const char *name, int flags)
{
	const int fd = openat(at, name, flags | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	/* A link is not a directory either, but says more about the path. */
	if (fd < 0 && errno == ENOTDIR)
		errno = fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode)
				? ELOOP
				: ENOTDIR;
	return fd;
}

/* Does what openat2() does, name by name, because no name is a link or leads upwards. */
static int walk_beneath(int folder, const char *path, int flags)
{
	AUTO(talloc) char *names = t_strdup(NULL, path);
	char *rest = NULL, *next, *name = strtok_r(names, "/", &rest);
	int at = folder, fd = -1, error = *path == '/' ? EXDEV : name ? 0 : ENOENT;

	for (; !error && name; name = next) {
		next = strtok_r(NULL, "/", &rest);
		if (strcmp(name, "..") == 0) {
			error = EXDEV;
			break;
		}
		fd = open_name(at, name, next ? O_PATH | O_DIRECTORY : flags);
		error = fd < 0 ? errno : 0;
		if (at != folder)
			(void)close(at); /* only a place to look from */
		at = fd;
	}
	if (!error)
		return fd;
	if (at >= 0 && at != folder)
		(void)close(at); /* likewise */
	errno = error;
	return -1;
}

int file_open_beneath(int folder, const char *path, int flags)
{
	const struct open_how how = {
		.flags = (uint64_t)(unsigned int)flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	const int fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof(how));

	/*
	 * RestrictSUIDSGID= of systemd, which our unit has, forbids openat2() to every process, because a filter of
	 * system calls cannot look into its argument.  Old containers forbid what they do not know.
	 */
	return fd < 0 && (errno == ENOSYS || errno == EPERM) ? walk_beneath(folder, path, flags)
							     : fd;
}

const char *file_beside(void *ctx, const char *name, const char *installed)
{
	char self[PATH_MAX];
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self));
	const char *slash = n > 0 ? memrchr(self, '/', (size_t)n) : NULL;
	const char *path = slash ? t_printf(ctx, "%.*s/%s", (int)(slash - self), self, name) : NULL;

	return path && access(path, X_OK) == 0 ? path : installed;
}

ssize_t file_read_all(int fd, char *bytes, size_t n)
{
	size_t done = 0;

	for (;;) {
		ssize_t got = pread(fd, bytes + done, n - done, (off_t)done);

		if (got < 0 && errno == ESPIPE)
			got = read(fd, bytes + done, n - done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? got : (ssize_t)done;
		done += (size_t)got;
	}
}

static bool read_text(int fd, const char *name, void *ctx, char **ret, struct error *err)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot look at \"%s\"", name);
	if (!S_ISREG(st.st_mode))
		return fail(err, ERR_CONFIG, "\"%s\" is not a regular file", name);
	if (st.st_size > MOST_BYTES)
		return fail(err, ERR_CONFIG, "\"%s\" is larger than such a file ever is", name);
	*ret = t_array(ctx, char, (size_t)st.st_size + 1);
	n = file_read_all(fd, *ret, (size_t)st.st_size);
	if (n < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot read \"%s\"", name);
	if (n < st.st_size)
		return fail(err, ERR_CONFIG, "\"%s\" was cut while it was read", name);
	return strlen(*ret) == (size_t)n ||
	       fail(err, ERR_CONFIG, "\"%s\" is not a text: it has been overwritten", name);
}

char *file_read_text(int fd, const char *name, void *ctx, struct error *err)
{
	char *text = NULL;

	return read_text(fd, name, ctx, &text, err) ? text : NULL;
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

char *file_read_small(int folder, const char *name, void *ctx, struct error *err)
{
	AUTO(fd) int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd >= 0)
		return file_read_text(fd, name, ctx, err);
	if (errno != ENOENT)
		(void)fail_errno(err, ERR_ENVIRONMENT, "cannot open \"%s\"", name);
	return NULL;
}

bool file_replace(int folder, const char *name, const char *text, struct error *err)
{
	AUTO(char_p) char *temporary = xprintf("%s" FILE_TEMPORARY, name);
	AUTO(fd)
	int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
			0600);
	int64_t written = 0;

	if (fd < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open \"%s\"", temporary);
	if (!file_write(fd, text, strlen(text), &written, name, err) || !file_sync(fd, name, err))
		return false;
	if (renameat(folder, temporary, folder, name) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot rename \"%s\"", temporary);
	return file_sync(folder, name, err);
}

/* others: the bits of the mode that nobody but the owner may have. */
static bool check_folder(const char *path, unsigned int others, struct error *err)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return fail_errno(err, errno == EIO ? ERR_ENVIRONMENT : ERR_CONFIG,
				  "\"%s\" cannot be used", path);
	if (!S_ISDIR(st.st_mode))
		return fail(err, ERR_CONFIG, "\"%s\" is not a folder", path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return fail(err, ERR_CONFIG,
			    "\"%s\" belongs to user %u, neither to root nor to user %u, who runs "
			    "this: call this as user %u, or chown it",
			    path, (unsigned int)st.st_uid, (unsigned int)geteuid(),
			    (unsigned int)st.st_uid);
	return !(st.st_mode & others) ||
	       fail(err, ERR_CONFIG, "\"%s\" is open to others (mode %04o): chmod g-w,o%s it", path,
		    (unsigned int)st.st_mode & 07777, others & 07 & ~02U ? "=" : "-w");
}

/* Checks each folder above path, from the root down. */
static bool check_above(const char *path, struct error *err)
{
	for (const char *end = path; (end = strchr(end, '/')); end++) {
		AUTO(char_p)
		char *above = xprintf("%.*s", end == path ? 1 : (int)(end - path), path);
		struct stat st;
		const bool sticky = stat(above, &st) == 0 && st.st_mode & S_ISVTX;

		if (!check_folder(above, sticky ? 0 : 022, err))
			return false;
	}
	return true;
}

bool file_check_program(const char *path, struct error *err)
{
	AUTO(char_p) char *real = realpath(path, NULL);
	struct stat st;

	if (!real || stat(real, &st) != 0)
		return fail_errno(err, ERR_CONFIG, "\"%s\" cannot be run", path);
	if (!check_above(path, err) || !check_above(real, err))
		return false;
	if (!S_ISREG(st.st_mode))
		return fail(err, ERR_CONFIG, "\"%s\" is not a regular file", path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return fail(err, ERR_CONFIG,
			    "\"%s\" belongs to user %u, neither to root nor to the user that runs "
			    "this: chown it",
			    path, (unsigned int)st.st_uid);
	if (st.st_mode & 022)
		return fail(err, ERR_CONFIG,
			    "\"%s\" can be written by others than root and its owner (mode %04o): "
			    "chmod go-w it",
			    path, (unsigned int)st.st_mode & 07777);
	if (access(path, X_OK) != 0)
		return fail_errno(err, ERR_CONFIG, "\"%s\" cannot be run", path);
	return true;
}

bool file_check_private_folder(const char *path, struct error *err)
{
	AUTO(char_p) char *real = realpath(path, NULL);

	if (!real)
		return fail_errno(err, errno == EIO ? ERR_ENVIRONMENT : ERR_CONFIG,
				  "\"%s\" cannot be used", path);
	return check_above(path, err) && check_above(real, err) && check_folder(real, 027, err);
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

static bool print_digest(bool ok, const unsigned char bytes[FILE_HEX / 2],
			 char ret_hex[FILE_HEX + 1], struct error *err)
{
	if (!ok)
		return fail(err, ERR_ENVIRONMENT, "SHA-256 failed");
	text_hex(bytes, FILE_HEX / 2, ret_hex);
	return true;
}

bool digest_end(struct digest *d, char ret_hex[FILE_HEX + 1], struct error *err)
{
	unsigned char bytes[FILE_HEX / 2];

	return print_digest(!d->failed && EVP_DigestFinal_ex(d->ctx, bytes, NULL) == 1, bytes,
			    ret_hex, err);
}

struct digest_key {
	EVP_MAC_CTX *ctx;
	bool failed;
};

struct digest_key *digest_key_new(const char *key)
{
	char name[] = "SHA256";
	const OSSL_PARAM digest[] = {OSSL_PARAM_construct_utf8_string("digest", name, 0),
				     OSSL_PARAM_construct_end()};
	struct digest_key *k = xcalloc(1, sizeof(*k));
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);

	k->ctx = EVP_MAC_CTX_new(mac); /* NULL for no MAC */
	EVP_MAC_free(mac); /* the context holds it */
	k->failed = !k->ctx ||
		    EVP_MAC_init(k->ctx, (const unsigned char *)key, strlen(key), digest) != 1;
	return k;
}

bool digest_key_sum(struct digest_key *k, const char *before, const char *bytes, size_t n,
		    char ret_hex[FILE_HEX + 1], struct error *err)
{
	unsigned char sum[FILE_HEX / 2];
	size_t size = 0;
	/* Without a key, the one before is kept. */
	const bool ok =
		!k->failed && EVP_MAC_init(k->ctx, NULL, 0, NULL) == 1 &&
		EVP_MAC_update(k->ctx, (const unsigned char *)before, strlen(before)) == 1 &&
		EVP_MAC_update(k->ctx, (const unsigned char *)bytes, n) == 1 &&
		EVP_MAC_final(k->ctx, sum, &size, sizeof(sum)) == 1;

	return print_digest(ok, sum, ret_hex, err);
}

void digest_key_free(struct digest_key *k)
{
	if (!k)
		return;
	EVP_MAC_CTX_free(k->ctx);
	free(k);
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

	while ((n = read(fd, part, PART_BYTES)) > 0 || (n < 0 && errno == EINTR))
		digest_add(d, part, n > 0 ? (size_t)n : 0);
	if (n < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot read \"%s\" to its end", name);
	return digest_end(d, ret_hex, err);
}
