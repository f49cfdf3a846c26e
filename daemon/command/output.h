/*
 * What retentionctl prints: tables for people, JSON for programs.  JSON is made by the server.
 * Values are cleaned before a person sees them: a newline becomes a blank, and what could command a
 * terminal a "?", since a hold's reason or an error's text was written by somebody else.
 */
#ifndef RETENTION_COMMAND_OUTPUT_H
#define RETENTION_COMMAND_OUTPUT_H

#include "database/db.h"

/*
 * An aligned table with the result's column names as its head.  On a terminal it fits the width: text
 * is cut, and where even that is not enough each row is printed as a record.  No rows: "nothing".
 */
void output_table(const PGresult *res);

/* One row, a line a column, without those that are NULL. */
void output_record(const PGresult *res, int row);

/*
 * "[#####     ]  50 %  1000 of 2000, 120/s, 8 s left" on one line of a terminal, over the last one.
 * rate and eta_s: -1 where nobody knows; waiting: what the job waits for, or NULL.
 */
struct progress {
	int64_t done;
	int64_t due;
	int64_t rate; /* per second */
	int64_t eta_s;
	const char *waiting;
};
void output_progress(const struct progress *p);

#endif
