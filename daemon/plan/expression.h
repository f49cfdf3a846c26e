/*
 * SQL expressions that all statements share: columns and their types, tables, links, foreign keys.
 * The text is owned by ctx.  Predicates of the model end with a newline, which ends a comment in
 * them.
 */
#pragma once

#include "plan/plan.h"

/* Returns alias."column". */
char *plan_column(const void *ctx, const char *alias, const char *column);

/* Returns alias."a", alias."b" and so on, of n columns. */
char *plan_columns(const void *ctx, const char *alias, const char *const *columns, size_t n);

/* Returns the type of a column, for a cast. */
const char *plan_type(const struct catalog *catalog, const struct table *t, const char *column);

/* Returns "schema"."table". */
char *plan_table(const void *ctx, const struct table *t);

/*
 * Returns (SELECT * FROM table WHERE (a) AND (b)).  The predicates (NULL: none) see their own table
 * only.
 */
char *plan_filtered(const void *ctx, const struct table *t, const char *a, const char *b);

/* Returns " AND (predicate)"; "" for NULL. */
const char *plan_and(const void *ctx, const char *predicate);

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
