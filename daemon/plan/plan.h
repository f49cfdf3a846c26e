/*
 * The plan: model + catalog + action -> the SQL of a batch, in foreign-key order.  It is text only:
 * batch/batch.c runs it.  Values go as parameters.  COPY takes none, so there the keys stand in the
 * statement, as a constant in the place of PLAN_KEYS.
 *
 * Key arrays are passed from statement to statement as text ({1,2,3}), made by the server and read
 * by the server.  The job never takes them apart, so a key may be a number, a uuid or any text.  Arrays
 * of other columns stay in the server, and their names are passed.
 */
#pragma once

#include "model/catalog.h"
#include "model/disposition.h"

/* Stand for the arrays in the text of a COPY; the configuration lets no predicate hold them. */
#define PLAN_KEYS '\001'
#define PLAN_OWN '\002'

/* Stands for the array of the batch's shards in the text of any of its statements (plan/shard.c). */
#define PLAN_SHARDS '\003'

/* Names an array that a statement takes: a column of a table whose rows have been collected. */
struct source {
	size_t table; /* index in model.tables */
	size_t slot; /* 0: its key; n: the n-th further column that a child points at */
};

/* Step 3 of a batch: the keys of a table that others hang off. */
struct collect {
	const struct table *table;
	struct source from;
	/*
	 * Locks shared rows in a statement of its own ($1: the array), so that the next one sees
	 * what another batch has done to the rows that use them.  NULL: not shared.
	 */
	const char *lock_sql;
	/* $1: the array; returns c0, c1, ... (c0 as text, the others as names: plan/table.c), and n */
	const char *sql;
	struct source
		*others; /* shared: $2 and so on, the rows that are the subject's own; n_others */
	size_t n_others;
	bool limited; /* $2: at most so many rows; NULL: all */
	/*
	 * From the top down (plan/by_set.c) the table's DELETE returns the same: $1 the parent's
	 * array, $2 above how many rows it returns no keys.  NULL: they are collected before.
	 */
	const char *gather_sql;
};

/* Step 4: one statement on one table. */
struct step {
	const struct table *table;
	enum disposition disposition;
	bool archived; /* then copy_sql is a COPY ... TO STDOUT */
	bool numbered; /* $2: an array of fresh numbers, as long as $1 */
	bool verify; /* triggers could suppress it: left_sql must find nothing after it */
	/*
	 * Its rows were collected (from) for left_sql alone: they are found by the parent's array, and a row that a
	 * client has moved to another parent meanwhile stays as it is.
	 */
	bool by_parent;
	/*
	 * Its rows were collected (from), because others hang off it, yet they are deleted by the
	 * parent's array: a row that a client has moved to another parent meanwhile stays.
	 */
	bool linked;
	/*
	 * Linked: only rows that were collected are taken ($2, PLAN_OWN), so that nothing else can
	 * take the place of one.  Not for requests, which are locked before they are collected, and
	 * not where the key may be NULL, because such a row would be left.
	 */
	bool by_own;
	bool exact; /* linked: when as many rows went as were collected, they are the same */
	/*
	 * by_own: $1 the parents' array: counts the rows that still hang off them.  A client has
	 * added such a row where no foreign key prevents it.  NULL: one does.
	 */
	const char *link_sql;
	const struct collect
		*gather; /* its gather_sql stands in for sql, from the top down; NULL: none */
	struct source from;
	struct source parent; /* not of the subject's table */
	/*
	 * $1 the array (of parent, where linked); an UPDATE by rules returns rows, dirty; archived:
	 * for the probe
	 */
	const char *sql;
	const char *copy_sql; /* archived: a COPY, with PLAN_KEYS and PLAN_OWN for the arrays */
	/*
	 * $1 as sql, $2 the job: queues the rows' files outside the database in the outbox; NULL:
	 * none
	 */
	const char *outbox_sql;
	/*
	 * For a subject that goes in slices (plan/slice.c): $1 parent's array, $2 its own
	 * keys where it is collected, else how many rows.  NULL: the table is not cut, and sql
	 * serves.
	 */
	const char *slice_sql;
	const char *slice_copy_sql; /* archived */
	bool sized; /* sizes_sql of the plan counts its rows, because their keys are not collected */
	const bool *waits_for; /* [table]: while it has rows left, the step is not run */
	const char *left_sql; /* $1: counts rows that should be gone, or clean */
	size_t file_number; /* archived: among the files of the plan */
	const char *header; /* archived: the file's first line, with its newline */
	const char *const *columns; /* archived: as in the header, n_columns */
	size_t n_columns;
	const char *types; /* archived: of the columns, as a text to compare */
};

