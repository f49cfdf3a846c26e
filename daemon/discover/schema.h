/*
 * What a database has, whole: its tables, their columns, the foreign keys among them; for a model that
 * is still to be written (discover/draft.h) or that may have overlooked something.  Read set-based, kept flat.
 */
#ifndef RETENTION_DISCOVER_SCHEMA_H
#define RETENTION_DISCOVER_SCHEMA_H

#include "database/db.h"
#include "discover/names.h"

struct schema_column {
	const char *name;
	const char *type; /* as a person writes it: varchar(60) */
	const char *base; /* pg_type.typname below all domains */
	const char *comment; /* NULL: none */
	char category; /* pg_type.typcategory of base */
	bool not_null;
	bool generated; /* or an identity that is always the database's */
	bool collides; /* in a unique index that does not hold the key: a constant would */
	bool identifies; /* unique alone */
	bool plain; /* PostgreSQL's own type, and equal means the same bytes */
	bool primary; /* of the primary key */
	bool foreign; /* of a foreign key */
	bool indexed; /* first in an index */
	bool checked; /* a CHECK speaks of it */
	char **values; /* n_values: labels of an enum; with samples what is most common; types only */
	size_t n_values;
};

struct schema_table {
	unsigned int oid;
	const char *schema;
	const char *name;
	const char *key; /* the column that identifies a row; NULL: none alone */
	const char *comment; /* NULL: none */
	const char *trouble; /* why the daemon refuses it; NULL: nothing */
	struct schema_column *columns; /* n_columns, in the table's order */
	size_t n_columns;
};

/* A foreign key, by the pair of columns that a link would go by. */
struct schema_key {
	const char *name;
	size_t from, to; /* in tables */
	const char *column; /* from's */
	const char *to_column;
	int n_columns;
	char on_delete; /* pg_constraint.confdeltype */
	bool deferrable;
};

struct schema {
	struct schema_table *tables; /* n_tables, by schema and name */
	size_t n_tables;
	struct schema_key *keys;
	size_t n_keys;
};

/*
 * All tables that are not the server's, an extension's or this program's own; partitions count as
 * their root.  With samples also the most common values of columns that hold a type's name.  *ret is
 * owned by ctx.
 */
bool schema_read(struct db *db, bool samples, void *ctx, struct schema **ret, struct error *err);

/* "schema.table", or a table's name where there is one of it; NULL: not there, *ret_n of that name. */
const struct schema_table *schema_table(const struct schema *found, const char *name,
					size_t *ret_n);

/* NULL: it has none of that name. */
const struct schema_column *schema_column(const struct schema_table *t, const char *name);

/* A key's type: what the daemon takes for one (preflight/check_model.c). */
bool schema_is_key_type(const struct schema_column *column);

/* What is to become of a column, as far as anybody can tell from outside. */
enum verdict { VERDICT_KEEP, VERDICT_CLEAR, VERDICT_ASK };

/* *ret_why: half a sentence, owned by ctx.  Keys, links and dates of the model are the caller's. */
enum verdict schema_verdict(void *ctx, const struct schema_column *column, const char **ret_why);

/* Is a person in it wherever it stands: an address, a picture, a note?  A name alone is not enough. */
bool schema_holds_persons(const struct schema_table *t);

#endif
