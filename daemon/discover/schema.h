/*
 * The whole schema of a database: its tables, their columns and foreign keys.  Serves to draft a model
 * (draft.h), and to find tables that a model has overlooked.
 */
#pragma once

#include "database/db.h"
#include "discover/names.h"

struct schema_column {
	const char *name;
	const char *type; /* as written in SQL: varchar(60) */
	const char *base; /* pg_type.typname below all domains */
	const char *comment; /* NULL: none */
	char category; /* pg_type.typcategory of base */
	bool not_null;
	bool generated; /* generated, or an identity ALWAYS: cannot be written */
	bool collides; /* in a unique index without the key: a constant would violate it */
	bool identifies; /* no two rows have the same value, by a unique index */
	bool plain; /* a type of PostgreSQL itself, whose equal values have the same bytes */
	bool primary; /* of the primary key */
	bool foreign; /* of a foreign key */
	bool indexed; /* first in an index */
	bool checked; /* a CHECK constraint uses it */
	const char **
		values; /* n_values, of type columns: labels of an enum, or with samples the most common values */
	size_t n_values;
};

struct schema_table {
	const char *schema;
	const char *name;
	const char *key; /* the column that identifies a row; NULL: no single column does */
	const char *comment; /* NULL: none */
	const char *trouble; /* why the daemon refuses the table; NULL: it accepts it */
	struct schema_column *columns; /* n_columns, in the table's order */
	size_t n_columns;
};

/* A foreign key, with the pair of columns that a link would use. */
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
 * Reads, in one snapshot, all tables except those of the server, of extensions and of this program;
 * partitions count as their root.  With samples it also reads the most common values of type columns.  *ret is owned by
 * ctx.
 */
bool schema_read(struct db *db, bool samples, void *ctx, struct schema **ret, struct error *err);

/* Finds "schema.table", or the only table of a name; NULL: not found, and *ret_n tables have the name. */
const struct schema_table *schema_table(const struct schema *schema, const char *name,
					size_t *ret_n);

/* The column of that name; NULL: there is none, or name is NULL. */
const struct schema_column *schema_column(const struct schema_table *t, const char *name);

/* A proposal for a column, from its name and type. */
enum verdict { VERDICT_KEEP, VERDICT_CLEAR, VERDICT_ASK };

/* *ret_why: half a sentence, owned by ctx.  The caller decides about keys, links and dates itself. */
enum verdict schema_verdict(void *ctx, const struct schema_column *column, const char **ret_why);
