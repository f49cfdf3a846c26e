/*
 * What the files of this folder share while a plan is built.  build.c calls these functions in
 * the order in which they are declared here.  All text is owned by the plan.
 */
#pragma once

#include "plan/plan.h"

/* A plan that says what it is for, and has no statement yet.  Owned by ctx. */
struct plan *plan_new(void *ctx, const struct model *model, const struct catalog *catalog,
		      const struct plan_opts *opts);

/* What a statement has in the place of its arrays. */
struct arrays {
	const char *keys; /* of the rows' parents, or of the rows */
	const char *own; /* of the rows, besides their parents' */
};
extern const struct arrays plan_parameters; /* $1, $2 */
extern const struct arrays plan_marks; /* PLAN_KEYS, PLAN_OWN: COPY takes no parameters */

/* table.c: questions about a table, and how its rows are found, as SQL */

const struct relation *plan_relation(const struct plan *p, const struct table *t);

/* Tells the table of the database: the model may have two names for it. */
unsigned int plan_oid(const struct plan *p, const struct table *t);

/* What does the action do to t's rows? */
enum disposition plan_disposition(const struct plan *p, const struct table *t);

bool plan_is_deleted(const struct plan *p, const struct table *t);

/* The rules by which the action changes t's rows: of anonymization, or of detachment. */
struct column_rules plan_rules(const struct plan *p, const struct table *t);

/* Are t's rows detached, and changed by rules? */
bool plan_is_cleared(const struct plan *p, const struct table *t);

/* Has t a statement of its own? */
bool plan_has_step(const struct plan *p, const struct table *t);

/* Has anything that hangs off t one?  Then t's keys have to be collected. */
bool plan_is_inner(const struct plan *p, const struct table *t);

/* integrity = "set": are t's rows deleted, and does a foreign key point at them? */
bool plan_is_asked(const struct plan *p, const struct table *t);

/*
 * Is t's link a foreign key of these columns alone?  A key of further columns may hold a NULL in one
 * of those.
 */
bool plan_has_key_to_parent(const struct plan *p, const struct table *t);

/* Does a rule write a fresh number into each of t's rows? */
bool plan_is_numbered(const struct plan *p, const struct table *t);

/*
 * Do t's keys have to be read before its statement?  They do where other tables hang off it, each
 * row gets its number, rows are shared or use shared rows, foreign keys are asked set by set, or a
 * trigger could put back what a detachment clears.
 */
bool plan_is_collected(const struct plan *p, const struct table *t);

/* Are t's rows found by their own keys?  A join table may have none. */
bool plan_is_own(const struct plan *p, const struct table *t);

/* Returns the list alias."a" AS name, alias."b" AS name_2 and so on. */
char *plan_named(const void *ctx, const char *alias, const struct columns *columns,
		 const char *name);

/*
 * Returns "the value of the columns in the row alias of t is among the array's".  array: an SQL
 * expression of type plan_key_type()[].
 */
char *plan_among(const struct plan *p, const struct table *t, const char *alias,
		 const struct columns *columns, const char *array);

/* The same of a value (an SQL expression) that equals these columns of t. */
char *plan_is_among(const struct plan *p, const struct table *t, const struct columns *columns,
		    const char *value, const char *array);

/* Returns a query of the array's values, with a column for each of the key's. */
char *plan_unnested(const struct plan *p, const struct table *t, const struct columns *columns,
		    const char *array);

/*
 * Returns an item b of FROM with a row for each key of t in keys, and its fresh_number out of
 * numbers; both are SQL expressions.  *ret_is_row says "b is of the row t".
 */
char *plan_numbered_keys(const struct plan *p, const struct table *t, const char *keys,
			 const char *numbers, const char **ret_is_row);

/* Returns " AND (predicate)"; "" for NULL. */
const char *plan_and(const void *ctx, const char *predicate);

/* A condition on contact c: no request names it that the join table lacks.  NULL: the model has no through.also. */
const char *plan_paired(const struct plan *p);

/* Returns " AND the row alias is one that t's where lets through"; "" where t has none. */
const char *plan_within(const void *ctx, const struct table *t, const char *alias);

/*
 * Returns the further conditions on a row t that was found by its link: t's where, and for a match
 * that the value is not empty, because an empty value matches nothing.  "" where there are none.
 */
char *plan_beside_link(const void *ctx, const struct table *t);

/*
 * Returns child.by = parent.from, with a cast where the types are of different kinds (a polymorphic
 * text).
 */
char *plan_link(const struct plan *p, const struct table *t, const char *alias,
		const char *parent_alias);

