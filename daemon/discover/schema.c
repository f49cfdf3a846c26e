/*
 * Reads the whole catalog with a few queries.  They read no data of the tables; with samples they read the
 * planner's statistics of type columns.
 *
 * preflight/read_catalog.c has queries of its own, because it reads the tables of a model only, with what
 * their links need: indexes on each partition, triggers, estimated rows.
 */
#include "discover/schema.h"

#include "base/mem.h"
#include "base/sql.h"
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

static const char tables_sql[] = TABLES
	"SELECT r.nspname AS schema, r.relname AS name,\n"
	"       obj_description(r.oid, 'pg_class') AS comment,\n"
	"       CASE WHEN r.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = r.oid)\n"
	"            THEN 'other tables inherit from it'\n"
	"            WHEN EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = r.oid AND w.ev_type IN ('2', '4'))\n"
	"            THEN 'it has a rule on UPDATE or DELETE'\n"
	"            WHEN r.relrowsecurity THEN 'it has row-level security: the daemon needs BYPASSRLS'\n"
	"       END AS trouble, r.relkind = 'p' AS partitioned\n"
	"  FROM rel r ORDER BY r.i\n";

static const char columns_sql[] = TABLES
	"SELECT r.i, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,\n"
	"       b.typname AS base, b.typcategory AS category, col_description(r.oid, a.attnum) AS comment,\n"
	"       a.attnotnull OR t.typnotnull AS not_null,\n"
	"       " CATALOG_NO_NULLS " AS no_nulls,\n"
	"       a.attgenerated <> '' OR a.attidentity = 'a' AS generated, a.attgenerated <> '' AS computed,\n"
	"       " CATALOG_PLAIN " AS plain,\n"
	"       EXISTS (SELECT FROM pg_index x WHERE x.indrelid = r.oid AND x.indisprimary\n"
	"                  AND a.attnum = ANY (x.indkey)) AS primary,\n"
	"       EXISTS (SELECT FROM pg_constraint f WHERE f.conrelid = r.oid AND f.contype = 'f'\n"
	"                  AND a.attnum = ANY (f.conkey)) AS foreign,\n"
	"       EXISTS (SELECT FROM pg_constraint f WHERE f.conrelid = r.oid AND f.contype = 'c'\n"
	"                  AND a.attnum = ANY (f.conkey)) AS checked\n"
	"  FROM rel r\n"
	"  JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped\n"
	"  JOIN pg_type t ON t.oid = a.atttypid\n" CATALOG_BASE " ORDER BY r.i, a.attnum\n";

/* A row for each column of an index.  Whether one over a column alone identifies, is asked of this column. */
static const char indexes_sql[] = TABLES
	"SELECT r.i, x.indexrelid AS oid, coalesce(a.attname, '') AS name, u.o <= x.indnkeyatts AS is_key,\n"
	"       x.indisprimary AS primary, x.indisunique AS unique, x.indisvalid AS valid,\n"
	"       coalesce(" CATALOG_IDENTIFIES "\n"
	"         OR " CATALOG_IDENTIFIES_TOGETHER ", false) AS identifies\n"
	"  FROM rel r JOIN pg_index x ON x.indrelid = r.oid\n"
	"  JOIN LATERAL unnest(x.indkey::int2[]) WITH ORDINALITY AS u(attnum, o) ON true\n"
	"  LEFT JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = u.attnum\n"
	" ORDER BY r.i, x.indexrelid, u.o\n";

/* A row for each pair of columns of a foreign key.  A partition can have one of its own. */
static const char keys_sql[] = TABLES
	"SELECT con.oid, con.conname AS name, f.i AS from_i, t.i AS to_i, fa.attname AS column,\n"
	"       ta.attname AS to_column, con.confdeltype AS on_delete, con.condeferrable AS deferrable,\n"
	"       " CATALOG_DOUBT " AS doubt\n"
	"  FROM pg_constraint con\n"
	"  JOIN rel f ON f.oid = coalesce(pg_partition_root(con.conrelid)::oid, con.conrelid)\n"
	"  JOIN rel t ON t.oid = coalesce(pg_partition_root(con.confrelid)::oid, con.confrelid)\n"
	"  JOIN LATERAL unnest(con.conkey, con.confkey) WITH ORDINALITY AS u(f, t, o) ON true\n"
	"  JOIN pg_attribute fa ON fa.attrelid = con.conrelid AND fa.attnum = u.f\n"
	"  JOIN pg_attribute ta ON ta.attrelid = con.confrelid AND ta.attnum = u.t\n"
	" WHERE con.contype = 'f' AND con.conparentid = 0\n"
	" ORDER BY con.oid, u.o\n";

