#include "base/sql.h"

#include "base/mem.h"

#include <assert.h>

/* Writes the text in quotes, each quote and escape in it behind an escape; returns the place behind. */
static char *put_quoted(char *out, const char *text, char quote, char escape)
{
	*out++ = quote;
	for (; *text; text++) {
		if (*text == quote || *text == escape)
			*out++ = escape;
		*out++ = *text;
	}
	*out++ = quote;
	return out;
}

/* The arrays below come zeroed, so that their texts end with a NUL. */
static char *doubled(const void *ctx, const char *text, char quote)
{
	char *out = t_array(ctx, char, 2 * strlen(text) + 3);

	(void)put_quoted(out, text, quote, quote); /* fits */
	return out;
}

char *sql_ident(const void *ctx, const char *name)
{
	return doubled(ctx, name, '"');
}

char *sql_ident_plain(const void *ctx, const char *name)
{
	return name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")] ? sql_ident(ctx, name)
								 : t_strdup(ctx, name);
}

char *sql_idents(const void *ctx, const char *const *names, size_t n)
{
	char *list = t_strdup(ctx, "");

	for (size_t i = 0; i < n; i++)
		t_list(&list, ", ", "%s", sql_ident(ctx, names[i]));
	return list;
}

char *sql_table(const void *ctx, const char *schema, const char *table)
{
	return t_printf(ctx, "%s.%s", sql_ident(ctx, schema), sql_ident(ctx, table));
}

char *sql_create_index(const void *ctx, const char *table, const char *columns, bool partitioned)
{
	return t_printf(ctx, "CREATE INDEX %sON %s (%s);", partitioned ? "" : "CONCURRENTLY ",
			table, columns);
}

char *sql_literal(const void *ctx, const char *text)
{
	return doubled(ctx, text, '\'');
}

char *sql_array(const void *ctx, const char *const items[], size_t n)
{
	size_t size = 3;
	char *out, *o;

	for (size_t i = 0; i < n; i++)
		size += 2 * strlen(items[i]) + 3;
	out = o = t_array(ctx, char, size);
	*o++ = '{';
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			*o++ = ',';
		o = put_quoted(o, items[i], '"', '\\');
	}
	*o = '}';
	return out;
}

/* Returns the length of the name that a brace begins: 0 for a brace of the statement itself. */
static size_t part_length(const char *brace)
{
	const size_t n = strspn(brace + 1, "abcdefghijklmnopqrstuvwxyz_");

	return brace[n + 1] == '}' ? n : 0;
}

static const char *part_text(const struct sql_part *parts, const char *name, size_t n)
{
	while (parts->name && (strlen(parts->name) != n || strncmp(parts->name, name, n) != 0))
		parts++;
	assert(parts->name && parts->text);
	return parts->text;
}

char *sql_fill_parts(const void *ctx, const char *statement, const struct sql_part *parts)
{
	char *sql = t_strdup(ctx, "");

	while (*statement) {
		const size_t plain = *statement == '{' ? 1 : strcspn(statement, "{");
		const size_t n = *statement == '{' ? part_length(statement) : 0;

		if (n > 0)
			t_append(&sql, "%s", part_text(parts, statement + 1, n));
		else
			t_append(&sql, "%.*s", (int)plain, statement);
		statement += n > 0 ? n + 2 : plain;
	}
	return sql;
}
