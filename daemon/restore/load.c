/*
 * Step "load" of restore/restore.c: loads a file into its temporary table, and checks that it comes out of it
 * as it went in.
 */
#include "restore/restore_state.h"

#include "archive/layout.h"
#include "base/failpoint.h"
#include "base/sql.h"

#include <errno.h>
#include <inttypes.h>

#define BUFFER_BYTES ((size_t)256 * 1024)

/* A file on its way into COPY. */
struct feed {
	const struct restore *r;
	const struct restore_file *file;
	struct archive_reader_file *stored;
	int64_t done_bytes;
	struct digest *digest; /* of all of it */
	struct digest *rows_digest; /* of what follows the header */
	char *buffer;
};

static bool read_some(struct feed *feed, size_t want, size_t *ret_n, struct error *err)
{
	ssize_t n;

	do
		n = read(feed->stored->fd, feed->buffer, want);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot read %s", feed->file->name);
	feed->done_bytes += n;
	*ret_n = (size_t)n;
	digest_add(feed->digest, feed->buffer, *ret_n);
	return true;
}

/* The rest of a text whose next byte was read; NULL: it was another byte, or the file's end. */
static const char *advance(const char *text, const struct feed *feed, size_t n)
{
	return text && n == 1 && *text == *feed->buffer ? text + 1 : NULL;
}

/*
 * Checks that the file's first line names the columns that its rows are put into.  A byte order mark may
 * stand before it, whatever the manifest says.  Reads byte by byte, because what follows is COPY's.
 */
static bool skip_head(struct feed *feed, struct error *err)
{
	const char *plain = feed->file->head;
	const char *marked = t_printf(feed->r->ctx, ARCHIVE_BOM "%s", plain);
	size_t n = 0;

	while (plain || marked) {
		if (!read_some(feed, 1, &n, err))
			return false;
		plain = advance(plain, feed, n);
		marked = advance(marked, feed, n);
		if ((plain && !*plain) || (marked && !*marked))
			return true;
	}
	return fail(err, ERR_CONFIG,
		    "%s: its first line does not have the columns or the delimiter that "
		    "manifest.json says",
		    feed->file->name);
}

/* At the end of the file, checks that it is the one that was verified. */
static bool check_digest(struct feed *feed, struct error *err)
{
	char hex[FILE_HEX + 1];

	if (!digest_end(feed->digest, hex, err) || !archive_reader_file_end(feed->stored, err))
		return false;
	if (strcmp(hex, feed->file->sha256) != 0)
		return fail(err, ERR_CONFIG, "%s: it was changed while it was read",
			    feed->file->name);
	return true;
}

static void tell_progress(const struct feed *feed)
{
	const struct restore *r = feed->r;
	const int64_t bytes = feed->file->bytes > 0 ? feed->file->bytes : 1;

	if (r->opts->progress)
		r->opts->progress(r->loaded_rows +
					  (int64_t)((double)feed->file->rows *
						    (double)feed->done_bytes / (double)bytes),
				  r->all_rows);
}

static bool from_file(void *arg, struct error *err)
{
	struct feed *feed = arg;
	size_t n = 1;

	while (n > 0) {
		if (!read_some(feed, BUFFER_BYTES, &n, err) ||
		    !db_copy_put(feed->r->db, feed->buffer, n, err))
			return false;
		digest_add(feed->rows_digest, feed->buffer, n);
		tell_progress(feed);
	}
	return check_digest(feed, err);
}

static const char *copy_sql(const struct restore *r, const char *temporary, const char *way)
{
	const char delimiter[] = {r->opts->plan->delimiter, '\0'};

	return t_printf(r->ctx, "COPY %s %s (FORMAT csv, DELIMITER %s)", temporary, way,
			sql_literal(r->ctx, delimiter));
}

/*
 * Copies the file into a table; rows gets the digest of its rows.  Under the CRM's search_path, as the files were
 * written, because the text of a regclass or regtype depends on it.
 */
static bool copy_file(struct restore *r, const struct restore_file *f, const char *temporary,
		      int64_t *ret_rows, char rows[FILE_HEX + 1], struct error *err)
{
	AUTO(char_p) char *buffer = must_alloc(malloc(BUFFER_BYTES));
	AUTO(digest) struct digest *digest = digest_new();
	AUTO(digest) struct digest *rows_digest = digest_new();
	AUTO(archive_reader_file) struct archive_reader_file stored = {.fd = -1};
	struct feed feed = {.r = r,
			    .file = f,
			    .stored = &stored,
			    .digest = digest,
			    .rows_digest = rows_digest,
			    .buffer = buffer};

	return archive_reader_file_open(r->opts->stored, f->stored, r->opts->identity, &stored,
					err) &&
	       skip_head(&feed, err) && db_exec(r->db, SQL_CRM_PATH, err) &&
	       db_copy_in(r->db, copy_sql(r, temporary, "FROM STDIN"), from_file, &feed, ret_rows,
			  err) &&
	       db_exec(r->db, SQL_OWN_PATH, err) && digest_end(rows_digest, rows, err);
}

