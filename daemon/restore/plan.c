/*
 * The manifest alone is not trusted, because SHA256SUMS, whose digest the journal's chain has, covers the
 * files and not manifest.json.  So a file's table comes from the model, by the file's name, and must be the
 * manifest's.  Its columns must be those of its own first line, byte for byte (restore/load.c), and the
 * columns of detached rows must be those of the model.
 */
#include "restore/plan.h"

#include "base/sql.h"
#include "model/path.h"

/* Stands within a constant, whose quotes are doubled. */
#define DIGEST_OF_T "left(encode(sha256(textsend(ROW(t.%1$I)::text)), ''hex''), 16)"

/*
 * SQL: a row a file, in the order of the deletion, with its first fault.  Nothing has to be there for a file
 * without rows.  $1 is the manifest; $2 to $6 are the model's names, schemas, tables, keys and links.
 */
static const char files_sql[] =
	"WITH model AS (\n"
	"  SELECT m.name, m.schema, m.tbl, nullif(m.key, '{}')::text[] AS key,\n"
	"         nullif(m.link, '{}')::text[] AS link\n"
	"    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[])\n"
	"         AS m(name, schema, tbl, key, link)),\n"
	"file AS (\n"
	"  SELECT f.stored, f.tbl, f.rows, f.n, $1::jsonb->>'delimiter' AS delimiter, w.cleared,\n"
	"         f.columns AS all_columns, CASE WHEN w.cleared\n"
	"           THEN f.columns[1:cardinality(f.columns) - 1] ELSE f.columns END AS columns,\n"
	"         coalesce(f.plain_bytes, f.bytes) AS bytes, coalesce(f.plain_sha256, f.sha256) AS sha256,\n"
	"         regexp_replace(f.stored, '[.]age$', '') AS name,\n"
	"         regexp_replace(f.stored, '[.]csv([.]age)?$', '') AS label,\n"
	"         w.detached\n"
	"    FROM ROWS FROM (jsonb_to_recordset($1::jsonb->'files') AS (name text, \"table\" text,\n"
	"           rows bigint, bytes bigint, plain_bytes bigint, sha256 text, plain_sha256 text,\n"
	"           columns text[])) WITH ORDINALITY AS f(stored, tbl, rows, bytes, plain_bytes,\n"
	"                                                 sha256, plain_sha256, columns, n)\n"
	"   CROSS JOIN LATERAL (SELECT f.stored ~ '[.]detached[.]csv([.]age)?$') AS d(detached)\n"
	"   CROSS JOIN LATERAL (SELECT d.detached, coalesce(d.detached AND\n"
	"         f.columns[cardinality(f.columns)] = '" SQL_WRITTEN "', false) AS cleared) AS w)\n"
	"SELECT f.name, f.stored, f.label, f.detached, f.rows, f.bytes, f.sha256, f.tbl, f.delimiter,\n"
	"       s.*, concat_ws(', ', l.set_sql, o.set_sql) AS set_sql, l.unlinked_sql, l.link_sql,\n"
	"       f.cleared, o.kept_sql, o.changed_sql,\n"
	"       c.oid, x.columns_sql, x.row_sql, h.header, t.triggers, CASE\n"
	"       WHEN f.delimiter IS NULL OR octet_length(f.delimiter) <> 1 OR f.rows < 0 OR f.bytes < 0\n"
	"         OR num_nulls(f.stored, f.tbl, f.rows, f.bytes, f.sha256, h.header) > 0\n"
	"         OR array_position(f.columns, NULL) IS NOT NULL OR cardinality(f.columns) <>\n"
	"            (SELECT count(DISTINCT u.name) FROM unnest(f.columns) AS u(name))\n"
	"       THEN 'manifest.json is not what retentiond wrote'\n"
	"       WHEN m.tbl IS NULL\n"
	"       THEN format('%s: the model does not have such a table: its rows came from %s; %s',\n"
	"                   f.name, f.tbl, w.advice)\n"
	"       WHEN m.schema || '.' || m.tbl IS DISTINCT FROM f.tbl\n"
	"       THEN format('%s: its rows came from %s, but the model says %s.%s: %s',\n"
	"                   f.name, f.tbl, m.schema, m.tbl, w.advice)\n"
	"       WHEN c.oid IS NULL OR c.relkind NOT IN ('r', 'p')\n"
	"       THEN format('%s: table %s is gone', f.name, f.tbl)\n"
	/* What the rules changed follows: it is what they were that day. */
	"       WHEN f.detached AND (m.key IS NULL OR f.cleared = (e.others = '{}')\n"
	"            OR e.named IS DISTINCT FROM f.columns[1:cardinality(e.named)])\n"
	"       THEN format('%s: it has other columns than the key and the link that the model has of '\n"
	"                   '%s: %s', f.name, f.tbl, w.advice)\n"
	"       WHEN x.gone IS NOT NULL\n"
	"       THEN format('table %s does not have all columns that %s has: add %s, and restore; where '\n"
	"                   'one was renamed, copy its values over before you drop it',\n"
	"                   f.tbl, f.name, x.gone)\n"
	"       WHEN x.generated IS NOT NULL\n"
	"       THEN format('column \"%s\" of table %s is generated now, and the archive has a value for '\n"
	"                   'it', x.generated, f.tbl)\n"
	"       WHEN NOT f.detached AND y.needed IS NOT NULL\n"
	"       THEN format('table %s has a new column \"%s\" that is NOT NULL without a default, and the '\n"
	"                   'archive has none: give it a default', f.tbl, y.needed)\n"
	"       WHEN x.lacking IS NOT NULL\n"
	"       THEN format('your role lacks the right to %s on table %s: GRANT SELECT, %s ON %s TO %s',\n"
	"                   x.lacking, f.tbl, CASE WHEN f.detached THEN 'UPDATE' ELSE 'INSERT' END,\n"
	"                   s.table_sql, session_user)\n"
	"       WHEN s.match_sql IS NULL\n"
	"       THEN format('%s: it has neither the key nor the link that the model has of %s: %s',\n"
	"                   f.name, f.tbl, w.advice)\n"
	"       END AS fault\n"
	"  FROM file AS f\n"
	"  LEFT JOIN model AS m ON m.name = regexp_replace(f.label, '[.]detached$', '')\n"
	"  LEFT JOIN (pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace)\n"
	"    ON n.nspname = m.schema AND c.relname = m.tbl\n"
	" CROSS JOIN (VALUES ('restore under the model that the archive was made by')) AS w(advice)\n"
	" CROSS JOIN LATERAL (\n"
	"    SELECT format('%I.%I', m.schema, m.tbl) AS table_sql,\n"
	"           (SELECT string_agg(format('t.%1$I = r.%1$I', u.name), ' AND ' ORDER BY u.i)\n"
	"              FROM unnest(m.key) WITH ORDINALITY AS u(name, i)) AS same_sql,\n"
	"           (SELECT string_agg(quote_ident(u.name), ', ' ORDER BY u.i)\n"
	"              FROM unnest(CASE WHEN m.key <@ f.columns THEN m.key\n"
	"                               WHEN m.link <@ f.columns THEN m.link END)\n"
	"                   WITH ORDINALITY AS u(name, i)) AS match_sql) AS s\n"
	/* What a detachment has cleared of the link (model/catalog.h), and what it has left. */
	" CROSS JOIN LATERAL (\n"
	"    SELECT string_agg(format('%1$I = r.%1$I', u.name), ', ' ORDER BY u.i)\n"
	"             FILTER (WHERE v.cleared) AS set_sql,\n"
	"           coalesce('num_nulls(' || string_agg(format('t.%I', u.name), ', ' ORDER BY u.i)\n"
	"                                         FILTER (WHERE v.cleared) || ') > 0', 'true')\n"
	"           || coalesce(string_agg(format(' AND t.%1$I = r.%1$I', u.name), '' ORDER BY u.i)\n"
	"                         FILTER (WHERE NOT v.cleared), '') AS unlinked_sql,\n"
	"           array_agg(u.name) FILTER (WHERE v.cleared) AS cleared,\n"
	"           string_agg(quote_ident(u.name), ', ' ORDER BY u.i) AS link_sql\n"
	"      FROM unnest(m.link) WITH ORDINALITY AS u(name, i)\n"
	"      LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = u.name\n"
	"       AND a.attnum > 0 AND NOT a.attisdropped\n"
	"     CROSS JOIN LATERAL (SELECT cardinality(m.link) = 1 OR coalesce(u.name <> ALL (m.key)\n"
	"            AND NOT a.attnotnull AND a.attgenerated = '', false) AS cleared) AS v) AS l\n"
	" CROSS JOIN LATERAL (\n"
	"    SELECT k.named, f.columns[cardinality(k.named) + 1:] AS others FROM (SELECT m.key || ARRAY(\n"
	"           SELECT u.name FROM unnest(m.link) WITH ORDINALITY AS u(name, i)\n"
	"            WHERE u.name <> ALL (m.key) ORDER BY u.i) AS named) AS k) AS e\n"
	" CROSS JOIN LATERAL (\n"
	"    SELECT string_agg(format('%1$I = r.%1$I', u.name), ', ' ORDER BY u.i) AS set_sql,\n"
	"           string_agg(format('%1$I = CASE WHEN r." SQL_WRITTEN
	"[%2$s] IS DISTINCT FROM '\n"
	"                             '" DIGEST_OF_T
	" THEN t.%1$I ELSE r.%1$I END', u.name, u.i), ', '\n"
	"                      ORDER BY u.i) AS kept_sql,\n"
	"           string_agg(format('r." SQL_WRITTEN "[%2$s] <> " DIGEST_OF_T
	"', u.name, u.i), ' OR '\n"
	"                      ORDER BY u.i) AS changed_sql\n"
	"      FROM unnest(CASE WHEN f.cleared THEN e.others END) WITH ORDINALITY AS u(name, i)) AS o\n"
	" CROSS JOIN LATERAL (\n"
	"    SELECT string_agg(CASE WHEN strpos(u.name, f.delimiter) > 0 OR u.name ~ E'[\"\\r\\n]'\n"
	"                                    THEN '\"' || replace(u.name, '\"', '\"\"') || '\"'\n"
	"                                    ELSE u.name END, f.delimiter ORDER BY u.i) AS header\n"
	"      FROM unnest(f.all_columns) WITH ORDINALITY AS u(name, i)) AS h\n"
	" CROSS JOIN LATERAL (\n"
	"    SELECT string_agg(quote_ident(u.name), ', ' ORDER BY u.i) AS columns_sql,\n"
	"           format('ROW(%s)::text', string_agg('t.' || quote_ident(u.name), ', ' ORDER BY u.i))\n"
	"             AS row_sql,\n"
	"           string_agg(quote_ident(u.name), ', ' ORDER BY u.i) FILTER (WHERE a.attnum IS NULL) AS gone,\n"
	"           min(u.name) FILTER (WHERE a.attgenerated <> '') AS generated,\n"
	"           CASE WHEN NOT bool_and(has_column_privilege(c.oid, a.attnum, 'SELECT')) THEN 'SELECT'\n"
	"                WHEN f.detached AND NOT bool_and(a.attname <> ALL (l.cleared || e.others) OR\n"
	"                     has_column_privilege(c.oid, a.attnum, 'UPDATE')) THEN 'UPDATE'\n"
	"                WHEN NOT f.detached AND NOT bool_and(\n"
	"                     has_column_privilege(c.oid, a.attnum, 'INSERT')) THEN 'INSERT' END AS lacking\n"
	"      FROM unnest(f.columns) WITH ORDINALITY AS u(name, i)\n"
	"      LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = u.name\n"
	"       AND a.attnum > 0 AND NOT a.attisdropped) AS x\n"
	" CROSS JOIN LATERAL (\n"
	"    SELECT min(a.attname::text) AS needed\n"
	"      FROM pg_attribute AS a JOIN pg_type AS d ON d.oid = a.atttypid\n"
	"     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped\n"
	"       AND a.attname <> ALL (f.columns) AND (a.attnotnull OR d.typnotnull)\n"
	"       AND NOT a.atthasdef AND a.attidentity = '' AND d.typdefault IS NULL) AS y\n"
	" CROSS JOIN LATERAL (\n" /* 4: INSERT, 16: UPDATE */
	"    SELECT string_agg(DISTINCT quote_ident(g.tgname), ', ') AS triggers\n"
	"      FROM pg_trigger AS g\n"
	"     WHERE (g.tgrelid = c.oid OR g.tgrelid IN (SELECT relid FROM pg_partition_tree(c.oid)))\n"
	"       AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND g.tgtype & 20 <> 0) AS t\n"
	" WHERE NOT (f.rows = 0 AND (c.oid IS NULL OR x.gone IS NOT NULL))\n"
	" ORDER BY f.n";

