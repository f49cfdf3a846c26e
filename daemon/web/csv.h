/*
 * Writes CSV by RFC 4180: a line of names, then a line for each row, each ended by CR LF.  A program for tables would
 * take a cell that begins with = + - @, a tab or a carriage return for a formula, and may run it.  Such a cell gets an
 * apostrophe before it.
 */
#pragma once

#include <event2/buffer.h>
#include <libpq-fe.h>
#include <stdbool.h>

/* The names of the columns, after a byte order mark, because some programs take a file without it for another encoding. */
void csv_head(struct evbuffer *out, const PGresult *res);

/* SQL NULL is an empty cell. */
void csv_row(struct evbuffer *out, const PGresult *res, int row);
