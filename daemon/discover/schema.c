/*
 * Reads the whole catalog with four queries.  They read no data of the tables; with samples they read the
 * planner's statistics of type columns.
 *
 * preflight/read_catalog.c has queries of its own, because it reads the tables of a model only, with what
 * their links need: indexes on each partition, triggers, estimated rows.
 */
#include "discover/schema.h"

#include "model/catalog.h"
#include "model/catalog_sql.h"

/* All tables; i counts from 0, in the order of the struct. */
#define TABLES                                                                                     \
	"WITH rel AS (\n"                                                                          \
	"  SELECT (row_number() OVER (ORDER BY n.nspname, c.relname) - 1)::int AS i,\n"            \
	"         c.oid, c.relkind, c.relrowsecurity, n.nspname, c.relname\n"                      \
	"    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace\n"                      \
	"   WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'\n"  \
	"     AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'retention')\n"            \
	"     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass\n"    \
	"                        AND d.objid = c.oid AND d.deptype = 'e'))\n"

/* The key: a NOT NULL column that identifies a row. */
#define KEYED                                                                                      \
	", keyed AS (\n"                                                                           \
	"  SELECT DISTINCT ON (r.oid) r.oid, a.attnum, a.attname\n"                                \
	"    FROM rel r JOIN pg_index x ON x.indrelid = r.oid\n"                                   \
	"    JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnotnull\n"                         \
	"   WHERE " CATALOG_IDENTIFIES "\n"                                                        \
	"   ORDER BY r.oid, x.indisprimary DESC, a.attnum)\n"

static const char tables_sql[] = TABLES KEYED
	"SELECT r.nspname AS schema, r.relname AS name, k.attname AS key,\n"
	"       obj_description(r.oid, 'pg_class') AS comment,\n"
	"       CASE WHEN r.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = r.oid)\n"
	"            THEN 'other tables inherit from it'\n"
	"            WHEN EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = r.oid AND w.ev_type IN ('2', '4'))\n"
	"            THEN 'it has a rule on UPDATE or DELETE'\n"
	"            WHEN r.relrowsecurity THEN 'it has row-level security: the daemon needs BYPASSRLS'\n"
	"       END AS trouble\n"
	"  FROM rel r LEFT JOIN keyed k ON k.oid = r.oid ORDER BY r.i\n";

static const char columns_sql[] = TABLES KEYED
	"SELECT r.i, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,\n"
	"       b.typname AS base, b.typcategory AS category, col_description(r.oid, a.attnum) AS comment,\n"
	"       a.attnotnull OR t.typnotnull AS not_null,\n"
	"       a.attgenerated <> '' OR a.attidentity = 'a' AS generated,\n"
	"       EXISTS (SELECT FROM pg_index x WHERE x.indrelid = r.oid AND x.indisunique\n"
	"                  AND a.attnum = ANY (x.indkey[0:x.indnkeyatts - 1])\n"
	"                  AND (k.attnum IS NULL OR k.attnum <> ALL (x.indkey::int2[]))) AS collides,\n"
	"       EXISTS (SELECT FROM pg_index x WHERE x.indrelid = r.oid\n"
	"                  AND " CATALOG_IDENTIFIES ") AS identifies,\n"
	"       " CATALOG_PLAIN " AS plain,\n"
	"       EXISTS (SELECT FROM pg_index x WHERE x.indrelid = r.oid AND x.indisprimary\n"
	"                  AND a.attnum = ANY (x.indkey)) AS primary,\n"
	"       EXISTS (SELECT FROM pg_constraint f WHERE f.conrelid = r.oid AND f.contype = 'f'\n"
	"                  AND a.attnum = ANY (f.conkey)) AS foreign,\n"
	"       EXISTS (SELECT FROM pg_index x WHERE x.indrelid = r.oid AND x.indisvalid\n"
	"                  AND x.indkey[0] = a.attnum) AS indexed,\n"
	"       EXISTS (SELECT FROM pg_constraint f WHERE f.conrelid = r.oid AND f.contype = 'c'\n"
	"                  AND a.attnum = ANY (f.conkey)) AS checked\n"
	"  FROM rel r\n"
	"  JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped\n"
	"  JOIN pg_type t ON t.oid = a.atttypid\n" CATALOG_BASE
	"  LEFT JOIN keyed k ON k.oid = r.oid\n"
	" ORDER BY r.i, a.attnum\n";