/* A statement over arrays. */
struct question {
	char *sql; /* $n: the n-th of sources' arrays; NULL: nothing to ask */
	struct source *sources; /* n_sources */
	size_t n_sources;
};

struct plan_opts {
	enum action action;
	enum archive_mode archive;
	const char *scope; /* NULL: all contacts */
	bool without_requests;
	/*
	 * The action is for chosen keys (retention.selection), whatever their dates and states.  A
	 * contact with something newer than the cutoff is not the one that was chosen, and drops
	 * out.
	 */
	bool by_key;
	bool by_set; /* foreign keys are asked set by set: see plan/by_set.c */
	bool despite_holds; /* preview only: to count the contacts that a hold keeps */
	bool inert; /* an export: no cell is a formula to a spreadsheet */
	char delimiter;
};

struct plan {
	struct plan_opts opts;
	const struct model *model;
	const struct catalog *catalog;
	const struct table *subject;
	/* While it is built: the statement is one of a batch, whose shards are known; it lists the subjects. */
	bool in_batch, listing;
	bool defer; /* SET CONSTRAINTS ALL DEFERRED: the keys among the tables are a ring */
	const char *list_sql; /* $1 from (or NULL), $2 cutoff, $3 job: fills retention.candidate */
	const char
		*recheck_sql; /* $1, $2, $3 text[] of keys: those of them that are due: keys, n */
	const char *lock_sql; /* $1 text[] of keys: those that nobody else holds: keys, n */
	/*
	 * $1 text[] of contacts' keys: those whose requests are all locked now: keys, n.  NULL:
	 * nothing is erased, or the subject is the request itself.
	 */
	const char *lock_requests_sql;
	/*
	 * The same, of those whose requests' rows in the join table are locked too, so that nobody changes whose
	 * they are.  It runs behind lock_requests_sql, which it needs.  NULL: a request has one contact.
	 */
	const char *lock_links_sql;
	/* $1 text[] of deleted contacts' keys: n requests that no foreign key kept out; or NULL */
	const char *strays_sql;
	/*
	 * $1 text[] of contacts' keys: a row (name, n) for each foreign key that would delete rows which the model keeps,
	 * because they should belong to no contact that goes; or NULL
	 */
	const char *kept_sql;
	const struct foreign_key **kept_keys; /* n_kept_keys: those that it asks about */
	size_t n_kept_keys;
	/* Has the schema changed under the job?  Rows as of plan_state_sql(). */
	const char *state_sql;
	/* The same without the partitions that this transaction has not locked. */
	const char *touched_sql;
	const char *crossref_sql; /* plan/crossref.c; NULL: no subject waits for another */
	const char *present_sql; /* $1 text[] of keys: those that exist: keys, n */
	const char *held_sql; /* $1 text[] of keys: those under a legal hold: keys, n */
	const char *total_sql; /* how many subjects there are at all: n */
	struct collect *collects; /* n_collects, top down */
	size_t n_collects;
	struct step *steps; /* n_steps, in foreign-key order */
	size_t n_steps;
	const struct columns **
		*slots; /* [table]: what is collected of each row; [0] is the key, or NULL */
	size_t *n_slots; /* [table] */
	/*
	 * integrity = "set": a row for each foreign key of which a row still points at one that is
	 * gone: name. No sql: the server's triggers say so.
	 */
	struct question orphans;
	/*
	 * The same without the keys that deleting from the top down settles (plan/by_set.c);
	 * top_down only.
	 */
	struct question loose;
	bool top_down; /* steps that delete may go in reverse, whole subjects */
	bool may_slice; /* plan/slice.c */
	const bool *after_requests; /* [table]: in slices: goes only after the requests; or NULL */
	/* $1 how many at most, $2 and so on the parents' arrays of the sized steps: c0, ..., their rows */
	const char *sizes_sql; /* NULL: there are none */
};

