/*
 * The part of residue that searches large objects.
 */
#pragma once

#include "plan/plan.h"
#include "database/db.h"

/* Texts of arrays: the contacts, the values to search for in lower case, and the column of each value. */
struct residue_terms {
	const char *keys;
	const char *values;
	const char *names;
};

/*
 * Searches the large objects that the plan's action does not unlink for these contacts.  ret has a row
 * for each name of a value that was found: column, of, exact, inside, covered, as a table's.  n_closed:
 * how many objects the session's role may not read.  Runs within the caller's transaction.
 */
bool residue_search_objects(struct db *db, const struct plan *plan,
			    const struct residue_terms *terms, PGresult **ret, int64_t *n_closed,
			    struct error *err);
