#include "base/sql.h"

#include "base/mem.h"

static char *doubled(void *ctx, const char *text, char quote)
{
	char *out = t_array(ctx, char, 2 * strlen(text) + 3);
	char *o = out;

	*o++ = quote;
	for (; *text; text++) {
		if (*text == quote)
			*o++ = quote;
		*o++ = *text;
	}
	*o = quote; /* the array came zeroed: the NUL is there */
	return out;
}

char *sql_ident(void *ctx, const char *name)
{
	return doubled(ctx, name, '"');
}

char *sql_table(void *ctx, const char *schema, const char *table)
{
	return t_printf(ctx, "%s.%s", sql_ident(ctx, schema), sql_ident(ctx, table));
}

char *sql_literal(void *ctx, const char *text)
{
	return doubled(ctx, text, '\'');
}

char *sql_array(void *ctx, const char *const items[], size_t n)
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
		*o++ = '"';
		for (const char *c = items[i]; *c; c++) {
			if (*c == '"' || *c == '\\')
				*o++ = '\\';
			*o++ = *c;
		}
		*o++ = '"';
	}
	*o = '}';
	return out;
}
