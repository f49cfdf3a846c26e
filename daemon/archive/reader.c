/*
 * The journal's path is not trusted: the folder is opened below archives.directory and nowhere else, and
 * its files below the folder, by openat2(2) with RESOLVE_BENEATH and without symbolic links, so that
 * whoever can write the table or the folder cannot make this program read something else.
 *
 * All that is wrong is told, a line a file as sha256sum -c has it, not only the first.
 */
#include "archive/reader.h"

#include "archive/age.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <sys/syscall.h>

struct archive_reader {
	int folder;
	char *sums; /* the text of SHA256SUMS */
	char *manifest; /* and of manifest.json */
};

/* SHA256SUMS and manifest.json are some hundred bytes a table. */
#define MOST_BYTES ((off_t)16 * 1024 * 1024)

#define HEX 64 /* digits of a SHA-256 */
#define NAME (HEX + 2) /* where a line of SHA256SUMS has the name: behind two blanks */

/* -1 with errno set. */
static int open_beneath(int folder, const char *path, uint64_t flags)
{
	const struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, folder, path, &how, sizeof(how));
}

/* The archive's folder, from the path that the journal has. */
static int open_archive(const char *root, const char *path, struct error *err)
{
	const size_t n = strlen(root);
	AUTO(fd) int directory = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int folder;

	if (directory < 0) {
		(void)fail_errno(err, ERR_CONFIG, "cannot open archives.directory \"%s\"", root);
		return -1;
	}
	if (strncmp(path, root, n) != 0 || path[n] != '/') {
		(void)fail(err, ERR_CONFIG, "\"%s\" does not lie under archives.directory \"%s\"",
			   path, root);
		return -1;
	}
	folder = open_beneath(directory, path + n + 1, O_RDONLY | O_DIRECTORY);
	if (folder < 0 && (errno == EXDEV || errno == ELOOP))
		(void)fail(err, ERR_CONFIG,
			   "\"%s\" leads out of archives.directory \"%s\": it is not opened", path,
			   root);
	else if (folder < 0)
		(void)fail_errno(err, ERR_CONFIG, "cannot open the archive \"%s\"", path);
	return folder;
}

/* A regular file of the folder, and nothing that could block or be elsewhere; -1 with err. */
static int open_file(int folder, const char *name, struct stat *ret, struct error *err)
{
	AUTO(fd) int fd = -1;
	int opened;

	if (*name == '\0' || strchr(name, '/')) {
		(void)fail(err, ERR_CONFIG, "\"%s\" is no file of an archive", name);
		return -1;
	}
	fd = open_beneath(folder, name, O_RDONLY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, ret) != 0) {
		(void)fail_errno(err, ERR_CONFIG, "cannot open %s", name);
		return -1;
	}
	if (!S_ISREG(ret->st_mode)) {
		(void)fail(err, ERR_CONFIG, "%s is no regular file", name);
		return -1;
	}
	opened = fd;
	fd = -1;
	return opened;
}

/* A whole small file of text; owned by ctx; NULL with err. */
static char *read_text(int folder, const char *name, void *ctx, struct error *err)
{
	struct stat st = {0};
	AUTO(fd) int fd = open_file(folder, name, &st, err);
	size_t size, total = 0;
	char *text;

	if (fd < 0)
		return NULL;
	if (st.st_size > MOST_BYTES) {
		(void)fail(err, ERR_CONFIG, "%s is too large to be ours", name);
		return NULL;
	}
	size = (size_t)st.st_size;
	text = t_array(ctx, char, size + 1);
	while (total < size) {
		const ssize_t n = read(fd, text + total, size - total);

		if (n <= 0) {
			(void)fail(err, ERR_CONFIG, "cannot read %s to its end", name);
			return NULL;
		}
		total += (size_t)n;
	}
	if (strlen(text) != size) {
		(void)fail(err, ERR_CONFIG, "%s is no text: it has been overwritten", name);
		return NULL;
	}
	return text;
}

static void auto_digest(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}

