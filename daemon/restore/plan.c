/*
 * The manifest alone is not trusted, because SHA256SUMS, whose digest the journal's chain has, covers the
 * files and not manifest.json.  So a file's table comes from the model, by the file's name, and must be the
 * manifest's.  Its columns must be those of its own first line, byte for byte (restore/load.c), and the
 * columns of detached rows must be those of the model.
 */
#include "restore/plan.h"

#include "base/mem.h"
#include "base/sql.h"

/*
 * SQL: a row a file, in the order of the deletion, with the first fault of each kind.  $1 is the manifest;
 * $2 to $6 are the model's names, schemas, tables, keys and links.
 */
static const char files_sql[] =
	"WITH model AS (\n"
	"  SELECT m.* FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[])\n"
	"         AS m(name, schema, tbl, key, link)),\n"
	"file AS (\n"
	"  SELECT e.n, f.name, f.tbl, f.rows, f.bytes, f.sha256, f.columns,\n"
	"         f.name ~ '[.]detached[.]csv$' AS detached, regexp_replace(f.name, '[.]csv$', '')\n"
	"         AS label, f.stored, $1::jsonb->>'delimiter' AS delimiter\n"
	"    FROM jsonb_array_elements($1::jsonb->'files') WITH ORDINALITY AS e(j, n),\n"
	"         LATERAL (SELECT e.j->>'name' AS stored, e.j->>'table' AS tbl,\n"
	"                         regexp_replace(e.j->>'name', '[.]age$', '') AS name,\n"
	"                         (e.j->>'rows')::bigint AS rows,\n"
	"                         coalesce(e.j->>'plain_bytes', e.j->>'bytes')::bigint AS bytes,\n"
	"                         coalesce(e.j->>'plain_sha256', e.j->>'sha256') AS sha256, ARRAY(\n"
	"                           SELECT jsonb_array_elements_text(e.j->'columns')) AS columns) AS f)\n"
	"SELECT f.name, f.stored, f.label, f.detached, f.rows, f.bytes, f.sha256, f.tbl, f.delimiter,\n"
	"       m.schema || '.' || m.tbl AS model_table, format('%I.%I', m.schema, m.tbl) AS table_sql,\n"
	"       NOT f.detached OR f.columns = ARRAY[m.key, m.link] AS same_link,\n"
	"       CASE WHEN m.key <> '' THEN quote_ident(m.key) END AS key_sql,\n"
	"       CASE WHEN m.link <> '' THEN quote_ident(m.link) END AS link_sql,\n"
	"       CASE WHEN m.key <> '' THEN m.key = ANY (f.columns) ELSE false END AS has_key,\n"
	"       CASE WHEN m.link <> '' THEN m.link = ANY (f.columns) ELSE false END AS has_link,\n"
	"       c.oid, c.relkind IN ('r', 'p') AS is_table, x.*, y.*, t.triggers\n"
	"  FROM file AS f\n"
	"  LEFT JOIN model AS m ON m.name = regexp_replace(f.label, '[.]detached$', '')\n"
	"  LEFT JOIN (pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace)\n"
	"    ON n.nspname = m.schema AND c.relname = m.tbl\n"
	"  CROSS JOIN LATERAL (\n"
	"    SELECT string_agg(quote_ident(u.name), ', ' ORDER BY u.i) AS columns_sql,\n"
	"           format('ROW(%s)::text', string_agg('t.' || quote_ident(u.name), ', ' ORDER BY u.i))\n"
	"             AS row_sql,\n"
	"           string_agg(CASE WHEN strpos(u.name, f.delimiter) > 0 OR u.name ~ E'[\"\\r\\n]'\n"
	"                                    THEN '\"' || replace(u.name, '\"', '\"\"') || '\"'\n"
	"                                    ELSE u.name END, f.delimiter ORDER BY u.i) AS header,\n"
	"           string_agg(quote_ident(u.name), ', ' ORDER BY u.i) FILTER (WHERE a.attnum IS NULL) AS gone,\n"
	"           min(u.name) FILTER (WHERE a.attgenerated <> '') AS generated,\n"
	"           bool_and(has_column_privilege(c.oid, a.attnum, 'SELECT')) AS may_select,\n"
	"           bool_and(has_column_privilege(c.oid, a.attnum, 'INSERT')) AS may_insert,\n"
	"           bool_and(a.attname <> m.link OR has_column_privilege(c.oid, a.attnum, 'UPDATE'))\n"
	"             AS may_update\n"
	"      FROM unnest(f.columns) WITH ORDINALITY AS u(name, i)\n"
	"      LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = u.name\n"
	"       AND a.attnum > 0 AND NOT a.attisdropped) AS x\n"
	"  CROSS JOIN LATERAL (\n"
	"    SELECT min(a.attname::text) AS needed\n"
	"      FROM pg_attribute AS a JOIN pg_type AS d ON d.oid = a.atttypid\n"
	"     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped\n"
	"       AND a.attname <> ALL (f.columns) AND (a.attnotnull OR d.typnotnull)\n"
	"       AND NOT a.atthasdef AND a.attidentity = '' AND d.typdefault IS NULL) AS y\n"
	"  CROSS JOIN LATERAL (\n" /* 4: INSERT, 16: UPDATE */
	"    SELECT string_agg(DISTINCT quote_ident(g.tgname), ', ') AS triggers\n"
	"      FROM pg_trigger AS g\n"
	"     WHERE (g.tgrelid = c.oid OR g.tgrelid IN (SELECT relid FROM pg_partition_tree(c.oid)))\n"
	"       AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND g.tgtype & 20 <> 0) AS t\n"
	" ORDER BY f.n";

