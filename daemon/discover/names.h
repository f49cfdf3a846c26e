/*
 * Guesses from names: whether a column is likely to hold personal data, whether a table is one of the
 * company's own, whether a column refers to a table.  Compares the words of a name ("birth_date",
 * "birthDate") with lists in English and French (words.h), so that "status_name" is not taken for a
 * person's.  A person has to check each guess.
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

/*
 * Is value a name that a framework stores for this table: "Contact", "App::Contact",
 * "App\\Models\\Contact", "res.partner"?  Ignores case, plural and separators.
 */
bool names_is_type_of(const char *value, const char *table);

/* The name of a table as one word in the singular: "Order Lines" is orderline. */
char *names_singular(void *ctx, const char *table);

/* The same of what a column references: orderline for order_line_id, user for userid; NULL: it is no id. */
char *names_link_stem(void *ctx, const char *column);

/* Are the last words of the column, before its id, the table's name: billing_contact_id?  singular: names_singular(). */
bool names_ends_with(const char *column, const char *singular);

enum names_role {
	NAME_ROLE_NONE,
	NAME_ROLE_CUSTOMER, /* customer_id: never staff */
	NAME_ROLE_ANY, /* author_id */
	NAME_ROLE_BY, /* created_by */
};

/* Does the column name somebody by a role? */
enum names_role names_role(const char *column);

/* Is column the singular of the table, or other (may be NULL), and "id": contact_id, contactId? */
bool names_is_link_to(const char *column, const char *table, const char *other);

/* Do type and id form a pair: record_type and record_id, res_model and res_id, model and res_id? */
bool names_is_pair(const char *type, const char *id);

/* The same of a type that is a number: content_type_id and object_id, res_model_id and res_id? */
bool names_is_numbered_pair(const char *type, const char *id);

/* Does the type say what a content is: content_type, mime_type? */
bool names_is_content(const char *type);

/* The table as written in the column of such a type: "Contact", or "res.partner" in a model column. */
char *names_type_value(void *ctx, const char *type_column, const char *table);
