#include "preflight/read_paths.h"

#include "base/mem.h"
#include "base/sql.h"
#include "model/path.h"

#include <string.h>

/*
 * Has each partition of the table $1 an index that begins with the expression {expression}?  $2: a partial one will do,
 * because the model has a where, too.
 */
static const char indexed_sql[] =
	"SELECT (NOT EXISTS (\n"
	"  SELECT FROM (SELECT $1::oid AS relid UNION SELECT relid FROM pg_partition_tree($1::oid)) AS l\n"
	"    JOIN pg_class AS c ON c.oid = l.relid AND c.relkind = 'r'\n"
	"   WHERE NOT EXISTS (SELECT FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid\n"
	"            JOIN pg_am AS m ON m.oid = i.relam AND m.amname IN ('btree', 'hash')\n"
	"           WHERE x.indrelid = l.relid AND x.indisvalid AND (x.indpred IS NULL OR $2::boolean)\n"
	"             AND pg_get_indexdef(x.indexrelid, 1, false) = {expression})))::int AS n";

static bool read_index(struct db *db, const struct table *t, const char *path, void *ctx,
		       struct relation *r, struct error *err)
{
	const char *const values[] = {t_printf(ctx, "%u", r->oid), t->where ? "true" : "false"};
	AUTO(result) PGresult *res = NULL;
	/* quote_ident() is the server's, because it knows which names are key words. */
	const char *expression = t_printf(ctx, "replace(%s, chr(1), quote_ident(%s))",
					  sql_literal(ctx, path_index_sql(ctx, path, "\001")),
					  sql_literal(ctx, path_column(ctx, path)));

	if (!db_query(db, sql_fill(ctx, indexed_sql, {"expression", expression}), 2, values, &res,
		      err))
		return false;
	r->by_indexed = db_int(res, 0, "n") > 0;
	return true;
}

static void add_column(void *ctx, struct relation *r, const char *path)
{
	r->columns = t_grow(ctx, r->columns, struct column, r->n_columns + 1);
	r->columns[r->n_columns++] = (struct column){.name = path,
						     .type = "text",
						     .compared = "text",
						     .base = "text",
						     .category = 'S',
						     .generated = true,
						     .plain = true};
}

/* Complains unless the document's column is there, and is one. */
static bool check_path(const struct table *t, const char *path, const struct relation *r,
		       struct complaints *c)
{
	static const char *const types[] = {"json", "jsonb", NULL};
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *name = path_column(ctx, path);
	const struct column *document = catalog_column(r, name);

	if (!document)
		complain(c, &t->place, "table \"%s\": by: %s.%s has no column \"%s\"", t->name,
			 t->schema, t->table, name);
	else if (!catalog_is_among(document->base, types))
		complain(
			c, &t->place,
			"table \"%s\": by is a path within a document, and %s.%s.%s is no json or jsonb",
			t->name, t->schema, t->table, name);
	else if (catalog_column(r, path))
		complain(
			c, &t->place,
			"table \"%s\": %s.%s has a column whose name is written like a path within "
			"\"%s\": rename it",
			t->name, t->schema, t->table, name);
	else
		return true;
	return false;
}

bool read_paths(struct db *db, const struct model *model, void *ctx, struct catalog *catalog,
		struct complaints *c, struct error *err)
{
	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *t = &model->tables[i];
		struct relation *r = &catalog->relations[i];

		for (size_t k = 0; t->by && k < t->by->n; k++) {
			const char *name = t->by->names[k];

			if (!path_is(name) || !check_path(t, name, r, c))
				continue;
			add_column(ctx, r, name);
			if (!read_index(db, t, name, ctx, r, err))
				return false;
		}
	}
	return true;
}
