/*
 * Each joined file NAME.csv in NAME.partial becomes NAME.csv.age, and the plain file is removed.  The steps,
 * and what happens when the process or the machine dies in each of them:
 *
 *   note      SHA256SUMS.plain: the recipients, and digest and length of each joined file, durably.
 *             Before it, joining is done again, from segments that are untouched.  After it, joining is
 *             over: a file that is missing plain has to be there encrypted.
 *   encrypt   into NAME.csv.age.tmp, a new file each time (a killed age may still write to the old one,
 *             which is another inode); fsync.  After a crash here the plain file still exists, and is
 *             encrypted again.
 *   check     age said that it was done.  Look here whether it wrote age's format and more bytes than it
 *             read, because the plain file is the only copy of rows that are erased.
 *   rename    to NAME.csv.age, then fsync of the folder.
 *   unlink    the plain file.  After a crash before this, both files exist: the file is encrypted again.
 *
 * The segments of the other workers, plain too, are removed when the archive is sealed (archive_seal),
 * together with the note.  If the disk is full, this attempt fails, and a later one continues here.
 */
#include "archive/finish.h"

#include "archive/age.h"
#include "archive/folder.h"
#include "base/failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>

#define MAGIC "age-encryption.org/v1\n"
#define RECIPIENT "recipient "

/* The note's text, owned by ctx; NULL with err empty: there is none. */
static char *read_note(const struct archive *a, void *ctx, struct error *err)
{
	AUTO(fd) int folder = archive_partial(a, err);

	return folder < 0 ? NULL : file_read_small(folder, ARCHIVE_PLAIN_SUMS, ctx, err);
}