static const char values_sql[] = TABLES
	"SELECT DISTINCT r.i, a.attname AS name, v.value\n"
	"  FROM rel r\n"
	"  JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped\n"
	"   AND (a.attname ~* '(type|model|modell|modele|modelo|role|rolle|kind|tipo|klasse|classe|clase)$'\n"
	"        OR a.attname ~* '(category|kategorie|categorie|categoria|(^|[^a-z])(art|typ|rol|class))$'\n"
	"        OR a.attname ~ '[a-z](Art|Typ|Rol|Class)$')\n"
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
			.comment = db_text_copy(ctx, res, row, "comment"),
			.trouble = db_text_copy(ctx, res, row, "trouble"),
			.partitioned = db_bool(res, row, "partitioned"),
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
			.no_nulls = db_bool(res, row, "no_nulls"),
			.generated = db_bool(res, row, "generated"),
			.computed = db_bool(res, row, "computed"),
			.plain = db_bool(res, row, "plain"),
			.primary = db_bool(res, row, "primary"),
			.foreign = db_bool(res, row, "foreign"),
			.checked = db_bool(res, row, "checked"),
		};
	}
	return true;
}

/* The end of the rows with the same oid as the first one. */
static int end_of_object(const PGresult *res, int row)
{
	const int64_t oid = db_int(res, row, "oid");

	while (row < PQntuples(res) && db_int(res, row, "oid") == oid)
		row++;
	return row;
}

/* The names in a column of some rows. */
static struct columns names_in(void *ctx, const PGresult *res, int row, int end, const char *column)
{
	const char **names = t_array(ctx, const char *, end - row);

	for (int i = row; i < end; i++)
		names[i - row] = t_strdup(ctx, db_value(res, i, column));
	return (struct columns){.names = names, .n = (size_t)(end - row)};
}

static bool read_indexes(struct db *db, void *ctx, struct schema *schema, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, indexes_sql, 0, NULL, &res, err))
		return false;
	for (int row = 0, end; row < PQntuples(res); row = end) {
		struct schema_table *t = &schema->tables[db_index(res, row, "i", schema->n_tables)];
		struct schema_index x = {.primary = db_bool(res, row, "primary"),
					 .unique = db_bool(res, row, "unique"),
					 .identifies = db_bool(res, row, "identifies"),
					 .valid = db_bool(res, row, "valid")};

		end = end_of_object(res, row);
		x.all = names_in(ctx, res, row, end, "name");
		x.columns = x.all;
		while (!db_bool(res, row + (int)x.columns.n - 1, "is_key"))
			x.columns.n--;
		t->indexes = t_grow(ctx, t->indexes, struct schema_index, t->n_indexes + 1);
		t->indexes[t->n_indexes++] = x;
	}
	return true;
}

static const struct columns *kept(void *ctx, struct columns columns)
{
	struct columns *copy = t_zero(ctx, struct columns);

	*copy = columns;
	return copy;
}

static bool read_keys(struct db *db, void *ctx, struct schema *schema, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, keys_sql, 0, NULL, &res, err))
		return false;
	schema->keys = t_array(ctx, struct schema_key, PQntuples(res) + 1);
	for (int row = 0, end; row < PQntuples(res); row = end) {
		end = end_of_object(res, row);
		schema->keys[schema->n_keys++] = (struct schema_key){
			.name = t_strdup(ctx, db_value(res, row, "name")),
			.from = db_index(res, row, "from_i", schema->n_tables),
			.to = db_index(res, row, "to_i", schema->n_tables),
			.columns = kept(ctx, names_in(ctx, res, row, end, "column")),
			.to_columns = kept(ctx, names_in(ctx, res, row, end, "to_column")),
			.doubt = db_text_copy(ctx, res, row, "doubt"),
			.on_delete = *db_value(res, row, "on_delete"),
			.deferrable = db_bool(res, row, "deferrable"),
		};
	}
	schema->n_constraints = schema->n_keys;
	schema->constraints = t_array(ctx, struct schema_key, schema->n_keys + 1);
	memcpy(schema->constraints, schema->keys, schema->n_keys * sizeof(*schema->keys));
	return true;
}