/* A foreign key over several columns has the pair that references the other table's key. */
static const char keys_sql[] = TABLES KEYED
	/* Each partition can have its own foreign key for the same pair of columns. */
	"SELECT x.* FROM (SELECT DISTINCT ON (k.from_i, k.to_i, k.column, k.to_column, k.on_delete) k.*\n"
	"  FROM (SELECT DISTINCT ON (con.oid) con.oid, con.conname AS name, f.i AS from_i, t.i AS to_i,\n"
	"       fa.attname AS column, ta.attname AS to_column, cardinality(con.conkey) AS n,\n"
	"       con.confdeltype AS on_delete, con.condeferrable AS deferrable\n"
	"  FROM pg_constraint con\n"
	"  JOIN rel f ON f.oid = coalesce(pg_partition_root(con.conrelid)::oid, con.conrelid)\n"
	"  JOIN rel t ON t.oid = coalesce(pg_partition_root(con.confrelid)::oid, con.confrelid)\n"
	"  JOIN LATERAL unnest(con.conkey, con.confkey) WITH ORDINALITY AS u(f, t, o) ON true\n"
	"  JOIN pg_attribute fa ON fa.attrelid = con.conrelid AND fa.attnum = u.f\n"
	"  JOIN pg_attribute ta ON ta.attrelid = con.confrelid AND ta.attnum = u.t\n"
	"  LEFT JOIN keyed k ON k.oid = t.oid\n"
	" WHERE con.contype = 'f' AND con.conparentid = 0\n"
	" ORDER BY con.oid, (ta.attname = k.attname) DESC NULLS LAST, u.o) AS k\n"
	" ORDER BY k.from_i, k.to_i, k.column, k.to_column, k.on_delete, k.oid) AS x ORDER BY x.oid\n";

static const char values_sql[] = TABLES
	"SELECT DISTINCT r.i, a.attname AS name, v.value\n"
	"  FROM rel r\n"
	"  JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped\n"
	"   AND a.attname ~* '(type|model)$'\n"
	"  JOIN LATERAL (\n"
	"    SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = a.atttypid\n"
	"     UNION ALL\n"
	"    SELECT unnest(s.most_common_vals::text::text[]) FROM pg_stats s\n"
	"     WHERE $1::bool AND s.schemaname = r.nspname AND s.tablename = r.relname\n"
	"       AND s.attname = a.attname\n"
	"       AND a.atttypid IN ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype)) AS v(value) ON true\n"
	" ORDER BY r.i, a.attname, v.value\n";

static bool read_tables(struct db *db, void *ctx, struct schema *schema, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, tables_sql, 0, NULL, &res, err))
		return false;
	schema->n_tables = (size_t)PQntuples(res);
	schema->tables = t_array(ctx, struct schema_table, schema->n_tables + 1);
	for (int row = 0; row < PQntuples(res); row++)
		schema->tables[row] = (struct schema_table){
			.schema = t_strdup(ctx, db_value(res, row, "schema")),
			.name = t_strdup(ctx, db_value(res, row, "name")),
			.key = db_text_copy(ctx, res, row, "key"),
			.comment = db_text_copy(ctx, res, row, "comment"),
			.trouble = db_text_copy(ctx, res, row, "trouble"),
		};
	return true;
}

static bool read_columns(struct db *db, void *ctx, struct schema *schema, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, columns_sql, 0, NULL, &res, err))
		return false;
	for (int row = 0; row < PQntuples(res); row++) {
		struct schema_table *t = &schema->tables[db_index(res, row, "i", schema->n_tables)];

		t->columns = t_grow(ctx, t->columns, struct schema_column, t->n_columns + 1);
		t->columns[t->n_columns++] = (struct schema_column){
			.name = t_strdup(ctx, db_value(res, row, "name")),
			.type = t_strdup(ctx, db_value(res, row, "type")),
			.base = t_strdup(ctx, db_value(res, row, "base")),
			.comment = db_text_copy(ctx, res, row, "comment"),
			.category = *db_value(res, row, "category"),
			.not_null = db_bool(res, row, "not_null"),
			.generated = db_bool(res, row, "generated"),
			.collides = db_bool(res, row, "collides"),
			.identifies = db_bool(res, row, "identifies"),
			.plain = db_bool(res, row, "plain"),
			.primary = db_bool(res, row, "primary"),
			.foreign = db_bool(res, row, "foreign"),
			.indexed = db_bool(res, row, "indexed"),
			.checked = db_bool(res, row, "checked"),
		};
	}
	return true;
}

static bool read_keys(struct db *db, void *ctx, struct schema *schema, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, keys_sql, 0, NULL, &res, err))
		return false;
	schema->keys = t_array(ctx, struct schema_key, PQntuples(res) + 1);
	schema->n_keys = (size_t)PQntuples(res);
	for (int row = 0; row < PQntuples(res); row++)
		schema->keys[row] = (struct schema_key){
			.name = t_strdup(ctx, db_value(res, row, "name")),
			.from = db_index(res, row, "from_i", schema->n_tables),
			.to = db_index(res, row, "to_i", schema->n_tables),
			.column = t_strdup(ctx, db_value(res, row, "column")),
			.to_column = t_strdup(ctx, db_value(res, row, "to_column")),
			.n_columns = (int)db_int(res, row, "n"),
			.on_delete = *db_value(res, row, "on_delete"),
			.deferrable = db_bool(res, row, "deferrable"),
		};
	return true;
}

