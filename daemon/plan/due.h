/*
 * Which subjects are due: one definition, as SQL, for the list of a job and for the re-check under
 * lock.
 */
#pragma once

#include "plan/plan.h"

/*
 * Returns a query of (k, weight, last): the subjects that are due between $1 (or NULL) and $2, and
 * that the action would still change; last is the date of their last request.  keys is an SQL array
 * expression of the key's type: then only among those; NULL: among all.  Owned by ctx.
 */
char *plan_due_query(void *ctx, const struct model *model, const struct catalog *catalog,
		     const struct plan_opts *opts, const char *keys);

/* The same by a plan's fields; owned by it. */
char *plan_due(const struct plan *p, const char *keys);
