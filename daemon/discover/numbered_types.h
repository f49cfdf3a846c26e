/*
 * Types as numbers: a column that references a table of tables, beside one with the id of a row there, as Django's
 * content_type_id and object_id.  Such a pair can have no foreign key to the row.
 */
#pragma once

#include "discover/schema.h"

/*
 * Reads, for the columns that can be such a type, which number stands for which table, into schema_column.values and
 * numbers.  It reads rows of the tables of tables, at most NUMBERED_TYPES_MAX of each, and skips one that the session
 * must not read.  keys_settle() has been called.
 */
#define NUMBERED_TYPES_MAX 2000
bool numbered_types_read(struct db *db, void *ctx, struct schema *schema, struct error *err);
