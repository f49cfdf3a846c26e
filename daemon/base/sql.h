/*
 * Quotes names and constants of the model for a statement, and fills the named parts of one.  Values of
 * the database go as parameters.  (PQescapeIdentifier needs a connection, which the plan must not know.
 * Sessions run with standard_conforming_strings and UTF-8, see database/db.c.)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * Whose search_path is in force.  A statement is parsed under pg_catalog alone, with temporary tables last
 * (database/db.c): under the CRM's, an operator that somebody has made in one of its schemas can come before
 * PostgreSQL's, and would run with the session's rights.  The CRM's triggers name their tables without a schema, and
 * need the CRM's, which is the one that the database gives every session.
 *
 *   SQL_SESSION_PATH for the whole session: what a trigger has set for it is undone
 *   SQL_NOTE_PATH   first in a transaction: notes the CRM's
 *   SQL_UNDER_PATH  a condition that is asked before a row is touched, in the query around a statement in WITH:
 *                   from there on the CRM's is in force, for the triggers before and after the statement, too
 *   SQL_OWN_PATH    after each statement with SQL_UNDER_PATH: back to pg_catalog, before the next one is parsed
 *   SQL_CRM_PATH    before a statement that nothing is looked up for, such as COPY of a table or SET CONSTRAINTS
 */
#define SQL_SESSION_PATH "SET search_path = pg_catalog, pg_temp"
#define SQL_OWN_PATH "SET LOCAL search_path = pg_catalog, pg_temp"
#define SQL_CRM_PATH "SET LOCAL search_path TO DEFAULT"
#define SQL_NOTE_PATH                                                                              \
	SQL_CRM_PATH                                                                               \
	"; SELECT pg_catalog.set_config('retention.search_path',\n"                                \
	"       pg_catalog.current_setting('search_path'), true); " SQL_OWN_PATH
#define SQL_UNDER_PATH                                                                             \
	"(SELECT set_config('search_path', current_setting('retention.search_path'), true)) IS NOT NULL"

/* "name", quotes doubled.  Owned by ctx, as all that follow. */
char *sql_ident(const void *ctx, const char *name);

/* The same for people, without quotes where it is small letters only. */
char *sql_ident_plain(const void *ctx, const char *name);

/* "a", "b" of n names. */
char *sql_idents(const void *ctx, const char *const *names, size_t n);

/* "schema"."table" */
char *sql_table(const void *ctx, const char *schema, const char *table);

/*
 * CREATE INDEX on a table and columns, both quoted, with its semicolon: CONCURRENTLY where the server can.  Of a
 * partitioned table it cannot, and a person should know what SQL_INDEX_LOCKS says.
 */
char *sql_create_index(const void *ctx, const char *table, const char *columns, bool partitioned);

#define SQL_INDEX_LOCKS                                                                            \
	"it locks out writes while it runs: to avoid that, create it ON ONLY the table, then "     \
	"CONCURRENTLY on each partition, and attach these"

/* 'text', quotes doubled. */
char *sql_literal(const void *ctx, const char *text);

/*
 * Tells values of any type apart, NULL from the empty text, too.  Casts nothing, because a cast of a foreign type may
 * run anybody's function.  In an archive of detached rows the column SQL_WRITTEN holds those of what was written.
 */
#define SQL_DIGEST(value) "left(encode(sha256(textsend(ROW(" value ")::text)), 'hex'), 16)"
#define SQL_WRITTEN "retention_written"

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
