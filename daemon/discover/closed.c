/*
 * Proposes a condition, which stands in a comment of the draft: a person decides.  A column's state is asked for first,
 * because it has a value for each request; then a flag, then the date of the closing.
 */
#include "discover/closed.h"

#include "base/mem.h"
#include "base/sql.h"
#include "base/text.h"
#include "model/catalog.h"

/*
 * The labels of column $3 of table $1.$2, each with its value.  A comment is read as "1 open, 2 closed".  A text's most
 * common values are known only with samples ($4), and listed is false: they may be anything.
 */
static const char labels_sql[] =
	"WITH c AS (\n"
	"  SELECT a.attrelid, a.attnum, a.atttypid, a.attname, n.nspname, r.relname\n"
	"    FROM pg_attribute a JOIN pg_class r ON r.oid = a.attrelid JOIN pg_namespace n ON n.oid = r.relnamespace\n"
	"   WHERE n.nspname = $1 AND r.relname = $2 AND a.attname = $3)\n"
	"SELECT l.value, l.label, l.listed FROM (SELECT DISTINCT ON (l.value) l.* FROM (\n"
	"  SELECT e.enumlabel::text AS value, e.enumlabel::text AS label, true AS listed, e.enumsortorder::float8 AS place\n"
	"    FROM c JOIN pg_enum e ON e.enumtypid = c.atttypid\n"
	"   UNION ALL\n"
	"  SELECT m[1], m[1], true, o FROM c JOIN pg_constraint k ON k.conrelid = c.attrelid\n"
	"     AND k.contype = 'c' AND k.conkey = ARRAY[c.attnum],\n"
	"   LATERAL regexp_matches(pg_get_constraintdef(k.oid), '''([^'']+)''', 'g') WITH ORDINALITY AS r(m, o)\n"
	"   UNION ALL\n"
	"  SELECT m[1], m[2], true, o FROM c,\n"
	"   LATERAL regexp_matches(col_description(c.attrelid, c.attnum), '(\\d+)\\s*[-=:.]?\\s*([[:alpha:]][[:alpha:]_ ]*)', 'g')\n"
	"     WITH ORDINALITY AS r(m, o) WHERE c.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)\n"
	"   UNION ALL\n"
	"  SELECT v, v, false, o FROM c JOIN pg_stats s\n"
	"      ON s.schemaname = c.nspname AND s.tablename = c.relname AND s.attname = c.attname,\n"
	"   LATERAL unnest(s.most_common_vals::text::text[]) WITH ORDINALITY AS u(v, o)\n"
	"   WHERE $4::bool AND c.atttypid IN ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype)) AS l\n"
	" ORDER BY l.value, l.listed DESC, l.place) AS l ORDER BY l.listed DESC, l.place\n";

/* The rows of a table of states.  200 are enough: a longer one is none. */
static const char lookup_sql[] = "SELECT {key}::text AS value, {label} AS label, true AS listed\n"
				 "  FROM {table} ORDER BY {key} LIMIT 200\n";

struct search {
	struct closed_search ask;
	void *ctx;
};

static bool is_state(const struct schema_column *c)
{
	return names_is_state(c->name) && strchr("ENSU", c->category) &&
	       strcmp(c->base, "uuid") != 0 && strcmp(c->base, "jsonb") != 0;
}

/* Makes a condition of the values whose label says that something has ended; lists all labels. */
static void read_labels(const struct search *s, const struct schema_column *c, const PGresult *res,
			struct closed *ret)
{
	char *values = t_strdup(s->ctx, ""), *labels = t_strdup(s->ctx, "");
	int n = 0;

	for (int row = 0; row < PQntuples(res); row++) {
		const char *value = db_value(res, row, "value"),
			   *label = db_text(res, row, "label");
		const bool number = c->category == 'N';

		if (!label)
			continue;
		if (db_bool(res, row, "listed"))
			t_list(&labels, ", ", number ? "%s %.40s" : "%.0s%.40s", value, label);
		if (!names_says_closed(label))
			continue;
		n++;
		t_list(&values, ", ", "%s", number ? value : sql_literal(s->ctx, value));
	}
	if (*labels)
		ret->labels = t_printf(s->ctx, "%s: %s", c->name, text_one_line(labels));
	if (n > 0)
		ret->condition = t_printf(s->ctx, n == 1 ? "%s = %s" : "%s IN (%s)",
					  sql_ident_plain(s->ctx, c->name), values);
}

