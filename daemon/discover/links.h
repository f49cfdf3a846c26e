/*
 * Finds the tables below a contact or a request, from the catalog and its names: by foreign keys, by the
 * name of an id column without a key, by a type and an id, and in reverse, by a reference of the parent.
 */
#pragma once

#include "discover/schema.h"

enum links_how {
	LINKS_ROOT, /* contact */
	LINKS_KEY, /* a foreign key */
	LINKS_NAME, /* a column named after the table */
	LINKS_TYPE, /* a type and an id */
	LINKS_REVERSE, /* the parent references this table */
};

/* The table whose rows say which contacts a request has. */
struct join {
	size_t table;
	const struct columns *request, *contact; /* its columns, which are foreign keys */
};

#define LINKS_NONE ((size_t)-1)
#define LINKS_MAX 600 /* a model has at most 1000 tables, and its file 1 MiB */

/* One name of a table in the model, and its link to its parent. */
struct link {
	size_t table; /* in schema.tables */
	const char *name; /* the model's, unique */
	size_t of; /* the parent, in items; LINKS_NONE: this is contact */
	enum links_how how;
	int rank; /* links.c's: how certain the link is */
	const struct columns *by; /* its columns; NULL for contact */
	const struct columns *from; /* the parent's columns; NULL: the parent's key */
	const char *type; /* LINKS_TYPE: the column with the type */
	const char *value; /* LINKS_TYPE: the value of type for this parent */
	const char *number; /* LINKS_TYPE: what type has instead of value; NULL: value itself */
	bool value_guessed; /* the value was not seen in the database */
	bool role; /* LINKS_NAME: by a name that proves little: a role that a contact can have (author_id), kunde_nr */
	bool second; /* the table has an earlier name */
	bool keeps; /* the row belongs to another name: this one does not delete it */
	bool detach; /* the deletion of a contact sets the link to NULL */
	const struct columns
		*request; /* a join table: its columns that say which request; else NULL */
	bool shared; /* several rows can use the same row */
	const struct schema_key *key; /* LINKS_KEY, LINKS_REVERSE */
};

struct links {
	struct link *items; /* n; contact first, request second, parents before children */
	size_t n; /* LINKS_MAX: tables can be missing */
};

/*
 * Finds all links.  request_by: see links_request_by().  With join a request has its contacts through that table, which
 * gets one name, the third; request_by is then the request's key.  join can be NULL.  Owned by ctx.
 */
struct links *links_walk(void *ctx, const struct schema *schema, size_t contact, size_t request,
			 const struct columns *request_by, const struct join *join);

/* The join table's name; NULL: a request has one contact. */
const struct link *links_join(const struct links *links);

/*
 * The request's columns that reference contact, by a foreign key or by their names; NULL: none.  Owned by
 * ctx, or by the schema.
 */
const struct columns *links_request_by(void *ctx, const struct schema *schema, size_t contact,
				       size_t request);

/* Why the table is not about contacts: a list of values, or the company's own people; NULL: it can be. */
const char *links_is_lookup(const struct schema_table *t);

/*
 * Why a table that mapped tables reference is left out: links_is_lookup(), or it is the tenant's, or that
 * of many; NULL: only its foreign keys say so, which are not followed (schema_key.unfit).
 */
const char *links_left_out(const struct links *links, const struct schema *schema, size_t table);

/*
 * A column of the table that names a mapped table, whose rows it cannot name because a column of the tenant
 * is missing; NULL: there is none.  *ret_of: the mapped table's item.
 */
const char *links_without_tenant(const struct links *links, const struct schema *schema,
				 size_t table, const struct link **ret_of);

/* The first name of the table; NULL: it is not linked. */
const struct link *links_of(const struct links *links, size_t table);

/* The table of another schema of which this one looks like a backup: it has its columns, and no key; NULL: none. */
const struct schema_table *links_copied(const struct schema *schema, size_t table);