/* SQL: the foreign keys among the tables $1, except deferrable ones, which restore/restore.c defers. */
static const char keys_sql[] =
	"SELECT DISTINCT k.child, k.parent\n"
	"  FROM pg_constraint AS con, LATERAL (\n"
	"       SELECT coalesce(pg_partition_root(con.conrelid)::oid, con.conrelid) AS child,\n"
	"              coalesce(pg_partition_root(con.confrelid)::oid, con.confrelid) AS parent) AS k\n"
	" WHERE con.contype = 'f' AND NOT con.condeferrable AND k.child <> k.parent\n"
	"   AND k.child = ANY ($1::oid[]) AND k.parent = ANY ($1::oid[])";

/* The columns of the link in the table itself: what is within a document comes back with it. */
static const char *link_array(const void *ctx, const struct columns *by)
{
	const char **names = t_array(ctx, const char *, (by ? by->n : 0) + 1);
	size_t n = 0;

	for (size_t i = 0; by && i < by->n; i++)
		if (!path_is(by->names[i]))
			names[n++] = by->names[i];
	return sql_array(ctx, names, n);
}

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
						     columns_array(ctx, t->key),
						     link_array(ctx, t->by)};

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

/* Do rows of parent's table have to be there before those of child's?  keys: the rows of keys_sql. */
static bool is_parent(const PGresult *keys, const struct restore_file *parent,
		      const struct restore_file *child)
{
	for (int row = 0; row < PQntuples(keys); row++)
		if (parent->oid == (unsigned int)db_int(keys, row, "parent") &&
		    child->oid == (unsigned int)db_int(keys, row, "child"))
			return true;
	return false;
}

