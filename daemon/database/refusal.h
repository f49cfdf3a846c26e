/* Words for a statement that the server refuses, without a value of the database. */
#pragma once

#include <libpq-fe.h>
#include <stdbool.h>

/*
 * Returns the server's message where it holds names at most, or else fixed words, followed by the place: table, column,
 * constraint, function and line.  Never DETAIL or HINT, and at most a kilobyte.  res has an SQLSTATE; the caller frees the text.
 */
char *refusal_text(const PGresult *res);

/*
 * Says whether the server had no room for a value.  It reports a request above 1 GB as an internal error.  A shortage
 * of shared memory has the SQLSTATE of any other, but is the fault of no row.
 */
bool refusal_is_memory(const PGresult *res, const char *sqlstate);
