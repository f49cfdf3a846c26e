/*
 * Reads pg_catalog by a few queries, each over all tables of the model at once: their state, the
 * tables, their columns, the indexes behind their links, the foreign keys onto them.  Partitions
 * count as their root, because a key or an index may stand on the root or on each leaf.
 *
 * Each query has a snapshot of its own.  The state is read first, so that a change while the others
 * are read is noticed when the state is compared.
 */
#include "preflight/read_catalog.h"

#include "base/sql.h"
#include "model/catalog_sql.h"
#include "preflight/check_model.h"
#include "preflight/read_paths.h"
#include "preflight/read_state.h"

/* The model's tables as a relation: i counts from 0, in the model's order. */
#define WANTED                                                                                      \
	"WITH RECURSIVE wanted AS (\n"                                                              \
	"  SELECT (w.i - 1)::int AS i, c.oid, c.relkind, w.link::name[] AS link,\n"                 \
	"         w.key::name[] AS key, w.filtered,\n"                                              \
	"         w.schema || '.' || w.name AS shown, c.relispartition,\n"                          \
	"         to_regclass(nullif(w.used_in, '')) AS used_in, w.used_by::name[] AS used_by\n"    \
	"    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::text[],\n" \
	"                $7::text[])\n"                                                             \
	"         WITH ORDINALITY AS w(schema, name, link, key, filtered, used_in, used_by, i)\n"   \
	"    LEFT JOIN pg_namespace n ON n.nspname = w.schema\n"                                    \
	"    LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name\n"               \
	"), leaf AS (\n"                                                                            \
	"  SELECT w.i, w.oid AS root, t.relid FROM wanted w,\n"                                     \
	"         LATERAL (SELECT w.oid AS relid WHERE w.relkind <> 'p' UNION ALL\n"                \
	"                  SELECT p.relid FROM pg_partition_tree(w.oid) p\n"                        \
	"                   WHERE w.relkind = 'p' AND p.isleaf) t\n"                                \
	")\n"

/*
 * A table, or a partition, that a publication has, it or its root, although the rows that change could not be named:
 * the server refuses what is published of them.
 */
#define NO_IDENTITY                                                                                               \
	"(SELECT min(c.oid::regclass::text) FROM leaf JOIN pg_class c ON c.oid = leaf.relid\n"                    \
	"           JOIN pg_publication_tables pt ON to_regclass(format('%I.%I', pt.schemaname, pt.tablename))\n" \
	"             IN (SELECT c.oid UNION SELECT a.relid FROM pg_partition_ancestors(c.oid) a)\n"              \
	"           JOIN pg_publication p ON p.pubname = pt.pubname\n"                                            \
	"          WHERE leaf.i = w.i AND c.relreplident <> 'f'\n"                                                \
	"            AND NOT EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisvalid\n"          \
	"                               AND (c.relreplident = 'd' AND x.indisprimary\n"                           \
	"                                    OR c.relreplident = 'i' AND x.indisreplident))"

/* A partition, on any level, that is being detached. */
#define DETACHED                                                                                   \
	"(SELECT min(h.inhrelid::regclass::text) FROM " CATALOG_CHILDREN(                          \
		"IN (SELECT relid FROM pg_partition_tree(w.oid))") " WHERE h.pending)"

/*
 * The index x finds the rows of a link over these columns, of which a is one.  Where there are several,
 * the first is the tenant's by custom, and an index on it alone would find all of the tenant's rows.
 */
#define LEADS(columns)                                                                             \
	"x.indkey[0] = a.attnum AND (cardinality(" columns ") = 1 OR a.attname <> (" columns       \
	")[1]\n"                                                                                   \
	"                OR EXISTS (SELECT FROM pg_attribute s WHERE s.attrelid = x.indrelid\n"    \
	"                      AND s.attnum = x.indkey[1] AND s.attname = ANY(" columns ")))"