bool archive_encryption_begun(const struct archive *a, void *ctx,
			      const char *const **ret_recipients, size_t *ret_n, struct error *err)
{
	char *rest = read_note(a, ctx, err);
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
static bool write_note(const struct archive *a, int folder, const char *const *recipients, size_t n,
		       struct error *err)
{
	AUTO(talloc) char *text = t_strdup(NULL, "");
	char digest[FILE_HEX + 1];

	for (size_t i = 0; i < n; i++)
		t_append(&text, RECIPIENT "%s\n", recipients[i]);
	for (size_t i = 0; i < a->n_files; i++) {
		const char *file = a->files[i].name;

		if (!archive_digest(a, file, digest, err))
			return false;
		t_append(&text, "%s  %s %" PRId64 "\n", digest, file,
			 archive_file_bytes(folder, file));
	}
	return archive_write_file(a, ARCHIVE_PLAIN_SUMS, text, err);
}

/* Finds the line "DIGEST  NAME BYTES" of one file in the note. */
static bool find_noted(const char *note, const char *file, struct manifest_file *ret,
		       struct error *err)
{
	const char *line = archive_find_sum(note, file, ' ');

	if (!line)
		return fail(
			err, ERR_CONFIG,
			"\"" ARCHIVE_PLAIN_SUMS
			"\" does not name \"%s\": the configuration's model has changed while "
			"the archive was encrypted; put the old one back until the action is done",
			file);
	memcpy(ret->plain_sha256, line, FILE_HEX);
	ret->plain_sha256[FILE_HEX] = '\0';
	ret->plain_bytes = strtoll(line + ARCHIVE_SUM_NAME + strlen(file), NULL, 10); /* ours */
	return true;
}

/* Step "check". */
static bool check_written(int folder, const char *file, int64_t plain_bytes, struct error *err)
{
	AUTO(fd) int fd = openat(folder, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char magic[sizeof(MAGIC) - 1];

	if (fd < 0 || pread(fd, magic, sizeof(magic), 0) != (ssize_t)sizeof(magic) ||
	    memcmp(magic, MAGIC, sizeof(magic)) != 0 ||
	    archive_file_bytes(folder, file) <= plain_bytes)
		return fail(
			err, ERR_ENVIRONMENT,
			"what age wrote to \"%s\" is not an encrypted file: is the age in PATH the "
			"right one?",
			file);
	return true;
}

static bool encrypt_to(int folder, int in, const char *temporary, const char *const *recipients,
		       size_t n_recipients, struct error *err)
{
	AUTO(fd) int out = -1;

	if (unlinkat(folder, temporary, 0) != 0 && errno != ENOENT)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot remove \"%s\"", temporary);
	out = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (out < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot make archive file \"%s\"",
				  temporary);
	if (!age_encrypt(recipients, n_recipients, in, out, err))
		return false;
	return file_sync(out, temporary, err);
}

/* Steps "encrypt" to "unlink", for one file. */
static bool encrypt_file(int folder, const char *plain, const char *const *recipients,
			 size_t n_recipients, struct manifest_file *f, struct error *err)
{
	AUTO(talloc) char *stored = t_printf(NULL, "%s" ARCHIVE_ENCRYPTED, plain);
	const char *temporary = t_printf(stored, "%s" ARCHIVE_TEMPORARY, stored);
	AUTO(fd) int in = openat(folder, plain, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	f->bytes = archive_file_bytes(folder, stored);
	if (archive_file_bytes(folder, plain) < 0) {
		return f->bytes >= 0 ||
		       fail(err, ERR_CONFIG,
			    "archive file \"%s\" is there neither plain nor encrypted", plain);
	}
	if (in < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open archive file \"%s\"", plain);
	if (!encrypt_to(folder, in, temporary, recipients, n_recipients, err) ||
	    !check_written(folder, temporary, f->plain_bytes, err))
		return false;
	failpoint("encrypt-before-rename");
	if (renameat(folder, temporary, folder, stored) != 0 || fsync(folder) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot rename \"%s\"", temporary);
	failpoint("encrypt-after-rename");
	if (unlinkat(folder, plain, 0) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot remove \"%s\"", plain);
	failpoint("encrypt-after-unlink");
	f->bytes = archive_file_bytes(folder, stored);
	return true;
}

bool archive_encrypt(const struct archive *a, const char *const *recipients, size_t n,
		     struct manifest_file *files, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(fd) int folder = archive_partial(a, err);
	const char *note;

	if (folder < 0)
		return false;
	note = read_note(a, ctx, err);
	if (!note && err->class == ERR_NONE) {
		if (!write_note(a, folder, recipients, n, err))
			return false;
		note = read_note(a, ctx, err);
	}
	if (!note)
		return false;
	failpoint("encrypt-after-note");
	for (size_t i = 0; i < a->n_files; i++)
		if (!find_noted(note, a->files[i].name, &files[i], err) ||
		    !encrypt_file(folder, a->files[i].name, recipients, n, &files[i], err))
			return false;
	return file_sync(folder, a->name, err);
}

/* A file without a name, which holds the text, to be read from its beginning; -1 with err. */
static int hold_text(const char *text, struct error *err)
{
	AUTO(fd) int fd = memfd_create("document", MFD_CLOEXEC);
	int64_t written = 0;
	int held;

	if (fd < 0)
		(void)fail_errno(err, ERR_ENVIRONMENT, "no memory for the document");
	if (fd < 0 || !file_write(fd, text, strlen(text), &written, "the document", err))
		return -1;
	(void)lseek(fd, 0, SEEK_SET); /* cannot fail in such a file */
	held = fd;
	fd = -1;
	return held;
}

bool archive_encrypt_text(int folder, const struct archive_text *text, int64_t *ret_bytes,
			  struct error *err)
{
	AUTO(talloc) char *temporary = t_printf(NULL, "%s" ARCHIVE_TEMPORARY, text->name);
	AUTO(fd) int in = hold_text(text->text, err);

	if (in < 0 ||
	    !encrypt_to(folder, in, temporary, text->recipients, text->n_recipients, err) ||
	    !check_written(folder, temporary, (int64_t)strlen(text->text), err))
		return false;
	if (renameat(folder, temporary, folder, text->name) != 0 || fsync(folder) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot rename \"%s\"", temporary);
	*ret_bytes = archive_file_bytes(folder, text->name);
	return true;
}
