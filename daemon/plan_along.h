/*
 * Subjects whose rows refer to one another: a foreign key lets go of the one only together with, or after, the other.
 */
#ifndef RETENTION_PLAN_ALONG_H
#define RETENTION_PLAN_ALONG_H

#include "plan_build.h"

/*
 * $1 text[] of keys on the list of the job $2, between its lines $4 and $5; with $3 (0: none) at most so many others of
 * those lines go along whose rows refer to theirs, and so on.  free, n_free, weight, first_n, last_n: of all these,
 * whom nobody else refers to, nor anybody of whom that is not true; kept, n_kept: of $1, the others; n_own: how many of
 * $1 are on the list.  NULL: no foreign key makes one subject wait for another.  Owned by b->ctx; after the steps.
 *
 * It only says what is worth a try: the foreign keys have the last word.
 */
char *plan_along(const struct builder *b);

#endif
