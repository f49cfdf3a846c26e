/*
 * Guesses from names: whether a column is likely to hold personal data, whether a table is one of the company's own.
 * Compares the words of a name ("birth_date", "birthDate") with lists in four languages (words.h), so that "status_name"
 * is not taken for a person's.  A person has to check each guess.
 */
#pragma once

#include <stdbool.h>

enum name_kind {
	NAME_UNKNOWN,
	NAME_HARMLESS, /* a status, a count, a language; the kinds behind it can be personal */
	NAME_REASON, /* a reason: text that a person wrote, or one of a list */
	NAME_NAME, /* the name of a person in a table about persons, or of a thing in a list of things */
	NAME_TEXT, /* text that a person wrote: a note, a subject */
	NAME_FILE, /* a file, its name or its path */
	NAME_PERSON, /* an address, a number, a secret: personal in any table */
};

struct naming {
	enum name_kind kind;
	char word[32]; /* that decided; "" for NAME_UNKNOWN */
	bool number; /* NAME_PERSON: personal as a number too, such as a phone */
	bool trait; /* NAME_PERSON: what a person is, such as a gender: personal as an enum too */
};

struct naming names_of(const char *column);

/* Is it the state of something: status, state_id, statut, zustand? */
bool names_is_state(const char *column);

/* Does a label, or the name of a flag or a date, say that something has ended: "Closed", "Erledigt", resolved_at? */
bool names_says_closed(const char *label);

/* Is it something that opens an account, or the hash of it: encrypted_password, api_key, otpSecret? */
bool names_is_secret(const char *column);

/* Does the name contain a word for birth or death?  Other dates are not personal. */
bool names_is_birth(const char *column);

enum names_table {
	NAME_TABLE_UNKNOWN,
	NAME_TABLE_STAFF, /* users, agents, teams: the company's own people */
	NAME_TABLE_LIST, /* countries, states, tags: values to choose from */
};

/* The kind of a table, by the last word of its name that is in a list. */
enum names_table names_of_table(const char *table);

/* Does each row of the table stand for one of the company's own people?  A team's does not. */
bool names_is_staff(const char *table);

enum names_staff {
	NAME_STAFF_NONE,
	NAME_STAFF_KIND, /* type: its values tell whether it is about staff */
	NAME_STAFF_ROLE, /* role, is_admin */
};

/* Does the column tell staff from contacts, where they are in one table? */
enum names_staff names_staff(const char *column);

/* Is a value of such a column staff's, or a contact's? */
bool names_is_staff_value(const char *value);
bool names_is_customer_value(const char *value);

/* Can the table be that of the tenants, by the last word of its name? */
bool names_is_tenant(const char *table);