static const char relations_sql[] = WANTED
	"SELECT w.oid, w.relkind = 'p' AS partitioned,\n"
	"       (SELECT coalesce(sum(CASE WHEN c.reltuples >= 0 THEN c.reltuples\n"
	"                            ELSE pg_relation_size(c.oid) / 100 END), 0)::bigint\n"
	"          FROM leaf JOIN pg_class c ON c.oid = leaf.relid WHERE leaf.i = w.i) AS rows,\n"
	"       CASE WHEN w.oid IS NULL\n"
	"            THEN format('there is no table %s in the database; names are exact, as the catalog '\n"
	"                        'has them', w.shown)\n"
	"            WHEN w.relkind NOT IN ('r', 'p')\n"
	"            THEN format('%s is not a table (a view, or a foreign table): name the table behind '\n"
	"                        'it', w.shown)\n"
	"            WHEN w.relispartition\n"
	"            THEN format('%s is a partition, and what points at the whole would not be seen: '\n"
	"                        'name the partitioned table', w.shown)\n"
	"            WHEN w.relkind = 'r'\n"
	"             AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = w.oid)\n"
	"            THEN format('other tables inherit from %s; what their rows belong to cannot be '\n"
	"                        'known: only declarative partitions are worked on', w.shown)\n"
	"            WHEN w.relkind = 'p' AND " DETACHED " IS NOT NULL\n"
	"            THEN format('%s is being detached from %s, and its rows are not found any longer: wait '\n"
	"                        'until DETACH PARTITION CONCURRENTLY has ended, or end it with DETACH '\n"
	"                        'PARTITION FINALIZE', " DETACHED ", w.shown)\n"
	"            WHEN EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_type IN ('2', '4') AND r.ev_class IN\n"
	"                   (SELECT w.oid UNION SELECT relid FROM leaf WHERE leaf.i = w.i))\n"
	"            THEN format('%s has a rule on UPDATE or DELETE, which could do something else '\n"
	"                        'instead: drop the rule, or use a trigger', w.shown)\n"
	"            WHEN row_security_active(w.oid)\n"
	"            THEN format('row-level security on %s hides rows from this role: give it '\n"
	"                        'BYPASSRLS', w.shown) END AS trouble,\n"
	"       EXISTS (SELECT FROM pg_trigger t JOIN leaf ON leaf.relid = t.tgrelid\n"
	"                WHERE leaf.i = w.i AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')\n"
	"                  AND t.tgtype & 8 <> 0) AS delete_triggers,\n"
	"       EXISTS (SELECT FROM pg_trigger t JOIN leaf ON leaf.relid = t.tgrelid\n"
	"                WHERE leaf.i = w.i AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')\n"
	"                  AND t.tgtype & 16 <> 0) AS update_triggers,\n"
	"       " NO_IDENTITY " AND p.pubdelete) AS no_delete,\n"
	"       " NO_IDENTITY " AND p.pubupdate) AS no_update,\n"
	"       w.link IS NULL OR w.oid IS NULL OR NOT EXISTS (\n"
	"         SELECT FROM leaf WHERE leaf.i = w.i AND NOT EXISTS (\n"
	"           SELECT FROM pg_index x\n"
	"             JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attname = ANY(w.link)\n"
	"            WHERE x.indrelid = leaf.relid AND x.indisvalid\n"
	"              AND (" LEADS(
		"w.link") "\n"
			  "                   OR w.filtered AND a.attnum = ANY(x.indkey)))) AS by_indexed,\n"
			  "       w.used_in IS NULL OR NOT EXISTS (\n"
			  "         SELECT FROM (SELECT w.used_in AS relid UNION\n"
			  "                      SELECT relid FROM pg_partition_tree(w.used_in)) AS l\n"
			  "           JOIN pg_class AS c ON c.oid = l.relid AND c.relkind = 'r'\n"
			  "          WHERE NOT EXISTS (SELECT FROM pg_index x\n"
			  "             JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attname = ANY(w.used_by)\n"
			  "            WHERE x.indrelid = l.relid AND x.indisvalid\n"
			  "              AND " LEADS("w.used_by") ")) AS used_indexed\n"
								  "  FROM wanted w ORDER BY w.i\n";

