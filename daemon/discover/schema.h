/*
 * The whole schema of a database: its tables, their columns and foreign keys.  Serves to draft a model
 * (draft.h), and to find tables that a model has overlooked.
 */
#pragma once

#include "database/db.h"
#include "discover/names.h"
#include "discover/names_links.h"
#include "model/model.h"

struct schema_column {
	const char *name;
	const char *type; /* as written in SQL: varchar(60) */
	const char *base; /* pg_type.typname below all domains */
	const char *comment; /* NULL: none */
	char category; /* pg_type.typcategory of base */
	bool not_null;
	bool no_nulls; /* the table has none, see struct column of model/catalog.h */
	bool generated; /* generated, or an identity ALWAYS: cannot be written */
	bool computed; /* generated from other columns */
	bool collides; /* in a unique index without the key: a constant would violate it */
	bool plain; /* a type of PostgreSQL itself, whose equal values have the same bytes */
	bool primary; /* of the primary key */
	bool foreign; /* of a foreign key */
	bool checked; /* a CHECK constraint uses it */
	enum date_unit date_unit; /* it holds dates as numbers or texts, see dates.h */
	bool unit_is_sure;
	const char **
		values; /* n_values, of type columns: labels of an enum, or with samples the most common values */
	size_t n_values;
	const char **
		numbers; /* n_values: the number that stands for each; NULL: the values stand for themselves */
};

/* An index.  A column of it that is an expression is "". */
struct schema_index {
	struct columns columns; /* in its order */
	struct columns all; /* and those that it only includes */
	bool primary;
	bool unique; /* among all rows, or those that a predicate chooses */
	bool identifies; /* no two rows have the same values in its columns */
	bool valid;
};

struct schema_table {
	const char *schema;
	const char *name;
	/*
	 * The columns that identify a row; NULL: none do.  Where they are several, the last is the
	 * row's own number, and the others are the tenant's: account_id, id.
	 */
	const struct columns *key;
	const char *comment; /* NULL: none */
	const char *trouble; /* why the daemon refuses the table; NULL: it accepts it */
	struct schema_column *columns; /* n_columns, in the table's order */
	size_t n_columns;
	struct schema_index *indexes; /* n_indexes */
	size_t n_indexes;
	/* Columns by one of which its hash or list partitions are found, on any level, or its shards of Citus. */
	struct columns split_by;
	bool citus; /* it has such shards */
	bool partitioned;
};

/*
 * A foreign key, with the pairs of columns that a link would use: those of the other table's key, or all
 * of them where it does not hold that key.
 */
struct schema_key {
	const char *name;
	size_t from, to; /* in tables */
	const struct columns *columns; /* from's */
	const struct columns *to_columns;
	const char *doubt; /* see struct foreign_key of model/catalog.h */
	const char *unfit; /* one of columns, whose type no link over several has; NULL: none */
	char on_delete; /* pg_constraint.confdeltype */
	bool deferrable;
};

struct schema {
	struct schema_table *tables; /* n_tables, by schema and name */
	size_t n_tables;
	struct schema_key *keys;
	size_t n_keys;
	struct schema_key
		*constraints; /* n_constraints: the same as they were read, with all pairs */
	size_t n_constraints;
};

/*
 * Reads, in one snapshot, all tables except those of the server, of extensions and of this program;
 * partitions count as their root.  With samples it also reads the most common values of type columns.  *ret is owned by
 * ctx.  Keys and pairs of columns are not chosen yet: see keys_settle().
 */
bool schema_read(struct db *db, bool samples, void *ctx, struct schema **ret, struct error *err);

/* Has the session the right to read rows of the table? */
bool schema_may_read(struct db *db, const struct schema_table *t, bool *ret, struct error *err);

/* Finds "schema.table", or the only table of a name; NULL: not found, and *ret_n tables have the name. */
const struct schema_table *schema_table(const struct schema *schema, const char *name,
					size_t *ret_n);

/* The column of that name; NULL: there is none, or name is NULL. */
const struct schema_column *schema_column(const struct schema_table *t, const char *name);

/* Have no two rows the same values in these columns, by a unique index? */
bool schema_identifies(const struct schema_table *t, const struct columns *columns);

/* Does an index find the rows by these columns?  One over the tenant's column alone does not. */
bool schema_indexed(const struct schema_table *t, const struct columns *columns);

/* Are all of the columns NOT NULL? */
bool schema_not_null(const struct schema_table *t, const struct columns *columns);
