/*
 * Chooses the columns that identify a row of each table, and the pairs of columns by which a table
 * references another.
 */
#pragma once

#include "discover/schema.h"

/* Settles the key of each table, the pairs of each foreign key, and which columns collide. */
void keys_settle(void *ctx, struct schema *schema);

/* Do the columns exist, and can a value of one be in the other? */
bool keys_same_kind(const struct schema_column *a, const struct schema_column *b);

/*
 * The columns by which table t references the parent's key where no foreign key says so: its column id,
 * and the tenant's columns, which have the same name in both.  NULL: the parent has no key, or a
 * column of the tenant is not in t, or id is of another kind.
 */
const struct columns *keys_by(void *ctx, const struct schema_table *t,
			      const struct schema_table *parent, const char *id);

/*
 * A column of t that references the parent by its name (see names_is_link_to(); other may be NULL), while a
 * column of the tenant is missing in t, so that it cannot tell which parent; NULL: there is none.
 */
const char *keys_lack(const struct schema_table *t, const struct schema_table *parent,
		      const char *other);

/* The first column of the tenant, in the parent's key, that t does not have; NULL: it has them all. */
const char *keys_missing(const struct schema_table *t, const struct schema_table *parent);

/*
 * Is the table the tenant's?  A part of each contact's key references it, or the company's own people and lists do:
 * what belongs to one contact is not theirs.
 */
bool keys_is_tenant(const struct schema *schema, size_t contact, size_t table);

/* The last of the columns: the row's own number, or the reference to it. */
const char *keys_own(const struct columns *columns);
