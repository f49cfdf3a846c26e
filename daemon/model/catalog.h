/*
 * The catalog as data: the model's tables as the database has them.  preflight/read_catalog.c fills
 * it from pg_catalog.  Nothing here needs a connection, so that plans can be built and tested from
 * a literal.
 */
#pragma once

#include "model/model.h"

#include <stdint.h>

struct column {
	const char *name;
	const char *
		type; /* what a value to be written is cast to; a string type without its modifier */
	/*
	 * What values are compared as: without a modifier, which would round another's value to
	 * this one's; integers as the widest of them, which another's column may have.
	 */
	const char *compared;
	const char *base; /* pg_type.typname below all domains */
	char category; /* pg_type.typcategory of base */
	bool not_null;
	bool no_nulls; /* the table has none: it is NOT NULL itself, where a domain's NOT NULL lets some in */
	bool generated; /* STORED or VIRTUAL: cannot be written */
	bool identity_always; /* cannot be written by UPDATE */
	const char *
		unique_index; /* one that does not hold the key, so that a constant collides; NULL: none */
	bool identifies; /* no two rows have the same value, by a unique index; see preflight/read_catalog.c */
	bool bytewise; /* texts are ordered by their bytes, as COLLATE "C" does, and so are its indexes */
	bool plain; /* PostgreSQL's own type, and equal means the same bytes */
	/* A trigger (lo_manage of the extension lo) unlinks its large object with the row, or with the value. */
	bool unlinked_with_row;
	bool unlinked_with_value;
	/*
	 * A cast of the type, or of one that it contains, runs a function whose owner is no superuser: "function
	 * crm.f(crm.t) of role crm".  It would run with the rights of each session that casts a value.  NULL: none.
	 */
	const char *foreign_cast;
	bool foreign_implicit; /* it is implicit: a comparison alone may run it */
};

/* Where the rows of a table are, in a database with the extension citus. */
enum spread {
	SPREAD_NONE, /* here: an ordinary table */
	SPREAD_SCHEMA, /* in one shard, together with all tables of its schema (citus_schema_distribute) */
	SPREAD_ROWS, /* in shards, by the value of a column */
	SPREAD_EVERYWHERE, /* a reference table: on each node */
	SPREAD_MANAGED, /* here, but known to the other nodes */
};

/* With more rows a sequential scan for each deleted row turns minutes into days: a link needs an index. */
#define CATALOG_LARGE_ROWS 10000

/* One table of the model, as the database has it. */
struct relation {
	unsigned int oid;
	enum spread spread;
	unsigned int
		spread_with; /* tables of the same number are on the same node, shard by shard */
	const char *spread_by; /* SPREAD_ROWS: the column */
	struct column *columns; /* n_columns, in attnum order */
	size_t n_columns;
	struct columns
		*uniques; /* n_uniques, of several columns: no two rows have the same values */
	size_t n_uniques;
	int64_t rows; /* estimate over all partitions */
	bool partitioned;
	bool by_indexed; /* the link's column has an index that an equality can use */
	bool used_indexed; /* shared: the parent's column that points here has an index, too */
	bool delete_triggers; /* user triggers on DELETE: they can suppress or undo it */
	bool update_triggers; /* user triggers on UPDATE: they can suppress or undo it */
	/*
	 * The column in which each row of the table holds the shard of its contact, see model/shard.h: statements are
	 * narrowed by it.  NULL: none, or the database does not prove it.
	 */
	const char *shard;
	bool shard_parts; /* the table itself is partitioned by exactly this column */
	/*
	 * The only column of the table's own partition key (NULL: none), and the columns
	 * by one of which the server finds partitions of it, on any level.
	 */
	const char *partition_key;
	struct columns found_by;
	const char *state, *loud_keys; /* see preflight/read_state.h */
	/*
	 * The table, or a partition, whose DELETE and UPDATE the server refuses, quoted: a publication has them, and
	 * the rows have no replica identity.  NULL: none.
	 */
	const char *no_delete, *no_update;
};

/* A partition of a table of the model, on any level: see preflight/read_state.h. */
struct partition_state {
	unsigned int oid;
	const char *state, *loud_keys;
};

/* A foreign key onto a table of the model. */
struct foreign_key {
	const char *name;
	const char *from_name; /* "schema.table", for messages */
	const char *from_sql; /* quoted */
	const char *columns_sql; /* all of them, quoted: (a, b) */
	unsigned int from_oid; /* the partitioned root, where it is a partition */
	unsigned int to_oid;
	char on_delete; /* pg_constraint.confdeltype: a r c n d */
	/* Why the server does not vouch for it in each row, "<is NOT VALID: ...>"; NULL: it does. */
	const char *doubt;
	bool deferrable;
	bool indexed;
	bool partitioned; /* the table that it was declared for */
	int64_t from_rows;
	/* pairs of columns */
	const char **from_columns; /* n_columns */
	const char **to_columns;
	size_t n_columns;
};