/* lo_manage(a) unlinks a's large object on every DELETE (8) or UPDATE (16) of a row, whatever else happens. */
#define UNLINKED(event)                                                                            \
	"EXISTS (SELECT FROM pg_trigger g JOIN pg_proc f ON f.oid = g.tgfoid\n"                    \
	"         JOIN pg_language l ON l.oid = f.prolang\n"                                       \
	"        WHERE g.tgrelid = w.oid AND l.lanname = 'c' AND f.prosrc = 'lo_manage'\n"         \
	"          AND g.tgenabled IN ('O', 'A') AND g.tgtype & 1 <> 0 AND g.tgtype & " event      \
	" <> 0\n"                                                                                  \
	"          AND g.tgqual IS NULL AND (g.tgattr::text = '' OR a.attnum = ANY(g.tgattr))\n"   \
	"          AND g.tgargs = convert_to(a.attname, getdatabaseencoding()) || '\\x00'::bytea)"
#define UNLINKED_WITH_ROW UNLINKED("8")
#define UNLINKED_WITH_VALUE UNLINKED("16")

/*
 * A type keeps its modifier where that changes how a value reads ("0" in numeric(10,2) is 0.00).  A
 * string type loses it, because a cast would cut the value silently, where an assignment says that
 * it is too long.  -1 and not NULL: char(8) becomes bpchar, because "character" means character(1).
 * A domain counts as the type below it, because a cast to it would run the functions of its CHECK.
 */
static const char columns_sql[] = WANTED
	", " CATALOG_FOREIGN "SELECT w.i, a.attname, b.typname AS base,\n"
	"       format_type(b.oid, CASE WHEN b.typcategory = 'S' THEN -1\n"
	"                               WHEN b.oid = a.atttypid THEN a.atttypmod ELSE bottom.typmod END)\n"
	"         AS type,\n"
	"       CASE WHEN b.typname IN ('int2', 'int4') THEN 'bigint' ELSE format_type(b.oid, -1) END\n"
	"         AS compared,\n"
	"       (SELECT min(f.by) FROM foreign_type f WHERE f.type = b.oid) AS foreign_cast,\n"
	"       EXISTS (SELECT FROM foreign_type f WHERE f.type = b.oid AND f.implicit) AS foreign_implicit,\n"
	"       b.typcategory AS category, a.attnotnull OR t.typnotnull AS not_null,\n"
	"       " CATALOG_NO_NULLS " AS no_nulls,\n"
	"       a.attgenerated <> '' AS generated, a.attidentity = 'a' AS identity_always,\n"
	"       (SELECT min(x.indexrelid::regclass::text) FROM pg_index x WHERE x.indrelid = w.oid AND x.indisunique\n"
	"                  AND (a.attnum = ANY(x.indkey[0:x.indnkeyatts - 1]) OR x.indexprs IS NOT NULL AND EXISTS (\n"
	"                       SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = x.indexrelid\n"
	"                          AND d.refclassid = d.classid AND d.refobjid = w.oid AND d.refobjsubid = a.attnum))\n"
	"                  AND (w.key = '{}' OR NOT w.key <@ ARRAY(\n"
	"                       SELECT k.attname FROM pg_attribute k WHERE k.attrelid = w.oid\n"
	"                          AND k.attnum = ANY(x.indkey))))\n"
	"         AS unique_index,\n"
	"       EXISTS (SELECT FROM pg_index x WHERE x.indrelid = w.oid\n"
	"                  AND " CATALOG_IDENTIFIES ") AS identifies,\n"
	"       " CATALOG_PLAIN " AS plain, " CATALOG_BYTEWISE " AS bytewise,\n"
	"       " UNLINKED_WITH_ROW " AS unlinked_with_row,\n"
	"       " UNLINKED_WITH_VALUE " AS unlinked_with_value\n"
	"  FROM wanted w\n"
	"  JOIN pg_attribute a ON a.attrelid = w.oid AND a.attnum > 0 AND NOT a.attisdropped\n"
	"  JOIN pg_type t ON t.oid = a.atttypid\n" CATALOG_BASE " ORDER BY w.i, a.attnum\n";

