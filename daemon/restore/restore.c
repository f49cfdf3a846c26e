/*
 * One transaction, in this order:
 *
 *   load      each file by COPY into a temporary table of the same columns.  Its digest is taken again on
 *             the way, so that what is put back is what was verified.  Then the table is copied out again,
 *             because a column that holds less than it did (a date, two decimals) would cut its values
 *             without a word.
 *   put       INSERT ... SELECT, parents first; OVERRIDING SYSTEM VALUE, because an identity comes back as
 *             it was; links of detached rows last, with what their rules changed: a column that somebody has
 *             written to since keeps that.  Deferrable constraints are deferred, and checked before anything
 *             is compared.
 *   compare   the tables' rows with the loaded ones, as text: a trigger of the CRM may have changed,
 *             dropped or added rows.
 *   record    the journal and the ledger (retention.record_restore).  Last, because it holds the chain of
 *             events until COMMIT.
 *
 * The temporary table costs each row a second write.  It makes the comparison possible, and keeps a COPY
 * that fails half-way from firing triggers.
 * Sequences are left alone, because they are past the numbers that come back.
 * A process that dies on any line leaves nothing: the server rolls back.
 */
#include "restore/restore_state.h"

#include "base/failpoint.h"
#include "base/sql.h"

#include <inttypes.h>

/* Puts the name of the table before the server's refusal, which never has its DETAIL (db_fail). */
static bool fail_at(const struct restore_file *f, const struct error *cause, struct error *err)
{
	const char *state = cause->sqlstate;
	const char *what = strcmp(state, "23505") == 0 || strcmp(state, "23P01") == 0
				   ? "rows of the archive exist again: "
			   : strcmp(state, "23503") == 0
				   ? "what rows of the archive point at is gone: "
				   : "";

	return fail(err, cause->class, "table %s: %s%s", f->table, what, cause->text);
}

/* Runs a step for each file. */
static bool each_file(struct restore *r,
		      bool (*step)(struct restore *r, const struct restore_file *f,
				   struct error *err),
		      struct error *err)
{
	const struct restore_plan *plan = r->opts->plan;

	for (size_t i = 0; i < plan->n_files; i++) {
		AUTO(error) struct error cause = {0};

		if (!step(r, &plan->files[i], &cause))
			return fail_at(&plan->files[i], &cause, err);
	}
	return true;
}

static void note(struct restore *r, char *line)
{
	struct restore_result *ret = r->result;

	ret->notes = t_grow(r->ctx, ret->notes, const char *, ret->n_notes + 1);
	ret->notes[ret->n_notes++] = line;
}

/* Does the file have rows to put back into that table, and not links? */
static bool is_row_file(const struct restore_file *file, unsigned int oid)
{
	return file->oid == oid && !file->detached;
}

/*
 * Gives archived rows their link again, too, for the comparison.  A row that referenced itself or another
 * erased row was detached before it was deleted, and is in the archive twice.
 */
static bool relink_archived(struct restore *r, const struct restore_file *f, struct error *err)
{
	const struct restore_plan *plan = r->opts->plan;

	for (size_t i = 0; i < plan->n_files; i++) {
		const struct restore_file *rows = &plan->files[i];

		if (is_row_file(rows, f->oid) &&
		    !db_execf(r->db, err, "UPDATE %s AS t SET %s FROM %s AS r WHERE %s",
			      rows->temporary, f->set_sql, f->temporary, f->same_sql))
			return false;
	}
	return true;
}

/*
 * The same of rows that were detached from another row before, so that both files have what rules cleared: put
 * back before this file, the other one has what this one's rules had left.
 */
static bool refill_detached(struct restore *r, const struct restore_file *f, struct error *err)
{
	static const char sql[] =
		"SELECT string_agg(format('%1$I = r.%1$I', a.attname), ', ') AS common\n"
		"  FROM pg_attribute AS a JOIN pg_attribute AS b ON b.attname = a.attname\n"
		" WHERE a.attrelid = $1::regclass AND b.attrelid = $2::regclass AND a.attnum > 0\n"
		"   AND a.attname <> '" SQL_WRITTEN "'";
	const struct restore_file *files = r->opts->plan->files;

	for (const struct restore_file *other = files; f->cleared && other < f; other++) {
		AUTO(result) PGresult *res = NULL;

		if (other->oid != f->oid || !other->detached)
			continue;
		if (!db_query(r->db, sql, 2, (const char *const[]){f->temporary, other->temporary},
			      &res, err) ||
		    !db_execf(r->db, err, "UPDATE %s AS t SET %s FROM %s AS r WHERE %s",
			      other->temporary, db_value(res, 0, "common"), f->temporary,
			      f->same_sql))
			return false;
	}
	return true;
}