/* SQL: the foreign keys among the tables $1, except deferrable ones, which restore/restore.c defers. */
static const char keys_sql[] =
	"SELECT DISTINCT k.child, k.parent\n"
	"  FROM pg_constraint AS con, LATERAL (\n"
	"       SELECT coalesce(pg_partition_root(con.conrelid)::oid, con.conrelid) AS child,\n"
	"              coalesce(pg_partition_root(con.confrelid)::oid, con.confrelid) AS parent) AS k\n"
	" WHERE con.contype = 'f' AND NOT con.condeferrable AND k.child <> k.parent\n"
	"   AND k.child = ANY ($1::oid[]) AND k.parent = ANY ($1::oid[])";

static bool read_files(struct db *db, const struct model *model, const char *manifest, void *ctx,
		       PGresult **ret, struct error *err)
{
	const char **column = t_array(ctx, const char *, model->n_tables);
	AUTO(error) struct error cause = {0};
	const char *values[6] = {manifest};

	for (int p = 1; p < 6; p++) {
		for (size_t i = 0; i < model->n_tables; i++) {
			const struct table *t = &model->tables[i];
			const char *const cells[] = {t->name, t->schema, t->table,
						     t->key ? t->key : "", t->by ? t->by : ""};

			column[i] = cells[p - 1];
		}
		values[p] = sql_array(ctx, column, model->n_tables);
	}
	if (db_query(db, files_sql, 6, values, ret, &cause))
		return true;
	if (strncmp(cause.sqlstate, "22", 2) == 0)
		return fail(err, ERR_CONFIG, "manifest.json is not what retentiond wrote");
	return fail(err, cause.class, "%s", cause.text);
}

/* Checks that it is the table that the rows came from. */
static bool check_table(const PGresult *res, int row, struct error *err)
{
	const char *name = db_text(res, row, "name"), *table = db_text(res, row, "tbl");

	if (!db_text(res, row, "model_table"))
		return fail(err, ERR_CONFIG,
			    "%s: the model does not have such a table: its rows came from %s; "
			    "restore under the model that the archive was made by",
			    name, table);
	if (strcmp(db_text(res, row, "model_table"), table) != 0)
		return fail(err, ERR_CONFIG,
			    "%s: its rows came from %s, but the model says %s: restore under the "
			    "model that the archive was made by",
			    name, table, db_text(res, row, "model_table"));
	if (!db_text(res, row, "oid") || !db_bool(res, row, "is_table"))
		return fail(err, ERR_CONFIG, "%s: table %s is gone", name, table);
	if (!db_bool(res, row, "same_link"))
		return fail(err, ERR_CONFIG,
			    "%s: it has other columns than the key and the link that the model has "
			    "of %s: restore under the model that the archive was made by",
			    name, table);
	return true;
}

/* Checks that the rows still fit. */
static bool check_columns(const PGresult *res, int row, struct error *err)
{
	const char *table = db_text(res, row, "tbl");

	if (db_text(res, row, "gone"))
		return fail(
			err, ERR_CONFIG,
			"table %s does not have all columns that %s has: add %s, and restore; where one "
			"was renamed, copy its values over before you drop it",
			table, db_text(res, row, "name"), db_text(res, row, "gone"));
	if (db_text(res, row, "generated"))
		return fail(err, ERR_CONFIG,
			    "column \"%s\" of table %s is generated now, and the archive has a "
			    "value for it",
			    db_text(res, row, "generated"), table);
	if (!db_bool(res, row, "detached") && db_text(res, row, "needed"))
		return fail(err, ERR_CONFIG,
			    "table %s has a new column \"%s\" that is NOT NULL without a default, "
			    "and the archive has none: give it a default",
			    table, db_text(res, row, "needed"));
	return true;
}

/* Does the file have no row, and its table or a column is gone?  Then nothing has to be there for it. */
static bool is_idle(const PGresult *res, int row)
{
	return db_int(res, row, "rows") == 0 &&
	       (!db_text(res, row, "oid") || db_text(res, row, "gone"));
}

static bool check_rights(struct db *db, const PGresult *res, int row, struct error *err)
{
	const bool detached = db_bool(res, row, "detached");
	const char *right = !db_bool(res, row, "may_select")                ? "SELECT"
			    : detached && !db_bool(res, row, "may_update")  ? "UPDATE"
			    : !detached && !db_bool(res, row, "may_insert") ? "INSERT"
									    : NULL;

	return !right || fail(err, ERR_CONFIG,
			      "your role lacks the right to %s on table %s: GRANT SELECT, %s ON %s "
			      "TO %s",
			      right, db_text(res, row, "tbl"), detached ? "UPDATE" : "INSERT",
			      db_text(res, row, "table_sql"), PQuser(db_conn(db)));
}

