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

/* Is part the word or its plural? */
static bool same_word(const char *part, const char *word)
{
	const size_t n = strlen(word);

	if (strncmp(part, word, n) != 0)
		return false;
	return !part[n] || strcmp(part + n, "s") == 0 ||
	       (n > 1 && strchr("sxh", word[n - 1]) && strcmp(part + n, "es") == 0);
}

static bool is_in(const char *part, const char *const *words)
{
	while (*words && !same_word(part, *words))
		words++;
	return *words != NULL;
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

/* Is the pair "first second" in the name, at part i? */
static bool is_pair_at(const struct parts *p, int i, const char *pair)
{
	const char *blank = strchr(pair, ' ');
	const size_t first = (size_t)(blank - pair);

	return strlen(p->part[i]) == first && strncmp(p->part[i], pair, first) == 0 &&
	       same_word(p->part[i + 1], blank + 1);
}

/* The kind of the first pair of words in the name; *ret_end is the index of the part after it. */
static enum name_kind find_pair(const struct parts *p, const char **ret_pair, int *ret_end)
{
	for (int i = 0; i + 1 < p->n; i++)
		for (size_t l = 0; l < sizeof(pair_lists) / sizeof(pair_lists[0]); l++)
			for (const char *const *pair = pair_lists[l].words; *pair; pair++)
				if (is_pair_at(p, i, *pair)) {
					*ret_pair = *pair;
					*ret_end = i + 2;
					return pair_lists[l].kind;
				}
	return NAME_UNKNOWN;
}

/* The highest kind of the words in the name, with the first word of that kind. */
static enum name_kind find_word(const struct parts *p, const char **ret_word)
{
	enum name_kind kind = NAME_UNKNOWN;

	for (int i = 0; i < p->n; i++)
		for (size_t l = 0; l < sizeof(word_lists) / sizeof(word_lists[0]); l++)
			for (const char *const *word = word_lists[l].words; *word; word++)
				if (word_lists[l].kind > kind && same_word(p->part[i], *word)) {
					*ret_word = *word;
					kind = word_lists[l].kind;
				}
	return kind;
}

/* Decides about "name": alone it can be a person's; beside another word only if that is of_persons. */
static enum name_kind of_name(const struct parts *p, const char **ret_word)
{
	bool named = false, owned = false;

	for (int i = 0; i < p->n; i++) {
		named = named || is_in(p->part[i], name_words);
		owned = owned || is_in(p->part[i], of_persons);
	}
	if (!named || (p->n > 1 && !owned))
		return NAME_UNKNOWN;
	*ret_word = "name";
	return owned ? NAME_PERSON : NAME_NAME;
}

static bool is_thing_name(const struct parts *p)
{
	bool named = false, thing = false;

	for (int i = 0; i < p->n; i++) {
		named = named || is_in(p->part[i], label_words);
		thing = thing || is_in(p->part[i], describing_words) ||
			is_in(p->part[i], harmless_words) ||
			names_of_table(p->part[i]) == NAME_TABLE_LIST;
	}
	return named && thing;
}

enum name_kind names_of(const char *column, const char **ret_word)
{
	const char *ignored = NULL, *pair = NULL;
	enum name_kind kind;
	struct parts p;
	int end = 0;

	ret_word = ret_word ? ret_word : &ignored;
	*ret_word = NULL;
	split(column, &p);
	if (p.n == 0)
		return NAME_UNKNOWN;
	kind = find_pair(&p, &pair, &end);
	if (kind != NAME_UNKNOWN && (end == p.n || !is_in(p.part[p.n - 1], describing_words))) {
		*ret_word = pair;
		return kind;
	}
	if (is_in(p.part[p.n - 1], describing_words) || is_in(p.part[0], describing_words) ||
	    is_thing_name(&p)) {
		*ret_word = "a status, a kind or a measure";
		return NAME_HARMLESS;
	}
	kind = of_name(&p, ret_word);
	if (kind != NAME_UNKNOWN)
		return kind;
	if (strcmp(p.part[p.n - 1], "id") == 0)
		return NAME_UNKNOWN; /* the number of a person or of a thing */
	kind = find_word(&p, ret_word);
	for (int i = 0; kind == NAME_UNKNOWN && i < p.n; i++)
		if (is_in(p.part[i], harmless_words)) {
			*ret_word = "one of a list";
			kind = NAME_HARMLESS;
		}
	return kind;
}

bool names_is_personal(enum name_kind kind)
{
	return kind >= NAME_NAME;
}

bool names_is_birth(const char *column)
{
	struct parts p;

	split(column, &p);
	for (int i = 0; i < p.n; i++)
		if (is_in(p.part[i], birth_words))
			return true;
	return false;
}

enum names_table names_of_table(const char *table)
{
	struct parts p;

	split(table, &p);
	for (int i = p.n - 1; i >= 0; i--) {
		if (is_in(p.part[i], staff_tables))
			return NAME_TABLE_STAFF;
		if (is_in(p.part[i], list_tables))
			return NAME_TABLE_LIST;
	}
	return NAME_TABLE_UNKNOWN;
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

bool names_is_link_to(const char *column, const char *table, const char *other)
{
	const size_t length = strlen(column);
	AUTO(talloc) void *ctx = NULL;
	const char *stem;
	struct parts p;

	if (length < 3 || strcasecmp(column + length - 2, "id") != 0)
		return false; /* most columns end here */
	ctx = must_alloc(talloc_new(NULL));
	split(column, &p);
	if (p.n < 2 || strcmp(p.part[p.n - 1], "id") != 0)
		return false;
	stem = joined(ctx, &p, p.n - 1);
	split(table, &p);
	return strcmp(stem, joined(ctx, &p, p.n)) == 0 || (other && strcmp(stem, other) == 0);
}

bool names_is_pair(const char *type, const char *id)
{
	static const char *const stems[] = {"model", "resmodel", NULL};
	const size_t length = strlen(type);
	AUTO(talloc) void *ctx = NULL;
	struct parts t, i;

	if (length < 4 || (strcasecmp(type + length - 4, "type") != 0 &&
			   strcasecmp(type + length - 4, "odel") != 0))
		return false;
	ctx = must_alloc(talloc_new(NULL));
	split(type, &t);
	split(id, &i);
	if (t.n < 1 || i.n < 2 || strcmp(i.part[i.n - 1], "id") != 0)
		return false;
	if (strcmp(joined(ctx, &i, i.n - 1), "re") == 0 ||
	    strcmp(i.part[0], "res") == 0) /* "res" in the singular */
		return i.n == 2 && is_in(joined(ctx, &t, t.n), stems);
	if (strcmp(t.part[0], "itemtype") == 0)
		return t.n == 1 && same_word(i.part[0], "item");
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