/*
 * Decides, in the file's temporary table, what its columns are to hold: what they held, or what somebody has written to
 * the row since it was cleared.
 */
static bool keep_newer(struct restore *r, const struct restore_file *f, struct error *err)
{
	int64_t changed = 0;

	if (!f->cleared)
		return true;
	if (!db_query_int(r->db,
			  t_printf(r->ctx,
				   "SELECT count(*) AS n FROM %s AS r JOIN %s AS t ON %s WHERE %s",
				   f->temporary, f->table_sql, f->same_sql, f->changed_sql),
			  0, NULL, &changed, err) ||
	    !db_execf(r->db, err, "UPDATE %s AS r SET %s FROM %s AS t WHERE %s", f->temporary,
		      f->kept_sql, f->table_sql, f->same_sql))
		return false;
	if (changed > 0)
		note(r, t_printf(r->ctx,
				 "%" PRId64
				 " rows of %s were written to after they were cleared: these "
				 "columns keep what they hold now",
				 changed, f->table));
	return true;
}

/* Gives detached rows that are still there their link again, unless they have another one now. */
static bool relink(struct restore *r, const struct restore_file *f, int64_t *ret_rows,
		   struct error *err)
{
	int64_t gone = 0;

	if (!db_command(
		    r->db,
		    t_printf(r->ctx,
			     "DELETE FROM %s AS r WHERE NOT EXISTS (SELECT FROM %s AS t WHERE %s)",
			     f->temporary, f->table_sql, f->same_sql),
		    0, NULL, &gone, err) ||
	    !keep_newer(r, f, err) ||
	    !db_query_int(r->db,
			  t_printf(r->ctx,
				   "WITH linked AS (UPDATE %s AS t SET %s FROM %s AS r\n"
				   "  WHERE %s AND %s RETURNING 1)\n"
				   "SELECT count(*) AS n FROM linked WHERE " SQL_UNDER_PATH,
				   f->table_sql, f->set_sql, f->temporary, f->same_sql,
				   f->unlinked_sql),
			  0, NULL, ret_rows, err) ||
	    !db_exec(r->db, SQL_OWN_PATH, err))
		return false;
	if (gone > 0)
		note(r,
		     t_printf(r->ctx,
			      "%" PRId64 " rows of %s that were detached are gone: nothing to link "
			      "again",
			      gone, f->table));
	if (*ret_rows != f->rows - gone)
		return fail(err, ERR_DATA,
			    "%" PRId64 " rows that were detached have another %s now: set it to "
			    "NULL, or leave the archive where it is",
			    f->rows - gone - *ret_rows, f->link_sql);
	return relink_archived(r, f, err) && refill_detached(r, f, err);
}

/*
 * Inserts the files of one table with one statement.  The model may have a table under several names, and
 * its rows may reference each other: a foreign key is checked at the statement's end.  first is the first of
 * these files.
 */
static bool insert_rows(struct restore *r, size_t first, struct error *err)
{
	const struct restore_plan *plan = r->opts->plan;
	const struct restore_file *files = plan->files;
	char *with = t_strdup(r->ctx, ""), *counts = t_strdup(r->ctx, "");
	AUTO(result) PGresult *res = NULL;
	int column = 0;

	for (size_t i = first; i < plan->n_files; i++) {
		const struct restore_file *f = &files[i];

		if (!is_row_file(f, files[first].oid))
			continue;
		t_append(
			&with,
			"%s p%zu AS (INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM %s\n"
			"  RETURNING 1)",
			i > first ? "," : "WITH", i, f->table_sql, f->columns_sql, f->columns_sql,
			f->temporary);
		t_append(&counts, "%s(SELECT count(*) FROM p%zu)", i > first ? ", " : "", i);
	}
	if (!db_query(r->db, t_printf(r->ctx, "%s\nSELECT %s WHERE " SQL_UNDER_PATH, with, counts),
		      0, NULL, &res, err) ||
	    !db_exec(r->db, SQL_OWN_PATH, err))
		return false;
	for (size_t i = first; i < plan->n_files; i++)
		if (is_row_file(&files[i], files[first].oid))
			r->result->rows[i] = strtoll(PQgetvalue(res, 0, column++), NULL, 10);
	return true;
}

static bool is_put(const struct restore_plan *plan, size_t file)
{
	for (size_t i = 0; i < file; i++)
		if (is_row_file(&plan->files[i], plan->files[file].oid))
			return true;
	return false;
}

/* Step "put". */
static bool put(struct restore *r, const struct restore_file *f, struct error *err)
{
	const size_t file = (size_t)(f - r->opts->plan->files);

	if (!f->detached && is_put(r->opts->plan, file))
		return true;
	if (!(f->detached ? relink(r, f, &r->result->rows[file], err) : insert_rows(r, file, err)))
		return false;
	failpoint("restore-after-put");
	return true;
}

