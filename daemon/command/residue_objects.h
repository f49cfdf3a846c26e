/*
 * The part of residue that searches large objects.
 */
#pragma once

#include "plan/plan.h"
#include "database/db.h"

/*
 * Searches the large objects that the plan's action does not unlink for the contacts with these keys (an array), for
 * the values that are settings of the transaction (command/residue.c).  ret has a row
 * for each name of a value that was found: column, of, exact, inside, covered, as a table's.  n_closed:
 * how many objects the session's role may not read.  Runs within the caller's transaction.
 */
bool residue_search_objects(struct db *db, const struct plan *plan, const char *keys,
			    PGresult **ret, int64_t *n_closed, struct error *err);
