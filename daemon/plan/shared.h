/*
 * Rows that several can use (an address, a blob; a copy found by its value): who else uses one?
 */
#ifndef RETENTION_PLAN_SHARED_H
#define RETENTION_PLAN_SHARED_H

#include "model/catalog.h"
#include "model/disposition.h"

/*
 * Is the row u of x's table among those that the action takes from the subject itself?  An SQL
 * condition; NULL: nobody knows, and it counts as somebody else's.
 */
typedef char *(*plan_own_fn)(void *arg, const struct table *x, const char *u);

/*
 * Of t itself, u is own if the subject reaches it, whether or not it is used elsewhere, too.
 *
 * "No other row uses t's row alias": an SQL condition.  A use is a foreign key onto t's table from
 * anywhere in the database, or a link of the model that points at it, but for the subject's own rows, and
 * for those which the action has anonymized already; t is shared.
 */
char *plan_unused(void *ctx, const struct model *model, const struct catalog *catalog,
		  const struct table *t, const char *alias, enum action action, plan_own_fn own,
		  void *arg);

/* Do rows of x's table use a shared table's?  Then x's own keys have to be known. */
bool plan_is_user(const struct model *model, const struct catalog *catalog, const struct table *x);

/*
 * Can the rows that the action reaches under the name x take t's shared rows along?  Where t's are
 * deleted, only rows that are deleted, too.
 */
bool plan_goes_along(const struct table *t, const struct table *x, const struct table *subject,
		     enum action action);

/* How many shared tables stand above t, itself counted: those of 0 are collected first. */
size_t plan_phase(const struct table *t);

#endif
