/*
 * The state of a restore under way, for the files of restore/ only.
 */
#pragma once

#include "restore/restore.h"

struct restore {
	struct db *db;
	const struct restore_opts *opts;
	void *ctx;
	struct restore_result *result;
	int64_t all_rows;
	int64_t loaded_rows;
	const char *enable_sql; /* switches the triggers on again; NULL: none was switched off */
};

/* Fails with the server's refusal, behind the name of the table; never with its DETAIL (db_fail). */
bool restore_fail(const struct restore_file *f, const struct error *cause, struct error *err);

/* The name of the table that holds the file's rows until they are put back; owned by the restore's ctx. */
const char *restore_temporary(const struct restore *r, const struct restore_file *f);

/* Fills that table with the file, whole and unchanged, or fails. */
bool restore_load(struct restore *r, const struct restore_file *f, struct error *err);
