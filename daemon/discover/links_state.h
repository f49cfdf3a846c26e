/*
 * Links in the making.
 */
#pragma once

#include "discover/links.h"

/* How certain a possible link is; the lowest rank is the most certain. */
enum {
	RANK_MUST,
	RANK_MAY,
	RANK_LETS_GO,
	RANK_NAMED,
	RANK_ROLE,
	RANK_TYPED,
	RANK_REVERSE,
	RANK_NONE
};

/* A column with a type, and the column with the id that goes with it. */
struct pair {
	const struct schema_column *type;
	const char *id;
};

/* A column without a foreign key whose name says that it references something: contact_id. */
struct id_column {
	size_t table;
	const char *name;
	const char *stem; /* what it references, in the singular: contact */
	bool of_key; /* it is named like the key of a table: vertrag_nr */
	bool numbered; /* kunde_nr: for contact alone, because post_number can count within something */
	bool bare; /* vorgang */
	enum names_role role;
};

struct link_walk {
	void *ctx;
	const struct schema *schema;
	struct links *links;
	size_t *main; /* of each table: its first name, or LINKS_NONE */
	bool *lookup; /* of each table: links_left_out() */
	bool *list; /* of each table: requests choose from it, or it is a copy; no name links it */
	bool staff; /* the company's own people have a table of their own */
	const char **singular; /* of each table: its name in the singular */
	struct pair *pairs; /* of each table its first; type NULL: it has none */
	struct id_column *ids; /* n_ids */
	size_t n_ids;
	struct link
		*named; /* n_named: possible links by name, added when the parent gets its name */
	size_t n_named;
};

/* Returns the index of the new item; LINKS_NONE: there are too many already. */
size_t links_add(struct link_walk *w, struct link item);

/* The link of the table that the key stands in, below an item of the table that it references. */
struct link links_key(const struct link_walk *w, const struct schema_key *k, size_t of);

/* The link of the table that the key references, below an item of the table that references it. */
struct link links_reverse(const struct schema_key *k, size_t of);

/* The link of a table to the parent by a type and an id; its value is NULL: there is none. */
struct link links_type(const struct link_walk *w, size_t table, size_t parent);

/* The link by a column that is named after the parent; by is NULL: it is not, or they are of different kinds. */
struct link links_name(const struct link_walk *w, const struct id_column *id, size_t parent);

/* Can a deletion set the link to NULL, so that the row stays? */
bool links_can_detach(const struct schema_table *t, const struct columns *by);

/* Gives each table that is reached its first name. */
void links_first(struct link_walk *w);

/* In links_second.c: gives tables their further names. */
void links_second(struct link_walk *w);

/* In links_table.c. */

/* Does a column hold data that is personal in any table, such as an address?  A name is not enough. */
bool links_holds_persons(const struct schema_table *t);

/* Does the table hold files? */
bool links_holds_files(const struct schema_table *t);

/* Do several tables reference it, or tables that others reference in turn, or is it one to choose from? */
bool links_is_common(const struct schema *schema, size_t table);

/* Is it a table of the company's own people, and not one that makes contacts members of something? */
bool links_is_staff(const struct schema *schema, size_t table, size_t contact);

/* Why a table that contacts reference is not a contact's own; NULL: it can be. */
const char *links_reason(const struct schema *schema, size_t contact, size_t table);
