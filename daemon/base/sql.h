/*
 * Quoting.  Identifiers and constants of the model go into statements through these and no other
 * way; values of the database go as parameters.  (PQescapeIdentifier would need a connection, which
 * the plan must not know; sessions run with standard_conforming_strings and UTF-8, see database/db.c.)
 */
#ifndef RETENTION_BASE_SQL_H
#define RETENTION_BASE_SQL_H

#include <stddef.h>

/* "name", quotes doubled.  Owned by ctx, as all that follow. */
char *sql_ident(void *ctx, const char *name);

/* "schema"."table" */
char *sql_table(void *ctx, const char *schema, const char *table);

/* 'text', quotes doubled. */
char *sql_literal(void *ctx, const char *text);

/* {"a","b"}: the text form of a text[] of n items, for a parameter. */
char *sql_array(void *ctx, const char *const items[], size_t n);

#endif
