/*
 * One transaction, in this order:
 *
 *   load      each file by COPY into a temporary table of the same columns, its digest taken again on
 *             the way: what is put back is what was verified.  Then back out again: a column that holds
 *             less than it did (a date, two decimals) would cut its values without a word.
 *   put       INSERT ... SELECT, parents first; OVERRIDING SYSTEM VALUE, for an identity comes back as
 *             it was; links of detached rows last.  Deferrable constraints are deferred, and speak
 *             before anything is compared.
 *   compare   what is in the tables now with what was loaded, as text: a trigger of the CRM may have
 *             changed, dropped or added rows.
 *   record    the journal and the ledger (retention.record_restore).  Last, for it holds the chain of
 *             events until COMMIT.
 *
 * The detour over a temporary table costs each row a second write.  It is what makes the comparison,
 * and what keeps a COPY that fails half-way from having fired triggers.
 * Sequences are left alone: they are past the numbers that come back.
 * A process that dies on any line leaves nothing: the server rolls back.
 */
#include "restore.h"

#include "failpoint.h"
#include "mem.h"
#include "sql.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>

#define BUFFER_BYTES ((size_t)256 * 1024)

struct restore {
	struct db *db;
	const struct restore_opts *opts;
	void *ctx;
	struct restore_result *result;
	int64_t all_rows;
	int64_t loaded_rows;
	const char *enable_sql; /* switches the triggers on again; NULL: none was switched off */
};

/* A file on its way into COPY. */
struct feed {
	const struct restore *r;
	const struct restore_file *file;
	struct stored_file *stored;
	size_t head; /* bytes of file->head still to come */
	int64_t done_bytes;
	EVP_MD_CTX *digest; /* of all of it */
	EVP_MD_CTX *rows_digest; /* of what follows the head */
	char *buffer;
};

static void auto_digest(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}

static void note(struct restore *r, char *line)
{
	struct restore_result *ret = r->result;

	ret->notes = t_grow(r->ctx, ret->notes, const char *, ret->n_notes + 1);
	ret->notes[ret->n_notes++] = line;
}

/* The server's refusal, with the object that it is about in front; never its DETAIL (db_fail). */
static bool fail_on(const struct restore_file *f, const struct error *cause, struct error *err)
{
	const char *what =
		strcmp(cause->sqlstate, "23505") == 0 || strcmp(cause->sqlstate, "23P01") == 0
			? "rows of the archive exist again: "
		: strcmp(cause->sqlstate, "23503") == 0
			? "what rows of the archive point at is gone: "
			: "";

	return fail(err, cause->class, "table %s: %s%s", f->table, what, cause->text);
}

static bool new_digest(EVP_MD_CTX *digest, struct error *err)
{
	return EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 ||
	       fail(err, ERR_CONFIG, "SHA-256 failed");
}

static bool add_bytes(void *digest, const char *bytes, size_t n, struct error *err)
{
	return EVP_DigestUpdate(digest, bytes, n) == 1 || fail(err, ERR_CONFIG, "SHA-256 failed");
}

typedef char hex_digest[2 * EVP_MAX_MD_SIZE + 1];

