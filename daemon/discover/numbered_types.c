#include "discover/numbered_types.h"

#include "base/mem.h"
#include "base/sql.h"

/* A label that several rows have says nothing: two applications can have a "contact". */
static const char types_sql[] =
	"SELECT number, label FROM (\n"
	"  SELECT l.number, l.label, count(*) OVER (PARTITION BY l.label) AS n FROM (\n"
	"    SELECT {key}::text AS number, {labels} AS labels FROM {table} ORDER BY {key} LIMIT {most}) AS t,\n"
	"    LATERAL (SELECT DISTINCT t.number, label FROM unnest(t.labels) AS label) AS l) AS l\n"
	" WHERE n = 1 AND label <> '' ORDER BY number::numeric, length(label) DESC, label\n";

/* How a row of the table names a table, as an array in SQL; NULL: no column can say so. */
static char *labels_of(void *ctx, const struct schema_table *t)
{
	static const char *const names[] = {"model",     "class_name", "class", "table_name",
					    "tablename", "name",       "type",  "code"};
	const char *application = schema_column(t, "app_label") ? "app_label || '_' || " : NULL;

	for (size_t i = 0; i < LENGTH(names); i++) {
		const struct schema_column *c = schema_column(t, names[i]);

		if (c && c->category == 'S')
			return t_printf(ctx, "ARRAY[%s::text%s]", sql_ident(ctx, c->name),
					application ? t_printf(ctx, ", %s%s::text", application,
							       sql_ident(ctx, c->name))
						    : "");
	}
	return NULL;
}

/* The foreign key over this column alone; NULL: there is none, or the column is no whole number. */
static const struct schema_key *type_key(const struct schema *schema, size_t table,
					 const struct schema_column *c)
{
	for (size_t i = 0;
	     c->foreign && strncmp(c->base, "int", 3) == 0 && i < schema->n_constraints; i++) {
		const struct schema_key *k = &schema->constraints[i];

		if (k->from == table && k->columns->n == 1 &&
		    strcmp(k->columns->names[0], c->name) == 0)
			return k;
	}
	return NULL;
}

/* Can the column be the type of a pair: stands an id beside it that no foreign key explains? */
static bool has_id(const struct schema_table *t, const struct schema_column *type)
{
	for (size_t i = 0; i < t->n_columns; i++)
		if (!t->columns[i].foreign &&
		    names_is_numbered_pair(type->name, t->columns[i].name))
			return true;
	return false;
}

static bool read_types(struct db *db, void *ctx, const struct schema_table *types, const char *key,
		       struct schema_column *ret, struct error *err)
{
	AUTO(result) PGresult *res = NULL;
	char *table = sql_table(ctx, types->schema, types->name);
	char *labels = labels_of(ctx, types);
	bool may = false;

	if (!labels || !schema_may_read(db, types, &may, err))
		return !labels;
	if (!may)
		return true;
	if (!db_query_apart(db,
			    sql_fill(ctx, types_sql, {"key", sql_ident(ctx, key)},
				     {"labels", labels}, {"table", table},
				     {"most", t_printf(ctx, "%d", NUMBERED_TYPES_MAX)}),
			    0, NULL, &res, err))
		return false;
	ret->n_values = (size_t)PQntuples(res);
	ret->values = t_array(ctx, const char *, ret->n_values + 1);
	ret->numbers = t_array(ctx, const char *, ret->n_values + 1);
	for (int row = 0; row < PQntuples(res); row++) {
		ret->values[row] = t_strdup(ctx, db_value(res, row, "label"));
		ret->numbers[row] = t_strdup(ctx, db_value(res, row, "number"));
	}
	return true;
}

bool numbered_types_read(struct db *db, void *ctx, struct schema *schema, struct error *err)
{
	for (size_t i = 0; i < schema->n_tables; i++) {
		const struct schema_table *t = &schema->tables[i];

		for (size_t c = 0; c < t->n_columns; c++) {
			const struct schema_key *k = type_key(schema, i, &t->columns[c]);

			if (k && has_id(t, &t->columns[c]) &&
			    !read_types(db, ctx, &schema->tables[k->to], k->to_columns->names[0],
					&t->columns[c], err))
				return false;
		}
	}
	return true;
}
