/*
 * archive delete: the SQL function records it, the daemon removes the files; this waits and tells.
 *
 * archive verify: every file's SHA-256 against SHA256SUMS, and the manifest against both the sums and
 * the journal's row counts.  The journal's path is not trusted: the folder is opened below
 * archives.directory and nowhere else, and its files below the folder, by openat2(2) with
 * RESOLVE_BENEATH and without symbolic links, so that whoever can write the table or the folder cannot
 * make this program read something else.
 *
 * All that is wrong is told, a line a file as sha256sum -c has it, not only the first.
 */
#include "ctl.h"

#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

/* SHA256SUMS and manifest.json are some hundred bytes a table. */
#define MOST_BYTES ((off_t)16 * 1024 * 1024)

/* How long delete waits for the daemon to remove the files. */
#define REMOVAL_PATIENCE_MS 5000
#define REMOVAL_TICK_MS 100

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
static bool verify_sums(int folder, const char *sums, int *ret_bad, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	char *rest = t_strdup(ctx, sums);

	if (*sums == '\0' || sums[strlen(sums) - 1] != '\n')
		return fail(err, ERR_CONFIG, "SHA256SUMS was cut: its last line has no end");
	rest[strlen(rest) - 1] = '\0';
	while (rest) {
		AUTO(error) struct error one = {0};
		const char *line = strsep(&rest, "\n");
		char hex[HEX + 1];

		if (strspn(line, "0123456789abcdef") != HEX || line[HEX] != ' ' ||
		    line[HEX + 1] != ' ')
			return fail(err, ERR_CONFIG, "SHA256SUMS has a line that is no sum");
		if (!digest_of(folder, line + NAME, hex, &one)) {
			printf("%s: FAILED: %s\n", line + NAME, one.text);
			(*ret_bad)++;
		} else if (strncmp(hex, line, HEX) != 0) {
			printf("%s: FAILED: it is not what was archived\n", line + NAME);
			(*ret_bad)++;
		} else {
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

static bool verify_manifest(struct ctl *ctl, const char *id, const char *sums, const char *manifest,
			    int *ret_bad, struct error *err)
{
	const char *const values[] = {id, manifest, sums};
	AUTO(error) struct error cause = {0};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(ctl->db, manifest_sql, 3, values, &res, &cause)) {
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

static const char row_sql[] =
	"SELECT j.status, j.archive_path, j.archive_deleted_at IS NOT NULL AS deleted\n"
	"  FROM retention.archive_journal AS j WHERE j.id = $1::int";

static bool verify(struct ctl *ctl, const char *id, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result) PGresult *res = NULL;
	AUTO(fd) int folder = -1;
	char *sums, *manifest;
	int bad = 0;

	if (!db_query(ctl->db, row_sql, 1, &id, &res, err))
		return false;
	if (PQntuples(res) == 0)
		return fail(err, ERR_CONFIG, "there is no action %s", id);
	if (db_bool(res, 0, "deleted"))
		return fail(err, ERR_CONFIG, "the archive of action %s was deleted", id);
	if (!db_text(res, 0, "archive_path"))
		return fail(err, ERR_CONFIG, "action %s has no archive", id);
	if (strcmp(db_text(res, 0, "status"), "done") != 0)
		return fail(err, ERR_CONFIG, "action %s is %s: its archive is not finished", id,
			    db_text(res, 0, "status"));
	folder = open_archive(ctl->config, db_text(res, 0, "archive_path"), err);
	if (folder < 0)
		return false;
	sums = read_text(folder, "SHA256SUMS", ctx, err);
	manifest = sums ? read_text(folder, "manifest.json", ctx, err) : NULL;
	if (!manifest || !verify_sums(folder, sums, &bad, err) ||
	    !verify_manifest(ctl, id, sums, manifest, &bad, err))
		return false;
	if (bad > 0)
		return fail(err, ERR_CONFIG, "the archive of action %s is not whole: %d finding%s",
			    id, bad, bad == 1 ? "" : "s");
	return true;
}

int ctl_archive_verify(struct ctl *ctl, int argc, char **argv)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(error) struct error err = {0};
	int id;

	if (ctl_option(ctl, argc, argv, ctl_no_options) != -1)
		return 2;
	id = ctl_action_id(ctl, argc, argv);
	if (id == 0)
		return 2;
	if (!ctl_open(ctl))
		return 1;
	if (!verify(ctl, t_printf(ctx, "%d", id), &err)) {
		(void)fflush(stdout); /* the files' lines first; checked at the end */
		return ctl_failed(&err);
	}
	printf("the archive of action %d is whole\n", id);
	return 0;
}

static const char removal_sql[] =
	"SELECT j.archive_removed_at IS NOT NULL AS removed, j.archive_remark, j.host\n"
	"  FROM retention.archive_journal AS j WHERE j.id = $1::int";

/* Waits until the daemon has removed the files; says so, or why not. */
static int tell_removal(struct ctl *ctl, const char *id)
{
	static const struct timespec tick = {.tv_nsec = REMOVAL_TICK_MS * 1000000L};
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *host = NULL;

	for (int waited_ms = 0; waited_ms < REMOVAL_PATIENCE_MS; waited_ms += REMOVAL_TICK_MS) {
		AUTO(error) struct error err = {0};
		AUTO(result) PGresult *res = NULL;

		if (!db_query(ctl->db, removal_sql, 1, &id, &res, &err))
			return ctl_failed(&err);
		if (db_bool(res, 0, "removed")) {
			printf("its files are gone\n");
			return 0;
		}
		if (db_text(res, 0, "archive_remark")) {
			(void)fail(&err, ERR_CONFIG,
				   "the archive of action %s is deleted, but its files are not: %s",
				   id, db_text(res, 0, "archive_remark"));
			return ctl_failed(&err);
		}
		if (!host)
			host = t_strdup(ctx, db_text(res, 0, "host") ? db_text(res, 0, "host")
								     : "its host");
		(void)nanosleep(&tick, NULL); /* early is fine */
	}
	printf("the daemon on %s has still to remove its files: is retentiond running there?\n",
	       host);
	return 0;
}

int ctl_archive_delete(struct ctl *ctl, int argc, char **argv)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error err = {0};
	const char *value;
	int id;

	if (ctl_option(ctl, argc, argv, ctl_no_options) != -1)
		return 2;
	id = ctl_action_id(ctl, argc, argv);
	if (id == 0)
		return 2;
	value = t_printf(ctx, "%d", id);
	if (!ctl_open(ctl))
		return 1;
	if (!ctl_call(ctl, "SELECT retention.delete_archive($1::int)", 1, &value, &res, &err))
		return ctl_failed(&err);
	printf("the archive of action %d is deleted\n", id);
	(void)fflush(stdout); /* said before the wait; checked at the end */
	return tell_removal(ctl, value);
}
