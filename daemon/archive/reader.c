/*
 * Does not trust the journal's path: opens the folder below archives.directory and nowhere else, and its
 * files below the folder, without symbolic links.  So nobody who can write the table or the folder can
 * make this program read something else.
 *
 * Tells everything that is wrong, a line a file as sha256sum -c does, and not only the first.
 */
#include "archive/reader.h"

#include "archive/age.h"
#include "archive/folder.h"
#include "archive/layout.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* Opens the archive's folder from the path that the journal has. */
static bool open_archive(const char *root, const char *path, int *ret, struct error *err)
{
	const size_t n = strlen(root);
	AUTO(fd) int directory = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (directory < 0)
		return fail_errno(err, ERR_CONFIG, "cannot open archives.directory \"%s\"", root);
	if (strncmp(path, root, n) != 0 || path[n] != '/')
		return fail(err, ERR_CONFIG, "\"%s\" does not lie under archives.directory \"%s\"",
			    path, root);
	*ret = file_open_beneath(directory, path + n + 1, O_RDONLY | O_DIRECTORY);
	if (*ret < 0 && (errno == EXDEV || errno == ELOOP))
		return fail(err, ERR_CONFIG,
			    "\"%s\" leads out of archives.directory \"%s\": it is not opened", path,
			    root);
	return *ret >= 0 || fail_errno(err, ERR_CONFIG, "cannot open the archive \"%s\"", path);
}

/* Opens a regular file of the folder, and nothing that could block or be elsewhere; *ret is the caller's. */
static bool open_file(int folder, const char *name, int *ret, struct error *err)
{
	struct stat st;

	if (*name == '\0' || strchr(name, '/'))
		return fail(err, ERR_CONFIG, "\"%s\" is not a file of an archive", name);
	*ret = file_open_beneath(folder, name, O_RDONLY | O_NONBLOCK);
	if (*ret < 0 || fstat(*ret, &st) != 0)
		return fail_errno(err, ERR_CONFIG, "cannot open %s", name);
	return S_ISREG(st.st_mode) || fail(err, ERR_CONFIG, "%s is not a regular file", name);
}

/* The whole text of a small file, owned by ctx; NULL with err. */
static char *read_text(int folder, const char *name, void *ctx, struct error *err)
{
	AUTO(fd) int fd = -1;

	return open_file(folder, name, &fd, err) ? file_read_text(fd, name, ctx, err) : NULL;
}

const char **archive_reader_list(const char *root, void *ctx, struct error *err)
{
	const char **names = archive_list(AT_FDCWD, root, ctx);

	if (!names)
		(void)fail_errno(err,
				 errno == ENOENT || errno == EACCES || errno == ENOTDIR
					 ? ERR_CONFIG
					 : ERR_ENVIRONMENT,
				 "cannot open archives.directory \"%s\"", root);
	return names;
}

/* The digest of a file of the folder, owned by ctx; NULL: there is no such file, or err. */
static const char *survey_digest(int folder, const char *name, void *ctx, struct error *err)
{
	AUTO(error) struct error missing = {0};
	AUTO(fd) int fd = -1;
	char hex[FILE_HEX + 1];

	return open_file(folder, name, &fd, &missing) && file_digest(fd, name, hex, err)
		       ? t_strdup(ctx, hex)
		       : NULL;
}

bool archive_reader_survey(const char *root, const char *name, void *ctx,
			   struct archive_survey *ret, bool *ret_found, struct error *err)
{
	AUTO(error) struct error missing = {0};
	AUTO(fd) int directory = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(fd) int folder = file_open_beneath(directory, name, O_RDONLY | O_DIRECTORY);
	const char **names = folder < 0 ? NULL : archive_list(folder, ".", ctx);
	char *text;
	struct stat st;

