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
