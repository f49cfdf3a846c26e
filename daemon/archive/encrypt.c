/*
 * What may die on each line, and what then:
 *
 *   note      SHA256SUMS.plain: the recipients, and digest and length of each joined file, durably.
 *             Before it, joining is done again, from segments that nobody has touched.  After it,
 *             joining is over: what is missing plain has to be there encrypted.
 *   encrypt   into NAME.csv.age.tmp, a new file each time (one that a killed age still wrote to is
 *             another inode); fsync.  Dying here the plain file is there, and it is done again.
 *   check     age said that it was done; that it wrote age's format and more bytes than it read is
 *             seen here, since the plain file is the only copy of rows that are erased.
 *   rename    to NAME.csv.age, then fsync of the folder.
 *   unlink    the plain file.  Dying before it, both are there: it is encrypted once more.
 *
 * The segments of the other workers, plain too, go when the archive is sealed (archive_seal), together
 * with the note.  A full disk fails the try, which begins again later, where it stood.
 */
#include "archive/encrypt.h"

#include "archive/age.h"
#include "base/failpoint.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#define NOTE "SHA256SUMS.plain"
#define MAGIC "age-encryption.org/v1\n"
#define RECIPIENT "recipient "

static int open_partial(const char *directory, const char *name, struct error *err)
{
	AUTO(char_p) char *path = NULL;
	int folder;

	if (asprintf(&path, "%s/%s.partial", directory, name) < 0)
		must_alloc(NULL);
	folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (folder < 0)
		(void)fail_errno(err, ERR_ENVIRONMENT, "cannot open the folder \"%s\"", path);
	return folder;
}

/* -1: there is none. */
static int64_t size_of(int folder, const char *file)
{
	struct stat st;

	return fstatat(folder, file, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)
		       ? st.st_size
		       : -1;
}

/* NULL with err empty: there is none. */
static char *read_note(const char *directory, const char *name, void *ctx, struct error *err)
{
	AUTO(char_p) char *text = NULL;
	AUTO(char_p) char *partial = NULL;
	AUTO(fd) int folder = open_partial(directory, name, err);

	if (folder < 0)
		return NULL;
	if (faccessat(folder, NOTE, F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno != ENOENT)
			(void)fail_errno(err, ERR_ENVIRONMENT, "cannot look at \"" NOTE "\"");
		return NULL;
	}
	if (asprintf(&partial, "%s.partial", name) < 0)
		must_alloc(NULL);
	return archive_read_file(directory, partial, NOTE, &text, err) ? t_strdup(ctx, text) : NULL;
}

bool archive_encryption_begun(const char *directory, const char *name, void *ctx,
			      const char *const **ret_recipients, size_t *ret_n, struct error *err)
{
	char *rest = read_note(directory, name, ctx, err);
	const char **recipients = NULL;
	size_t n = 0;

	if (err->class != ERR_NONE)
		return false;
	for (const char *line; rest && (line = strsep(&rest, "\n"));)
		if (strncmp(line, RECIPIENT, strlen(RECIPIENT)) == 0) {
			recipients = t_grow(ctx, recipients, const char *, n + 1);
			recipients[n++] = line + strlen(RECIPIENT);
		}
	*ret_recipients = recipients;
	*ret_n = n;
	return true;
}

/* Step "note". */
static bool write_note(const char *directory, const char *name, int folder,
		       const struct archive_file *files, size_t n, const char *const *recipients,
		       size_t n_recipients, struct error *err)
{
	AUTO(talloc) char *text = t_strdup(NULL, "");
	char digest[65];

	for (size_t i = 0; i < n_recipients; i++)
		t_append(&text, RECIPIENT "%s\n", recipients[i]);
	for (size_t i = 0; i < n; i++) {
		if (!archive_digest(directory, name, files[i].name, digest, err))
			return false;
		t_append(&text, "%s  %s %" PRId64 "\n", digest, files[i].name,
			 size_of(folder, files[i].name));
	}
	return archive_write_file(directory, name, NOTE, text, err);
}

/* "DIGEST  NAME BYTES" of one file, out of the note. */
static bool find_noted(const char *note, const char *file, struct encrypted_file *ret,
		       struct error *err)
{
	const size_t length = strlen(file);

