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

struct stored {
	const char *id; /* of the action */
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
static int open_archive(const struct config *config, const char *path, struct error *err)
{
	const size_t n = strlen(config->directory);
	AUTO(fd) int directory = open(config->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int folder;

	if (directory < 0) {
		(void)fail_errno(err, ERR_CONFIG, "cannot open archives.directory \"%s\"",
				 config->directory);
		return -1;
	}
	if (strncmp(path, config->directory, n) != 0 || path[n] != '/') {
		(void)fail(err, ERR_CONFIG, "\"%s\" does not lie under archives.directory \"%s\"",
			   path, config->directory);
		return -1;
	}
	folder = open_beneath(directory, path + n + 1, O_RDONLY | O_DIRECTORY);
	if (folder < 0 && (errno == EXDEV || errno == ELOOP))
		(void)fail(err, ERR_CONFIG,
			   "\"%s\" leads out of archives.directory \"%s\": it is not opened", path,
			   config->directory);
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
static bool verify_sums(const struct stored *s, bool tell_good, int *ret_bad, struct error *err)
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

/*
 * What does not fit together: the manifest's own number, its files, the sums, the journal's counts.
 * The server reads the JSON.  A table that is not archived has rows in the journal and no bytes; one
 * that is archived and never had a row has a file and nothing in the journal.
 */
static const char manifest_sql[] =
	"WITH manifest AS (SELECT $2::jsonb AS j),\n"
	"listed AS (\n"
	"  SELECT f.name, f.rows, f.sha256\n"
	"    FROM manifest AS m, jsonb_to_recordset(m.j->'files')\n"
	"         AS f(name text, rows bigint, sha256 text)),\n"
	"summed AS (\n"
	"  SELECT substr(line, 67) AS name, left(line, 64) AS sha256\n"
	"    FROM regexp_split_to_table($3, E'\\n') AS line WHERE line <> ''),\n"
	"journal AS (\n"
	"  SELECT a.table_name || '.csv' AS name, sum(a.rows) AS rows, sum(a.bytes) AS bytes\n"
	"    FROM retention.archive_file AS a WHERE a.job = $1::int GROUP BY 1),\n"
	"findings AS (\n"
	"  SELECT coalesce(l.name, s.name, a.name) AS name,\n"
	"         CASE WHEN l.name IS NULL AND s.name IS NULL AND a.bytes > 0\n"
	"              THEN 'is in the journal, but not in the archive'\n"
	"              WHEN l.name IS NULL AND s.name IS NOT NULL\n"
	"              THEN 'is in SHA256SUMS, but not in manifest.json'\n"
	"              WHEN l.name IS NOT NULL AND s.name IS NULL\n"
	"              THEN 'is in manifest.json, but not in SHA256SUMS'\n"
	"              WHEN l.sha256 IS DISTINCT FROM s.sha256\n"
	"              THEN 'has one sum in SHA256SUMS and another in manifest.json'\n"
	"              WHEN l.name IS NOT NULL AND l.rows IS DISTINCT FROM coalesce(a.rows, 0)\n"
	"              THEN format('has %s rows by manifest.json, %s by the journal',\n"
	"                          coalesce(l.rows::text, 'no'), coalesce(a.rows, 0)) END AS finding\n"
	"    FROM listed AS l FULL JOIN summed AS s USING (name)\n"
	"    FULL JOIN journal AS a\n"
	"      ON a.name = regexp_replace(coalesce(l.name, s.name), '\\.age$', ''))\n"
	"SELECT f.name, f.finding FROM findings AS f WHERE f.finding IS NOT NULL\n"
	" UNION ALL\n"
	"SELECT 'manifest.json', 'belongs to another action' FROM manifest AS m\n"
	" WHERE m.j->>'job' IS DISTINCT FROM ($1::int)::text\n"
	" UNION ALL\n"
	"SELECT 'SHA256SUMS', 'is not the one whose digest the journal has'\n"
	"  FROM retention.archive_journal AS j\n"
	" WHERE j.id = $1::int AND j.counters->>'sums_sha256'\n"
	"       IS DISTINCT FROM encode(sha256(convert_to($3, 'UTF8')), 'hex')";

static bool verify_manifest(struct db *db, const struct stored *s, int *ret_bad, struct error *err)
{
	const char *const values[] = {s->id, s->manifest, s->sums};
	AUTO(error) struct error cause = {0};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, manifest_sql, 3, values, &res, &cause)) {
		/* Class 22: the server cannot read it, which is the file's fault and no other's. */
		if (strncmp(cause.sqlstate, "22", 2) == 0)
			return fail(err, ERR_CONFIG, "manifest.json is not what retentiond wrote");
		(void)memcpy(err->sqlstate, cause.sqlstate, sizeof(err->sqlstate));
		return fail(err, cause.class, "%s", cause.text);
	}
	for (int row = 0; row < PQntuples(res); row++)
		printf("%s: FAILED: it %s\n", db_text(res, row, "name"),
		       db_text(res, row, "finding"));
	*ret_bad += PQntuples(res);
	return true;
}

static int close_folder(struct stored *s)
{
	if (s->folder >= 0)
		(void)close(s->folder); /* read-only */
	return 0;
}

bool stored_open(struct db *db, const struct config *config, int id, void *ctx, struct stored **ret,
		 struct error *err)
{
	static const char sql[] =
		"SELECT j.status, j.archive_path, j.archive_deleted_at IS NOT NULL AS deleted\n"
		"  FROM retention.archive_journal AS j WHERE j.id = $1::int";
	struct stored *s = t_zero(ctx, struct stored);
	const char *const values[] = {t_printf(s, "%d", id)};
	AUTO(result) PGresult *res = NULL;