/* conparentid = 0: the key as it was declared, not its copies on partitions. */
static const char keys_sql[] = WANTED
	", target AS (\n"
	"  SELECT DISTINCT w.oid AS root, t.relid FROM wanted w,\n"
	"         LATERAL (SELECT w.oid AS relid UNION SELECT p.relid FROM pg_partition_tree(w.oid) p\n"
	"                   WHERE w.relkind = 'p') t\n"
	")\n"
	"SELECT con.oid, con.conname, coalesce(pg_partition_root(con.conrelid)::oid, con.conrelid) AS from_oid,\n"
	"       target.root AS to_oid, con.confdeltype AS on_delete, con.condeferrable AS deferrable,\n"
	"       c.relkind = 'p' AS partitioned,\n"
	"       " CATALOG_DOUBT " AS doubt,\n"
	"       n.nspname AS schema, c.relname AS table_name, f.attname AS from_column,\n"
	"       k.attname AS to_column,\n"
	"       (SELECT coalesce(sum(CASE WHEN l.reltuples >= 0 THEN l.reltuples\n"
	"                            ELSE pg_relation_size(l.oid) / 100 END), 0)::bigint\n"
	"          FROM pg_class l WHERE l.oid IN (SELECT con.conrelid UNION\n"
	"               SELECT relid FROM pg_partition_tree(con.conrelid) WHERE isleaf)) AS rows,\n"
	"       NOT EXISTS (\n"
	"         SELECT FROM pg_class l WHERE l.oid IN (SELECT con.conrelid WHERE c.relkind <> 'p'\n"
	"              UNION SELECT relid FROM pg_partition_tree(con.conrelid) WHERE isleaf)\n"
	"         AND NOT EXISTS (\n"
	"           SELECT FROM pg_index x\n"
	"             JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]\n"
	"             JOIN pg_attribute r ON r.attrelid = con.conrelid AND r.attname = a.attname\n"
	"              AND r.attnum = ANY(con.conkey)\n"
	"             JOIN pg_class i ON i.oid = x.indexrelid\n"
	"             JOIN pg_am m ON m.oid = i.relam AND m.amname IN ('btree', 'hash')\n"
	"            WHERE x.indrelid = l.oid AND x.indisvalid\n"
	"              AND (x.indpred IS NULL OR pg_get_expr(x.indpred, x.indrelid)\n"
	"                   = format('(%I IS NOT NULL)', a.attname)))) AS indexed\n"
	"  FROM pg_constraint con\n"
	"  JOIN target ON target.relid = con.confrelid\n"
	"  JOIN pg_class c ON c.oid = con.conrelid\n"
	"  JOIN pg_namespace n ON n.oid = c.relnamespace\n"
	"  JOIN LATERAL unnest(con.conkey, con.confkey) WITH ORDINALITY AS u(f, k, o) ON true\n"
	"  JOIN pg_attribute f ON f.attrelid = con.conrelid AND f.attnum = u.f\n"
	"  JOIN pg_attribute k ON k.attrelid = con.confrelid AND k.attnum = u.k\n"
	" WHERE con.contype = 'f' AND con.conparentid = 0\n"
	" ORDER BY con.oid, u.o\n";

