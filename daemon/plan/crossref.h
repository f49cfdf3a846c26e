/*
 * Cross-references: subjects whose rows refer to rows of other subjects.  A foreign key lets such a subject go only
 * together with, or after, the subject that refers to it.
 */
#pragma once

#include "plan/build.h"

/*
 * The statement that asks for them.  $1: text[] of keys in the list of the job $2, between its lines $4 and $5.
 * $3: how many other subjects of those lines may be added, which refer to the keys, or to one that was added; 0: none.
 *
 *   kept, n_kept  keys of $1 to which a row refers that remains: of a kept subject, of one that is not in the list,
 *                 or, without $3, of one that is not in $1
 *   via           the foreign keys of those rows
 *   own, n_own    the other keys of $1 that are in the list
 *   together, n_together, weight, first_n, last_n  own, and the subjects that were added
 *
 * The answer only says what is worth a try: the foreign keys decide.  It ignores keys where the model does not say for
 * certain what becomes of their rows.  NULL: no foreign key makes one subject wait for another.  Owned by b->ctx.
 * Needs the plan's steps.
 */
char *plan_crossref(const struct plan *p);
