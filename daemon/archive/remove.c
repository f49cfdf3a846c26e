/*
 * An archive lies in one flat folder under archives.directory.  Its removal trusts no path of the
 * database: the folder is opened by its name, one component, below the open directory, its files by
 * theirs, below the open folder, and no symbolic link is ever followed.  What is removed is what the
 * archive's own SHA256SUMS names, besides that file and manifest.json; of one that never was sealed
 * (NAME.partial, of an action that failed), what has the name of a segment.  Anything else, a folder,
 * a link, a file that a person put there, is refused before anything is touched.
 *
 * What may die on each line, and what then:
 *
 *   look        nothing was touched.
 *   rename      NAME to NAME.deleted, then fsync of the directory.  Before it, the archive is whole and
 *               the next try begins at the top.  After it nobody can take the folder for an archive:
 *               verifying and restoring open NAME only.  A power cut may undo the rename; that is the
 *               archive whole again, and no file has gone yet.
 *   files       the tables' files, then fsync of the folder.  The next try finds NAME.deleted first and
 *               goes on with what is left: SHA256SUMS is still there to say what is ours.
 *   the rest    manifest.json, fsync, SHA256SUMS last.  A folder that holds neither is empty.
 *   look again  a file that came meanwhile is found and told.  The folder is empty otherwise.
 *   record      the caller's, in the journal.  Dying before it, the next try finds the empty folder, and
 *               records.  Were the folder removed first, the next try would find nothing, as it does
 *               where a file system is not mounted, and could not tell which of the two it is.
 *   rmdir       then fsync of the directory.  Dying before it leaves an empty folder, which the next
 *               archive_remove_folders() takes away, whoever's it was.
 *
 * A disk that fails on any line is told, and the next try begins at the same line.
 */
#include "archive/remove.h"

#include "archive/folder.h"

#include "base/failpoint.h"
#include "base/mem.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define SUMS "SHA256SUMS"
#define MANIFEST "manifest.json"
#define DELETED ".deleted"
#define HEX 64 /* digits of a SHA-256 */
#define MOST_BYTES ((off_t)16 * 1024 * 1024)

/* One folder on its way out. */
struct removal {
	void *ctx;
	const char *directory;
	int parent; /* the directory, open */
	const char *entry; /* the folder's name under it */
	bool partial; /* never sealed */
	int folder; /* open */
	const char *sums; /* the text of SHA256SUMS; NULL: there is none */
	const char **names; /* n, what is in the folder and ours, without SUMS and MANIFEST */
	size_t n;
};

/* A name from a disk is put into messages: only what is sure to be readable. */
static const char *readable(void *ctx, const char *name)
{
	char *text = t_strdup(ctx, name);

	for (char *c = text; *c; c++)
		if (!isprint((unsigned char)*c) || (unsigned char)*c > 126)
			*c = '?';
	return text;
}

static bool is_one_component(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";

	return isdigit((unsigned char)*name) && name[strspn(name, allowed)] == '\0';
}

static bool sync_fd(int fd, const char *what, struct error *err)
{
	return fsync(fd) == 0 || fail_errno(err, ERR_ENVIRONMENT, "cannot sync \"%s\"", what);
}

static enum error_class class_of_errno(void)
{
	return errno == EIO || errno == ENOSPC || errno == EROFS || errno == EMFILE ||
			       errno == ENFILE || errno == ENOMEM || errno == EBUSY
		       ? ERR_ENVIRONMENT
		       : ERR_CONFIG;
}