static bool end_digest(EVP_MD_CTX *digest, hex_digest hex, struct error *err)
{
	unsigned char bytes[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	if (EVP_DigestFinal_ex(digest, bytes, &n) != 1)
		return fail(err, ERR_CONFIG, "SHA-256 failed");
	hex[0] = '\0';
	for (unsigned int i = 0; i < n; i++)
		(void)snprintf(hex + 2 * (size_t)i, 3, "%02x", bytes[i]); /* always two digits */
	return true;
}

static bool read_some(struct feed *feed, size_t want, size_t *ret_n, struct error *err)
{
	ssize_t n;

	do
		n = read(stored_file_fd(feed->stored), feed->buffer, want);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot read %s", feed->file->name);
	feed->done_bytes += n;
	*ret_n = (size_t)n;
	return add_bytes(feed->digest, feed->buffer, *ret_n, err);
}

/* The file's first bytes say which columns follow: they must be those that its rows are given to. */
static bool skip_head(struct feed *feed, struct error *err)
{
	const char *head = feed->file->head;
	size_t left = strlen(head), n = 0;

	while (left > 0) {
		if (!read_some(feed, left < BUFFER_BYTES ? left : BUFFER_BYTES, &n, err))
			return false;
		if (n == 0 || memcmp(feed->buffer, head, n) != 0)
			return fail(err, ERR_CONFIG,
				    "%s: its first line has not the columns, the delimiter or the "
				    "byte order mark that manifest.json says",
				    feed->file->name);
		head += n;
		left -= n;
	}
	return true;
}

/* The end of the file: is it the one that was verified? */
static bool check_digest(struct feed *feed, struct error *err)
{
	hex_digest hex;

	if (!end_digest(feed->digest, hex, err) || !stored_file_end(feed->stored, err))
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
		    !add_bytes(feed->rows_digest, feed->buffer, n, err) ||
		    !db_copy_put(feed->r->db, feed->buffer, n, err))
			return false;
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

/* rows: the digest of the file's rows. */
static bool copy_file(struct restore *r, const struct restore_file *f, const char *temporary,
		      int64_t *ret_rows, hex_digest rows, struct error *err)
{
	AUTO(char_p) char *buffer = must_alloc(malloc(BUFFER_BYTES));
	AUTO(digest) EVP_MD_CTX *digest = must_alloc(EVP_MD_CTX_new());
	AUTO(digest) EVP_MD_CTX *rows_digest = must_alloc(EVP_MD_CTX_new());
	AUTO(stored_file) struct stored_file *stored = NULL;
	struct feed feed = {
		.r = r, .file = f, .digest = digest, .rows_digest = rows_digest, .buffer = buffer};

	if (!stored_file_open(r->opts->stored, f->stored, r->opts->identity, &stored, err))
		return false;
	feed.stored = stored;
	return new_digest(digest, err) && new_digest(rows_digest, err) && skip_head(&feed, err) &&
	       db_copy_in(r->db, copy_sql(r, temporary, "FROM STDIN"), from_file, &feed, ret_rows,
			  err) &&
	       end_digest(rows_digest, rows, err);
}

static const char *temporary_name(const struct restore *r, const struct restore_file *f)
{
	return t_printf(r->ctx, "pg_temp.retention_restore_%zu",
			(size_t)(f - r->opts->plan->files));
}

/* What comes out of the temporary table is, byte for byte, what went in. */
static bool came_back(struct restore *r, const char *temporary, const hex_digest rows, bool *ret,
		      struct error *err)
{
	AUTO(digest) EVP_MD_CTX *digest = must_alloc(EVP_MD_CTX_new());
	hex_digest out;
	int64_t n;

	if (!new_digest(digest, err) ||
	    !db_copy_out(r->db, copy_sql(r, temporary, "TO STDOUT"), add_bytes, digest, &n, err) ||
	    !end_digest(digest, out, err))
		return false;
	*ret = strcmp(out, rows) == 0;
	return true;
}

/*
 * Which columns hold another text than the file: by a table whose columns are all text, row by row in
 * the order of the file.  No column: the server writes CSV otherwise than it did, with the same values.
 */
static bool find_cut(struct restore *r, const struct restore_file *f, const char *temporary,
		     struct error *err)
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
	hex_digest rows;
	int64_t n;

	if (!db_query(r->db, sql, 1, &temporary, &res, err) ||
	    !db_execf(r->db, err, "CREATE TEMP TABLE %s (%s) ON COMMIT DROP", as_text,
		      db_text(res, 0, "columns")) ||
	    !copy_file(r, f, as_text, &n, rows, err) ||
	    !db_query(r->db,
		      t_printf(r->ctx,
			       "SELECT array_to_string(ARRAY[%s], ', ') AS columns FROM %s AS a\n"
			       "  JOIN %s AS b USING (retention_row)",
			       db_text(res, 0, "cut"), t_printf(r->ctx, numbered, as_text),
			       t_printf(r->ctx, numbered, temporary)),
		      0, NULL, &cut, err))
		return false;
	if (*db_text(cut, 0, "columns"))
		return fail(
			err, ERR_DATA,
			"%s: today's type holds not all of what %s has: give it back the type that "
			"it had",
			db_text(cut, 0, "columns"), f->name);
	return db_execf(r->db, err, "DROP TABLE %s", as_text);
}

