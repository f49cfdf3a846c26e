#include "plan/expression.h"

#include "base/mem.h"
#include "base/sql.h"

char *plan_column(void *ctx, const char *alias, const char *column)
{
	return t_printf(ctx, "%s.%s", alias, sql_ident(ctx, column));
}

char *plan_columns(void *ctx, const char *alias, const char *const *columns, size_t n)
{
	char *list = t_strdup(ctx, "");

	for (size_t i = 0; i < n; i++)
		t_append(&list, "%s%s", i ? ", " : "", plan_column(ctx, alias, columns[i]));
	return list;
}

const char *plan_type(const struct catalog *catalog, const struct table *t, const char *column)
{
	return catalog_column(&catalog->relations[t->index], column)->compared;
}

char *plan_table(void *ctx, const struct table *t)
{
	return sql_table(ctx, t->schema, t->table);
}

char *plan_filtered(void *ctx, const struct table *t, const char *a, const char *b)
{
	char *sql = t_printf(ctx, "(SELECT * FROM %s", plan_table(ctx, t));

	if (a)
		t_append(&sql, " WHERE (%s\n)", a);
	if (b)
		t_append(&sql, " %s (%s\n)", a ? "AND" : "WHERE", b);
	t_append(&sql, ")");
	return sql;
}

char *plan_and(void *ctx, const char *predicate)
{
	return predicate ? t_printf(ctx, " AND (%s\n)", predicate) : t_strdup(ctx, "");
}

char *plan_within(void *ctx, const struct table *t, const char *alias)
{
	return t->where ? t_printf(ctx, " AND %s IN (SELECT %s FROM %s AS w)",
				   plan_column(ctx, alias, t->key), plan_column(ctx, "w", t->key),
				   plan_filtered(ctx, t, t->where, NULL))
			: t_strdup(ctx, "");
}

char *plan_beside_link(void *ctx, const struct table *t)
{
	char *sql = t_strdup(ctx, "");

	if (t->match)
		t_append(&sql, " AND %s::text <> ''", plan_column(ctx, "t", t->by));
	t_append(&sql, "%s", plan_and(ctx, t->where));
	return sql;
}

char *plan_link(void *ctx, const struct catalog *catalog, const struct table *t, const char *alias,
		const char *parent_alias)
{
	const struct column *by = catalog_column(&catalog->relations[t->index], t->by);
	const struct column *parent =
		catalog_column(&catalog->relations[t->of->index], model_parent_column(t));
	const bool alike = by->category == parent->category;

	return t_printf(ctx, "%s = %s%s%s", plan_column(ctx, alias, t->by),
			plan_column(ctx, parent_alias, parent->name),
			alike ? "" : "::", alike ? "" : by->type);
}

char *plan_key_match(void *ctx, const struct foreign_key *k, const char *from_alias,
		     const char *to_alias)
{
	char *sql = t_strdup(ctx, "");

	for (size_t i = 0; i < k->n_columns; i++)
		t_append(&sql, "%s%s = %s", i ? " AND " : "",
			 plan_column(ctx, from_alias, k->from_columns[i]),
			 plan_column(ctx, to_alias, k->to_columns[i]));
	return sql;
}
