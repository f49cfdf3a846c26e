/*
 * The ledger's file against the journal and the table.  The journal holds the last link of the file (event
 * ledger_noted), and the file the last hash of the journal: each tells where the other was cut.
 */
#pragma once

#include "journal/ledger.h"

struct ledger_found {
	int64_t ahead; /* lines that the database has forgotten: it was restored from a backup older than the file */
	bool under_way; /* a replay of them is under way */
	bool lost_events; /* the journal lacks an event whose hash the file holds */
	bool noted; /* the journal has the last line's link */
	int64_t lines; /* of erased keys */
};

/*
 * Appends to the file, durably, what only the table knows (after a crash between a commit and its line).
 * Puts what only the file knows into retention.replay; ret->ahead counts it.  While a replay of these lines is under
 * way, they are left as they are.  CONFIG: the file was changed, or lines that the journal knows are not in it.
 */
bool ledger_check(struct db *db, struct ledger *ledger, struct ledger_found *ret,
		  struct error *err);

/*
 * Counts the lines that an earlier ledger_check() found to be ahead and no replay has settled, for a
 * host that has no file to ask: ahead and under_way of *ret.
 */
bool ledger_check_ahead(struct db *db, struct ledger_found *ret, struct error *err);

/* Writes the journal's last hash into the file, and then the file's last link into the journal. */
bool ledger_check_note(struct db *db, struct ledger *ledger, const char *host, struct error *err);

/* Has the journal noted a file on this host?  A copy that was adopted begins with none. */
bool ledger_check_known(struct db *db, const char *host, bool *ret, struct error *err);

/*
 * Compares the file with the journal and the table, and changes nothing.  *ret_finding: NULL, or what was found, as
 * the text of an array for retention.finding().  Reads the file first, because rows are committed before their lines.
 */
bool ledger_check_verify(struct db *db, struct ledger *ledger, void *ctx, struct ledger_found *ret,
			 const char **ret_finding, struct error *err);