	s->id = values[0];
	s->folder = -1;
	talloc_set_destructor(s, close_folder);
	if (!db_query(db, sql, 1, values, &res, err))
		return false;
	if (PQntuples(res) == 0)
		return fail(err, ERR_CONFIG, "there is no action %d", id);
	if (db_bool(res, 0, "deleted"))
		return fail(err, ERR_CONFIG, "the archive of action %d was deleted", id);
	if (!db_text(res, 0, "archive_path"))
		return fail(err, ERR_CONFIG, "action %d has no archive", id);
	if (strcmp(db_text(res, 0, "status"), "done") != 0 &&
	    strcmp(db_text(res, 0, "status"), "failed") != 0)
		return fail(err, ERR_CONFIG, "action %d is %s: its archive is not finished", id,
			    db_text(res, 0, "status"));
	s->folder = open_archive(config, db_text(res, 0, "archive_path"), err);
	if (s->folder < 0)
		return false;
	s->sums = read_text(s->folder, "SHA256SUMS", s, err);
	s->manifest = s->sums ? read_text(s->folder, "manifest.json", s, err) : NULL;
	*ret = s;
	return s->manifest;
}

bool stored_verify(struct db *db, const struct stored *s, bool tell_good, struct error *err)
{
	int bad = 0;

	if (!verify_sums(s, tell_good, &bad, err) || !verify_manifest(db, s, &bad, err))
		return false;
	if (bad > 0)
		return fail(err, ERR_CONFIG, "the archive of action %s is not whole: %d finding%s",
			    s->id, bad, bad == 1 ? "" : "s");
	return true;
}

const char *stored_manifest(const struct stored *s)
{
	return s->manifest;
}

struct stored_file {
	int fd;
	struct decryption *decryption; /* NULL: it is stored as it was archived */
};

bool stored_file_open(const struct stored *s, const char *name, const char *identity,
		      struct stored_file **ret, struct error *err)
{
	const size_t n = strlen(name);
	const bool encrypted = n > 4 && strcmp(name + n - 4, ".age") == 0;
	AUTO(stored_file) struct stored_file *file = xcalloc(1, sizeof(*file));
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

int stored_file_fd(const struct stored_file *file)
{
	return file->decryption ? decryption_fd(file->decryption) : file->fd;
}

bool stored_file_end(struct stored_file *file, struct error *err)
{
	return !file->decryption || decryption_end(file->decryption, err);
}

void stored_file_close(struct stored_file *file)
{
	if (!file)
		return;
	decryption_free(file->decryption);
	if (file->fd >= 0)
		(void)close(file->fd); /* read-only */
	free(file);
}
