/*
 * Does not trust the journal's path: opens the folder below archives.directory and nowhere else, and its
 * files below the folder, without symbolic links.  So nobody who can write the table or the folder can
 * make this program read something else.
 *
 * Tells everything that is wrong, a line a file as sha256sum -c does, and not only the first.
 */
#include "archive/reader.h"

#include "archive/age.h"
#include "archive/layout.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define NAME (FILE_HEX + 2) /* where a line of SHA256SUMS has the name: behind two blanks */

struct archive_reader {
	int folder;
	char *sums; /* the text of SHA256SUMS */
	char *manifest; /* and of manifest.json */
};

/* Opens the archive's folder from the path that the journal has; -1 with err. */
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
	folder = file_open_beneath(directory, path + n + 1, O_RDONLY | O_DIRECTORY);
	if (folder < 0 && (errno == EXDEV || errno == ELOOP))
		(void)fail(err, ERR_CONFIG,
			   "\"%s\" leads out of archives.directory \"%s\": it is not opened", path,
			   root);
	else if (folder < 0)
		(void)fail_errno(err, ERR_CONFIG, "cannot open the archive \"%s\"", path);
	return folder;
}

/* Opens a regular file of the folder, and nothing that could block or be elsewhere; -1 with err. */
static int open_file(int folder, const char *name, struct error *err)
{
	AUTO(fd) int fd = -1;
	struct stat st;
	int opened;

	if (*name == '\0' || strchr(name, '/')) {
		(void)fail(err, ERR_CONFIG, "\"%s\" is not a file of an archive", name);
		return -1;
	}
	fd = file_open_beneath(folder, name, O_RDONLY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) != 0) {
		(void)fail_errno(err, ERR_CONFIG, "cannot open %s", name);
		return -1;
	}
	if (!S_ISREG(st.st_mode)) {
		(void)fail(err, ERR_CONFIG, "%s is not a regular file", name);
		return -1;
	}
	opened = fd;
	fd = -1;
	return opened;
}

/* The whole text of a small file, owned by ctx; NULL with err. */
static char *read_text(int folder, const char *name, void *ctx, struct error *err)
{
	AUTO(fd) int fd = open_file(folder, name, err);

	return fd < 0 ? NULL : file_read_text(fd, name, ctx, err);
}

static bool digest_of(int folder, const char *name, char ret_hex[FILE_HEX + 1], struct error *err)
{
	AUTO(fd) int fd = open_file(folder, name, err);

	return fd >= 0 && file_digest(fd, name, ret_hex, err);
}

/* Tells each line of SHA256SUMS as sha256sum -c does; *ret_bad counts the files that differ. */
static bool verify_sums(const struct archive_reader *s, bool tell_good, int *ret_bad,
			struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	char *rest = t_strdup(ctx, s->sums);

	if (*s->sums == '\0' || s->sums[strlen(s->sums) - 1] != '\n')
		return fail(err, ERR_CONFIG, ARCHIVE_SUMS " was cut: its last line has no end");
	rest[strlen(rest) - 1] = '\0';
	while (rest) {
		AUTO(error) struct error one = {0};
		const char *line = strsep(&rest, "\n");
		char hex[FILE_HEX + 1];

		if (strspn(line, "0123456789abcdef") != FILE_HEX || line[FILE_HEX] != ' ' ||
		    line[FILE_HEX + 1] != ' ')
			return fail(err, ERR_CONFIG, ARCHIVE_SUMS " has a line that is not a sum");
		if (!digest_of(s->folder, line + NAME, hex, &one)) {
			printf("%s: FAILED: %s\n", line + NAME, one.text);
			(*ret_bad)++;
		} else if (strncmp(hex, line, FILE_HEX) != 0) {
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
	s->sums = read_text(s->folder, ARCHIVE_SUMS, s, err);
	s->manifest = s->sums ? read_text(s->folder, ARCHIVE_MANIFEST, s, err) : NULL;
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
	const bool encrypted = n > strlen(ARCHIVE_ENCRYPTED) &&
			       strcmp(name + n - strlen(ARCHIVE_ENCRYPTED), ARCHIVE_ENCRYPTED) == 0;
	AUTO(archive_reader_file) struct archive_reader_file *file = xcalloc(1, sizeof(*file));

	file->fd = -1;
	if (encrypted && !identity)
		return fail(err, ERR_CONFIG,
			    "%s is encrypted: give the key to it with --identity FILE", name);
	file->fd = open_file(s->folder, name, err);
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
