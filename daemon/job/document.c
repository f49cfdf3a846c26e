/*
 * A document is removed in two steps, so that dying between them leaves work for the next pass: the file, then its mark in
 * retention.request.  A document that is being written has a request that has not ended, and is left alone.  A file that
 * no open or kept request names has nobody who could ask for it.
 */
#include "job/document.h"

#include "archive/finish.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* The folder, made where it is missing and make is set; -1 with errno. */
static int open_folder(const char *directory, bool make)
{
	AUTO(fd) int root = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return -1;
	if (make && mkdirat(root, DOCUMENT_FOLDER, 0700) == 0 && fsync(root) != 0)
		return -1;
	return file_open_beneath(root, DOCUMENT_FOLDER, O_RDONLY | O_DIRECTORY);
}

bool document_write(const struct config *config, const char *name, const char *text,
		    int64_t *ret_bytes, struct error *err)
{
	AUTO(fd) int folder = open_folder(config->directory, true);
	const struct archive_text file = {.name = name,
					  .text = text,
					  .recipients = config->recipients,
					  .n_recipients = config->n_recipients};

	if (folder < 0)
		return fail_errno(err, ERR_CONFIG, "cannot open \"%s/" DOCUMENT_FOLDER "\"",
				  config->directory);
	return archive_encrypt_text(folder, &file, ret_bytes, err);
}

bool document_open(const char *directory, const char *name, int *ret_fd, int64_t *ret_bytes,
		   struct error *err)
{
	AUTO(fd) int folder = open_folder(directory, false);
	AUTO(fd)
	int fd = folder < 0 || strchr(name, '/')
			 ? -1
			 : file_open_beneath(folder, name, O_RDONLY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		return fail_errno(err, ERR_CONFIG, "cannot open the document \"%s\"", name);
	if (!S_ISREG(st.st_mode))
		return fail(err, ERR_CONFIG, "the document \"%s\" is not a file", name);
	*ret_bytes = st.st_size;
	*ret_fd = fd;
	fd = -1;
	return true;
}

/* What is to become of the files. */
struct expiry {
	struct db *db;
	int folder;
	PGresult *documents; /* of retention.documents() */
	int *removed;
};

/* Is the file that of a request which is open or kept, whole or not yet? */
static bool is_kept(const struct expiry *e, const char *name)
{
	for (int row = 0; row < PQntuples(e->documents); row++) {
		const char *document = db_value(e->documents, row, "document");

		if (!db_bool(e->documents, row, "expired") &&
		    strncmp(name, document, strlen(document)) == 0)
			return true;
	}
	return false;
}

static bool remove_files(const struct expiry *e, struct error *err)
{
	const int copy = fcntl(e->folder, F_DUPFD_CLOEXEC, 0);
	DIR *folder = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;
	bool ok = folder;

	while (ok && (errno = 0, entry = readdir(folder))) {
		if (*entry->d_name == '.' || is_kept(e, entry->d_name))
			continue;
		ok = unlinkat(e->folder, entry->d_name, 0) == 0;
		*e->removed += ok ? 1 : 0;
	}
	ok = ok && errno == 0 && fsync(e->folder) == 0;
	if (!ok)
		(void)fail_errno(err, ERR_ENVIRONMENT, "cannot remove expired documents");
	if (folder)
		(void)closedir(folder); /* only read from */
	return ok;
}

static bool mark_removed(const struct expiry *e, struct error *err)
{
	static const char sql[] =
		"UPDATE retention.request SET document_removed_at = clock_timestamp()\n"
		" WHERE id = $1::int AND document_removed_at IS NULL";

	for (int row = 0; row < PQntuples(e->documents); row++) {
		const char *id = db_value(e->documents, row, "id");

		if (db_bool(e->documents, row, "expired") &&
		    !db_command(e->db, sql, 1, &id, NULL, err))
			return false;
	}
	return true;
}

bool document_expire(struct db *db, const struct job_opts *opts, int *ret_removed,
		     struct error *err)
{
	AUTO(fd) int folder = open_folder(opts->config->directory, false);
	AUTO(result) PGresult *documents = NULL;
	struct expiry e = {.db = db, .folder = folder, .removed = ret_removed};

	if (folder < 0 && errno != ENOENT)
		return fail_errno(err, ERR_CONFIG, "cannot open \"%s/" DOCUMENT_FOLDER "\"",
				  opts->config->directory);
	if (!db_query(db, "SELECT * FROM retention.documents($1)", 1, &opts->host, &documents, err))
		return false;
	e.documents = documents;
	return (folder < 0 || remove_files(&e, err)) && mark_removed(&e, err);
}