/* The arrays of WANTED. */
#define N_WANTED 7
static void wanted_params(void *ctx, const struct model *model, const char *values[N_WANTED])
{
	const size_t n = model->n_tables;
	const char **column = t_array(ctx, const char *, n);

	for (int p = 0; p < N_WANTED; p++) {
		for (size_t i = 0; i < n; i++) {
			const struct table *t = &model->tables[i];
			const char *const cells[] = {
				t->schema, t->table, columns_array(ctx, t->by),
				columns_array(ctx, t->key), t->where ? "true" : "false",
				/* the table that uses the rows of a shared one */
				t->shared ? sql_table(ctx, t->of->schema, t->of->table) : "",
				columns_array(ctx, t->shared ? t->from : NULL)};

			column[i] = cells[p];
		}
		values[p] = sql_array(ctx, column, n);
	}
}

static bool read_relations(struct db *db, const struct model *model, const char *const values[],
			   struct catalog *catalog, struct complaints *c, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, relations_sql, N_WANTED, values, &res, err))
		return false;
	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *t = &model->tables[i];
		struct relation *r = &catalog->relations[i];
		const int row = (int)i;
		const char *trouble = db_text(res, row, "trouble");

		if (trouble)
			complain(c, &t->place, "table \"%s\": %s", t->name, trouble);
		r->oid = (unsigned int)db_int(res, row, "oid");
		r->rows = db_int(res, row, "rows");
		r->partitioned = db_bool(res, row, "partitioned");
		r->used_indexed = db_bool(res, row, "used_indexed");
		r->by_indexed = !t->by || db_bool(res, row, "by_indexed");
		r->delete_triggers = db_bool(res, row, "delete_triggers");
		r->update_triggers = db_bool(res, row, "update_triggers");
		r->no_delete = db_text_copy(catalog, res, row, "no_delete");
		r->no_update = db_text_copy(catalog, res, row, "no_update");
	}
	return true;
}

static bool read_columns(struct db *db, const char *const values[], size_t n, void *ctx,
			 struct catalog *catalog, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, columns_sql, N_WANTED, values, &res, err))
		return false;
	for (int row = 0; row < PQntuples(res); row++) {
		struct relation *r = &catalog->relations[db_index(res, row, "i", n)];

		r->columns = t_grow(ctx, r->columns, struct column, r->n_columns + 1);
		r->columns[r->n_columns++] = (struct column){
			.name = t_strdup(ctx, db_value(res, row, "attname")),
			.type = t_strdup(ctx, db_value(res, row, "type")),
			.compared = t_strdup(ctx, db_value(res, row, "compared")),
			.base = t_strdup(ctx, db_value(res, row, "base")),
			.category = *db_value(res, row, "category"),
			.not_null = db_bool(res, row, "not_null"),
			.no_nulls = db_bool(res, row, "no_nulls"),
			.generated = db_bool(res, row, "generated"),
			.identity_always = db_bool(res, row, "identity_always"),
			.unique_index = db_text_copy(ctx, res, row, "unique_index"),
			.identifies = db_bool(res, row, "identifies"),
			.plain = db_bool(res, row, "plain"),
			.bytewise = db_bool(res, row, "bytewise"),
			.unlinked_with_row = db_bool(res, row, "unlinked_with_row"),
			.unlinked_with_value = db_bool(res, row, "unlinked_with_value"),
			.foreign_cast = db_text_copy(ctx, res, row, "foreign_cast"),
			.foreign_implicit = db_bool(res, row, "foreign_implicit"),
		};
	}
	return true;
}

static const char uniques_sql[] = WANTED
	"SELECT w.i, x.indexrelid AS oid, a.attname FROM wanted w\n"
	"  JOIN pg_index x ON x.indrelid = w.oid AND " CATALOG_IDENTIFIES_TOGETHER "\n"
	"  JOIN LATERAL unnest(x.indkey[0:x.indnkeyatts - 1]) WITH ORDINALITY u(attnum, n) ON true\n"
	"  JOIN pg_attribute a ON a.attrelid = w.oid AND a.attnum = u.attnum\n"
	" ORDER BY w.i, x.indexrelid, u.n\n";