/* The table that the column refers to, by a foreign key over it alone; NULL: none.  *ret_key is the other column. */
static const struct schema_table *lookup_of(const struct search *s, const struct schema_column *c,
					    const char **ret_key)
{
	for (size_t i = 0; i < s->ask.schema->n_constraints; i++) {
		const struct schema_key *k = &s->ask.schema->constraints[i];

		if (&s->ask.schema->tables[k->from] != s->ask.request || k->columns->n != 1 ||
		    strcmp(k->columns->names[0], c->name) != 0)
			continue;
		*ret_key = k->to_columns->names[0];
		return &s->ask.schema->tables[k->to];
	}
	return NULL;
}

/* What a row of the lookup is called: 'closed' where a flag of it says so, else its name. */
static char *label_of(const struct search *s, const struct schema_table *lookup)
{
	static const char *const names[] = {"name",        "label",  "title",   "code",
					    "slug",        "nom",    "libelle", "titre",
					    "bezeichnung", "nombre", "titulo",  NULL};
	const struct schema_column *name = NULL;
	char *label;

	for (const char *const *n = names; *n && !name; n++)
		name = schema_column(lookup, *n);
	if (name && !strchr("SU", name->category))
		name = NULL;
	label = name ? t_printf(s->ctx, "%s::text", sql_ident(s->ctx, name->name))
		     : t_strdup(s->ctx, "''");
	for (size_t i = 0; i < lookup->n_columns; i++)
		if (lookup->columns[i].category == 'B' &&
		    names_says_closed(lookup->columns[i].name))
			return t_printf(s->ctx, "CASE WHEN %s THEN 'closed' ELSE %s END",
					sql_ident(s->ctx, lookup->columns[i].name), label);
	return name ? label : NULL;
}

static bool by_lookup(const struct search *s, const struct schema_column *c, struct closed *ret,
		      struct error *err)
{
	const char *key = NULL;
	const struct schema_table *lookup = lookup_of(s, c, &key);
	const char *label = lookup && s->ask.samples ? label_of(s, lookup) : NULL;
	char *table = label ? sql_table(s->ctx, lookup->schema, lookup->name) : NULL;
	AUTO(result) PGresult *res = NULL;
	bool may = false;
	char *sql;

	if (!label || strcmp(schema_column(lookup, key)->base, "uuid") == 0)
		return true;
	if (!schema_may_read(s->ask.db, lookup, &may, err))
		return false;
	if (!may)
		return true;
	sql = sql_fill(s->ctx, lookup_sql, {"key", sql_ident(s->ctx, key)}, {"label", label},
		       {"table", table});
	if (!db_query_apart(s->ask.db, sql, 0, NULL, &res, err))
		return false;
	read_labels(s, c, res, ret);
	return true;
}

static bool by_state(const struct search *s, const struct schema_column *c, struct closed *ret,
		     struct error *err)
{
	const char *const values[] = {s->ask.request->schema, s->ask.request->name, c->name,
				      s->ask.samples ? "true" : "false"};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(s->ask.db, labels_sql, LENGTH(values), values, &res, err))
		return false;
	read_labels(s, c, res, ret);
	return ret->condition || ret->labels || by_lookup(s, c, ret, err);
}

/* A flag such as "closed", or the date of the closing. */
static const char *by_column(const struct search *s, bool flag)
{
	for (size_t i = 0; i < s->ask.request->n_columns; i++) {
		const struct schema_column *c = &s->ask.request->columns[i];

		if (!names_says_closed(c->name))
			continue;
		if (flag && c->category == 'B')
			return sql_ident_plain(s->ctx, c->name);
		if (!flag && catalog_is_date(c->base))
			return t_printf(s->ctx, "%s IS NOT NULL", sql_ident_plain(s->ctx, c->name));
		if (!flag &&
		    strcmp(c->base, "int8") == 0) /* a date as a number, 0 where there is none */
			return t_printf(s->ctx, "%s > 0", sql_ident_plain(s->ctx, c->name));
	}
	return NULL;
}

bool closed_find(void *ctx, const struct closed_search *search, struct closed *ret,
		 struct error *err)
{
	const struct search s = {.ask = *search, .ctx = ctx};
	const struct schema_table *request = search->request;

	*ret = (struct closed){NULL, NULL};
	for (size_t i = 0; i < request->n_columns && !ret->condition; i++)
		if (is_state(&request->columns[i]) && !by_state(&s, &request->columns[i], ret, err))
			return false;
	if (!ret->condition)
		ret->condition = by_column(&s, true);
	if (!ret->condition)
		ret->condition = by_column(&s, false);
	return true;
}