static const char *blame(const struct restore *r, const struct restore_file *f)
{
	return t_printf(
		r->ctx, "%s%s",
		f->triggers ? t_printf(r->ctx, "its triggers (%s)", f->triggers)
			    : "a trigger of another table",
		r->opts->disable_triggers
			? ""
			: ": restore as the tables' owner with --disable-triggers, which keeps "
			  "them from firing");
}

/*
 * Step "compare".  ROW(...)::text tells NULL from '', and -0 from 0.  EXCEPT ALL counts, so that a table
 * without a key is compared as well.  Looks only at rows with the archive's keys (or links).
 */
static bool compare(struct restore *r, const struct restore_file *f, struct error *err)
{
	const char *row = t_printf(r->ctx, "sha256(textsend(%s))", f->row_sql);
	const char *sql = t_printf(
		r->ctx,
		"SELECT count(*) AS n FROM (\n"
		"  SELECT %s FROM %s AS t\n"
		"  EXCEPT ALL\n"
		"  SELECT %s FROM %s AS t WHERE (%s) IN (SELECT %s FROM %s AS r)) AS x",
		row, f->temporary, row, f->table_sql, f->match_sql, f->match_sql, f->temporary);
	int64_t n = 0;

	if (!db_query_int(r->db, sql, 0, NULL, &n, err))
		return false;
	return n == 0 ||
	       fail(err, ERR_DATA,
		    "%" PRId64 " rows came back otherwise than the archive has them, by %s", n,
		    blame(r, f));
}

/*
 * SQL: what this transaction wrote, table by table, by the server's own count.  It shows rows that a trigger
 * added, in any table.  (Before it, this session has written to schema retention only.)
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

/* Compares one row of written_sql with what this restore had to write. */
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

/*
 * Compares all files.  The pass has analyzed tables that it had emptied, and the planner takes them for empty still: a
 * nested loop would then read the archive's rows once for each row that came back.
 */
static bool compare_all(struct restore *r, struct error *err)
{
	return db_exec(r->db, "SET LOCAL enable_nestloop = off", err) &&
	       each_file(r, compare, err) &&
	       db_exec(r->db, "SET LOCAL enable_nestloop TO DEFAULT", err);
}

static bool check_written(struct restore *r, struct error *err)
{
	AUTO(result) PGresult *res = NULL;
	int64_t counted = 0;

	if (!db_query_int(r->db, "SELECT current_setting('track_counts')::boolean::int", 0, NULL,
			  &counted, err))
		return false;
	if (!counted)
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
 * --disable-triggers: disables them by name, and puts each back into the state that it had.  The role has to
 * own the tables.  It keeps writers off them until COMMIT.
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
	AUTO(result) PGresult *res = NULL;

	if (!db_query(r->db, sql, 1, &r->opts->plan->oids, &res, err))
		return false;
	if (!db_text(res, 0, "off"))
		return true;
	r->enable_sql = t_strdup(r->ctx, db_value(res, 0, "on"));
	return db_exec(r->db, db_text(res, 0, "off"), err);
}

static bool put_all(struct restore *r, struct error *err)
{
	return (!r->opts->disable_triggers || disable_triggers(r, err)) &&
	       db_exec(r->db, "SET CONSTRAINTS ALL DEFERRED", err) && each_file(r, put, err) &&
	       db_exec(r->db, SQL_CRM_PATH "; SET CONSTRAINTS ALL IMMEDIATE; " SQL_OWN_PATH, err) &&
	       (!r->enable_sql || db_exec(r->db, r->enable_sql, err));
}

static bool record(struct restore *r, struct error *err)
{
	const struct restore_plan *plan = r->opts->plan;
	char *rows = t_strdup(r->ctx, "{");

	/* A label is a name of the model: letters, digits, "_", "-" and ".". */
	for (size_t i = 0; i < plan->n_files; i++)
		t_append(&rows, "%s\"%s\": %" PRId64, i ? ", " : "", plan->files[i].label,
			 r->result->rows[i]);
	t_append(&rows, "}");
	return db_query_int(r->db, "SELECT retention.record_restore($1::int, $2::jsonb)", 2,
			    (const char *const[]){t_printf(r->ctx, "%d", r->opts->id), rows},
			    &r->result->keys, err);
}

static bool run_in_transaction(struct restore *r, struct error *err)
{
	/* The CRM's triggers run in this session from now on, and may do nothing in this person's name. */
	if (!db_execf(r->db, err, "INSERT INTO retention.erasing (job) VALUES (%d)", r->opts->id) ||
	    !db_exec(r->db, "BEGIN; " SQL_NOTE_PATH, err) || !each_file(r, restore_load, err) ||
	    !put_all(r, err) || !compare_all(r, err) || !check_written(r, err) || !record(r, err))
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
