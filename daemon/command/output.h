/*
 * Prints results as tables for people.  (JSON for programs is made by the server.)  Values are cleaned
 * first, because another person wrote a hold's reason or an error's text: a newline becomes a blank, and
 * a character that could control the terminal becomes "?".
 */
#pragma once

#include "database/db.h"

/*
 * Prints an aligned table under the names of the result's columns.  On a terminal it fits the width: texts are cut, as
 * far as different words stay different, and if that is not enough, each row is printed as a record.  A column whose
 * name ends in "bytes" is printed in units.  No rows: prints "nothing".
 */
void output_table(const PGresult *res);

/* "15.2 MiB"; owned by ctx. */
char *output_size(void *ctx, int64_t bytes);

/* Prints one line, of the text cleaned. */
void output_line(FILE *to, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints JSON, with escapes in the place of characters that could control the terminal. */
void output_json(const char *json);

/* Prints one row, with a line for each column that is not NULL. */
void output_record(const PGresult *res, int row);

struct progress_bar {
	int64_t done;
	int64_t due;
	int64_t rate; /* per second; -1: unknown */
	int64_t eta_s; /* -1: unknown */
	const char *waiting; /* what the job waits for; NULL: nothing */
};

/*
 * Prints "[#####     ]  50 %  1000 of 2000, 120/s, 8 s left" on one line of a terminal, over the line
 * that it printed before.
 */
void output_progress(const struct progress_bar *bar);
