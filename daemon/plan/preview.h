/*
 * A plan's tables as one query, for commands that only look: the rows that a batch finds by arrays
 * of keys are found by joins.  Nothing is written, and nothing is locked beyond what reading locks.
 *
 * "due" is a query whose column k has the subjects' keys.  The query that is returned has the same
 * parameters as due.  All text is owned by the plan.
 */
#pragma once

#include "plan/plan.h"

/*
 * Returns SQL with rows ("table", what, rows, bytes), a row a step in the plan's order: what a run
 * would write to the counters.  A row that two links reach counts for the step that would erase it.
 */
char *plan_count_sql(const struct plan *p, const char *due);

/* The row of one step alone; the server reads no more tables than it needs. */
char *plan_count_step_sql(const struct plan *p, const char *due, size_t step);

/* What becomes of the rows of a step, as in these rows: "deleted". */
const char *plan_done_name(const struct step *s);

/*
 * Returns SQL with one jsonb object: for each table of the plan, by its name in the model, the
 * array of its rows.
 */
char *plan_document_sql(const struct plan *p, const char *due);

/*
 * Would a row of the table oid be erased?  Returns the beginning of a statement (WITH ...).
 * *ret_reached is a query without FROM for a LATERAL x behind the table's alias t; *ret_covered is
 * a condition on x and on a column's name in c.name: the column is erased.
 */
char *plan_reach_sql(const struct plan *p, const char *due, unsigned int oid,
		     const char **ret_reached, const char **ret_covered);

/* Is what row t of the table, in its column c.name, holds erased?  An SQL condition beside the WITH of plan_reach_sql(). */
char *plan_covered_sql(const struct plan *p, unsigned int oid);
