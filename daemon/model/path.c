#include "model/path.h"

#include "base/mem.h"
#include "base/sql.h"

#include <string.h>

#define ARROW "->"
#define BLANKS " \t"

/* One arrow and its key. */
struct hop {
	bool last; /* ->> */
	const char *key; /* behind its first quote */
	size_t length;
	const char *end; /* behind its last quote */
};

/* Reads the hop at the text; false: there is none. */
static bool read_hop(const char *at, struct hop *ret)
{
	at += strspn(at, BLANKS);
	if (strncmp(at, ARROW, strlen(ARROW)) != 0)
		return false;
	at += strlen(ARROW);
	ret->last = *at == '>';
	at += ret->last ? 1 : 0;
	at += strspn(at, BLANKS);
	if (*at != '\'')
		return false;
	ret->key = ++at;
	while (*at && (*at != '\'' || at[1] == '\''))
		at += *at == '\'' ? 2 : 1;
	ret->length = (size_t)(at - ret->key);
	ret->end = at + 1;
	return *at == '\'';
}

/* How long the name of the document's column is; 0: there is none. */
static size_t column_length(const char *name)
{
	const char *arrow = strstr(name, ARROW);
	size_t length = arrow ? (size_t)(arrow - name) : 0;

	while (length > 0 && strchr(BLANKS, name[length - 1]))
		length--;
	return length;
}

bool path_is(const char *name)
{
	const size_t length = column_length(name);
	struct hop hop = {.end = name + length};

	while (length > 0 && !hop.last)
		if (!read_hop(hop.end, &hop))
			return false;
	return length > 0 && !hop.end[strspn(hop.end, BLANKS)];
}

bool path_is_meant(const char *name)
{
	return strstr(name, ARROW);
}

char *path_column(const void *ctx, const char *name)
{
	return t_printf(ctx, "%.*s", (int)column_length(name), name);
}

/* The key without the quotes around it, and each one within it once. */
static char *plain_key(const void *ctx, const struct hop *hop)
{
	char *key = t_strdup(ctx, "");

	for (size_t i = 0; i < hop->length; i += hop->key[i] == '\'' ? 2 : 1)
		t_append(&key, "%c", hop->key[i]);
	return key;
}

char *path_key(const void *ctx, const char *name)
{
	struct hop hop = {0};

	(void)read_hop(name + column_length(name), &hop); /* path_is() has seen it */
	return plain_key(ctx, &hop);
}

char *path_sql(const void *ctx, const char *name, const char *document)
{
	struct hop hop = {.end = name + column_length(name)};
	char *sql = t_printf(ctx, "(%s", document);

	while (!hop.last && read_hop(hop.end, &hop))
		t_append(&sql, " %s %s", hop.last ? "->>" : "->",
			 sql_literal(ctx, plain_key(ctx, &hop)));
	t_append(&sql, ")");
	return sql;
}

char *path_index_sql(const void *ctx, const char *name, const char *document)
{
	struct hop hop = {.end = name + column_length(name)};
	char *sql = t_strdup(ctx, document);

	while (!hop.last && read_hop(hop.end, &hop))
		sql = t_printf(ctx, "(%s %s %s::text)", sql, hop.last ? "->>" : "->",
			       sql_literal(ctx, plain_key(ctx, &hop)));
	return t_printf(ctx, "(%s)", sql);
}

char *path_idents(const void *ctx, const struct columns *columns)
{
	char *list = t_strdup(ctx, "");

	for (size_t i = 0; i < columns->n; i++) {
		const char *name = columns->names[i];

		t_list(&list, ", ", "%s",
		       path_is(name) ? t_printf(ctx, "(%s)",
						path_sql(ctx, name,
							 sql_ident(ctx, path_column(ctx, name))))
				     : sql_ident(ctx, name));
	}
	return list;
}