static bool add_bytes(void *digest, const char *bytes, size_t n, struct error *err)
{
	(void)err; /* digest_end() tells */
	digest_add(digest, bytes, n);
	return true;
}

/*
 * Finds the columns that hold another text than the file, by a table whose columns are all text, row by row
 * in the order of the file.  No column differs: the server only writes CSV in another way than it did.
 */
static bool find_cut(struct restore *r, const struct restore_file *f, struct error *err)
{
	static const char sql[] =
		"SELECT string_agg(quote_ident(attname) || ' text', ', ' ORDER BY attnum) AS columns,\n"
		"       string_agg(format('CASE WHEN bool_or(ROW(a.%1$I)::text IS DISTINCT FROM '\n"
		"                         'ROW(b.%1$I)::text) THEN %1$L END', attname), ', '\n"
		"                  ORDER BY attnum) AS cut\n"
		"  FROM pg_attribute\n"
		" WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped";
	static const char numbered[] =
		"(SELECT *, row_number() OVER (ORDER BY ctid) AS retention_row FROM %s)";
	const char *as_text = "pg_temp.retention_restore_text";
	AUTO(result) PGresult *res = NULL;
	AUTO(result) PGresult *cut = NULL;
	char rows[FILE_HEX + 1];
	int64_t n;

	if (!db_query(r->db, sql, 1, &f->temporary, &res, err) ||
	    !db_execf(r->db, err, "CREATE TEMP TABLE %s (%s) ON COMMIT DROP", as_text,
		      db_text(res, 0, "columns")) ||
	    !copy_file(r, f, as_text, &n, rows, err) ||
	    !db_query(r->db,
		      t_printf(r->ctx,
			       "SELECT array_to_string(ARRAY[%s], ', ') AS columns FROM %s AS a\n"
			       "  JOIN %s AS b USING (retention_row)",
			       db_text(res, 0, "cut"), t_printf(r->ctx, numbered, as_text),
			       t_printf(r->ctx, numbered, f->temporary)),
		      0, NULL, &cut, err))
		return false;
	if (*db_value(cut, 0, "columns"))
		return fail(
			err, ERR_DATA,
			"%s: today's type does not hold all of what %s has: for the restore, give it "
			"the type that it had, or text",
			db_text(cut, 0, "columns"), f->name);
	return db_execf(r->db, err, "DROP TABLE %s", as_text);
}

/* Checks that what comes out of the temporary table is, byte for byte, what went in. */
static bool check_back(struct restore *r, const struct restore_file *f, const char *rows,
		       struct error *err)
{
	AUTO(digest) struct digest *digest = digest_new();
	char out[FILE_HEX + 1];
	int64_t n;

	return db_exec(r->db, SQL_CRM_PATH, err) &&
	       db_copy_out(r->db, copy_sql(r, f->temporary, "TO STDOUT"), add_bytes, digest, &n,
			   err) &&
	       db_exec(r->db, SQL_OWN_PATH, err) && digest_end(digest, out, err) &&
	       (strcmp(out, rows) == 0 || find_cut(r, f, err));
}

bool restore_load(struct restore *r, const struct restore_file *f, struct error *err)
{
	int64_t rows = 0;
	char digest[FILE_HEX + 1];

	if (!db_execf(r->db, err,
		      "CREATE TEMP TABLE %s ON COMMIT DROP AS SELECT %s%s FROM %s WITH NO DATA",
		      f->temporary, f->columns_sql,
		      f->cleared ? ", NULL::text[] AS " SQL_WRITTEN : "", f->table_sql) ||
	    !copy_file(r, f, f->temporary, &rows, digest, err) ||
	    !db_execf(r->db, err, "ANALYZE %s", f->temporary))
		return false;
	if (rows != f->rows)
		return fail(err, ERR_CONFIG, "%s has %" PRId64 " rows, %" PRId64 " by the journal",
			    f->name, rows, f->rows);
	if (!check_back(r, f, digest, err))
		return false;
	r->loaded_rows += rows;
	failpoint("restore-after-load");
	return true;
}