/* Step "load". */
static bool load(struct restore *r, const struct restore_file *f, struct error *err)
{
	AUTO(error) struct error cause = {0};
	const char *temporary = temporary_name(r, f);
	int64_t rows = 0;
	hex_digest digest;
	bool same = true;

	if (!db_execf(r->db, &cause,
		      "CREATE TEMP TABLE %s ON COMMIT DROP AS SELECT %s FROM %s WITH NO DATA",
		      temporary, f->columns_sql, f->table_sql) ||
	    !copy_file(r, f, temporary, &rows, digest, &cause) ||
	    !db_execf(r->db, &cause, "ANALYZE %s", temporary))
		return fail_on(f, &cause, err);
	if (rows != f->rows)
		return fail(err, ERR_CONFIG, "%s has %" PRId64 " rows, %" PRId64 " by the journal",
			    f->name, rows, f->rows);
	if (!came_back(r, temporary, digest, &same, &cause) ||
	    (!same && !find_cut(r, f, temporary, &cause)))
		return fail_on(f, &cause, err);
	r->loaded_rows += rows;
	failpoint("restore-after-load");
	return true;
}

/*
 * A row that pointed at itself, or at another one that went, was detached before it was deleted, and is
 * in the archive twice: what it is held against in the end has its link again too.
 */
static bool relink_archived(struct restore *r, const struct restore_file *f, struct error *err)
{
	const struct restore_plan *plan = r->opts->plan;

	for (size_t i = 0; i < plan->n_files; i++) {
		const struct restore_file *rows = &plan->files[i];

		if (rows->detached || rows->oid != f->oid)
			continue;
		if (!db_command(
			    r->db,
			    t_printf(r->ctx,
				     "UPDATE %s AS t SET %s = r.%s FROM %s AS r WHERE t.%s = r.%s",
				     temporary_name(r, rows), f->link_sql, f->link_sql,
				     temporary_name(r, f), f->key_sql, f->key_sql),
			    0, NULL, NULL, err))
			return false;
	}
	return true;
}

/* Rows that were detached and are still there get their link again, if nobody gave them another. */
static bool relink(struct restore *r, const struct restore_file *f, int64_t *ret_rows,
		   struct error *err)
{
	const char *temporary = temporary_name(r, f);
	int64_t gone = 0;

	if (!db_command(r->db,
			t_printf(r->ctx,
				 "DELETE FROM %s AS r WHERE NOT EXISTS (SELECT FROM %s AS t WHERE "
				 "t.%s = r.%s)",
				 temporary, f->table_sql, f->key_sql, f->key_sql),
			0, NULL, &gone, err) ||
	    !db_command(r->db,
			t_printf(r->ctx,
				 "UPDATE %s AS t SET %s = r.%s FROM %s AS r WHERE t.%s = r.%s AND "
				 "t.%s IS NULL",
				 f->table_sql, f->link_sql, f->link_sql, temporary, f->key_sql,
				 f->key_sql, f->link_sql),
			0, NULL, ret_rows, err))
		return false;
	if (gone > 0)
		note(r, t_printf(r->ctx,
				 "%" PRId64 " rows of %s that were detached are not there any "
				 "more: nothing to link again",
				 gone, f->table));
	if (*ret_rows != f->rows - gone)
		return fail(err, ERR_DATA,
			    "%" PRId64 " rows that were detached have another %s by now: set it to "
			    "NULL, or leave the archive where it is",
			    f->rows - gone - *ret_rows, f->link_sql);
	return relink_archived(r, f, err);
}

/* Step "put". */
static bool put(struct restore *r, const struct restore_file *f, int64_t *ret_rows,
		struct error *err)
{
	AUTO(error) struct error cause = {0};
	bool ok;

	if (f->detached)
		ok = relink(r, f, ret_rows, &cause);
	else
		ok = db_command(r->db,
				t_printf(r->ctx,
					 "INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s "
					 "FROM %s",
					 f->table_sql, f->columns_sql, f->columns_sql,
					 temporary_name(r, f)),
				0, NULL, ret_rows, &cause);
	if (!ok)
		return fail_on(f, &cause, err);
	failpoint("restore-after-put");
	return true;
}

static const char *blame(const struct restore *r, const struct restore_file *f)
{
	return f->triggers
		       ? t_printf(r->ctx, "its triggers (%s)", f->triggers)
		       : "a trigger of another table, which --disable-triggers keeps from firing";
}

/*
 * Step "compare".  ROW(...)::text tells NULL from '', and -0 from 0; EXCEPT ALL counts, so that a table
 * without a key is compared just the same.  Only rows with the archive's keys (or links) are looked at.
 */
