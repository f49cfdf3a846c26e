/* The CHECK constraints of the tables that an action changes, tried with what its rules write. */
#pragma once

#include "database/db.h"
#include "plan/plan.h"

/* Complains where a constraint would refuse a row as the rules leave it.  Reads the first rows of each such table. */
bool check_constraints(struct db *db, const struct plan *plan, struct complaints *c,
		       struct error *err);
