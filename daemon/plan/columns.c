#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"
#include "model/path.h"

const struct relation *plan_relation(const struct plan *p, const struct table *t)
{
	return &p->catalog->relations[t->index];
}

char *plan_column(const void *ctx, const char *alias, const char *column)
{
	if (path_is(column))
		return path_sql(ctx, column, plan_column(ctx, alias, path_column(ctx, column)));
	return t_printf(ctx, "%s.%s", alias, sql_ident(ctx, column));
}

char *plan_columns(const void *ctx, const char *alias, const char *const *columns, size_t n)
{
	char *list = t_strdup(ctx, "");

	for (size_t i = 0; i < n; i++)
		t_list(&list, ", ", "%s", plan_column(ctx, alias, columns[i]));
	return list;
}

char *plan_key(const void *ctx, const char *alias, const struct columns *columns)
{
	const char *list = plan_columns(ctx, alias, columns->names, columns->n);

	return t_printf(ctx, columns->n == 1 ? "%s" : "ROW(%s)", list);
}

char *plan_key_text(const void *ctx, const char *alias, const struct columns *columns)
{
	char *list = t_strdup(ctx, "");

	for (size_t i = 0; i < columns->n; i++)
		t_list(&list, ", ", "%s::text", plan_column(ctx, alias, columns->names[i]));
	return columns->n == 1 ? list : t_printf(ctx, "ROW(%s)::text", list);
}

char *plan_named(const void *ctx, const char *alias, const struct columns *columns,
		 const char *name)
{
	char *list = t_strdup(ctx, "");
	const struct columns *names = plan_names(ctx, name, columns->n);

	for (size_t i = 0; i < columns->n; i++)
		t_list(&list, ", ", "%s AS %s", plan_column(ctx, alias, columns->names[i]),
		       names->names[i]);
	return list;
}

const struct columns *plan_names(const void *ctx, const char *name, size_t n)
{
	struct columns *columns = t_zero(ctx, struct columns);
	const char **names = t_array(ctx, const char *, n);

	for (size_t i = 0; i < n; i++)
		names[i] = i == 0 ? t_strdup(ctx, name) : t_printf(ctx, "%s_%zu", name, i + 1);
	*columns = (struct columns){.names = names, .n = n};
	return columns;
}

char *plan_text(const void *ctx, const struct column *column, const char *value)
{
	return t_printf(ctx,
			column->foreign_cast ? "CASE WHEN num_nulls(%s) = 0 THEN concat(%s) END"
					     : "(%s)::text",
			value, value);
}

char *plan_texts(const void *ctx, const struct column *column, const char *value, const char *name)
{
	if (column->category != 'A')
		return t_printf(ctx, "SELECT %s%s", name, plan_text(ctx, column, value));
	return t_printf(ctx,
			column->foreign_cast
				? "SELECT %sconcat(element) FROM unnest(%s) AS element"
				: "SELECT %selement FROM unnest(%s::text[]) AS element",
			name, value);
}

const char *plan_key_type(const struct catalog *catalog, const struct table *t,
			  const struct columns *columns)
{
	return columns->n == 1 ? plan_type(catalog, t, columns->names[0]) : "text";
}

const char *plan_type(const struct catalog *catalog, const struct table *t, const char *column)
{
	return catalog_column(&catalog->relations[t->index], column)->compared;
}

char *plan_table(const void *ctx, const struct table *t)
{
	return sql_table(ctx, t->schema, t->table);
}
