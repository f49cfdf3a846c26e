#include "discover/names_links.h"

#include "base/mem.h"
#include "discover/parts.h"
#include "discover/words.h"

#include <ctype.h>
#include <strings.h>

static void make_singular(char *word)
{
	const size_t n = strlen(word);

	if (n >= 6 && strcmp(word + n - 6, "people") == 0)
		memcpy(word + n - 4, "rson", 4);
	else if (n > 4 && strcmp(word + n - 3, "ies") == 0)
		memcpy(word + n - 3, "y", 2);
	else if (n > 4 && (strcmp(word + n - 4, "sses") == 0 || strcmp(word + n - 3, "xes") == 0 ||
			   strcmp(word + n - 4, "ches") == 0))
		word[n - 2] = '\0';
	else if (n > 2 && word[n - 1] == 's' && word[n - 2] != 's')
		word[n - 1] = '\0';
}

/* The first n parts as one word in the singular. */
static char *joined(void *ctx, const struct parts *p, int n)
{
	char *out = t_strdup(ctx, "");

	for (int i = 0; i < n; i++)
		t_append(&out, "%s", p->part[i]);
	make_singular(out);
	return out;
}

bool names_is_type_of(const char *value, const char *table)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *tail = value;
	const char *wanted;
	struct parts p;

	for (const char *c = value; *c; c++)
		if ((*c == ':' || *c == '\\' || *c == '/') && c[1])
			tail = c + 1;
	parts_split(table, &p);
	wanted = joined(ctx, &p, p.n);
	parts_split(value, &p);
	if (strcmp(joined(ctx, &p, p.n), wanted) == 0)
		return p.n > 0;
	parts_split(tail, &p);
	return p.n > 0 && strcmp(joined(ctx, &p, p.n), wanted) == 0;
}

char *names_singular(void *ctx, const char *table)
{
	struct parts p;

	parts_split(table, &p);
	return joined(ctx, &p, p.n);
}

/* Takes "id", or what stands for it, from the end of a name; false: there is nothing like it, or nothing else. */
static bool without_number(struct parts *p)
{
	char *last = p->n > 0 ? p->part[p->n - 1] : NULL;
	const size_t length = last ? strlen(last) : 0;

	if (p->n > 1 && (strcmp(last, "id") == 0 || parts_find(number_ends, last))) {
		p->n--;
		return true;
	}
	if (p->n != 1 || length < 4 ||
	    (strcmp(last + length - 2, "id") != 0 && strcmp(last + length - 2, "nr") != 0))
		return false;
	last[length - 2] = '\0'; /* "userid" */
	return true;
}

char *names_link_stem(void *ctx, const char *column)
{
	struct parts p;

	parts_split(column, &p);
	return without_number(&p) ? joined(ctx, &p, p.n) : NULL;
}

bool names_ends_with(const char *column, const char *singular)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct parts p;

	parts_split(column, &p);
	if (p.n < 3 || strcmp(p.part[p.n - 1], "id") != 0)
		return false;
	for (int first = 1; first < p.n - 1; first++) {
		char *tail = t_strdup(ctx, "");

		for (int i = first; i < p.n - 1; i++)
			t_append(&tail, "%s", p.part[i]);
		make_singular(tail);
		if (strcmp(tail, singular) == 0)
			return true;
	}
	return false;
}

enum names_role names_role(const char *column)
{
	const char *last;
	struct parts p;

	parts_split(column, &p);
	(void)without_number(&p); /* created_by has none */
	last = p.n > 0 ? p.part[p.n - 1] : "";
	if (parts_find(customer_words, last))
		return NAME_ROLE_CUSTOMER;
	return parts_find(role_words, last)            ? NAME_ROLE_ANY
	       : p.n > 1 && parts_find(by_words, last) ? NAME_ROLE_BY
						       : NAME_ROLE_NONE;
}

bool names_is_numbered(const char *column)
{
	struct parts p;

	parts_split(column, &p);
	return p.n > 0 && strcmp(p.part[p.n - 1], "id") != 0 && without_number(&p) &&
	       strcasecmp(column + strlen(column) - 2, "id") != 0;
}

bool names_is_telling(const char *column)
{
	struct parts p;

	parts_split(column, &p);
	return p.n > 1;
}

bool names_is_link_to(const char *column, const char *table, const char *other)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *stem = names_link_stem(ctx, column);

	return stem && (strcmp(stem, names_singular(ctx, table)) == 0 ||
			(other && strcmp(stem, other) == 0));
}

bool names_is_pair(const char *type, const char *id)
{
	const size_t length = strlen(id);
	AUTO(talloc) void *ctx = NULL;
	struct parts t, i;

	if (length < 3 || strcasecmp(id + length - 2, "id") != 0)
		return false; /* most columns end here */
	parts_split(type, &t);
	parts_split(id, &i);
	if (t.n < 1 || i.n < 2 || strcmp(i.part[i.n - 1], "id") != 0)
		return false;
	ctx = must_alloc(talloc_new(NULL));
	if (strcmp(joined(ctx, &i, i.n - 1), "re") == 0 ||
	    strcmp(i.part[0], "res") == 0) /* "res" in the singular */
		return i.n == 2 && parts_find("model, resmodel", joined(ctx, &t, t.n));
	if (strcmp(t.part[0], "itemtype") == 0)
		return t.n == 1 && parts_find("item", i.part[0]);
	return t.n == i.n && parts_find(type_words, t.part[t.n - 1]) &&
	       strcmp(joined(ctx, &t, t.n - 1), joined(ctx, &i, i.n - 1)) == 0;
}

/* Are the first n parts of the one those of the other? */
static bool same_parts(const struct parts *a, const struct parts *b, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(a->part[i], b->part[i]) != 0)
			return false;
	return true;
}

bool names_is_numbered_pair(const char *type, const char *id)
{
	struct parts t, i;
	int of; /* how many parts stand before "type", and say which of several pairs it is */

	parts_split(type, &t);
	parts_split(id, &i);
	if (t.n < 2 || i.n < 2 || strcmp(t.part[t.n - 1], "id") != 0 ||
	    strcmp(i.part[i.n - 1], "id") != 0)
		return false;
	of = t.n - 2;
	if (!parts_find(type_words, t.part[of]) && !parts_find("table, lookup", t.part[of]))
		return false;
	if (of == i.n - 1 && same_parts(&t, &i, of))
		return true;
	if (of > 0 && strcmp(t.part[of - 1], "content") == 0)
		of--;
	else if (strcmp(t.part[of], "lookup") == 0 && of > 0 &&
		 strcmp(t.part[of - 1], "object") == 0)
		return i.n == 2 && parts_find("o, object", i.part[0]);
	return i.n == of + 2 && same_parts(&t, &i, of) &&
	       parts_find("object, record, res, row, item, entity", i.part[of]);
}

bool names_is_content(const char *type)
{
	struct parts p;

	parts_split(type, &p);
	return p.n > 1 && parts_find("content, mime, media, file", p.part[0]);
}

char *names_type_value(void *ctx, const char *type_column, const char *table)
{
	const bool dotted = strstr(type_column, "model") != NULL;
	char *out = t_strdup(ctx, "");
	struct parts p;

	parts_split(table, &p);
	if (p.n > 0 && !dotted)
		make_singular(p.part[p.n - 1]);
	for (int i = 0; i < p.n; i++) {
		if (!dotted)
			p.part[i][0] = (char)toupper((unsigned char)p.part[i][0]);
		t_append(&out, "%s%s", dotted && i ? "." : "", p.part[i]);
	}
	return out;
}