static bool is_ready(const PGresult *keys, const bool *taken, const struct restore_file *files,
		     size_t n, size_t c)
{
	for (size_t p = 0; p < n; p++)
		if (!taken[p] && (is_parent(keys, &files[p], &files[c]) ||
				  (files[c].detached && !files[p].detached)))
			return false;
	return true;
}

/*
 * Orders the files for their return.  The manifest has them in the order of the deletion, children first;
 * backwards that is the order of return, except where foreign keys were added since.  The server refuses a
 * ring.
 */
static void order(struct restore_plan *plan, const struct restore_file *files, const PGresult *keys,
		  void *ctx)
{
	const size_t n = plan->n_files;
	bool *taken = t_array(ctx, bool, n + 1);

	for (size_t to = 0; to < n; to++) {
		size_t best = n;

		for (size_t i = n; i-- > 0;)
			if (!taken[i] && (best == n || (!is_ready(keys, taken, files, n, best) &&
							is_ready(keys, taken, files, n, i))))
				best = i;
		taken[best] = true;
		plan->files[to] = files[best];
		plan->files[to].temporary = t_printf(ctx, "pg_temp.retention_restore_%zu", to);
	}
}

bool restore_plan_read(struct db *db, const struct config *config, const char *manifest, void *ctx,
		       struct restore_plan *ret, struct error *err)
{
	AUTO(result) PGresult *res = NULL;
	AUTO(result) PGresult *keys = NULL;
	struct restore_file *files;
	char *oids = t_strdup(ctx, "{");
	int n;