/*
 * Builds the plan; it is owned by ctx, and needs model and catalog as long as it lives.  NULL with
 * a complaint: the foreign keys form a ring that no order satisfies, or an archive needs a key that
 * the model does not name.
 */
struct plan *plan_build(void *ctx, const struct model *model, const struct catalog *catalog,
			const struct plan_opts *opts, struct complaints *c);

/*
 * Returns a query of (k, k_2, ..., weight, last), with a k for each column of the key: the subjects that are due between $1 (or NULL) and $2, and
 * that the action would still change; last is the date of their last request.  keys is an SQL array
 * expression of plan_key_type()[]: then only among those; NULL: among all.  Owned by ctx.
 */
char *plan_due_query(void *ctx, const struct model *model, const struct catalog *catalog,
		     const struct plan_opts *opts, const char *keys);

/*
 * Returns a query of the same columns: the subjects that would be due without the holds in force, and that these keep.
 * by_key: among those of action $3.  Owned by ctx.
 */
char *plan_held_query(void *ctx, const struct model *model, const struct catalog *catalog,
		      const struct plan_opts *opts);

/*
 * Returns a query of one row and the column why: why an action of opts reaches nothing of the contact whose key is $1, in
 * words for people.  The key is there.  Owned by ctx.
 */
char *plan_why_query(void *ctx, const struct model *model, const struct catalog *catalog,
		     const struct plan_opts *opts);

/*
 * "id";"name" and a newline, as an archive's file begins: quoted where RFC 4180 section 2 wants it.
 * Owned by ctx.
 */
const char *plan_header(const void *ctx, const char *const *columns, size_t n, char delimiter);

/*
 * SQL expressions about a table.  The text is owned by ctx.  Predicates of the model end with a
 * newline, which ends a comment in them.
 */

/* Returns alias."column", or the value of a path (model/path.h) in brackets. */
char *plan_column(const void *ctx, const char *alias, const char *column);

/*
 * Returns a value of the column as text.  Where a cast of its type would run somebody's function with the rights of
 * this session (foreign_cast), the type's output function makes the text, which only a superuser can have written.
 */
char *plan_text(const void *ctx, const struct column *column, const char *value);

/* Returns SELECT name, value as text; with a row for each element, where the column is an array.  name: "", or "x, ". */
char *plan_texts(const void *ctx, const struct column *column, const char *value, const char *name);

/* Returns the type of a column, for a cast. */
const char *plan_type(const struct catalog *catalog, const struct table *t, const char *column);

/* Returns alias."a", alias."b" and so on, of n columns. */
char *plan_columns(const void *ctx, const char *alias, const char *const *columns, size_t n);

/* Returns the value of a key, or of a link, in the row alias, to be compared: alias."a", or ROW(alias."a", alias."b"). */
char *plan_key(const void *ctx, const char *alias, const struct columns *columns);

/* Returns the same as text, as lists, holds and the ledger have it: (7,42) of several columns. */
char *plan_key_text(const void *ctx, const char *alias, const struct columns *columns);

/* Returns the n columns name, name_2 and so on, which plan_named() gives to a query.  Owned by ctx. */
const struct columns *plan_names(const void *ctx, const char *name, size_t n);

/* Returns the type of an array of such values: the column's, or text for rows' literals. */
const char *plan_key_type(const struct catalog *catalog, const struct table *t,
			  const struct columns *columns);

/* Returns "the row alias of t has the key that the text (an SQL expression) is written as". */
char *plan_is_key(const void *ctx, const struct catalog *catalog, const struct table *t,
		  const char *alias, const char *text);

/*
 * Returns a query of subjects, as plan_due_query() gives them, of the keys that text (an SQL
 * expression) is written as.  from: " FROM ..." of the expression; "": one key.
 */
char *plan_chosen_query(const void *ctx, const struct catalog *catalog, const struct table *t,
			const char *text, const char *from);

/*
 * Returns the same query of one contact's key, written as text.  It has no row for a key of no contact, or of a row that
 * the model leaves out: its links lead to other people's rows.
 */
