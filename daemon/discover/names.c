#include "discover/names.h"

#include "base/mem.h"
#include "discover/words.h"

#include <ctype.h>
#include <strings.h>

#define PARTS_MAX 16
#define PART_MAX 64

struct parts {
	char part[PARTS_MAX][PART_MAX];
	int n;
};

/* Is part the word, which has n letters, or its plural? */
static bool same_word(const char *part, const char *word, size_t n)
{
	if (strncmp(part, word, n) != 0)
		return false;
	return !part[n] || strcmp(part + n, "s") == 0 ||
	       (n > 1 && strchr("sxh", word[n - 1]) && strcmp(part + n, "es") == 0);
}

/* The place in a list of words.h of the word that part is, alone or in the plural; NULL: there is none. */
static const char *find_in(const char *list, const char *part)
{
	for (size_t n; *list; list += n + strspn(list + n, ", ")) {
		n = strcspn(list, ",");
		if (same_word(part, list, n))
			return list;
	}
	return NULL;
}

/* Is a part of the name in the list? */
static bool has_any(const struct parts *p, const char *list)
{
	for (int i = 0; i < p->n; i++)
		if (find_in(list, p->part[i]))
			return true;
	return false;
}

/* Splits a name into words: "birthDate", "birth_date" and "Birth date" give two.  Drops digits. */
static void split(const char *name, struct parts *parts)
{
	size_t length = 0;

	*parts = (struct parts){0};
	for (const char *c = name; *c && parts->n < PARTS_MAX; c++) {
		const unsigned char byte = (unsigned char)*c;
		const bool letter = isalpha(byte) || byte >= 128;
		const bool begins =
			isupper(byte) && c > name &&
			(islower((unsigned char)c[-1]) ||
			 (isupper((unsigned char)c[-1]) && islower((unsigned char)c[1])));

		if ((!letter || begins) && length > 0) {
			parts->n++;
			length = 0;
		}
		if (letter && parts->n < PARTS_MAX && length + 1 < PART_MAX)
			parts->part[parts->n][length++] = (char)tolower(byte);
	}
	if (length > 0 && parts->n < PARTS_MAX)
		parts->n++;
}

/* word: its place in a list. */
static struct naming as_listed(enum name_kind kind, const char *word)
{
	struct naming naming = {.kind = kind};

	(void)snprintf(naming.word, sizeof(naming.word), "%.*s", (int)strcspn(word, ","), word);
	return naming;
}

/* The first pair of words in the name; *ret_end is the index of the part after it. */
static struct naming find_pair(const struct parts *p, int *ret_end)
{
	char pair[2 * PART_MAX];

	for (int i = 0; i + 1 < p->n; i++) {
		(void)snprintf(pair, sizeof(pair), "%s %s", p->part[i], p->part[i + 1]); /* fits */
		for (size_t l = 0; l < sizeof(pair_lists) / sizeof(pair_lists[0]); l++) {
			const char *found = find_in(pair_lists[l].words, pair);

			*ret_end = i + 2;
			if (found)
				return as_listed(pair_lists[l].kind, found);
		}
	}
	return (struct naming){.kind = NAME_UNKNOWN};
}

/* The highest kind of the words in the name, with the first word of that kind. */
static struct naming find_word(const struct parts *p)
{
	struct naming best = {.kind = NAME_UNKNOWN};

	for (int i = 0; i < p->n; i++)
		for (size_t l = 0; l < sizeof(word_lists) / sizeof(word_lists[0]); l++) {
			const char *found = find_in(word_lists[l].words, p->part[i]);

			if (found && word_lists[l].kind > best.kind)
				best = as_listed(word_lists[l].kind, found);
		}
	return best;
}

struct naming names_of(const char *column)
{
	const struct naming unknown = {.kind = NAME_UNKNOWN};
	struct naming naming;
	struct parts p;
	int end = 0;
	bool describes, owned;