/* The whole text of SHA256SUMS into r; there may be none. */
static bool read_sums(struct removal *r, struct error *err)
{
	AUTO(fd) int fd = openat(r->folder, SUMS, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	size_t size, done = 0;
	char *text;

	if (fd < 0 && errno == ENOENT)
		return true;
	if (fd < 0 || fstat(fd, &st) != 0)
		return fail_errno(err, class_of_errno(), "cannot open \"%s/%s/" SUMS "\"",
				  r->directory, r->entry);
	if (!S_ISREG(st.st_mode) || st.st_size > MOST_BYTES)
		return fail(err, ERR_CONFIG, "\"%s/%s/" SUMS "\" is not ours", r->directory,
			    r->entry);
	size = (size_t)st.st_size;
	text = t_array(r->ctx, char, size + 1);
	while (done < size) {
		const ssize_t n = read(fd, text + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail_errno(err, ERR_ENVIRONMENT, "cannot read \"%s/%s/" SUMS "\"",
					  r->directory, r->entry);
		done += (size_t)n;
	}
	r->sums = text;
	return true;
}

/* Does a line of SHA256SUMS, "DIGEST  NAME", name it? */
static bool is_summed(const struct removal *r, const char *name)
{
	const size_t length = strlen(name);

	for (const char *line = r->sums; line && *line;) {
		const size_t n = strcspn(line, "\n");

		if (n == HEX + 2 + length && memcmp(line + HEX + 2, name, length) == 0)
			return true;
		line += n + (line[n] == '\n');
	}
	return false;
}

/* TABLE.csv, and what becomes of it while a job runs: TABLE.csv.3, TABLE.csv.age, and their .tmp. */
static bool is_segment(const char *name)
{
	const char *end = archive_suffix(name);

	if (!end)
		return false;
	if (strncmp(end, ".age", 4) == 0)
		end += 4;
	else if (*end == '.' && isdigit((unsigned char)end[1]))
		end += 1 + strspn(end + 1, "0123456789");
	return *end == '\0' || strcmp(end, ".tmp") == 0;
}

static bool is_fixed(const char *name)
{
	return strcmp(name, SUMS) == 0 || strcmp(name, MANIFEST) == 0;
}

static bool is_ours(const struct removal *r, const char *name)
{
	if (is_fixed(name))
		return true;
	if (!r->partial)
		return is_summed(r, name);
	return is_segment(name) || strcmp(name, SUMS ".tmp") == 0 ||
	       strcmp(name, MANIFEST ".tmp") == 0 || strcmp(name, SUMS ".plain") == 0 ||
	       strcmp(name, SUMS ".plain.tmp") == 0;
}

static bool check_entry(struct removal *r, const char *name, struct error *err)
{
	struct stat st;

	if (fstatat(r->folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot look at \"%s/%s/%s\"", r->directory,
				  r->entry, readable(r->ctx, name));
	if (!S_ISREG(st.st_mode))
		return fail(err, ERR_CONFIG,
			    "\"%s/%s/%s\" is %s, which no archive holds: take it away; nothing is "
			    "removed until then",
			    r->directory, r->entry, readable(r->ctx, name),
			    S_ISDIR(st.st_mode)   ? "a folder"
			    : S_ISLNK(st.st_mode) ? "a symbolic link"
						  : "no regular file");
	if (!is_ours(r, name))
		return fail(err, ERR_CONFIG,
			    "\"%s/%s/%s\" is not the archive's%s: take it away; nothing is removed "
			    "until then",
			    r->directory, r->entry, readable(r->ctx, name),
			    r->sums || r->partial ? "" : " (its " SUMS " is missing)");
	return true;
}

/* What is in the folder, each entry found to be ours. */
static bool look(struct removal *r, struct error *err)
{
	DIR *stream = archive_entries(r->folder, ".");
	const struct dirent *e;
	bool ok = true;

	if (!stream)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot read the folder \"%s/%s\"",
				  r->directory, r->entry);
	r->n = 0;
	errno = 0;
	while (ok && (e = readdir(stream))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		ok = check_entry(r, e->d_name, err);
		if (ok && !is_fixed(e->d_name)) {
			r->names = t_grow(r->ctx, r->names, const char *, r->n + 1);
			r->names[r->n++] = t_strdup(r->ctx, e->d_name);
		}
		errno = 0;
	}
	if (ok && errno != 0)
		ok = fail_errno(err, ERR_ENVIRONMENT, "cannot read the folder \"%s/%s\"",
				r->directory, r->entry);
	(void)closedir(stream); /* read-only */
	return ok;
}

/* Step "rename"; one that was renamed before stays as it is. */
static bool set_aside(struct removal *r, const char *entry, struct error *err)
{
	struct stat opened, named;

	failpoint("remove-before-rename");
	if (strcmp(r->entry, entry) != 0 &&
	    renameat2(r->parent, r->entry, r->parent, entry, RENAME_NOREPLACE) != 0)
		return fail_errno(err, class_of_errno(), "cannot rename \"%s/%s\"", r->directory,
				  r->entry);
	r->entry = entry;
	/* The name leads to the folder that we have open, or somebody is at work beside us. */
	if (fstat(r->folder, &opened) != 0 ||
	    fstatat(r->parent, entry, &named, AT_SYMLINK_NOFOLLOW) != 0 ||
	    opened.st_ino != named.st_ino || opened.st_dev != named.st_dev)
		return fail(err, ERR_CONFIG, "\"%s/%s\" was exchanged while it was removed",
			    r->directory, entry);
	if (!sync_fd(r->parent, r->directory, err))
		return false;
	failpoint("remove-after-rename");
	return true;
}

static bool unlink_one(struct removal *r, const char *name, struct error *err)
{
	if (unlinkat(r->folder, name, 0) != 0 && errno != ENOENT)
		return fail_errno(err, class_of_errno(), "cannot remove \"%s/%s/%s\"", r->directory,
				  r->entry, readable(r->ctx, name));
	return true;
}

/* Steps "files", "the rest" and "look again". */
static bool empty(struct removal *r, struct error *err)
{
	for (size_t i = 0; i < r->n; i++) {
		if (!unlink_one(r, r->names[i], err))
			return false;
		failpoint("remove-mid-files");
	}
	if (!sync_fd(r->folder, r->entry, err))
		return false;
	failpoint("remove-after-files");
	if (!unlink_one(r, MANIFEST, err) || !sync_fd(r->folder, r->entry, err) ||
	    !unlink_one(r, SUMS, err) || !sync_fd(r->folder, r->entry, err))
		return false;
	r->sums = NULL;
	r->partial = false;
	return look(r, err);
}

/* One of the folders that an archive can be in: entry, which becomes target. */
static bool remove_folder(const char *directory, int parent, const char *entry, const char *target,
			  bool partial, bool *ret_found, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(fd)
	int folder = openat(parent, entry, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct removal r = {.ctx = ctx,
			    .directory = directory,
			    .parent = parent,
			    .entry = entry,
			    .partial = partial,
			    .folder = folder};

	if (folder < 0 && errno == ENOENT)
		return true;
	if (folder < 0 && (errno == ENOTDIR || errno == ELOOP))
		return fail(err, ERR_CONFIG,
			    "\"%s/%s\" is a symbolic link or a file, not the archive's folder: "
			    "take it away",
			    directory, entry);
	if (folder < 0)
		return fail_errno(err, class_of_errno(), "cannot open the folder \"%s/%s\"",
				  directory, entry);
	*ret_found = true;
	return read_sums(&r, err) && look(&r, err) && set_aside(&r, target, err) && empty(&r, err);
}

/* The folder's names, a half-removed one first: its place is taken by the next. */
enum { STATES = 4 };
static const struct {
	const char *suffix;
	const char *target;
	bool partial;
} states[STATES] = {
	{DELETED, DELETED, false},
	{".partial" DELETED, ".partial" DELETED, true},
	{"", DELETED, false},
	{".partial", ".partial" DELETED, true},
};

bool archive_is_there(const char *directory, const char *name)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(fd) int parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	for (int i = 0; parent >= 0 && is_one_component(name) && i < STATES; i++)
		if (fstatat(parent, t_printf(ctx, "%s%s", name, states[i].suffix), &st,
			    AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	return false;
}

bool archive_remove(const char *directory, const char *name, bool *ret_found, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(fd) int parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool found = false;

	if (!is_one_component(name))
		return fail(err, ERR_CONFIG, "\"%s\" is no name of an archive",
			    readable(ctx, name));
	if (parent < 0)
		return fail_errno(err, class_of_errno(), "cannot open archives.directory \"%s\"",
				  directory);
	for (int i = 0; i < STATES; i++)
		if (!remove_folder(directory, parent, t_printf(ctx, "%s%s", name, states[i].suffix),
				   t_printf(ctx, "%s%s", name, states[i].target), states[i].partial,
				   &found, err))
			return false;
	*ret_found = found;
	return true;
}

bool archive_remove_folders(const char *directory, struct error *err)
{
	AUTO(fd) int parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = opendir(directory);
	const struct dirent *e;
	bool removed = false;

	if (parent < 0 || !stream) {
		if (stream)
			(void)closedir(stream); /* read-only */
		return fail_errno(err, class_of_errno(), "cannot open archives.directory \"%s\"",
				  directory);
	}
	while ((e = readdir(stream))) {
		const size_t length = strlen(e->d_name);

		if (length > strlen(DELETED) && is_one_component(e->d_name) &&
		    strcmp(e->d_name + length - strlen(DELETED), DELETED) == 0 &&
		    unlinkat(parent, e->d_name, AT_REMOVEDIR) == 0)
			removed = true;
	}
	(void)closedir(stream); /* read-only */
	return !removed || sync_fd(parent, directory, err);
}
