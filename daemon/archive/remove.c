/*
 * An archive lies in one flat folder under archives.directory.  Its removal trusts no path of the
 * database: it opens the folder by its name, one component, below the open directory, and the files by
 * their names below the open folder, and never follows a symbolic link.  It removes what the archive's own
 * SHA256SUMS names, that file and manifest.json.  From a folder that was never sealed (NAME.partial, of an
 * action that failed) it removes what has the name of a segment.  Anything else, such as a folder, a link
 * or a file that a person put there, is refused before anything is touched.
 *
 * The steps, and what happens when the process or the machine dies in each of them:
 *
 *   look        nothing was touched.
 *   rename      NAME to NAME.deleted, then fsync of the directory.  Before it, the archive is whole and
 *               the next try begins at the top.  After it nobody can take the folder for an archive:
 *               verifying and restoring open NAME only.  A power cut may undo the rename; then the
 *               archive is whole again, because no file was removed yet.
 *   files       the tables' files, then fsync of the folder.  The next try finds NAME.deleted first and
 *               goes on with what is left: SHA256SUMS is still there to say which files are the archive's.
 *   the rest    manifest.json, fsync, SHA256SUMS last.  A folder that holds neither is empty.
 *   look again  a file that came meanwhile is found and told.  The folder is empty otherwise.
 *   record      the caller records the removal in the journal.  After a crash before this, the next try finds
 *               the empty folder, and records.  Therefore the folder is removed later: without it, the next
 *               try could not tell a removed archive from a file system that is not mounted.
 *   rmdir       then fsync of the directory.  Dying before it leaves an empty folder, which the next
 *               archive_remove_folders() removes, whichever archive it belonged to.
 *
 * A disk that fails on any line is told, and the next try begins at the same line.
 */
#include "archive/remove.h"

#include "archive/folder.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define DELETED ".deleted"

/* The removal of one folder. */
struct removal {
	void *ctx;
	const char *directory;
	int parent; /* the directory, open */
	const char *entry; /* the folder's name under it */
	bool partial; /* never sealed */
	int folder; /* open */
	const char *sums; /* the text of SHA256SUMS; NULL: there is none */
	const char **names; /* the archive's files in the folder, ended by a NULL */
};

/* Makes a name from a disk fit for a message: replaces what may not be readable. */
static const char *readable(void *ctx, const char *name)
{
	char *text = t_strdup(ctx, name);

	for (char *c = text; *c; c++)
		if (!isprint((unsigned char)*c) || (unsigned char)*c > 126)
			*c = '?';
	return text;
}

/* The folder, or the entry called name in it, for messages. */
static const char *path_of(const struct removal *r, const char *name)
{
	return t_printf(r->ctx, "%s/%s%s%s", r->directory, r->entry, name ? "/" : "",
			name ? readable(r->ctx, name) : "");
}

static bool is_one_component(const char *name)
{
	return is_digit(*name) && !name[strspn(name, LETTERS DIGITS "._-")];
}

static enum error_class class_of_errno(void)
{
	return errno == EIO || errno == ENOSPC || errno == EROFS || errno == EMFILE ||
			       errno == ENFILE || errno == ENOMEM || errno == EBUSY
		       ? ERR_ENVIRONMENT
		       : ERR_CONFIG;
}

