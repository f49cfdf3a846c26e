/*
 * The words of a name.
 */
#pragma once

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
