/*
 * The values that a template shows: texts by name, and lists of rows.  A name is looked up in the row, then in what is
 * around it.  All texts are untrusted; the template escapes them (web/template.h).
 */
#pragma once

#include "base/mem.h"

#include <libpq-fe.h>
#include <stdbool.h>

struct values;

/* Owned by ctx. */
struct values *values_new(void *ctx);

/* Copies text.  NULL: the name is there, and empty ({{?name}} is false). */
void values_set(struct values *v, const char *name, const char *text);
void values_setf(struct values *v, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Sets the name to "true", or to NULL. */
void values_flag(struct values *v, const char *name, bool is);

/* Makes a list, empty where it is new. */
void values_list(struct values *v, const char *list);

/* Adds a row to a list (made where it is missing), and returns it to be filled.  Owned by v. */
struct values *values_add(struct values *v, const char *list);

/* Sets each column of a row as a name: SQL NULL as NULL, boolean 't' as "true" and 'f' as NULL. */
void values_row(struct values *v, const PGresult *res, int row);

/* The text of a column of a row; NULL: SQL NULL, or there is no such column. */
const char *values_column(const PGresult *res, int row, const char *name);

/* Adds all rows of a result to a list, as values_row() does. */
void values_rows(struct values *v, const char *list, const PGresult *res);

/* *ret_known (may be NULL): the name is there, here or around.  The text is NULL where it is empty. */
const char *values_get(const struct values *v, const char *name, bool *ret_known);

/* The number of rows, or -1: there is no such list here or around.  Row i is valid as long as v is. */
int values_count(const struct values *v, const char *list);
const struct values *values_at(const struct values *v, const char *list, int i);
