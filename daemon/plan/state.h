/*
 * What a plan stands on, as a text: compared before each batch, so that a table that changes under a
 * job is noticed before another row is erased.
 */
#ifndef RETENTION_PLAN_STATE_H
#define RETENTION_PLAN_STATE_H

#include "model/model.h"

/*
 * Returns SQL with a row for each table of the model, in its order.  state: which table the name means, its
 * columns, their types, triggers, the foreign keys that act, rules, row-level security, what inherits
 * from it.  keys: the foreign keys from and onto it that only refuse.  Where they differ from the
 * relation's, the catalog has to be read again.  Owned by ctx.
 */
char *plan_state_sql(void *ctx, const struct model *model);

#endif
