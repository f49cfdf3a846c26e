/*
 * A plan's tables as one query: what a batch walks with arrays of keys, here walked by joins, for
 * those who only want to know.  Nothing is locked but what reading locks, nothing is written.
 *
 * due is a query whose column k are the subjects' keys; its parameters become the result's.
 */
#ifndef RETENTION_PLAN_PREVIEW_H
#define RETENTION_PLAN_PREVIEW_H

#include "plan/plan.h"

/*
 * Rows ("table", what, rows, bytes), a row a step in the plan's order: what a run would write to the
 * counters.  A row that two links reach counts where the run would treat it.  Owned by ctx.
 */
char *plan_count_sql(void *ctx, const struct plan *plan, const struct catalog *catalog,
		     const char *due);

/*
 * One jsonb object: for each table of the plan, by its name in the model, the array of its rows.
 * Owned by ctx.
 */
char *plan_document_sql(void *ctx, const struct plan *plan, const struct catalog *catalog,
			const char *due);

/*
 * Would a row of the table oid be erased?  The text begins a statement (WITH ...); *ret_reached is a query
 * without FROM for a LATERAL x behind the table's alias t; *ret_covered says of x, and of a column's name in
 * c.name, whether it goes.  Owned by ctx.
 */
char *plan_reach_sql(void *ctx, const struct plan *plan, const struct catalog *catalog,
		     const char *due, unsigned int oid, const char **ret_reached,
		     const char **ret_covered);

#endif
