/*
 * The ledger's file says which keys were erased.  It lies beside the archives, outside of the database: a
 * database restored from an older backup has forgotten what was erased since, and the file has not.
 *
 * The first line says which database the file belongs to.  Each further line is a row of retention.ledger
 * as COPY writes it: job, action, archive mode, time in UTC, key; no other personal data.  Lines are only ever appended,
 * after the transaction that made them true has committed, so that the file never knows more than the
 * database that wrote it.  Lines that a crash kept from the file are appended at the next comparison.  A
 * last line without its newline was never finished, and is cut off.
 */
#pragma once

#include "base/mem.h"
#include "database/db.h"

#define LEDGER_FILE "ledger"

struct ledger;

/*
 * Opens DIRECTORY/ledger of db's database, which retention.identity names.  A file of another database is
 * ERR_CONFIG.  A missing file is made if create, otherwise *ret becomes NULL.  The caller closes it.
 */
bool ledger_open(struct db *db, const char *directory, bool create, struct ledger **ret,
		 struct error *err);

/* NULL is fine.  Loses nothing, because each append was a write of its own. */
void ledger_close(struct ledger *ledger);

DEFINE_AUTO(ledger, struct ledger, ledger_close)

/*
 * Closes the file until it is used again, so that its file system can be unmounted while a job waits for the disk; from any
 * thread.  NULL is fine.
 */
void ledger_let_go(struct ledger *ledger);

/* Appends whole lines, all or none; from any thread, and beside other processes. */
bool ledger_append(struct ledger *ledger, const char *lines, size_t n, struct error *err);

/* Makes durable what was appended. */
bool ledger_sync(struct ledger *ledger, struct error *err);

/*
 * Appends to the file, durably, what only the table knows (after a crash between a commit and its line).
 * Puts what only the file knows into retention.replay; *ret_ahead counts it.  More than 0 means that the
 * database was restored from a backup older than the file.  While a replay of these lines is under way,
 * they are left as they are.
 */
bool ledger_check(struct db *db, struct ledger *ledger, int64_t *ret_ahead, struct error *err);

/*
 * Counts the lines that an earlier ledger_check() found to be ahead and no replay has settled, for a
 * host that has no file to ask.  *ret_under_way (may be NULL): is a replay of them under way?
 */
bool ledger_ahead(struct db *db, int64_t *ret, bool *ret_under_way, struct error *err);
