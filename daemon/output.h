/*
 * What retentionctl prints: tables for people, JSON for programs.  JSON is made by the server.
 */
#ifndef RETENTION_OUTPUT_H
#define RETENTION_OUTPUT_H

#include "db.h"

/* An aligned table with the result's column names as its head; on a terminal it fits the width. */
void output_table(const PGresult *res);

/* One row, a line a column, without those that are NULL. */
void output_record(const PGresult *res, int row);

/* Runs a query and prints it: as a table, or as a JSON array of objects. */
bool output_query(struct db *db, bool json, const char *sql, int n, const char *const values[],
		  struct error *err);

/* "[#####     ]  50 %  1000 of 2000" on one line of a terminal, over the last one. */
void output_progress(int64_t done, int64_t due, int64_t eta_s);

#endif
