/*
 * Who is due: one definition, as SQL, for the list of a job and for the re-check under lock.
 */
#ifndef RETENTION_PLAN_DUE_H
#define RETENTION_PLAN_DUE_H

#include "plan/plan.h"

/*
 * A query of (k, weight, last): the subjects that are due between $1 (or NULL) and $2, and that the
 * action would still change; last is their last request's date.  With keys (an SQL array expression
 * of the key's type), only among those.
 */
char *plan_due_query(void *ctx, const struct model *model, const struct catalog *catalog,
		     const struct plan_opts *opts, const char *keys);

/*
 * Is there anything left that the anonymization would erase from this row of t, called alias, or
 * below it?  An SQL condition.  What it finds clean is left out of lists and updates: a contact that
 * was anonymized is not due again, unless something personal has come to it since.
 */
char *plan_dirty(void *ctx, const struct model *model, const struct catalog *catalog,
		 const struct table *t, const char *alias, enum action action);

/* child.by = parent.from, cast where the two types are of different kinds (a polymorphic text). */
char *plan_link(void *ctx, const struct catalog *catalog, const struct table *t, const char *alias,
		const char *parent_alias);

/* (SELECT * FROM table WHERE (a) AND (b)): the predicates (NULL: none) see their own table only. */
char *plan_filtered(void *ctx, const struct table *t, const char *a, const char *b);

/* " AND the row alias is one that t's where lets through"; "" where t has none. */
char *plan_within(void *ctx, const struct table *t, const char *alias);

/* alias."column" */
char *plan_column(void *ctx, const char *alias, const char *column);

/* The type of a column, for a cast. */
const char *plan_type(const struct catalog *catalog, const struct table *t, const char *column);

#endif
