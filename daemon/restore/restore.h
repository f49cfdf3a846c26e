/*
 * Puts a deletion's archive back in one transaction: every row as it was, or nothing.
 */
#pragma once

#include "restore/plan.h"
#include "archive/reader.h"

struct restore_opts {
	int id; /* of the action */
	const struct archive_reader *stored; /* verified */
	const struct restore_plan *plan;
	const char *identity; /* age's, where the archive is encrypted; NULL */
	bool dry_run; /* does it all, and rolls back */
	bool disable_triggers; /* keeps the tables' own triggers from firing */
	void (*progress)(int64_t done_rows, int64_t all_rows); /* NULL: not reported */
};

struct restore_result {
	int64_t *rows; /* for each of plan.files: rows that came back, or were linked again */
	int64_t keys; /* contacts that came back, according to the ledger */
	const char **notes; /* n_notes lines that a person should read */
	size_t n_notes;
};

/*
 * The caller holds the job's claim.  On failure nothing has changed, except when the connection is lost at
 * the COMMIT: then the journal's row says whether it has.  The contents of *ret are owned by ctx.
 */
bool restore_run(struct db *db, const struct restore_opts *opts, void *ctx,
		 struct restore_result *ret, struct error *err);
