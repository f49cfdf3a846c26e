/*
 * archive verify: every file's SHA-256 against SHA256SUMS, and the manifest's row counts against the
 * journal.  The folder is opened below archives.directory and nowhere else, whatever the table says:
 * openat2(2) with RESOLVE_BENEATH and no symbolic links.
 */
#include "ctl.h"

#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/openat2.h>
#include <openssl/evp.h>
#include <sys/syscall.h>

#define MOST_BYTES ((size_t)16 * 1024 * 1024)

/* -1 with errno set. */
static int open_beneath(int folder, const char *path, uint64_t flags)
{
	struct open_how how = {
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
	if (folder < 0)
		(void)fail_errno(err, ERR_CONFIG, "cannot open \"%s\" under archives.directory",
				 path);
	return folder;
}

/* A whole small file, NUL-terminated; owned by ctx; NULL with err. */
static char *read_text(int folder, const char *name, void *ctx, struct error *err)
{
	AUTO(fd) int fd = open_beneath(folder, name, O_RDONLY);
	char *text = t_strdup(ctx, "");
	char part[4096];
	size_t total = 0;
	ssize_t n;

	if (fd < 0) {
		(void)fail_errno(err, ERR_CONFIG, "cannot open %s", name);
		return NULL;
	}
	while ((n = read(fd, part, sizeof(part))) > 0 && total < MOST_BYTES) {
		t_append(&text, "%.*s", (int)n, part);
		total += (size_t)n;
	}
	if (n != 0) {
		(void)fail(err, ERR_CONFIG, "cannot read %s to its end", name);
		return NULL;
	}
	return text;
}

static void auto_digest(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}

static bool digest_of(int folder, const char *name, char ret_hex[65], struct error *err)
{
	AUTO(fd) int fd = open_beneath(folder, name, O_RDONLY);
	AUTO(digest) EVP_MD_CTX *ctx = must_alloc(EVP_MD_CTX_new());
	unsigned char digest[32];
	char part[65536];
	ssize_t n;

	if (fd < 0 || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		return fail_errno(err, ERR_CONFIG, "cannot open %s", name);
	while ((n = read(fd, part, sizeof(part))) > 0)
		if (EVP_DigestUpdate(ctx, part, (size_t)n) != 1)
			return fail(err, ERR_CONFIG, "SHA-256 failed");
	if (n < 0 || EVP_DigestFinal_ex(ctx, digest, NULL) != 1)
		return fail_errno(err, ERR_CONFIG, "cannot read %s to its end", name);
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]); /* always two digits */
	return true;
}

/* Each line of SHA256SUMS; *ret_files of them. */
static bool verify_sums(int folder, char *sums, int *ret_files, struct error *err)
{
	char *rest = sums, *line;

	*ret_files = 0;
	while ((line = strsep(&rest, "\n")) && *line) {
		char hex[65];

		if (strlen(line) < 67 || line[64] != ' ' || line[65] != ' ')
			return fail(err, ERR_CONFIG,
				    "SHA256SUMS has a line that is no sum: it was cut");
		if (!digest_of(folder, line + 66, hex, err))
			return false;
		if (strncmp(hex, line, 64) != 0)
			return fail(err, ERR_CONFIG,
				    "%s is not what was archived: its SHA-256 differs", line + 66);
		printf("%s: OK\n", line + 66);
		(*ret_files)++;
	}
	return true;
}

/* The manifest is the server's to read: counts of its files against the journal's. */
static bool verify_manifest(struct ctl *ctl, const char *id, const char *sums, const char *manifest,
			    int files, struct error *err)
{
	static const char sql[] =
		"SELECT count(*) AS files,\n"
		"       count(*) FILTER (WHERE f.rows IS DISTINCT FROM (\n"
		"         SELECT sum(a.rows) FROM retention.archive_file AS a\n"
		"          WHERE a.job = $1::int AND a.table_name || '.csv' = f.name)) AS different,\n"
		"       count(*) FILTER (WHERE position(f.sha256 || '  ' || f.name IN $3) = 0)\n"
		"         AS unsummed, (m.j->>'job')::int = $1::int AS own\n"
		"  FROM (SELECT $2::jsonb AS j) AS m,\n"
		"       jsonb_to_recordset(m.j->'files') AS f(name text, rows bigint, sha256 text)\n"
		" GROUP BY m.j";
	const char *const values[] = {id, manifest, sums};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(ctl->db, sql, 3, values, &res, err))
		return false;
	if (PQntuples(res) != 1 || !db_bool(res, 0, "own"))
		return fail(err, ERR_CONFIG, "manifest.json is not that of action %s", id);
	if (db_int(res, 0, "files") != files || db_int(res, 0, "unsummed") != 0)
		return fail(err, ERR_CONFIG, "SHA256SUMS and manifest.json name different files");
	if (db_int(res, 0, "different") != 0)
		return fail(err, ERR_CONFIG,
			    "%lld files have other row counts than the journal has recorded",
			    (long long)db_int(res, 0, "different"));
	return true;
}

static bool verify(struct ctl *ctl, const char *id, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result) PGresult *res = NULL;
	AUTO(fd) int folder = -1;
	char *sums, *manifest;
	int files = 0;

	if (!db_query(
		    ctl->db,
		    "SELECT j.status, j.archive_path, j.archive_deleted_at IS NOT NULL AS deleted\n"
		    "  FROM retention.archive_journal AS j WHERE j.id = $1::int",
		    1, &id, &res, err))
		return false;
	if (PQntuples(res) == 0)
		return fail(err, ERR_CONFIG, "there is no action %s", id);
	if (!db_text(res, 0, "archive_path"))
		return fail(err, ERR_CONFIG, "action %s has no archive", id);
	if (db_bool(res, 0, "deleted"))
		return fail(err, ERR_CONFIG, "the archive of action %s was deleted", id);
	if (strcmp(db_text(res, 0, "status"), "done") != 0)
		return fail(err, ERR_CONFIG, "action %s is %s: its archive is not finished", id,
			    db_text(res, 0, "status"));
	folder = open_archive(ctl->config, db_text(res, 0, "archive_path"), err);
	if (folder < 0)
		return false;
	sums = read_text(folder, "SHA256SUMS", ctx, err);
	manifest = sums ? read_text(folder, "manifest.json", ctx, err) : NULL;
	return manifest && verify_sums(folder, t_strdup(ctx, sums), &files, err) &&
	       verify_manifest(ctl, id, sums, manifest, files, err);
}

int ctl_archive_verify(struct ctl *ctl, int argc, char **argv)
{
	static const struct option none[] = {{NULL, 0, NULL, 0}};
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(error) struct error err = {0};
	int id;

	if (getopt_long(argc, argv, "", none, NULL) != -1)
		return ctl_wrong_use(ctl, "no option is known here");
	id = ctl_action_id(ctl, argc, argv);
	if (id == 0)
		return 2;
	if (!verify(ctl, t_printf(ctx, "%d", id), &err))
		return ctl_failed(&err);
	printf("the archive of action %d is whole\n", id);
	return 0;
}