	if (!read_files(db, &config->model, manifest, ctx, &res, err))
		return false;
	n = PQntuples(res);
	files = t_array(ctx, struct restore_file, (size_t)n + 1);
	for (int row = 0; row < n; row++) {
		if (db_text(res, row, "fault"))
			return fail(err, ERR_CONFIG, "%s", db_text(res, row, "fault"));
		files[row] = (struct restore_file){
			.name = db_text_copy(ctx, res, row, "name"),
			.stored = db_text_copy(ctx, res, row, "stored"),
			.label = db_text_copy(ctx, res, row, "label"),
			.detached = db_bool(res, row, "detached"),
			.cleared = db_bool(res, row, "cleared"),
			.kept_sql = db_text_copy(ctx, res, row, "kept_sql"),
			.changed_sql = db_text_copy(ctx, res, row, "changed_sql"),
			.table = db_text_copy(ctx, res, row, "tbl"),
			.table_sql = db_text_copy(ctx, res, row, "table_sql"),
			.oid = (unsigned int)db_int(res, row, "oid"),
			.columns_sql = db_text_copy(ctx, res, row, "columns_sql"),
			.row_sql = db_text_copy(ctx, res, row, "row_sql"),
			.match_sql = db_text_copy(ctx, res, row, "match_sql"),
			.same_sql = db_text_copy(ctx, res, row, "same_sql"),
			.set_sql = db_text_copy(ctx, res, row, "set_sql"),
			.unlinked_sql = db_text_copy(ctx, res, row, "unlinked_sql"),
			.link_sql = db_text_copy(ctx, res, row, "link_sql"),
			.head = t_printf(ctx, "%s\n", db_text(res, row, "header")),
			.sha256 = db_text_copy(ctx, res, row, "sha256"),
			.triggers = db_text_copy(ctx, res, row, "triggers"),
			.rows = db_int(res, row, "rows"),
			.bytes = db_int(res, row, "bytes"),
		};
		t_append(&oids, "%s%u", row ? "," : "", files[row].oid);
	}
	t_append(&oids, "}");
	if (!db_query(db, keys_sql, 1, (const char *const[]){oids}, &keys, err))
		return false;
	*ret = (struct restore_plan){.delimiter = n > 0 ? *db_value(res, 0, "delimiter")
							: config->delimiter,
				     .files = t_array(ctx, struct restore_file, (size_t)n + 1),
				     .n_files = (size_t)n,
				     .oids = oids};
	order(ret, files, keys, ctx);
	return true;
}