static bool compare(struct restore *r, const struct restore_file *f, struct error *err)
{
	AUTO(error) struct error cause = {0};
	AUTO(result) PGresult *res = NULL;
	const char *row = t_printf(r->ctx, "sha256(convert_to(%s, 'UTF8'))", f->row_sql);
	const char *temporary = temporary_name(r, f);
	const char *sql =
		t_printf(r->ctx,
			 "SELECT count(*) AS n FROM (\n"
			 "  SELECT %s FROM %s AS t\n"
			 "  EXCEPT ALL\n"
			 "  SELECT %s FROM %s AS t WHERE t.%s IN (SELECT r.%s FROM %s AS r)) AS x",
			 row, temporary, row, f->table_sql, f->match_sql, f->match_sql, temporary);

	if (!db_query(r->db, sql, 0, NULL, &res, &cause))
		return fail_on(f, &cause, err);
	if (db_int(res, 0, "n") > 0)
		return fail(err, ERR_DATA,
			    "table %s: %" PRId64 " rows came back otherwise than the archive has "
			    "them, by %s",
			    f->table, db_int(res, 0, "n"), blame(r, f));
	return true;
}

/*
 * What this transaction wrote, table by table, by the server's own count: the way to see rows that a
 * trigger added, wherever.  (This session has written nothing before it but in schema retention.)
 */
static const char written_sql[] =
	"SELECT s.relid AS oid, min(s.name) AS name, sum(s.n_tup_ins)::bigint AS inserted,\n"
	"       sum(s.n_tup_upd)::bigint AS updated, sum(s.n_tup_del)::bigint AS deleted\n"
	"  FROM (SELECT coalesce(pg_partition_root(x.relid)::oid, x.relid) AS relid,\n"
	"               x.schemaname || '.' || x.relname AS name,\n"
	"               x.n_tup_ins, x.n_tup_upd, x.n_tup_del\n"
	"          FROM pg_stat_xact_user_tables AS x\n"
	"         WHERE x.schemaname NOT LIKE 'pg\\_temp%' AND x.schemaname <> 'retention') AS s\n"
	" GROUP BY s.relid HAVING sum(s.n_tup_ins + s.n_tup_upd + s.n_tup_del) > 0";

/* One table of written_sql: what of it was ours to write? */
static bool check_table(struct restore *r, const PGresult *res, int row, struct error *err)
{
	const struct restore_plan *plan = r->opts->plan;
	const struct restore_file *file = NULL;
	const int64_t inserted = db_int(res, row, "inserted"),
		      updated = db_int(res, row, "updated"), deleted = db_int(res, row, "deleted");
	int64_t own_inserted = 0, own_updated = 0;

	for (size_t i = 0; i < plan->n_files; i++) {
		if (plan->files[i].oid != (unsigned int)db_int(res, row, "oid"))
			continue;
		file = &plan->files[i];
		*(file->detached ? &own_updated : &own_inserted) += r->result->rows[i];
	}
	if (own_inserted > 0 && (inserted != own_inserted || deleted > 0))
		return fail(err, ERR_DATA,
			    "table %s: %" PRId64 " rows were added and %" PRId64
			    " removed where the archive has %" PRId64 ", by %s",
			    file->table, inserted, deleted, own_inserted, blame(r, file));
	if (inserted > own_inserted || updated > own_updated || deleted > 0)
		note(r, t_printf(r->ctx,
				 "triggers also wrote to %s: %" PRId64 " rows added, %" PRId64
				 " changed, %" PRId64 " removed",
				 db_text(res, row, "name"), inserted - own_inserted,
				 updated - own_updated, deleted));
	return true;
}

static bool check_written(struct restore *r, struct error *err)
{
	AUTO(result) PGresult *res = NULL;
	AUTO(result) PGresult *on = NULL;

	if (!db_query(r->db, "SELECT current_setting('track_counts')::boolean AS on", 0, NULL, &on,
		      err))
		return false;
	if (!db_bool(on, 0, "on"))
		return fail(err, ERR_CONFIG,
			    "the server's track_counts is off, so that rows which triggers add "
			    "could not be seen: switch it on");
	if (!db_query(r->db, written_sql, 0, NULL, &res, err))
		return false;
	for (int row = 0; row < PQntuples(res); row++)
		if (!check_table(r, res, row, err))
			return false;
	return true;
}

/*
 * --disable-triggers: by name, each to be put back into the state that it had.  It takes the tables' owner, and
 * keeps writers off them until COMMIT.
 */