struct catalog {
	struct relation *relations; /* as model.tables */
	struct partition_state *partitions; /* n_partitions, by oid */
	size_t n_partitions;
	struct foreign_key *keys;
	size_t n_keys;
	/*
	 * " COLLATE ..." under which the letters of every language have two cases; "" where there is
	 * none, or texts are not UTF-8: then the database's own counts.
	 */
	const char *fold;
	bool folds_ascii; /* ... which knows the letters of English alone */
	const char *
		*functions; /* n_functions, not PostgreSQL's own, that may read what they like */
	size_t n_functions;
	/*
	 * Can a statement on the CRM's tables run code of the CRM's: has the database a trigger, or a function in
	 * another language than C?
	 */
	bool runs_code;
	/* The extension citus is in this database; false: all spread is SPREAD_NONE. */
	bool citus;
	bool citus_worker; /* this node is not the coordinator */
	bool citus_old; /* it cannot distribute schemas */
	const char *citus_own; /* a table of schema retention that is distributed; NULL: none */
};

/* Does Citus have the rows of the model on other servers? */
bool catalog_is_spread(const struct model *model, const struct catalog *catalog);

/* Does the key hold the pairs from[0] and to[0], from[1] and to[1], and so on? */
bool catalog_key_pairs(const struct foreign_key *key, const struct columns *from,
		       const struct columns *to);

/* Does the key hold table t's link: same tables, and the link's pairs of columns among the key's? */
bool catalog_link_covers(const struct catalog *catalog, const struct table *t,
			 const struct foreign_key *key);

/*
 * Does a row that points at one of t's by the key use it, and so keep it?  It does where t is
 * shared and the row does not hang off t itself; a request's users are its join table's rows alone.
 */
bool catalog_key_is_use(const struct model *model, const struct catalog *catalog,
			const struct table *t, const struct foreign_key *key);

/*
 * Returns the first foreign key behind after (NULL: of all) that leads from the table with the oid
 * from to the one with the oid to (0: any table).  NULL: there are no more.
 */
const struct foreign_key *catalog_next_key(const struct catalog *catalog,
					   const struct foreign_key *after, unsigned int from,
					   unsigned int to);

/*
 * Does the key delete rows of t, which the model keeps, when a contact goes?  Where contacts have a where, that leaves out
 * those that have such rows, and each batch looks for rows of others (plan/guard.c).
 */
bool catalog_key_is_guarded(const struct catalog *catalog, const struct table *t,
			    const struct foreign_key *key);

/* Does it act by itself (CASCADE, SET NULL, SET DEFAULT) where another one would refuse? */
bool catalog_key_is_silent(const struct foreign_key *key);

/* Would a row that a client attaches to one of t's vanish with it, or lose its link, unseen? */
bool catalog_attaches_silently(const struct catalog *catalog, const struct table *t);

/*
 * May the predicate (NULL: never) ask other rows than the one that it is about: by a subquery, or a
 * function of the database that is not IMMUTABLE?  A name that only looks like one counts too.
 */
bool catalog_asks_other_rows(const struct catalog *catalog, const char *predicate);

/*
 * Can a plain column of this type (pg_type.typname below all domains) be a key?  Arrays, the ledger
 * and a hold must be able to carry its values as text and back.
 */
bool catalog_is_key_type(const char *base);

/* Is base one of the types, whose list ends with NULL? */
bool catalog_is_among(const char *base, const char *const *types);

/* Is it the type of a date, or of a date and a time? */
bool catalog_is_date(const char *base);

/*
 * Can the column of t refer to large objects?  Its type is oid, a domain over it (lo), or an array of
 * these, and not_large_objects does not name it.
 */
bool catalog_refers_to_objects(const struct table *t, const struct column *column);

/* The oids of the model's tables, in its order, as the text of an array.  Owned by ctx. */
char *catalog_oids(void *ctx, const struct model *model, const struct catalog *catalog);

/* NULL when the table has no such column. */
const struct column *catalog_column(const struct relation *relation, const char *name);

/*
 * Does detaching a row of t clear this column of its link?  One column that is NULL undoes the link, so
 * those that the key of t holds too, or that are NOT NULL, stay.  A value within a document is cleared by
 * on_delete.
 */
bool catalog_is_detached(const struct table *t, const struct relation *relation,
			 const char *column);

/* Are all of the columns NOT NULL? */
bool catalog_is_not_null(const struct relation *relation, const struct columns *columns);

/* Have no two rows the same values in these columns, by a unique index over exactly these? */
bool catalog_identifies(const struct relation *relation, const struct columns *columns);

/* What clear writes into a NOT NULL column of this type, as an SQL literal; NULL: there is none. */
const char *catalog_empty_value(const struct column *column);
