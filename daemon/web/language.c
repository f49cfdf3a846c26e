/*
 * The catalogue is a .mo file (GNU gettext manual, "The Format of GNU MO Files"), compiled in: two tables of lengths
 * and offsets, the originals sorted, and the translation at the same index.  A text with a plural is found by its
 * singular, and its translation has both forms, one behind the other.
 */
#include "web/language.h"

#include "base/text.h"
#include "web/embedded.h"

#include <stdint.h>
#include <strings.h>

#define MAGIC 0x950412deU

struct language {
	const char *name;
	const unsigned char *catalogue; /* NULL: English, the original */
	const size_t *size;
	long long singular; /* the form "one" is for 1, in French for 0 too */
};

static const struct language languages[] = {
	{"fr", embedded_french, &embedded_french_size, 0},
	{"en", NULL, NULL, 1},
};

const struct language *language_named(const char *name)
{
	for (size_t i = 0; i < LENGTH(languages); i++)
		if (strcmp(languages[i].name, name) == 0)
			return &languages[i];
	return NULL;
}

const char *language_name(const struct language *language)
{
	return language->name;
}

/* Whether an item of Accept-Language, n bytes, is this language: "fr", "fr-CA;q=0.8", and not "fr;q=0". */
static bool item_is(const char *item, size_t n, const char *name)
{
	const size_t length = strlen(name);
	const char *const q = memmem(item, n, "q=", 2);

	return n >= length && strncasecmp(item, name, length) == 0 &&
	       (n == length || strchr("-; \t", item[length])) && (!q || strtod(q + 2, NULL) > 0);
}

const struct language *language_accepted(const char *header, const struct language *fallback)
{
	for (const char *h = header; h && *h; h += strcspn(h, ",")) {
		h += strspn(h, ", \t");
		for (size_t i = 0; i < LENGTH(languages); i++)
			if (item_is(h, strcspn(h, ","), languages[i].name))
				return &languages[i];
	}
	return fallback;
}

/* The number at an offset; 0 beyond the end. */
static uint32_t number_at(const struct language *l, size_t offset)
{
	const unsigned char *c = l->catalogue + offset;

	if (offset + 4 > *l->size)
		return 0;
	return (uint32_t)c[0] | (uint32_t)c[1] << 8 | (uint32_t)c[2] << 16 | (uint32_t)c[3] << 24;
}

/* The text whose length and offset stand in row i of a table. */
static const char *string_at(const struct language *l, uint32_t table, uint32_t i)
{
	return (const char *)l->catalogue + number_at(l, table + (size_t)i * 8 + 4);
}

/* All forms of the translation; NULL: there is none.  *ret_plural: there are two. */
static const char *find(const struct language *l, const char *text, bool *ret_plural)
{
	uint32_t low = 0, high;

	if (!l->catalogue || !*text || number_at(l, 0) != MAGIC)
		return NULL;
	high = number_at(l, 8);
	while (low < high) {
		const uint32_t middle = low + (high - low) / 2, originals = number_at(l, 12);
		const int order = strcmp(text, string_at(l, originals, middle));

		*ret_plural = number_at(l, originals + (size_t)middle * 8) > strlen(text);
		if (order == 0)
			return string_at(l, number_at(l, 16), middle);
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const char *language_text(const struct language *language, const char *text)
{
	bool plural = false;
	const char *const found = find(language, text, &plural);

	return found ? found : text;
}

const char *language_plural(const struct language *language, const char *one, const char *many,
			    long long n)
{
	bool plural = false;
	const char *const found = find(language, one, &plural);

	if (!found || !plural)
		return n == 1 ? one : many;
	return n == 1 || n == language->singular ? found : found + strlen(found) + 1;
}

/* Translates a status in a refusal, and leaves every other value. */
static const char *status_word(const char *value, const void *arg)
{
	static const char *const words[] = {"saved", "validated", "running",
					    "done",  "failed",    "cancelled"};

	return text_index(value, words, LENGTH(words)) < LENGTH(words) ? language_text(arg, value)
								       : value;
}

char *language_refused(void *ctx, const struct language *language, const char *id,
		       const char *values, const char *english)
{
	const char *const text = id ? language_text(language, id) : NULL;

	if (!text || strcmp(text, id) == 0)
		return text_one_line(t_strdup(ctx, english));
	return text_one_line(text_fill(ctx, text, values, status_word, language));
}
