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

/* Fills the file's temporary table with it, whole and unchanged, or fails. */
bool restore_load(struct restore *r, const struct restore_file *f, struct error *err);