static bool read_values(struct db *db, bool samples, void *ctx, struct schema *schema,
			struct error *err)
{
	const char *const values[] = {samples ? "true" : "false"};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, values_sql, 1, values, &res, err))
		return false;
	for (int row = 0; row < PQntuples(res); row++) {
		const struct schema_table *t =
			&schema->tables[db_index(res, row, "i", schema->n_tables)];
		struct schema_column *c = t->columns;

		while (strcmp(c->name, db_text(res, row, "name")) != 0)
			c++;
		c->values = t_grow(ctx, c->values, const char *, c->n_values + 1);
		c->values[c->n_values++] = t_strdup(ctx, db_value(res, row, "value"));
	}
	return true;
}

/* Drops keys of a type whose values cannot be written as text and read back. */
static void drop_odd_keys(struct schema *schema)
{
	for (size_t i = 0; i < schema->n_tables; i++) {
		struct schema_table *t = &schema->tables[i];
		const struct schema_column *key = schema_column(t, t->key);

		if (key && !(key->plain && catalog_is_key_type(key->base)))
			t->key = NULL;
	}
}

bool schema_read(struct db *db, bool samples, void *ctx, struct schema **ret, struct error *err)
{
	*ret = t_zero(ctx, struct schema);
	if (!db_exec(db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) ||
	    !read_tables(db, ctx, *ret, err) || !read_columns(db, ctx, *ret, err) ||
	    !read_keys(db, ctx, *ret, err) || !read_values(db, samples, ctx, *ret, err) ||
	    !db_commit(db, err))
		return false;
	drop_odd_keys(*ret);
	return true;
}

const struct schema_table *schema_table(const struct schema *schema, const char *name,
					size_t *ret_n)
{
	const struct schema_table *match = NULL;

	*ret_n = 0;
	for (size_t i = 0; i < schema->n_tables; i++) {
		const struct schema_table *t = &schema->tables[i];
		const size_t n = strlen(t->schema);

		if (strncmp(name, t->schema, n) == 0 && name[n] == '.' &&
		    strcmp(name + n + 1, t->name) == 0) {
			*ret_n = 1;
			return t;
		}
		if (strcmp(name, t->name) == 0) {
			match = t;
			++*ret_n;
		}
	}
	return *ret_n == 1 ? match : NULL;
}

const struct schema_column *schema_column(const struct schema_table *t, const char *name)
{
	for (size_t i = 0; name && i < t->n_columns; i++)
		if (strcmp(t->columns[i].name, name) == 0)
			return &t->columns[i];
	return NULL;
}

enum verdict schema_verdict(void *ctx, const struct schema_column *column, const char **ret_why)
{
	static const char *const documents[] = {"json", "jsonb", "xml", "hstore", NULL};
	static const char *const erased[] = {"inet",  "cidr",     "macaddr", "macaddr8",
					     "bytea", "tsvector", "oid",     NULL};
	const struct naming naming = names_of(column->name);
	const bool birth = strchr("DT", column->category) && names_is_birth(column->name);

	if (catalog_is_among(column->base, erased)) {
		*ret_why = t_printf(ctx, "%s: by its type", column->type);
		return VERDICT_CLEAR;
	}
	if (catalog_is_among(column->base, documents)) {
		*ret_why = t_printf(ctx, "%s, which can hold anything%s", column->type,
				    strcmp(column->base, "jsonb") == 0
					    ? "; json or json_keep can keep some of its keys"
					    : "");
		return VERDICT_ASK;
	}
	/* Few numbers, dates and the like are personal. */
	if (strchr("NBDTE", column->category) || strcmp(column->base, "uuid") == 0) {
		const bool number = column->category == 'N' && naming.kind == NAME_PERSON;

		*ret_why = number  ? t_printf(ctx, "\"%s\": by its name", naming.word)
			   : birth ? "a date of birth or death, by its name"
			   : column->category == 'E' ? "an enum"
						     : column->type;
		return number || birth ? VERDICT_CLEAR : VERDICT_KEEP;
	}
	if (naming.kind > NAME_HARMLESS) {
		*ret_why = t_printf(ctx, "\"%s\": by its name", naming.word);
		return VERDICT_CLEAR;
	}
	if (naming.kind == NAME_HARMLESS) {
		*ret_why = t_printf(ctx, "%s, by its name", naming.word);
		return VERDICT_KEEP;
	}
	*ret_why = t_printf(ctx, "%s, and its name does not tell", column->type);
	return VERDICT_ASK;
}
