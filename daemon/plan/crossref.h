/*
 * Subjects whose rows refer to one another: a foreign key lets go of the one only together with, or after, the other.
 */
#ifndef RETENTION_PLAN_CROSSREF_H
#define RETENTION_PLAN_CROSSREF_H

#include "plan/builder.h"

/*
 * $1 text[] of keys on the list of the job $2, between its lines $4 and $5; with $3 (0: none) at most so many others of
 * those lines go along whose rows point at theirs, and so on.
 *
 *   own, n_own    those of $1 that are on the list
 *   kept, n_kept  those of own at whom a row points that stays, or somebody's who is kept, or (without $3) not among own
 *   via           the foreign keys of those rows
 *   free, n_free, weight, first_n, last_n  the others of own and who goes along
 *
 * It only says what is worth a try: the foreign keys have the last word.  Keys of which the model does not say for certain
 * what becomes of their rows are left out.  NULL: no foreign key makes one subject wait for another.  Owned by b->ctx;
 * after the steps.
 */
char *plan_crossref(const struct builder *b);

#endif