/* Returns the foreign key's name as a message has it, as a constant. */
char *plan_key_name(const void *ctx, const struct foreign_key *k);

/* Returns the foreign key's columns compared: from_alias.a = to_alias.b AND ... */
char *plan_key_match(const void *ctx, const struct foreign_key *k, const char *from_alias,
		     const char *to_alias);

/* keys, an SQL expression, as an array of plan_key_type(). */
char *plan_array(const struct plan *p, const struct table *t, const struct columns *columns,
		 const char *keys);

/* Lists what is collected of t as c0, c1, ..., in the form that is compared: no char(8)'s padding. */
char *plan_slot_columns(const struct plan *p, const struct table *t);

/*
 * The values of the slot's column of t among the rows x, as the text of an array; without any where the condition
 * (NULL: none) does not hold.  For a slot beside the key the array stays in the server, and its name is returned.
 */
char *plan_slot_array(const struct plan *p, const struct table *t, size_t slot,
		      const char *condition);

/* The array of a slot, whose text or name is keys (an SQL expression), as one of plan_key_type(). */
char *plan_kept_array(const struct plan *p, const struct table *t, const struct columns *columns,
		      const char *keys, size_t slot);

/* The slot of t that holds the columns, n_slots where none does. */
size_t plan_slot_of(const struct plan *p, const struct table *t, const struct columns *columns);

/* The array that t's rows are found by: its parent's, or t's own keys (own). */
struct source plan_source(const struct plan *p, const struct table *t, bool own);

/* t.key = ANY (own keys), or t.by = ANY (parent's) AND (where).  keys: an SQL expression. */
char *plan_selection(const struct plan *p, const struct table *t, const char *keys, bool own);

/*
 * A statement that fires the CRM's triggers, formatted, without its RETURNING.  returning: the columns of its rows;
 * NULL: only their number.
 *
 * Where the CRM has code, the number is the column n, and the statement runs under the CRM's search_path, which it
 * leaves behind (base/sql.h).  That copies each row once more, so it is not done where nobody can notice: there the
 * number is the command's own.
 */
