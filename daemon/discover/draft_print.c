#include "discover/draft_state.h"

#include "base/mem.h"
#include "base/sql.h"
#include "base/text.h"

void draft_put(struct draft *x, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	x->out = must_alloc(talloc_vasprintf_append_buffer(x->out, fmt, args));
	va_end(args);
}

char *draft_line(const struct draft *x, const char *text)
{
	return text_one_line(t_printf(x->ctx, "%.120s", text));
}

char *draft_quoted(const struct draft *x, const char *text)
{
	return text_quoted(x->ctx, text);
}

char *draft_setting_of(const struct draft *x, const struct schema_table *t)
{
	if (strchr(t->schema, '.'))
		return t_printf(x->ctx, "[ %s, %s ]", draft_quoted(x, t->schema),
				draft_quoted(x, t->name));
	return draft_quoted(x, t_printf(x->ctx, "%s.%s", t->schema, t->name));
}

const struct schema_table *draft_table(const struct draft *x, const struct link *item)
{
	return &x->schema->tables[item->table];
}

char *draft_shown(const struct draft *x, const struct schema_table *t)
{
	return draft_line(x, t_printf(x->ctx, "%s.%s", t->schema, t->name));
}

char *draft_shown_sql(const struct draft *x, const struct schema_table *t)
{
	return draft_line(x, sql_table(x->ctx, t->schema, t->name));
}

void draft_setting(struct draft *x, const char *key, const char *value)
{
	if (value)
		draft_put(x, "    %s = %s;\n", key, draft_quoted(x, value));
}

void draft_columns(struct draft *x, const char *key, const struct columns *columns)
{
	if (columns)
		draft_put(x, " %s = %s;", key, columns_setting(x->ctx, columns));
}

char *draft_ident(const struct draft *x, const char *name)
{
	return sql_ident_plain(x->ctx, name);
}

/* At the end of the draft, because most tables are small, and need none yet. */
void draft_index(struct draft *x, const struct schema_table *t, const struct columns *columns)
{
	const char *statement;

	if (!columns || schema_indexed(t, columns))
		return;
	statement = sql_create_index(x->ctx, draft_shown_sql(x, t),
				     draft_line(x, sql_idents(x->ctx, columns->names, columns->n)),
				     t->partitioned);
	if (strstr(x->indexes, statement))
		return; /* has been noted for another name of the table */
	t_append(&x->indexes, "  #   %s%s\n", statement,
		 t->partitioned ? "  (" SQL_INDEX_LOCKS ".)" : "");
}