	*ret = (struct archive_survey){0};
	*ret_found = folder >= 0;
	if (folder < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return true;
	if (!names || fstat(folder, &st) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot read \"%s/%s\"", root, name);
	for (; *names; names++) {
		struct stat file;

		if (fstatat(folder, *names, &file, AT_SYMLINK_NOFOLLOW) != 0 ||
		    !S_ISREG(file.st_mode))
			continue;
		ret->newest = file.st_mtime > ret->newest ? file.st_mtime : ret->newest;
		ret->bytes += file.st_size;
	}
	ret->newest = ret->newest ? ret->newest : st.st_mtime; /* it is empty */
	ret->sums_sha256 = survey_digest(folder, ARCHIVE_SUMS, ctx, err);
	ret->manifest_sha256 = survey_digest(folder, ARCHIVE_MANIFEST, ctx, err);
	text = read_text(folder, ARCHIVE_MANIFEST, ctx, &missing);
	for (char *c = text; c && *c; c++)
		if ((unsigned char)*c > 126)
			*c = '?';
	ret->manifest = text;
	return err->class == ERR_NONE;
}

/* A digest, two blanks, and a name. */
static bool check_sum(const char *line, struct error *err)
{
	return (strspn(line, "0123456789abcdef") == FILE_HEX &&
		strncmp(line + FILE_HEX, "  ", 2) == 0) ||
	       fail(err, ERR_CONFIG, ARCHIVE_SUMS " has a line that is not a sum");
}

bool archive_reader_verify_files(const struct archive_reader *s, archive_tell *tell, void *arg,
				 struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	char *rest = t_strdup(ctx, s->sums);

	if (*s->sums == '\0' || s->sums[strlen(s->sums) - 1] != '\n')
		return fail(err, ERR_CONFIG, ARCHIVE_SUMS " was cut: its last line has no end");
	rest[strlen(rest) - 1] = '\0';
	while (rest) {
		AUTO(error) struct error one = {0};
		AUTO(fd) int fd = -1;
		const char *line = strsep(&rest, "\n");
		const char *name = line + ARCHIVE_SUM_NAME;
		char hex[FILE_HEX + 1];

		if (!check_sum(line, err))
			return false;
		if (!open_file(s->folder, name, &fd, &one) || !file_digest(fd, name, hex, &one))
			tell(arg, name, one.text);
		else if (strncmp(hex, line, FILE_HEX) != 0)
			tell(arg, name, "it is not what was archived");
		else
			tell(arg, name, NULL);
	}
	return true;
}

const char **archive_reader_names(const struct archive_reader *s, void *ctx, struct error *err)
{
	char *rest = t_strdup(ctx, s->sums);
	const char **names = NULL;
	size_t n = 0;

	for (const char *line; (line = strsep(&rest, "\n")) && *line;) {
		if (!check_sum(line, err))
			return NULL;
		names = t_grow(ctx, names, const char *, n + 4);
		names[n++] = line + ARCHIVE_SUM_NAME;
	}
	names = t_grow(ctx, names, const char *, n + 3);
	names[n++] = ARCHIVE_MANIFEST;
	names[n++] = ARCHIVE_SUMS;
	names[n] = NULL;
	return names;
}

bool archive_reader_open_stored(const struct archive_reader *s, const char *name, int *ret_fd,
				int64_t *ret_bytes, struct error *err)
{
	struct stat st;

	if (strcmp(name, ARCHIVE_SUMS) != 0 && strcmp(name, ARCHIVE_MANIFEST) != 0 &&
	    !archive_find_sum(s->sums, name, '\n'))
		return fail(err, ERR_CONFIG, "\"%s\" is not a file of this archive", name);
	if (!open_file(s->folder, name, ret_fd, err))
		return false;
	if (fstat(*ret_fd, &st) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot look at \"%s\"", name);
	*ret_bytes = st.st_size;
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
	if (!open_archive(root, path, &s->folder, err))
		return false;
	s->sums = read_text(s->folder, ARCHIVE_SUMS, s, err);
	s->manifest = s->sums ? read_text(s->folder, ARCHIVE_MANIFEST, s, err) : NULL;
	*ret = s;
	return s->manifest;
}

bool archive_reader_file_open(const struct archive_reader *s, const char *name,
			      const char *identity, struct archive_reader_file *ret,
			      struct error *err)
{
	const size_t n = strlen(name);
	const bool encrypted = n > strlen(ARCHIVE_ENCRYPTED) &&
			       strcmp(name + n - strlen(ARCHIVE_ENCRYPTED), ARCHIVE_ENCRYPTED) == 0;
	AUTO(fd) int stored = -1;

	if (!encrypted)
		return open_file(s->folder, name, &ret->fd, err);
	if (!identity)
		return fail(err, ERR_CONFIG,
			    "%s is encrypted: give the key to it with --identity FILE", name);
	return open_file(s->folder, name, &stored, err) &&
	       age_decrypt(identity, stored, &ret->age, &ret->fd, err);
}

bool archive_reader_file_end(struct archive_reader_file *file, struct error *err)
{
	return file->age.pid == 0 || age_decrypt_end(&file->age, err);
}
