#include "discover/parts.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* The letters without accent that stand for one of UTF-8's two-byte letters; NULL: it has none. */
static const char *plain_letters(const char *c)
{
	/* From U+00C0 on: A to Z with accents, then the same in small letters. */
	static const char *const letters[] = {
		"a", "a", "a", "a", "ae", "a", "ae", "c", "e", "e", "e", "e", "i",  "i", "i",  "i",
		"d", "n", "o", "o", "o",  "o", "oe", "",  "o", "u", "u", "u", "ue", "y", "th", "ss",
	};
	const unsigned char lead = (unsigned char)c[0], next = (unsigned char)c[1];

	if (lead == 0xc5 && (next == 0x92 || next == 0x93))
		return "oe";
	return lead == 0xc3 && next >= 0x80 && next <= 0xbf ? letters[next & 0x1f] : NULL;
}

static void put_letters(struct parts *parts, size_t *length, const char *letters)
{
	for (; *letters && parts->n < PARTS_MAX && *length + 1 < PART_MAX; letters++)
		parts->part[parts->n][(*length)++] = *letters;
}

void parts_split(const char *name, struct parts *parts)
{
	size_t length = 0;

	*parts = (struct parts){0};
	for (const char *c = name; *c && parts->n < PARTS_MAX; c++) {
		const unsigned char byte = (unsigned char)*c;
		const bool letter = isalpha(byte) || byte >= 128;
		const char *plain = plain_letters(c);
		const bool begins =
			isupper(byte) && c > name &&
			(islower((unsigned char)c[-1]) || (unsigned char)c[-1] >= 128 ||
			 (isupper((unsigned char)c[-1]) && islower((unsigned char)c[1])));

		if ((!letter || begins) && length > 0) {
			parts->n++;
			length = 0;
		}
		if (!letter)
			continue;
		put_letters(parts, &length, plain ? plain : (char[]){(char)tolower(byte), '\0'});
		c += plain != NULL; /* a letter of two bytes */
	}
	if (length > 0 && parts->n < PARTS_MAX)
		parts->n++;
}

bool parts_same_word(const char *part, const char *word, size_t n)
{
	if (strncmp(part, word, n) != 0)
		return false;
	return !part[n] || strcmp(part + n, "s") == 0 ||
	       (n > 1 && strchr("sxhnrdl", word[n - 1]) && strcmp(part + n, "es") == 0) ||
	       (n > 4 && strcmp(part + n, word[n - 1] == 'e' ? "n" : "en") == 0);
}

const char *parts_find(const char *list, const char *part)
{
	for (size_t n; *list; list += n + strspn(list + n, ", ")) {
		n = strcspn(list, ",");
		if (parts_same_word(part, list, n))
			return list;
	}
	return NULL;
}

void parts_join(const char *name, char *out, size_t size)
{
	struct parts p;
	size_t n = 0;

	parts_split(name, &p);
	*out = '\0';
	for (int i = 0; i < p.n && n + 1 < size; i++) {
		(void)snprintf(out + n, size - n, "%s", p.part[i]);
		n = strlen(out);
	}
}
