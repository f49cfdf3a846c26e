/*
 * What a name says: of a column, whether a person is likely to be in it; of a table, whether it is one
 * of the company's own.  Word lists, English and French, held against the parts of a name ("birth_date",
 * "birthDate"), so that "status_name" is no person's.  A guess for a person to judge, no more.
 */
#ifndef RETENTION_DISCOVER_NAMES_H
#define RETENTION_DISCOVER_NAMES_H

#include <stdbool.h>

enum name_kind {
	NAME_UNKNOWN, /* it says nothing */
	NAME_HARMLESS, /* a status, a count, a language */
	NAME_NAME, /* a name: a person's, in a table about persons; a thing's, in a list of things */
	NAME_TEXT, /* what somebody wrote: a note, a subject */
	NAME_FILE, /* a file, its name, where it lies */
	NAME_PERSON, /* an address, a number, a secret: a person's wherever it stands */
};

/* Of a column.  *ret_word (may be NULL): the part that decided, static; NULL for NAME_UNKNOWN. */
enum name_kind names_of(const char *column, const char **ret_word);

/* Is it more than a code: NAME, TEXT, FILE or PERSON? */
bool names_is_personal(enum name_kind naming);

/* Does the name speak of a birth or a death?  Of all dates, only these are a person's. */
bool names_is_birth(const char *column);

enum names_table {
	NAME_TABLE_UNKNOWN,
	NAME_TABLE_STAFF, /* users, agents, teams: the company's own people */
	NAME_TABLE_LIST, /* countries, states, tags: others choose from it */
};

/* Of a table, by the last part of its name that is known. */
enum names_table names_of_table(const char *table);

/*
 * Is value the name under which frameworks store this table: "Contact", "App::Contact",
 * "App\\Models\\Contact", "res.partner"?  Case, plural and separators make no difference.
 */
bool names_is_type_of(const char *value, const char *table);

/* Is column the table's singular, or other (may be NULL), with "id" behind it: contact_id, contactId? */
bool names_is_link_to(const char *column, const char *table, const char *other);

/* Is id what goes with type: record_type and record_id, res_model and res_id, model and res_id? */
bool names_is_pair(const char *type, const char *id);

/* How the table would be written in such a column: "Contact"; "res.partner" beside a model. */
char *names_type_value(void *ctx, const char *type_column, const char *table);

#endif
