/* Columns that hold dates as numbers or texts: known by their names and types, and with samples by their values. */
#pragma once

#include "discover/draft.h"

/*
 * Finds them in a table, and sets date_unit of its columns.  wanted is a column that a person has named as the date, and
 * is one if its type allows; NULL: none.  With samples the planner's statistics tell the unit.
 */
bool dates_find(struct db *db, bool samples, const struct schema_table *t, const char *wanted,
		struct error *err);

/* The column with a type for dates that stands first in a list of words.h; NULL: none does. */
const char *dates_first(const struct schema_table *t, const char *list);

/* The column of those found that says best when a row was last used, or when it was created; NULL: there is none. */
const char *dates_used(const struct schema_table *t);
const char *dates_created(const struct schema_table *t);

/* Prints date_unit, where the column (NULL: there is none) is such a date. */
void dates_print(struct draft *x, const struct schema_column *column);
