/*
 * Guesses from names which table a column refers to: contact_id, author_id, the pair record_type and record_id.  A person
 * has to check each guess.
 */
#pragma once

#include <stdbool.h>

/*
 * Is value a name that a framework stores for this table: "Contact", "App::Contact",
 * "App\\Models\\Contact", "res.partner"?  Ignores case, plural and separators.
 */
bool names_is_type_of(const char *value, const char *table);

/* The name of a table as one word in the singular: "Order Lines" is orderline. */
char *names_singular(void *ctx, const char *table);

/* Does the name end in a word for a number instead of "id": kunde_nr, customer_no? */
bool names_is_numbered(const char *column);

/* Does the name say what it numbers, as customer_no does and id does not? */
bool names_is_telling(const char *column);

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
