/*
 * A value within a json document as the column of a link: payload -> 'user' ->> 'id'.  It is written as in PostgreSQL,
 * so that it means the same in the model, in an index and in a statement.
 */
#pragma once

#include "model/columns.h"

#include <stdbool.h>

/* Is the name of a column such a path?  Its keys are between quotes, and only the last one is behind ->>. */
bool path_is(const char *name);

/* Is it meant as one, though perhaps not written as one? */
bool path_is_meant(const char *name);

/* The name of the document's column.  Owned by ctx, as all that follow. */
char *path_column(const void *ctx, const char *name);

/* The key of the document itself that the path begins with. */
char *path_key(const void *ctx, const char *name);

/* The value as SQL, in brackets.  document: the column as SQL. */
char *path_sql(const void *ctx, const char *name, const char *document);

/* The same as pg_get_indexdef() has it; document: quote_ident() of the column. */
char *path_index_sql(const void *ctx, const char *name, const char *document);

/* "a", ((b -> 'c' ->> 'd')): the columns of an index. */
char *path_idents(const void *ctx, const struct columns *columns);