static bool read_uniques(struct db *db, const char *const values[], size_t n, void *ctx,
			 struct catalog *catalog, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, uniques_sql, N_WANTED, values, &res, err))
		return false;
	for (int row = 0, end; row < PQntuples(res); row = end) {
		struct relation *r = &catalog->relations[db_index(res, row, "i", n)];
		const char **names = t_array(ctx, const char *, PQntuples(res) - row);

		for (end = row;
		     end < PQntuples(res) && db_int(res, end, "i") == db_int(res, row, "i") &&
		     db_int(res, end, "oid") == db_int(res, row, "oid");
		     end++)
			names[end - row] = t_strdup(ctx, db_value(res, end, "attname"));
		r->uniques = t_grow(ctx, r->uniques, struct columns, r->n_uniques + 1);
		r->uniques[r->n_uniques++] =
			(struct columns){.names = names, .n = (size_t)(end - row)};
	}
	return true;
}

static bool read_keys(struct db *db, const char *const values[], void *ctx, struct catalog *catalog,
		      struct error *err)
{
	AUTO(result) PGresult *res = NULL;
	int64_t last_oid = 0;

	if (!db_query(db, keys_sql, N_WANTED, values, &res, err))
		return false;
	for (int row = 0; row < PQntuples(res); row++) {
		const char *schema = db_value(res, row, "schema");
		const char *table = db_value(res, row, "table_name");
		const char *from = t_strdup(ctx, db_value(res, row, "from_column"));
		struct foreign_key *k;

		if (db_int(res, row, "oid") != last_oid) {
			last_oid = db_int(res, row, "oid");
			catalog->keys =
				t_grow(ctx, catalog->keys, struct foreign_key, catalog->n_keys + 1);
			catalog->keys[catalog->n_keys++] = (struct foreign_key){
				.name = t_strdup(ctx, db_value(res, row, "conname")),
				.from_name = t_printf(ctx, "%s.%s", schema, table),
				.from_sql = sql_table(ctx, schema, table),
				.from_oid = (unsigned int)db_int(res, row, "from_oid"),
				.to_oid = (unsigned int)db_int(res, row, "to_oid"),
				.on_delete = *db_value(res, row, "on_delete"),
				.doubt = db_text_copy(ctx, res, row, "doubt"),
				.deferrable = db_bool(res, row, "deferrable"),
				.indexed = db_bool(res, row, "indexed"),
				.partitioned = db_bool(res, row, "partitioned"),
				.from_rows = db_int(res, row, "rows"),
			};
		}
		k = &catalog->keys[catalog->n_keys - 1];
		k->from_columns = t_grow(ctx, k->from_columns, const char *, k->n_columns + 1);
		k->to_columns = t_grow(ctx, k->to_columns, const char *, k->n_columns + 1);
		k->from_columns[k->n_columns] = from;
		k->to_columns[k->n_columns] = t_strdup(ctx, db_value(res, row, "to_column"));
		k->columns_sql = t_printf(ctx, "%s%s%s", k->n_columns ? k->columns_sql : "",
					  k->n_columns ? ", " : "", sql_ident(ctx, from));
		k->n_columns++;
	}
	return true;
}

static void need_column(const struct table *t, const struct relation *r, const char *what,
			const char *name, const struct place *at, struct complaints *c)
{
	if (name && !catalog_column(r, name))
		complain(c, at, "table \"%s\": %s: %s.%s has no column \"%s\"", t->name, what,
			 t->schema, t->table, name);
}

static void need_listed(const struct table *t, const struct relation *r, const char *what,
			const char *const names[], size_t n, struct complaints *c)
{
	for (size_t i = 0; i < n; i++)
		need_column(t, r, what, names[i], &t->place, c);
}

