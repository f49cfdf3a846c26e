/*
 * Who is due: one definition, as SQL, for the list of a job and for the re-check under lock.
 */
#ifndef RETENTION_PLAN_DUE_H
#define RETENTION_PLAN_DUE_H

#include "plan.h"

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

/* alias."column" */
char *plan_column(void *ctx, const char *alias, const char *column);

/* The type of a column, for a cast. */
const char *plan_type(const struct catalog *catalog, const struct table *t, const char *column);

#endif
