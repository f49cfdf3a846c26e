#include "plan/expression.h"

#include "base/mem.h"
#include "base/sql.h"

char *plan_column(const void *ctx, const char *alias, const char *column)
{
	return t_printf(ctx, "%s.%s", alias, sql_ident(ctx, column));
}

char *plan_columns(const void *ctx, const char *alias, const char *const *columns, size_t n)
{
	char *list = t_strdup(ctx, "");

	for (size_t i = 0; i < n; i++)
		t_list(&list, ", ", "%s", plan_column(ctx, alias, columns[i]));
	return list;
}

const char *plan_type(const struct catalog *catalog, const struct table *t, const char *column)
{
	return catalog_column(&catalog->relations[t->index], column)->compared;
}

char *plan_table(const void *ctx, const struct table *t)
{
	return sql_table(ctx, t->schema, t->table);
}

char *plan_filtered(const void *ctx, const struct table *t, const char *a, const char *b)
{
	char *sql = t_printf(ctx, "(SELECT * FROM %s", plan_table(ctx, t));

	if (a)
		t_append(&sql, " WHERE (%s\n)", a);
	if (b)
		t_append(&sql, " %s (%s\n)", a ? "AND" : "WHERE", b);
	t_append(&sql, ")");
	return sql;
}

const char *plan_and(const void *ctx, const char *predicate)
{
	return predicate ? t_printf(ctx, " AND (%s\n)", predicate) : "";
}

const char *plan_within(const void *ctx, const struct table *t, const char *alias)
{
	return t->where ? t_printf(ctx, " AND %s IN (SELECT %s FROM %s AS w)",
				   plan_column(ctx, alias, t->key), plan_column(ctx, "w", t->key),
				   plan_filtered(ctx, t, t->where, NULL))
			: "";
}

char *plan_beside_link(const void *ctx, const struct table *t)
{
	return t_printf(
		ctx, "%s%s",
		t->match ? t_printf(ctx, " AND %s::text <> ''", plan_column(ctx, "t", t->by)) : "",
		plan_and(ctx, t->where));
}

char *plan_link(const struct plan *p, const struct table *t, const char *alias,
		const char *parent_alias)
{
	const struct column *by = catalog_column(&p->catalog->relations[t->index], t->by);
	const struct column *parent =
		catalog_column(&p->catalog->relations[t->of->index], model_parent_column(t));
	const bool alike = by->category == parent->category;

	return t_printf(p, "%s = %s%s%s", plan_column(p, alias, t->by),
			plan_column(p, parent_alias, parent->name),
			alike ? "" : "::", alike ? "" : by->type);
}

char *plan_key_name(const void *ctx, const struct foreign_key *k)
{
	return sql_literal(ctx, t_printf(ctx, "%s (%s)", k->from_name, k->name));
}

char *plan_key_match(const void *ctx, const struct foreign_key *k, const char *from_alias,
		     const char *to_alias)
{
	char *sql = t_strdup(ctx, "");

	for (size_t i = 0; i < k->n_columns; i++)
		t_list(&sql, " AND ", "%s = %s", plan_column(ctx, from_alias, k->from_columns[i]),
		       plan_column(ctx, to_alias, k->to_columns[i]));
	return sql;
}
