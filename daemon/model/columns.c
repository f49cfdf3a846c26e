#include "model/columns.h"

#include "base/mem.h"
#include "base/sql.h"
#include "base/text.h"

#include <string.h>

bool columns_equal(const struct columns *a, const struct columns *b)
{
	if (!a || !b || a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->names[i], b->names[i]) != 0)
			return false;
	return true;
}

bool columns_have(const struct columns *columns, const char *name)
{
	for (size_t i = 0; columns && i < columns->n; i++)
		if (strcmp(columns->names[i], name) == 0)
			return true;
	return false;
}

bool columns_are_among(const struct columns *columns, const struct columns *others)
{
	for (size_t i = 0; i < columns->n; i++)
		if (!columns_have(others, columns->names[i]))
			return false;
	return true;
}

bool columns_pairs_are_among(const struct columns *a, const struct columns *b,
			     const struct columns *x, const struct columns *y)
{
	for (size_t i = 0; i < a->n; i++) {
		bool found = false;

		for (size_t j = 0; j < x->n; j++)
			found = found || (strcmp(x->names[j], a->names[i]) == 0 &&
					  strcmp(y->names[j], b->names[i]) == 0);
		if (!found)
			return false;
	}
	return true;
}

char *columns_array(const void *ctx, const struct columns *columns)
{
	return columns ? sql_array(ctx, columns->names, columns->n) : t_strdup(ctx, "{}");
}

char *columns_setting(void *ctx, const struct columns *columns)
{
	char *list = t_strdup(ctx, "");

	if (columns->n == 1)
		return text_quoted(ctx, columns->names[0]);
	for (size_t i = 0; i < columns->n; i++)
		t_list(&list, ", ", "%s", text_quoted(ctx, columns->names[i]));
	return t_printf(ctx, "[ %s ]", list);
}

char *columns_text(const void *ctx, const struct columns *columns)
{
	char *text = t_strdup(ctx, "");

	for (size_t i = 0; i < columns->n; i++)
		t_list(&text, ", ", "%s", columns->names[i]);
	return text;
}