static struct restore_file file_of(void *ctx, const PGresult *res, int row)
{
	struct restore_file f = {
		.name = db_text_copy(ctx, res, row, "name"),
		.stored = db_text_copy(ctx, res, row, "stored"),
		.label = db_text_copy(ctx, res, row, "label"),
		.detached = db_bool(res, row, "detached"),
		.table = db_text_copy(ctx, res, row, "tbl"),
		.table_sql = db_text_copy(ctx, res, row, "table_sql"),
		.oid = (unsigned int)db_int(res, row, "oid"),
		.columns_sql = db_text_copy(ctx, res, row, "columns_sql"),
		.row_sql = db_text_copy(ctx, res, row, "row_sql"),
		.key_sql = db_text_copy(ctx, res, row, "key_sql"),
		.link_sql = db_text_copy(ctx, res, row, "link_sql"),
		.head = t_printf(ctx, "%s\n", db_text(res, row, "header")),
		.sha256 = db_text_copy(ctx, res, row, "sha256"),
		.triggers = db_text_copy(ctx, res, row, "triggers"),
		.rows = db_int(res, row, "rows"),
		.bytes = db_int(res, row, "bytes"),
	};

	f.match_sql = db_bool(res, row, "has_key")    ? f.key_sql
		      : db_bool(res, row, "has_link") ? f.link_sql
						      : NULL;
	return f;
}

/* parents[p * n + c]: do rows of file p's table have to be there before those of file c's? */
static bool read_parents(struct db *db, const struct restore_file *files, size_t n, void *ctx,
			 bool *parents, struct error *err)
{
	char *oids = t_strdup(ctx, "{");
	AUTO(result) PGresult *res = NULL;

	for (size_t i = 0; i < n; i++)
		t_append(&oids, "%s%u", i ? "," : "", files[i].oid);
	t_append(&oids, "}");
	{
		const char *const values[] = {oids};

		if (!db_query(db, keys_sql, 1, values, &res, err))
			return false;
	}
	for (int row = 0; row < PQntuples(res); row++)
		for (size_t p = 0; p < n; p++)
			for (size_t c = 0; c < n; c++)
				if (files[p].oid != files[c].oid &&
				    files[p].oid == (unsigned int)db_int(res, row, "parent") &&
				    files[c].oid == (unsigned int)db_int(res, row, "child"))
					parents[p * n + c] = true;
	return true;
}

static bool is_ready(const bool *parents, const bool *taken, const struct restore_file *files,
		     size_t n, size_t c)
{
	for (size_t p = 0; p < n; p++)
		if ((!taken[p] && parents[p * n + c]) ||
		    (files[c].detached && !taken[p] && !files[p].detached))
			return false;
	return true;
}

/*
 * Orders the files for their return.  The manifest has them in the order of the deletion, children first;
 * backwards that is the order of return, except where foreign keys were added since.  The server refuses a
 * ring.
 */
static void order(struct restore_plan *plan, const struct restore_file *files, const bool *parents,
		  size_t n, void *ctx)
{
	bool *taken = t_array(ctx, bool, n + 1);

	plan->files = t_array(ctx, struct restore_file, n + 1);
	while (plan->n_files < n) {
		size_t best = n;

		for (size_t i = n; i-- > 0;)
			if (!taken[i] && (best == n || !is_ready(parents, taken, files, n, best)) &&
			    (best == n || is_ready(parents, taken, files, n, i)))
				best = i;
		taken[best] = true;
		plan->files[plan->n_files++] = files[best];
	}
}

bool restore_plan_read(struct db *db, const struct config *config, const char *manifest, void *ctx,
		       struct restore_plan *ret, struct error *err)
{
	AUTO(result) PGresult *res = NULL;
	struct restore_file *files;
	bool *parents;
	size_t n = 0;

	if (!read_files(db, &config->model, manifest, ctx, &res, err))
		return false;
	files = t_array(ctx, struct restore_file, (size_t)PQntuples(res) + 1);
	*ret = (struct restore_plan){.delimiter = config->delimiter};
	for (int row = 0; row < PQntuples(res); row++) {
		const char *delimiter = db_text(res, row, "delimiter");

		if (!delimiter || strlen(delimiter) != 1)
			return fail(err, ERR_CONFIG, "manifest.json is not what retentiond wrote");
		ret->delimiter = *delimiter;
		if (is_idle(res, row))
			continue;
		if (!check_table(res, row, err) || !check_columns(res, row, err) ||
		    !check_rights(db, res, row, err))
			return false;
		files[n] = file_of(ctx, res, row);
		if (!files[n].match_sql)
			return fail(err, ERR_CONFIG,
				    "%s: it has neither the key nor the link that the model has of "
				    "%s: restore under the model that the archive was made by",
				    files[n].name, files[n].table);
		n++;
	}
	parents = t_array(ctx, bool, n *n + 1);
	if (!read_parents(db, files, n, ctx, parents, err))
		return false;
	order(ret, files, parents, n, ctx);
	return true;
}