char *plan_fires(const struct plan *p, const char *returning, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* COPY (query) TO STDOUT, as an archive's files are written. */
char *plan_copy(const struct plan *p, const char *query);

/* The step of t in the plan; NULL: it has none. */
struct step *plan_step_of(const struct plan *p, const struct table *t);

/* How many shared tables stand above t, itself counted: those of 0 are collected first. */
size_t plan_phase(const struct table *t);

/* shard.c: in which partitions, or on which servers, a batch's rows are */

/* " AND the row alias of t is in one of the batch's shards"; "" outside of a batch, or where t has none. */
const char *plan_in_shards(const struct plan *p, const struct table *t, const char *alias);

/* The same of the row alias that points at one of t's by the foreign key. */
const char *plan_key_in_shards(const struct plan *p, const struct table *t,
			       const struct foreign_key *k, const char *alias);

/* " AND the shards of t's row alias and of its parent's are the same"; "" where the link says so. */
const char *plan_shard_link(const struct plan *p, const struct table *t, const char *alias,
			    const char *parent_alias);

/* ", alias.column AS shard", and the partition as part: what the list is told of a subject; "": not the list, or no shard. */
const char *plan_listed_shard(const struct plan *p, const char *alias);

/* What subjects of one batch have in common, of the columns of plan_listed_shard(); NULL: no shard. */
const char *plan_listed_group(const struct plan *p, const char *alias);

/*
 * The requests of each contact, or of contact c alone (due.c): a query of link (and link_2, ...), n, last, keeping, and
 * with a date_unit odd.  The second: the value of contact c that stands in link.
 */
char *plan_requests(const struct plan *p, bool of_contact);
char *plan_requests_link(const struct plan *p);

/*
 * date.c: the date of a request or a contact t, as SQL.  value is the column in a row.  Where the request's dates of
 * one contact are aggregated, last is what plan_date_last() has made of them.
 */

/* Is there a date in the value?  Not TRUE where there is none. */
const char *plan_date_known(const struct plan *p, const struct table *t, const char *value);

/* Is there something in the value, and it is no date: a text that is not ISO, a number outside of the years 1971 to 9999? */
const char *plan_date_odd(const struct plan *p, const struct table *t, const char *value);

/* The value as a timestamptz; NULL: it is no date. */
const char *plan_date_instant(const struct plan *p, const struct table *t, const char *value);
const char *plan_date_last_instant(const struct plan *p, const struct table *t, const char *last);

/* The last date of several rows. */
const char *plan_date_last(const struct plan *p, const struct table *t, const char *value);

/* Is the date before $2, and not before $1 (NULL: no bound)? */
const char *plan_date_between(const struct plan *p, const struct table *t, const char *value);
const char *plan_date_last_between(const struct plan *p, const struct table *t, const char *last);

/* An expression by which the dates stand in their order. */
const char *plan_date_order(const struct plan *p, const struct table *t, const char *value);

/* rule.c: column rules as SQL */

/* What a rule writes into its column, as an SQL expression over the row alias. */
char *plan_rule_value(const struct plan *p, const struct table *t, const struct column_rule *rule,
		      const char *alias, const char *number);

/* dirty.c: what is left to erase */

/* Is there anything left in the row alias of t itself, of what the action erases?  An SQL condition. */
const char *plan_dirty_self(const struct plan *p, const struct table *t, const char *alias);

/*
 * Returns " AND the row name of t, which is shared, counts"; parent is its parent's alias.
 */
typedef const char *(*plan_shared_fn)(const struct plan *p, const struct table *t, const char *name,
				      const char *parent);

/*
 * Is there anything left that the anonymization would erase from the row alias of t or below it?
 * Returns an SQL condition.  shared: which rows of shared tables count; NULL: none does.
 */
char *plan_dirty_tree(const struct plan *p, const struct table *t, const char *alias,
		      plan_shared_fn shared);

/* shared.c: rows that several can use (an address, a blob; a copy found by its value) */

/*
 * Is the row u of x's table, which may use t's, among those that the action takes from the subject
 * itself?  Returns an SQL condition; NULL: it is unknown, and the row counts as another subject's.
 */
typedef char *(*plan_own_fn)(const struct plan *p, const struct table *t, const struct table *x,
			     const char *u, void *arg);

/*
 * "No other row uses t's row alias": an SQL condition; t is shared.  A use is a foreign key onto
 * t's table from anywhere in the database, or a link of the model that points at it.  The subject's
 * own rows do not count, nor do the rows of subjects that the action has anonymized already.  A row of t counts as
 * the subject's own when the subject reaches it, even if other rows use it too.
 */
char *plan_unused(const struct plan *p, const struct table *t, const char *alias, plan_own_fn own,
		  void *arg);

/*
 * Can the rows that the action reaches under the name x take t's shared rows along?  Where t's are
 * deleted, only rows that are deleted too.
 */
bool plan_goes_along(const struct plan *p, const struct table *t, const struct table *x);

/* collect.c: the keys that are read first */

/* Finds which columns of each table the others point at: fills slots and n_slots. */
void plan_slots(struct plan *p);

/* Fills the plan's collects, from the top down; after its steps. */
void plan_collects(struct plan *p);

/* step.c: the step of a table that has one. */
struct step plan_step(const struct plan *p, const struct table *t);

/* slice.c: a subject too large for one transaction */

/* In a plan that may: is what is collected, or deleted, of t cut where it is too much? */
bool plan_is_cut(const struct plan *p, const struct table *t);

/*
 * Which of t's rows go first: the oldest requests, because a contact is due by the date of its last
 * one, which so lasts until the end.
 */
const char *plan_slice_order(const struct plan *p, const struct table *t);

/* Fills may_slice, and the slices' statements, of the plan and of its steps. */
void plan_slices(struct plan *p);

/* The blanks that a hold's key is without at its ends, as retention.trimmed_key() takes them. */
#define PLAN_BLANKS "E' \\t\\n\\v\\f\\r'"

/* due.c: fills the list, and the questions about all subjects. */
void plan_list(struct plan *p);

/* Fills the lock of a batch's subjects, their re-check and the question for holds. */
void plan_due_statements(struct plan *p);

/* crossref.c.  NULL: no foreign key makes one subject wait for another.  Needs the plan's steps. */
char *plan_crossref(const struct plan *p);

/* by_set.c: integrity = "set" */

/*
 * The columns of t that the foreign key's question takes an array of: its key, where all of its columns
 * are pointed at, else the first column pointed at, or all of them where t's key has several.
 */
const struct columns *plan_asked_columns(const void *ctx, const struct table *t,
					 const struct foreign_key *key);

/* Fills orphans, loose, top_down and what is gathered of the plan; after its steps and collects. */
void plan_by_set(struct plan *p);

/* state.c: fills state_sql and touched_sql of the plan. */
void plan_state(struct plan *p);

/* guard.c: fills lock_requests_sql, strays_sql and kept_sql of the plan. */
void plan_guards(struct plan *p);
