/*
 * Compares the ledger's file with the ledger's table.
 */
#pragma once

#include "database/db.h"
#include "journal/ledger.h"

/* Opens the file of db's database: ledger_open() with its identity. */
bool ledger_sync_open(struct db *db, const char *directory, bool create, struct ledger **ret,
		      struct error *err);

/*
 * Appends to the file, durably, what only the table knows (after a crash between a commit and its line).
 * Puts what only the file knows into retention.replay; *ret_ahead counts it.  More than 0 means that the
 * database was restored from a backup older than the file.  While a replay of these lines is under way,
 * they are left as they are.
 */
bool ledger_sync_check(struct db *db, struct ledger *ledger, int64_t *ret_ahead, struct error *err);

/*
 * Counts the lines that an earlier ledger_sync_check() found to be ahead and no replay has settled, for a
 * host that has no file to ask.  *ret_under_way (may be NULL): is a replay of them under way?
 */
bool ledger_ahead(struct db *db, int64_t *ret, bool *ret_under_way, struct error *err);
