/*
 * Quotes names and constants of the model for a statement, and fills the named parts of one.  Values of
 * the database go as parameters.  (PQescapeIdentifier needs a connection, which the plan must not know.
 * Sessions run with standard_conforming_strings and UTF-8, see database/db.c.)
 */
#pragma once

#include <stddef.h>

/* "name", quotes doubled.  Owned by ctx, as all that follow. */
char *sql_ident(const void *ctx, const char *name);

/* "schema"."table" */
char *sql_table(const void *ctx, const char *schema, const char *table);

/* 'text', quotes doubled. */
char *sql_literal(const void *ctx, const char *text);

/* {"a","b"}: the text form of a text[] of n items, for a parameter. */
char *sql_array(const void *ctx, const char *const items[], size_t n);

/* A named part of a statement. */
struct sql_part {
	const char *name;
	const char *text;
};

/*
 * Returns the statement with the text of each part in the place of its {name}:
 *
 *     sql_fill(ctx, "SELECT {key} FROM {table}", {"key", key}, {"table", table})
 *
 * A name is of small letters and underscores; other braces stay, '{}' for one, and those within a text
 * too.  A name without a part, or whose text is NULL, is a programmer's error.
 */
#define sql_fill(ctx, statement, ...)                                                              \
	sql_fill_parts(ctx, statement, (const struct sql_part[]){__VA_ARGS__, {NULL, NULL}})

char *sql_fill_parts(const void *ctx, const char *statement, const struct sql_part *parts);