static void need_columns(const struct table *t, const struct relation *r, const char *what,
			 const struct columns *columns, const struct place *at,
			 struct complaints *c)
{
	for (size_t i = 0; columns && i < columns->n; i++)
		need_column(t, r, what, columns->names[i], at, c);
}

static void need_ruled(const struct table *t, const struct relation *r, struct column_rules rules,
		       struct complaints *c)
{
	for (size_t i = 0; i < rules.n; i++)
		need_column(t, r, rule_names[rules.list[i].kind], rules.list[i].column,
			    &rules.list[i].place, c);
}

/* Is it a column of a pair of through, which is said as its by, or as the request's from? */
static bool is_half(const struct model *model, const char *column)
{
	return columns_have(model->through->by, column) ||
	       columns_have(model->request->from, column);
}

static void check_columns_exist(const struct model *model, const struct catalog *catalog,
				struct complaints *c)
{
	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *t = &model->tables[i];
		const struct relation *r = &catalog->relations[i];

		for (size_t j = 0; t->key && j < t->key->n; j++)
			if (t != model->through || !is_half(model, t->key->names[j]))
				need_column(t, r, "key", t->key->names[j], &t->place, c);
		need_columns(t, r, "by", t->by, &t->place, c);
		need_column(t, r, "date", t->date, &t->place, c);
		need_column(t, r, "created", t->created, &t->place, c);
		need_column(t, r, "file", t->file.column, &t->file.place, c);
		need_listed(t, r, "identity", t->identity, t->n_identity, c);
		need_listed(t, r, "not_large_objects", t->not_large_objects, t->n_not_large_objects,
			    c);
		need_listed(t, r, "export_without", t->export_without, t->n_export_without, c);
		need_columns(model->request, &catalog->relations[model->request->index],
			     "through: also", t->also, &t->place, c);
		if (t->from)
			need_columns(t->of, &catalog->relations[t->of->index], "from", t->from,
				     &t->place, c);
		need_ruled(t, r, (struct column_rules){t->rules, t->n_rules}, c);
		need_ruled(t, r, t->on_detach, c);
	}
}

static bool read_all(struct db *db, const struct model *model, void *ctx, struct catalog *catalog,
		     struct complaints *c, struct error *err)
{
	const size_t before = c->n;
	AUTO(talloc) void *scratch = must_alloc(talloc_new(NULL));
	const char *values[N_WANTED];

	wanted_params(scratch, model, values);
	catalog->relations = t_array(ctx, struct relation, model->n_tables);
	if (!read_state(db, model, ctx, catalog, err) ||
	    !read_relations(db, model, values, catalog, c, err) || c->n > before)
		return false;
	if (!read_uniques(db, values, model->n_tables, ctx, catalog, err) ||
	    !read_columns(db, values, model->n_tables, ctx, catalog, err))
		return false;
	if (!read_paths(db, model, ctx, catalog, c, err))
		return false;
	check_columns_exist(model, catalog, c);
	return c->n == before && read_keys(db, values, ctx, catalog, err) &&
	       read_database(db, ctx, catalog, err) &&
	       check_citus_read(db, model, ctx, catalog, err) &&
	       check_shard_read(db, model, ctx, catalog, err);
}

bool catalog_read(struct db *db, const struct model *model, void *ctx, struct catalog **ret,
		  struct complaints *c, struct error *err)
{
	struct catalog *catalog = t_zero(ctx, struct catalog);
	AUTO(error) struct error ignored = {0};
	bool ok;

	/* The joins are written in a good order: to try all others takes longer than the queries. */
	if (!db_exec(db, "SET join_collapse_limit = 1", err))
		return false;
	ok = read_all(db, model, ctx, catalog, c, err);
	if (!db_exec(db, "RESET join_collapse_limit", ok ? err : &ignored)) /* away: err says so */
		return false;
	*ret = ok ? catalog : NULL;
	return ok;
}