	split(column, &p);
	if (p.n == 0)
		return unknown;
	describes = find_in(describing_words, p.part[p.n - 1]);
	naming = find_pair(&p, &end);
	if (naming.kind != NAME_UNKNOWN && (end == p.n || !describes))
		return naming;
	if (describes || find_in(describing_words, p.part[0]) ||
	    (has_any(&p, label_words) && (has_any(&p, describing_words) ||
					  has_any(&p, harmless_words) || has_any(&p, list_tables))))
		return (struct naming){NAME_HARMLESS, "a status, a kind or a measure"};
	/* Alone, "name" can be a person's; beside another word only if that is of_persons. */
	owned = has_any(&p, of_persons);
	if (has_any(&p, name_words) && (p.n == 1 || owned))
		return (struct naming){owned ? NAME_PERSON : NAME_NAME, "name"};
	if (strcmp(p.part[p.n - 1], "id") == 0)
		return unknown; /* the number of a person or of a thing */
	naming = find_word(&p);
	return naming.kind == NAME_HARMLESS ? (struct naming){NAME_HARMLESS, "one of a list"}
					    : naming;
}

bool names_is_birth(const char *column)
{
	struct parts p;

	split(column, &p);
	return has_any(&p, birth_words);
}

enum names_table names_of_table(const char *table)
{
	struct parts p;

	split(table, &p);
	for (int i = p.n - 1; i >= 0; i--) {
		if (find_in(staff_tables, p.part[i]))
			return NAME_TABLE_STAFF;
		if (find_in(list_tables, p.part[i]))
			return NAME_TABLE_LIST;
	}
	return NAME_TABLE_UNKNOWN;
}

bool names_is_tenant(const char *table)
{
	struct parts p;

	split(table, &p);
	return p.n > 0 && find_in(tenant_tables, p.part[p.n - 1]);
}

static void make_singular(char *word)
{
	const size_t n = strlen(word);

	if (n > 4 && strcmp(word + n - 3, "ies") == 0)
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
	split(table, &p);
	wanted = joined(ctx, &p, p.n);
	split(value, &p);
	if (strcmp(joined(ctx, &p, p.n), wanted) == 0)
		return p.n > 0;
	split(tail, &p);
	return p.n > 0 && strcmp(joined(ctx, &p, p.n), wanted) == 0;
}

char *names_singular(void *ctx, const char *table)
{
	struct parts p;

	split(table, &p);
	return joined(ctx, &p, p.n);
}

char *names_link_stem(void *ctx, const char *column)
{
	const size_t length = strlen(column);
	struct parts p;

	if (length < 3 || strcasecmp(column + length - 2, "id") != 0)
		return NULL; /* most columns end here */
	split(column, &p);
	if (p.n == 1 && strlen(p.part[0]) == length) { /* "userid" */
		p.part[0][length - 2] = '\0';
		p.n++;
	} else if (p.n < 2 || strcmp(p.part[p.n - 1], "id") != 0) {
		return NULL;
	}
	return joined(ctx, &p, p.n - 1);
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
	const size_t length = strlen(type), id_length = strlen(id);
	AUTO(talloc) void *ctx = NULL;
	struct parts t, i;

	if (length < 4 || id_length < 3 || strcasecmp(id + id_length - 2, "id") != 0 ||
	    (strcasecmp(type + length - 4, "type") != 0 &&
	     strcasecmp(type + length - 4, "odel") != 0))
		return false; /* most columns end here */
	ctx = must_alloc(talloc_new(NULL));
	split(type, &t);
	split(id, &i);
	if (t.n < 1 || i.n < 2 || strcmp(i.part[i.n - 1], "id") != 0)
		return false;
	if (strcmp(joined(ctx, &i, i.n - 1), "re") == 0 ||
	    strcmp(i.part[0], "res") == 0) /* "res" in the singular */
		return i.n == 2 && find_in("model, resmodel", joined(ctx, &t, t.n));
	if (strcmp(t.part[0], "itemtype") == 0)
		return t.n == 1 && find_in("item", i.part[0]);
	return t.n == i.n && strcmp(t.part[t.n - 1], "type") == 0 &&
	       strcmp(joined(ctx, &t, t.n - 1), joined(ctx, &i, i.n - 1)) == 0;
}

char *names_type_value(void *ctx, const char *type_column, const char *table)
{
	const bool dotted = strstr(type_column, "model") != NULL;
	char *out = t_strdup(ctx, "");
	struct parts p;

	split(table, &p);
	if (p.n > 0 && !dotted)
		make_singular(p.part[p.n - 1]);
	for (int i = 0; i < p.n; i++) {
		if (!dotted)
			p.part[i][0] = (char)toupper((unsigned char)p.part[i][0]);
		t_append(&out, "%s%s", dotted && i ? "." : "", p.part[i]);
	}
	return out;
}