	for (const char *line = note; line && *line;) {
		const size_t n = strcspn(line, "\n");

		if (n > 66 + length + 1 && strncmp(line + 64, "  ", 2) == 0 &&
		    strncmp(line + 66, file, length) == 0 && line[66 + length] == ' ') {
			memcpy(ret->plain_sha256, line, 64);
			ret->plain_sha256[64] = '\0';
			ret->plain_bytes = strtoll(line + 66 + length + 1, NULL, 10); /* ours */
			return true;
		}
		line += n + (line[n] == '\n');
	}
	return fail(err, ERR_CONFIG,
		    "\"" NOTE
		    "\" does not name \"%s\": the configuration's model has changed while "
		    "the archive was encrypted; put the old one back until the action is done",
		    file);
}

/* Step "check". */
static bool check_written(int folder, const char *file, int64_t plain_bytes, struct error *err)
{
	AUTO(fd) int fd = openat(folder, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char magic[sizeof(MAGIC) - 1];

	if (fd < 0 || pread(fd, magic, sizeof(magic), 0) != (ssize_t)sizeof(magic) ||
	    memcmp(magic, MAGIC, sizeof(magic)) != 0 || size_of(folder, file) <= plain_bytes)
		return fail(err, ERR_ENVIRONMENT,
			    "what age wrote to \"%s\" is no encrypted file: is the age in PATH the "
			    "right one?",
			    file);
	return true;
}

static bool encrypt_to(int folder, const char *plain, const char *temporary,
		       const char *const *recipients, size_t n_recipients, struct error *err)
{
	AUTO(fd) int in = openat(folder, plain, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	AUTO(fd) int out = -1;

	if (in < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open archive file \"%s\"", plain);
	if (unlinkat(folder, temporary, 0) != 0 && errno != ENOENT)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot remove \"%s\"", temporary);
	out = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (out < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot make archive file \"%s\"",
				  temporary);
	if (!age_encrypt(recipients, n_recipients, in, out, err))
		return false;
	return fsync(out) == 0 ||
	       fail_errno(err, ERR_ENVIRONMENT, "cannot sync archive file \"%s\"", temporary);
}

/* Steps "encrypt" to "unlink" of one file. */
static bool encrypt_file(int folder, const char *plain, const char *const *recipients,
			 size_t n_recipients, struct encrypted_file *f, struct error *err)
{
	AUTO(talloc) char *stored = t_printf(NULL, "%s.age", plain);
	const char *temporary = t_printf(stored, "%s.tmp", stored);

	f->bytes = size_of(folder, stored);
	if (size_of(folder, plain) < 0) {
		return f->bytes >= 0 ||
		       fail(err, ERR_CONFIG,
			    "archive file \"%s\" is there neither plain nor encrypted", plain);
	}
	if (!encrypt_to(folder, plain, temporary, recipients, n_recipients, err) ||
	    !check_written(folder, temporary, f->plain_bytes, err))
		return false;
	failpoint("encrypt-before-rename");
	if (renameat(folder, temporary, folder, stored) != 0 || fsync(folder) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot rename \"%s\"", temporary);
	failpoint("encrypt-after-rename");
	if (unlinkat(folder, plain, 0) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot remove \"%s\"", plain);
	failpoint("encrypt-after-unlink");
	f->bytes = size_of(folder, stored);
	return true;
}

bool archive_encrypt(const char *directory, const char *name, const struct archive_file *files,
		     size_t n, const char *const *recipients, size_t n_recipients,
		     struct encrypted_file *ret, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(fd) int folder = open_partial(directory, name, err);
	const char *note;

	if (folder < 0)
		return false;
	note = read_note(directory, name, ctx, err);
	if (!note && err->class == ERR_NONE) {
		if (!write_note(directory, name, folder, files, n, recipients, n_recipients, err))
			return false;
		note = read_note(directory, name, ctx, err);
	}
	if (!note)
		return false;
	failpoint("encrypt-after-note");
	for (size_t i = 0; i < n; i++)
		if (!find_noted(note, files[i].name, &ret[i], err) ||
		    !encrypt_file(folder, files[i].name, recipients, n_recipients, &ret[i], err))
			return false;
	return fsync(folder) == 0 ||
	       fail_errno(err, ERR_ENVIRONMENT, "cannot sync the archive's folder");
}

bool archive_is_encrypted(const char *directory, const char *name, const struct archive_file *files,
			  size_t n)
{
	AUTO(error) struct error ignored = {0};
	AUTO(fd) int folder = open_partial(directory, name, &ignored);

	for (size_t i = 0; folder >= 0 && i < n; i++) {
		AUTO(char_p) char *stored = NULL;

		if (asprintf(&stored, "%s.age", files[i].name) < 0)
			must_alloc(NULL);
		if (size_of(folder, stored) < 0 || size_of(folder, files[i].name) >= 0)
			return false;
	}
	return folder >= 0;
}
