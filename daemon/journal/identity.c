/*
 * SQL judges, because the server knows which databases it has: retention.check_identity().  What may die on each
 * line of binding, and what then:
 *
 *   judge     nothing has changed.
 *   row       retention.bind_directory(): where the database is, and the event "rebound" after a restored backup,
 *             in one transaction.  Killed after it, the next attempt judges the same file again, and the row makes
 *             no other file good.  The event is not written twice.
 *   file      to a temporary name, fsync, rename, fsync of the directory.  Killed before the rename, the next attempt
 *             finds the old file.  Killed after it, all is done.  A disk that fails here stops the attempt before
 *             anything else is written into the directory.
 *
 * Two processes that bind the directory at once do it one after the other, as far as the file system has locks.
 */
#include "journal/identity.h"

#include "base/failpoint.h"
#include "base/file.h"
#include "base/mem.h"
#include "journal/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct look {
	int folder; /* open; -1: it is not */
	const char *known; /* the file's text; NULL: there is no file */
	const char *wanted; /* what it has to be; NULL: the server is a standby */
};

/* Judges; the texts are owned by ctx, and the caller closes the folder, also after a failure. */
static bool look(struct db *db, const char *directory, void *ctx, struct look *ret,
		 struct error *err)
{
	const char *values[2];
	AUTO(result) PGresult *res = NULL;

	ret->folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ret->folder < 0)
		return fail_errno(err, errno == EIO ? ERR_ENVIRONMENT : ERR_CONFIG,
				  "cannot open archives.directory \"%s\"", directory);
	(void)flock(ret->folder, LOCK_EX); /* a file system without locks goes without */
	ret->known = file_read_small(ret->folder, IDENTITY_FILE, ctx, err);
	if (err->class != ERR_NONE)
		return false;
	values[0] = ret->known;
	values[1] = faccessat(ret->folder, LEDGER_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? "true"
											: "false";
	if (!db_query(
		    db,
		    "SELECT i.fault, i.wanted FROM retention.check_identity($1, $2::boolean) AS i",
		    2, values, &res, err))
		return false;
	if (PQntuples(res) != 1)
		return fail(err, ERR_CONFIG,
			    "retention.identity has no row: put it back, as \"%s/" IDENTITY_FILE
			    "\" has it",
			    directory);
	ret->wanted = db_text_copy(ctx, res, 0, "wanted");
	return !db_text(res, 0, "fault") || fail(err, ERR_CONFIG, "archives.directory \"%s\": %s",
						 directory, db_text(res, 0, "fault"));
}

bool identity_check(struct db *db, const char *directory, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct look found = {.folder = -1};
	const bool ok = look(db, directory, ctx, &found, err);
	AUTO(fd) int folder = found.folder;

	return ok;
}

bool identity_bind_adopted(struct db *db, const char *directory, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct look found = {.folder = -1};
	const bool ok = look(db, directory, ctx, &found, err);
	/* The last word of the file is when the database was adopted; without a fault, the row has no earlier one. */
	const bool adopted = ok && found.known && found.wanted &&
			     strcmp(strrchr(found.known, ' '), strrchr(found.wanted, ' ')) != 0;

	if (found.folder >= 0)
		(void)close(found.folder); /* with its lock; nothing was written */
	return ok && (!adopted || identity_bind(db, directory, err));
}

/*
 * Lets the folder's group read whose folder it is, if it may read the folder: a restore by one of the group asks
 * (archives.group_readable).  The file says nothing of a person.
 */
static bool share(int folder, struct error *err)
{
	struct stat above, st;

	if (fstat(folder, &above) == 0 && fstatat(folder, IDENTITY_FILE, &st, 0) == 0 &&
	    (!(above.st_mode & S_IRGRP) || st.st_mode & S_IRGRP ||
	     fchmodat(folder, IDENTITY_FILE, 0640, 0) == 0))
		return true;
	return fail_errno(err, ERR_ENVIRONMENT, "cannot set the mode of \"" IDENTITY_FILE "\"");
}

bool identity_bind(struct db *db, const char *directory, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(error) struct error why = {0};
	struct look found = {.folder = -1};
	/* Where others can write, the ledger and the archives cannot be trusted; a check may be days old. */
	const bool private = file_check_private_folder(directory, &why);
	const bool ok = private && look(db, directory, ctx, &found, err);
	AUTO(fd) int folder = found.folder;

	if (!private)
		return fail(err, why.class, "archives.directory: %s", why.text);
	if (!ok)
		return false;
	if (!found.wanted)
		return fail(err, ERR_ENVIRONMENT,
			    "the server is a standby: waiting for the primary");
	if (!db_command(db, "SELECT retention.bind_directory($1)", 1, &found.known, NULL, err))
		return false;
	if (found.known && strcmp(found.known, found.wanted) == 0)
		return share(folder, err);
	failpoint("job-after-row");
	if (!file_replace(folder, IDENTITY_FILE, found.wanted, err))
		return false;
	failpoint("job-after-identity");
	return share(folder, err);
}
