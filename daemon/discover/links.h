/*
 * Which tables hang off a contact or a request, as far as the catalog and the names in it can tell: by
 * foreign keys, by a name's id where there is no key, by a type and an id, and in reverse.
 */
#ifndef RETENTION_DISCOVER_LINKS_H
#define RETENTION_DISCOVER_LINKS_H

#include "discover/schema.h"

enum links_how {
	LINKS_ROOT, /* contact */
	LINKS_KEY, /* a foreign key */
	LINKS_NAME, /* a column named after the table */
	LINKS_TYPE, /* a type and an id */
	LINKS_REVERSE, /* the parent points here */
};

#define LINKS_NONE ((size_t)-1)

/* One name of a table in the model. */
struct reached {
	size_t table; /* in found.tables */
	const char *name; /* the model's, unique */
	size_t of; /* in items; LINKS_NONE: contact */
	enum links_how how;
	const char *by; /* its column; NULL for contact */
	const char *from; /* the parent's, where it is not the parent's key; else NULL */
	const char *type; /* LINKS_TYPE: the column with the type */
	const char *value; /* and what it says for this parent */
	bool value_guessed; /* nobody has seen that value */
	bool second; /* the table has another name before this one */
	bool keeps; /* only the link is this name's business: the row belongs elsewhere */
	bool detach; /* when the contact is deleted, the link becomes NULL */
	bool shared; /* others use the same row */
	const struct schema_key *key; /* LINKS_KEY, LINKS_REVERSE */
};

struct links {
	struct reached *items; /* n; contact first, request second, parents before children */
	size_t n;
	size_t most; /* where n is no less, something may be missing */
};

/* request_by: the request's column that points at contact.  Owned by ctx. */
struct links *links_walk(void *ctx, const struct schema *found, size_t contact, size_t request,
			 const char *request_by);

/* The request's column that points at contact: by foreign key, or by its name; NULL: there is none. */
const char *links_request_by(const struct schema *found, size_t contact, size_t request);

/* Is the table one that others choose from, or of the company's own people?  Why, or NULL. */
const char *links_is_lookup(const struct schema_table *t);

/* The first name of the table, or NULL. */
const struct reached *links_of(const struct links *reach, size_t table);

#endif
