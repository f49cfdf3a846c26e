/*
 * A subject with more rows than a transaction should hold goes in slices, each a batch that takes at most so
 * many rows of a table: what hangs off others before what it hangs off, the subject's own row last.
 *
 * A row goes in a slice only when nothing is left that hangs off it or points at it: a table's step waits while
 * one below it, or one with a foreign key onto it, has not been taken to its end (step.waits_for).  So a
 * slice that is committed leaves no row that the next one would not find, and an interrupted job finds the rest as
 * it finds everything: by the subject that is still in its list.  It is still due: its requests, which say so, go
 * when nothing else is left.
 */
#ifndef RETENTION_PLAN_SLICE_H
#define RETENTION_PLAN_SLICE_H

#include "plan/builder.h"

/* May a subject be cut, as far as its tables and foreign keys go?  Where not, it is worked whole. */
bool plan_may_slice(const struct builder *b);

/* In a plan that may: is what is collected, or deleted, of t cut where it is too much? */
bool plan_is_cut(const struct builder *b, const struct table *t);

/*
 * Which of t's rows go first: the oldest requests, so that the date of the last one, by which he is due, lasts as long
 * as he does.
 */
char *plan_slice_order(const struct builder *b, const struct table *t);

/* Fills the slices' statements of the plan and of its steps. */
void plan_slices(struct builder *b, struct step *steps);

#endif