static bool digest_of(int folder, const char *name, char ret_hex[HEX + 1], struct error *err)
{
	struct stat st = {0};
	AUTO(fd) int fd = open_file(folder, name, &st, err);
	AUTO(digest) EVP_MD_CTX *ctx = must_alloc(EVP_MD_CTX_new());
	unsigned char digest[HEX / 2];
	char part[65536];
	ssize_t n;

	if (fd < 0)
		return false;
	if (EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		return fail(err, ERR_CONFIG, "SHA-256 failed");
	while ((n = read(fd, part, sizeof(part))) > 0)
		if (EVP_DigestUpdate(ctx, part, (size_t)n) != 1)
			return fail(err, ERR_CONFIG, "SHA-256 failed");
	if (n < 0)
		return fail_errno(err, ERR_CONFIG, "cannot read %s to its end", name);
	if (EVP_DigestFinal_ex(ctx, digest, NULL) != 1)
		return fail(err, ERR_CONFIG, "SHA-256 failed");
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]); /* always two digits */
	return true;
}

/* Each line of SHA256SUMS, told as sha256sum -c does; *ret_bad of them do not hold. */
static bool verify_sums(const struct archive_reader *s, bool tell_good, int *ret_bad,
			struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	char *rest = t_strdup(ctx, s->sums);

	if (*s->sums == '\0' || s->sums[strlen(s->sums) - 1] != '\n')
		return fail(err, ERR_CONFIG, "SHA256SUMS was cut: its last line has no end");
	rest[strlen(rest) - 1] = '\0';
	while (rest) {
		AUTO(error) struct error one = {0};
		const char *line = strsep(&rest, "\n");
		char hex[HEX + 1];

		if (strspn(line, "0123456789abcdef") != HEX || line[HEX] != ' ' ||
		    line[HEX + 1] != ' ')
			return fail(err, ERR_CONFIG, "SHA256SUMS has a line that is no sum");
		if (!digest_of(s->folder, line + NAME, hex, &one)) {
			printf("%s: FAILED: %s\n", line + NAME, one.text);
			(*ret_bad)++;
		} else if (strncmp(hex, line, HEX) != 0) {
			printf("%s: FAILED: it is not what was archived\n", line + NAME);
			(*ret_bad)++;
		} else if (tell_good) {
			printf("%s: OK\n", line + NAME);
		}
	}
	return true;
}

static int close_folder(struct archive_reader *s)
{
	if (s->folder >= 0)
		(void)close(s->folder); /* read-only */
	return 0;
}

bool archive_reader_open(const char *root, const char *path, void *ctx, struct archive_reader **ret,
			 struct error *err)
{
	struct archive_reader *s = t_zero(ctx, struct archive_reader);

	s->folder = -1;
	talloc_set_destructor(s, close_folder);
	s->folder = open_archive(root, path, err);
	if (s->folder < 0)
		return false;
	s->sums = read_text(s->folder, "SHA256SUMS", s, err);
	s->manifest = s->sums ? read_text(s->folder, "manifest.json", s, err) : NULL;
	*ret = s;
	return s->manifest;
}

bool archive_reader_verify_files(const struct archive_reader *s, bool tell_good, int *ret_bad,
				 struct error *err)
{
	*ret_bad = 0;
	return verify_sums(s, tell_good, ret_bad, err);
}

const char *archive_reader_sums(const struct archive_reader *s)
{
	return s->sums;
}

const char *archive_reader_manifest(const struct archive_reader *s)
{
	return s->manifest;
}

struct archive_reader_file {
	int fd;
	struct decryption *decryption; /* NULL: it is stored as it was archived */
};

bool archive_reader_file_open(const struct archive_reader *s, const char *name,
			      const char *identity, struct archive_reader_file **ret,
			      struct error *err)
{
	const size_t n = strlen(name);
	const bool encrypted = n > 4 && strcmp(name + n - 4, ".age") == 0;
	AUTO(archive_reader_file) struct archive_reader_file *file = xcalloc(1, sizeof(*file));
	struct stat st = {0};

	file->fd = -1;
	if (encrypted && !identity)
		return fail(err, ERR_CONFIG,
			    "%s is encrypted: give the key to it with --identity FILE", name);
	file->fd = open_file(s->folder, name, &st, err);
	if (file->fd < 0 ||
	    (encrypted && !decryption_begin(identity, file->fd, &file->decryption, err)))
		return false;
	*ret = file;
	file = NULL;
	return true;
}

int archive_reader_file_fd(const struct archive_reader_file *file)
{
	return file->decryption ? decryption_fd(file->decryption) : file->fd;
}

bool archive_reader_file_end(struct archive_reader_file *file, struct error *err)
{
	return !file->decryption || decryption_end(file->decryption, err);
}

void archive_reader_file_close(struct archive_reader_file *file)
{
	if (!file)
		return;
	decryption_free(file->decryption);
	if (file->fd >= 0)
		(void)close(file->fd); /* read-only */
	free(file);
}