static bool disable_triggers(struct restore *r, struct error *err)
{
	static const char sql[] =
		"SELECT string_agg(format('ALTER TABLE %I.%I DISABLE TRIGGER %I', n.nspname, c.relname,\n"
		"                         g.tgname), ';') AS off,\n"
		"       string_agg(format('ALTER TABLE %I.%I ENABLE %s TRIGGER %I', n.nspname, c.relname,\n"
		"                         CASE g.tgenabled WHEN 'A' THEN 'ALWAYS' ELSE '' END,\n"
		"                         g.tgname), ';') AS on\n"
		"  FROM pg_trigger AS g JOIN pg_class AS c ON c.oid = g.tgrelid\n"
		"  JOIN pg_namespace AS n ON n.oid = c.relnamespace\n"
		" WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND g.tgrelid IN (\n"
		"       SELECT o FROM unnest($1::oid[]) AS o UNION\n"
		"       SELECT p.relid FROM unnest($1::oid[]) AS o, pg_partition_tree(o) AS p)";
	const struct restore_plan *plan = r->opts->plan;
	AUTO(result) PGresult *res = NULL;
	char *oids = t_strdup(r->ctx, "{");

	for (size_t i = 0; i < plan->n_files; i++)
		t_append(&oids, "%s%u", i ? "," : "", plan->files[i].oid);
	t_append(&oids, "}");
	{
		const char *const values[] = {oids};

		if (!db_query(r->db, sql, 1, values, &res, err))
			return false;
	}
	if (!db_text(res, 0, "off"))
		return true;
	r->enable_sql = t_strdup(r->ctx, db_text(res, 0, "on"));
	return db_exec(r->db, db_text(res, 0, "off"), err);
}

static bool put_all(struct restore *r, struct error *err)
{
	const struct restore_plan *plan = r->opts->plan;

	if (r->opts->disable_triggers && !disable_triggers(r, err))
		return false;
	if (!db_exec(r->db, "SET CONSTRAINTS ALL DEFERRED", err))
		return false;
	for (size_t i = 0; i < plan->n_files; i++)
		if (!put(r, &plan->files[i], &r->result->rows[i], err))
			return false;
	return db_exec(r->db, "SET CONSTRAINTS ALL IMMEDIATE", err) &&
	       db_exec(r->db, "SET LOCAL search_path = pg_catalog", err) &&
	       (!r->enable_sql || db_exec(r->db, r->enable_sql, err));
}

static bool record(struct restore *r, struct error *err)
{
	const struct restore_plan *plan = r->opts->plan;
	char *rows = t_strdup(r->ctx, "{");
	AUTO(result) PGresult *res = NULL;

	/* A label is a name of the model: letters, digits, "_", "-", and here ".". */
	for (size_t i = 0; i < plan->n_files; i++)
		t_append(&rows, "%s\"%s\": %" PRId64, i ? ", " : "", plan->files[i].label,
			 r->result->rows[i]);
	t_append(&rows, "}");
	{
		const char *const values[] = {t_printf(r->ctx, "%d", r->opts->id), rows};

		if (!db_query(r->db, "SELECT retention.record_restore($1::int, $2::jsonb) AS keys",
			      2, values, &res, err))
			return false;
	}
	r->result->keys = db_int(res, 0, "keys");
	return true;
}

static bool run_in_transaction(struct restore *r, struct error *err)
{
	const struct restore_plan *plan = r->opts->plan;

	/*
	 * The CRM's own triggers get the search_path that the database gives everybody, and so do the
	 * files: batch.c wrote them under it, and it is in the text of a regclass or a regtype.
	 */
	if (!db_exec(r->db, "BEGIN", err) ||
	    !db_exec(r->db, "SET LOCAL search_path TO DEFAULT", err))
		return false;
	for (size_t i = 0; i < plan->n_files; i++)
		if (!load(r, &plan->files[i], err))
			return false;
	if (!put_all(r, err))
		return false;
	for (size_t i = 0; i < plan->n_files; i++)
		if (!compare(r, &plan->files[i], err))
			return false;
	if (!check_written(r, err) || !record(r, err))
		return false;
	failpoint("restore-before-commit");
	if (r->opts->dry_run) {
		db_rollback(r->db);
		return true;
	}
	if (!db_commit(r->db, err))
		return false;
	failpoint("restore-after-commit");
	return true;
}

bool restore_run(struct db *db, const struct restore_opts *opts, void *ctx,
		 struct restore_result *ret, struct error *err)
{
	struct restore r = {.db = db, .opts = opts, .ctx = ctx, .result = ret};

	*ret = (struct restore_result){.rows = t_array(ctx, int64_t, opts->plan->n_files + 1)};
	for (size_t i = 0; i < opts->plan->n_files; i++)
		r.all_rows += opts->plan->files[i].rows;
	if (run_in_transaction(&r, err))
		return true;
	db_rollback(db);
	return false;
}
