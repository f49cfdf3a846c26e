/*
 * The words of a name.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define PARTS_MAX 16
#define PART_MAX 64

struct parts {
	char part[PARTS_MAX][PART_MAX];
	int n;
};

/*
 * Splits a name into words of small letters: "birthDate", "birth_date" and "Birth date" give two.  Drops digits, and
 * accents: "prénom" is "prenom", "Straße" is "strasse".  More words, and longer ones, than there is room for are cut.
 */
void parts_split(const char *name, struct parts *parts);

/* The words of a name as one: last_activity_at is lastactivityat.  What does not fit is cut. */
void parts_join(const char *name, char *out, size_t size);

/* Is part the word, which has n letters, or its plural: mails, addresses, Anmerkungen, Adressen? */
bool parts_same_word(const char *part, const char *word, size_t n);

/* The place in a list, words between commas, of the word that part is, alone or in the plural; NULL: there is none. */
const char *parts_find(const char *list, const char *part);
