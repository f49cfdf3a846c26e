/* Words for a statement that the server refuses, without a value of the database. */
#pragma once

#include <libpq-fe.h>

/*
 * Returns the server's message where it holds names at most, or else fixed words, followed by the place: table, column,
 * constraint, function and line.  Never DETAIL or HINT, and at most a kilobyte.  res has an SQLSTATE; the caller frees the text.
 */
char *refusal_text(const PGresult *res);