/* Reads SHA256SUMS into r; it may be missing. */
static bool read_sums(struct removal *r, struct error *err)
{
	AUTO(fd)
	int fd = openat(r->folder, ARCHIVE_SUMS, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	const char *path = path_of(r, ARCHIVE_SUMS);

	if (fd < 0 && errno == ENOENT)
		return true;
	if (fd < 0)
		return fail_errno(err, class_of_errno(), "cannot open \"%s\"", path);
	r->sums = file_read_text(fd, path, r->ctx, err);
	return r->sums;
}

/* Is it TABLE.csv, or what it is called while a job runs: TABLE.csv.3, TABLE.csv.age, TABLE.csv.age.tmp? */
static bool is_unfinished(const char *name)
{
	const char *suffix = archive_suffix(name);

	return archive_is_segment(name) ||
	       (suffix && (*suffix == '\0' || strcmp(suffix, ARCHIVE_ENCRYPTED) == 0 ||
			   strcmp(suffix, ARCHIVE_ENCRYPTED ARCHIVE_TEMPORARY) == 0));
}

static bool is_fixed(const char *name)
{
	return strcmp(name, ARCHIVE_SUMS) == 0 || strcmp(name, ARCHIVE_MANIFEST) == 0;
}

static bool is_ours(const struct removal *r, const char *name)
{
	if (is_fixed(name))
		return true;
	if (!r->partial)
		return archive_find_sum(r->sums, name, '\n');
	return is_unfinished(name) || strcmp(name, ARCHIVE_SUMS ARCHIVE_TEMPORARY) == 0 ||
	       strcmp(name, ARCHIVE_MANIFEST ARCHIVE_TEMPORARY) == 0 ||
	       strcmp(name, ARCHIVE_LENGTHS) == 0 ||
	       strcmp(name, ARCHIVE_LENGTHS ARCHIVE_TEMPORARY) == 0 ||
	       strcmp(name, ARCHIVE_PLAIN_SUMS) == 0 ||
	       strcmp(name, ARCHIVE_PLAIN_SUMS ARCHIVE_TEMPORARY) == 0;
}

static bool check_entry(struct removal *r, const char *name, struct error *err)
{
	struct stat st;

	if (fstatat(r->folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot look at \"%s\"", path_of(r, name));
	if (!S_ISREG(st.st_mode))
		return fail(err, ERR_CONFIG,
			    "\"%s\" is %s, which no archive holds: take it away; nothing is "
			    "removed until then",
			    path_of(r, name),
			    S_ISDIR(st.st_mode)   ? "a folder"
			    : S_ISLNK(st.st_mode) ? "a symbolic link"
						  : "not a regular file");
	return is_ours(r, name) ||
	       fail(err, ERR_CONFIG,
		    "\"%s\" is not the archive's%s: take it away; nothing is removed until then",
		    path_of(r, name),
		    r->sums || r->partial ? "" : " (its " ARCHIVE_SUMS " is missing)");
}

/* Lists the folder, and checks that each entry is the archive's. */
static bool look(struct removal *r, struct error *err)
{
	r->names = archive_list(r->folder, ".", r->ctx);
	if (!r->names)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot read the folder \"%s\"",
				  path_of(r, NULL));
	for (const char **name = r->names; *name; name++)
		if (!check_entry(r, *name, err))
			return false;
	return true;
}

/* Step "rename"; a folder that was renamed before stays as it is. */
static bool set_aside(struct removal *r, const char *entry, struct error *err)
{
	struct stat opened, named;

	failpoint("remove-before-rename");
	if (strcmp(r->entry, entry) != 0 &&
	    renameat2(r->parent, r->entry, r->parent, entry, RENAME_NOREPLACE) != 0)
		return fail_errno(err, class_of_errno(), "cannot rename \"%s\"", path_of(r, NULL));
	r->entry = entry;
	/* If the name does not lead to the folder that is open, somebody else is at work beside us. */
	if (fstat(r->folder, &opened) != 0 ||
	    fstatat(r->parent, entry, &named, AT_SYMLINK_NOFOLLOW) != 0 ||
	    opened.st_ino != named.st_ino || opened.st_dev != named.st_dev)
		return fail(err, ERR_CONFIG, "\"%s\" was exchanged while it was removed",
			    path_of(r, NULL));
	if (!file_sync(r->parent, r->directory, err))
		return false;
	failpoint("remove-after-rename");
	return true;
}

static bool unlink_one(struct removal *r, const char *name, struct error *err)
{
	return unlinkat(r->folder, name, 0) == 0 || errno == ENOENT ||
	       fail_errno(err, class_of_errno(), "cannot remove \"%s\"", path_of(r, name));
}

/* Steps "files", "the rest" and "look again". */
static bool empty(struct removal *r, struct error *err)
{
	for (const char **name = r->names; *name; name++) {
		if (is_fixed(*name))
			continue;
		if (!unlink_one(r, *name, err))
			return false;
		failpoint("remove-mid-files");
	}
	if (!file_sync(r->folder, r->entry, err))
		return false;
	failpoint("remove-after-files");
	if (!unlink_one(r, ARCHIVE_MANIFEST, err) || !file_sync(r->folder, r->entry, err) ||
	    !unlink_one(r, ARCHIVE_SUMS, err) || !file_sync(r->folder, r->entry, err))
		return false;
	r->sums = NULL;
	r->partial = false;
	return look(r, err);
}

/* Removes r's entry, one of the folders that an archive can be in, under the name target. */
static bool remove_folder(struct removal *r, const char *target, bool *ret_found, struct error *err)
{
	AUTO(fd)
	int folder = openat(r->parent, r->entry, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (folder < 0 && errno == ENOENT)
		return true;
	if (folder < 0 && (errno == ENOTDIR || errno == ELOOP))
		return fail(err, ERR_CONFIG,
			    "\"%s\" is a symbolic link or a file, not the archive's folder: "
			    "take it away",
			    path_of(r, NULL));
	if (folder < 0)
		return fail_errno(err, class_of_errno(), "cannot open the folder \"%s\"",
				  path_of(r, NULL));
	*ret_found = true;
	r->folder = folder;
	return read_sums(r, err) && look(r, err) && set_aside(r, target, err) && empty(r, err);
}

/* The names of an archive's folder.  A half-removed one comes first, because the next takes its name. */
enum { STATES = 4 };
static const struct {
	const char *suffix;
	const char *target;
	bool partial;
} states[STATES] = {
	{DELETED, DELETED, false},
	{ARCHIVE_PARTIAL DELETED, ARCHIVE_PARTIAL DELETED, true},
	{"", DELETED, false},
	{ARCHIVE_PARTIAL, ARCHIVE_PARTIAL DELETED, true},
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
		return fail(err, ERR_CONFIG, "\"%s\" is not the name of an archive",
			    readable(ctx, name));
	if (parent < 0)
		return fail_errno(err, class_of_errno(), "cannot open archives.directory \"%s\"",
				  directory);
	for (int i = 0; i < STATES; i++) {
		struct removal r = {.ctx = ctx,
				    .directory = directory,
				    .parent = parent,
				    .entry = t_printf(ctx, "%s%s", name, states[i].suffix),
				    .partial = states[i].partial};

		if (!remove_folder(&r, t_printf(ctx, "%s%s", name, states[i].target), &found, err))
			return false;
	}
	*ret_found = found;
	return true;
}

bool archive_remove_folders(const char *directory, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(fd) int parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char **names = parent < 0 ? NULL : archive_list(parent, ".", ctx);
	bool removed = false;

	if (!names)
		return fail_errno(err, class_of_errno(), "cannot open archives.directory \"%s\"",
				  directory);
	for (; *names; names++) {
		const size_t length = strlen(*names);

		if (length > strlen(DELETED) && is_one_component(*names) &&
		    strcmp(*names + length - strlen(DELETED), DELETED) == 0 &&
		    unlinkat(parent, *names, AT_REMOVEDIR) == 0)
			removed = true;
	}
	return !removed || file_sync(parent, directory, err);
}