char *plan_contact_query(const void *ctx, const struct catalog *catalog,
			 const struct table *contact, const char *text);

/* The shards of a batch of a subject that perhaps does not exist, as a constant for plan_with_shards(). */
const char *plan_some_shard(const struct plan *plan);

/*
 * The column of the subject whose values the list has as shards: the groups of the list begin with its name and a blank
 * (retention.candidate.shard_group).  NULL: none.
 */
const char *plan_shard(const struct plan *plan);

/* Returns the statement with the literal for each PLAN_SHARDS; NULL as SQL: the shards are not known. */
char *plan_with_shards(const void *ctx, const char *sql, const char *literal);

/* Returns "schema"."table". */
char *plan_table(const void *ctx, const struct table *t);

/*
 * Returns (SELECT * FROM table WHERE (a) AND (b)).  The predicates (NULL: none) see their own table
 * only.
 */
char *plan_filtered(const void *ctx, const struct table *t, const char *a, const char *b);

/*
 * Is there anything left in the columns of the row alias that the rules of t would erase?  redact:
 * in its texts, too.  "false" where it has no rules.
 */
const char *plan_dirty_row(const struct plan *p, const struct table *t, const char *alias,
			   bool redact);

/*
 * Returns SQL that describes what a plan is built on: a row for each table of the model, in its order,
 * and one for each of their partitions, on all levels, by oid.
 *
 *   oid    NULL: there is no such table
 *   name   as the server writes it
 *   state  which table the name means, its columns, their types, triggers, the foreign keys that act by
 *          themselves, rules, row-level security, which tables inherit from it, which of the columns that
 *          name rows identify them; of a partition no columns, which are those of its table
 *   keys   the foreign keys from and onto it that only refuse
 *
 * Where they differ from the catalog's, the catalog has to be read again.  Owned by ctx.
 */
char *plan_state_sql(void *ctx, const struct model *model);

/*
 * Statements that PREPARE must accept before the first row is touched: each predicate of the model
 * and the scope alone on its table, and every statement of the plan.  n in *ret_n.  Owned by ctx.
 */
struct probe {
	const struct place *place;
	const char *what; /* "table \"request\": due_when" */
	const char *sql;
};
const struct probe *plan_probes(void *ctx, const struct plan *plan, const struct place *scope_place,
				size_t *ret_n);

/*
 * try.c: the columns of t into which the plan's rules write a value that does not hang on the row's texts (set, clear,
 * and the link of a row that is detached), as the text of an array; NULL: none.  And the first rows, as they would be or as they are.
 */
const char *plan_tried_columns(void *ctx, const struct plan *p, const struct table *t);
char *plan_tried_rows(void *ctx, const struct plan *p, const struct table *t, bool changed);

/*
 * Queries of the dates of t, contact or request, which has a date_unit.  Owned by ctx.  Something else than a date is
 * in a column that is neither empty nor 0, and holds no date between 1971 and 9999.
 *
 *   sample  of the first rows: dates and odd, how many have a date and how many something else; s, ms, us: how many
 *           would have a date in this unit
 *   any     dates: is there a date in some row?
 *   odd     n: how many rows have something else, keys: of the first ones; newest: the last day; far: it lies far from
 *           now
 */
char *plan_date_sample_sql(void *ctx, const struct model *model, const struct catalog *catalog,
			   const struct table *t);
char *plan_date_any_sql(void *ctx, const struct model *model, const struct catalog *catalog,
			const struct table *t);
char *plan_date_odd_sql(void *ctx, const struct model *model, const struct catalog *catalog,
			const struct table *t);

/*
 * For a model with through.also: how many requests (n), and the keys of the first (keys, as text), name a contact
 * that has no row for them in the join table.  These contacts stay.
 */
char *plan_unpaired_sql(void *ctx, const struct model *model, const struct catalog *catalog);

/* The statement that adds those rows, for a message.  The model has through; also: columns of the request. */
char *plan_pairs_sql(void *ctx, const struct model *model, const struct columns *also);

/* The predicates alone, for a caller that has not the rights to run the plan. */
const struct probe *plan_predicates(void *ctx, const struct plan *plan,
				    const struct place *scope_place, size_t *ret_n);
