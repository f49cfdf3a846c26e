/*
 * The ledger's file against the ledger's table.
 */
#ifndef RETENTION_JOURNAL_LEDGER_SYNC_H
#define RETENTION_JOURNAL_LEDGER_SYNC_H

#include "database/db.h"
#include "journal/ledger.h"

/* Opens the file of db's database: ledger_open() with its identity. */
bool ledger_sync_open(struct db *db, const char *directory, bool create, struct ledger **ret,
		      struct error *err);

/*
 * Appends to the file what only the table knows (a crash between a commit and its line), on the disk
 * when this returns.  What only the file knows goes to retention.replay, whose lines are counted in
 * *ret_ahead: then the database was restored from a backup that is older than the file.  While a
 * replay of them is under way they are left as they are.
 */
bool ledger_sync_check(struct db *db, struct ledger *ledger, int64_t *ret_ahead, struct error *err);

/*
 * The lines that an earlier ledger_sync_check() found to be ahead and no replay has settled: what is known where there is no
 * file to ask.  *ret_under_way (may be NULL): a replay of them is.
 */
bool ledger_ahead(struct db *db, int64_t *ret, bool *ret_under_way, struct error *err);

#endif