/*
 * By hash or list: what these columns are, is up to whoever has made the partitions.  A range is of dates, as a rule, and
 * a hash over several columns finds nothing by one of them.
 */
static const char partitions_sql[] = TABLES
	"SELECT r.i, a.attname AS name, false AS citus\n"
	"  FROM rel r JOIN LATERAL pg_partition_tree(r.oid) p ON NOT p.isleaf\n"
	"  JOIN pg_partitioned_table k ON k.partrelid = p.relid AND k.partnatts = 1 AND k.partstrat IN ('h', 'l')\n"
	"  JOIN pg_attribute a ON a.attrelid = p.relid AND a.attnum = k.partattrs[0]\n"
	" WHERE r.relkind = 'p' GROUP BY r.i, a.attname ORDER BY r.i, min(p.level), a.attname\n";

static const char citus_sql[] = TABLES
	"SELECT r.i, column_to_column_name(p.logicalrelid, p.partkey) AS name, true AS citus\n"
	"  FROM rel r JOIN pg_dist_partition p ON p.logicalrelid = r.oid AND p.partmethod = 'h' ORDER BY r.i\n";

static bool read_splits(struct db *db, const char *sql, void *ctx, struct schema *schema,
			struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, sql, 0, NULL, &res, err))
		return false;
	for (int row = 0, end; row < PQntuples(res); row = end) {
		const size_t i = db_index(res, row, "i", schema->n_tables);

		for (end = row;
		     end < PQntuples(res) && db_index(res, end, "i", schema->n_tables) == i;)
			end++;
		schema->tables[i].split_by = names_in(ctx, res, row, end, "name");
		schema->tables[i].citus = db_bool(res, row, "citus");
	}
	return true;
}

/* Shards of Citus come last, because their tables can have partitions too, and which node to ask matters more. */
static bool read_all_splits(struct db *db, void *ctx, struct schema *schema, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!read_splits(db, partitions_sql, ctx, schema, err) ||
	    !db_query(db, "SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL AS citus",
		      0, NULL, &res, err))
		return false;
	return !db_bool(res, 0, "citus") || read_splits(db, citus_sql, ctx, schema, err);
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

bool schema_read(struct db *db, bool samples, void *ctx, struct schema **ret, struct error *err)
{
	*ret = t_zero(ctx, struct schema);
	return db_exec(db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) &&
	       read_tables(db, ctx, *ret, err) && read_columns(db, ctx, *ret, err) &&
	       read_indexes(db, ctx, *ret, err) && read_keys(db, ctx, *ret, err) &&
	       read_all_splits(db, ctx, *ret, err) && read_values(db, samples, ctx, *ret, err) &&
	       db_commit(db, err);
}

bool schema_may_read(struct db *db, const struct schema_table *t, bool *ret, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result) PGresult *res = NULL;
	const char *const values[] = {sql_table(ctx, t->schema, t->name), t->schema};

	if (!db_query(
		    db,
		    "SELECT has_table_privilege($1, 'SELECT') AND has_schema_privilege($2, 'USAGE') AS may",
		    LENGTH(values), values, &res, err))
		return false;
	*ret = db_bool(res, 0, "may");
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

bool schema_identifies(const struct schema_table *t, const struct columns *columns)
{
	for (size_t i = 0; i < t->n_indexes; i++)
		if (t->indexes[i].identifies && columns_are_among(&t->indexes[i].columns, columns))
			return true;
	return false;
}

bool schema_indexed(const struct schema_table *t, const struct columns *columns)
{
	for (size_t i = 0; i < t->n_indexes; i++) {
		const struct columns *x = &t->indexes[i].columns;

		if (!t->indexes[i].valid || !columns_have(columns, x->names[0]))
			continue;
		if (columns->n == 1 || strcmp(x->names[0], columns->names[0]) != 0 ||
		    (x->n > 1 && columns_have(columns, x->names[1])))
			return true;
	}
	return false;
}

bool schema_not_null(const struct schema_table *t, const struct columns *columns)
{
	for (size_t i = 0; i < columns->n; i++)
		if (!schema_column(t, columns->names[i])->not_null)
			return false;
	return true;
}
