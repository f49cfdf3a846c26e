/*
 * The ledger's file says which keys were erased.  It lies beside the archives, outside of the database: a
 * database restored from an older backup has forgotten what was erased since, and the file has not.
 *
 * The first line says which database the file belongs to, and gives the file a number of its own.  Each further line is
 * a row of retention.ledger as COPY writes it: job, action, archive mode, time in UTC, key; no other personal data.
 * Then follows the hash of the journal's newest event, where it is another than on the lines before.  A line of job 0
 * holds such a hash alone.  Each line ends with its link: the HMAC-SHA-256 of the line and the link before it, under
 * retention.ledger_secret.  So only the daemon's role can write a line that a replay would believe: a plain hash could
 * be computed by anybody who can write the file.
 *
 * Lines are only ever appended, after the transaction that made them true has committed, so that the file never knows
 * more than the database that wrote it.  Lines that a crash kept from the file are appended at the next comparison.  A
 * last line without its newline was never finished, and is cut off.  On a file system without locks two processes that
 * append at the same moment break the chain, which the next comparison tells.
 */
#pragma once

#include "base/file.h"
#include "base/mem.h"
#include "database/db.h"

#define LEDGER_FILE "ledger"

/* The hash of the journal's newest event, as a line of the file has it; "" where there is none. */
#define LEDGER_EVENT_SQL                                                                           \
	"coalesce((SELECT pg_catalog.encode(e.hash, 'hex') FROM retention.journal_event AS e\n"    \
	"           ORDER BY e.id DESC LIMIT 1), '')"

struct ledger;

enum ledger_use {
	LEDGER_READ, /* changes nothing, not even a torn line */
	LEDGER_APPEND,
	LEDGER_CREATE, /* makes a missing file */
};

/*
 * Opens DIRECTORY/ledger of db's database, which retention.identity names.  A file of another database is
 * ERR_CONFIG.  Where the file is missing or empty, and not to be made, *ret becomes NULL.  The caller closes it.
 */
bool ledger_open(struct db *db, const char *directory, enum ledger_use use, struct ledger **ret,
		 struct error *err);

/* NULL is fine.  Loses nothing, because each append was a write of its own. */
void ledger_close(struct ledger *ledger);

DEFINE_AUTO(ledger, struct ledger, ledger_close)

/*
 * Closes the file until it is used again, so that its file system can be unmounted while a job waits for the disk; from any
 * thread.  NULL is fine.
 */
void ledger_let_go(struct ledger *ledger);

/* Opens it again.  ENVIRONMENT: another file is there now. */
bool ledger_take_up(struct ledger *ledger, struct error *err);

const char *ledger_path(const struct ledger *ledger);

/* The number of this file, which tells it from one that was made anew. */
const char *ledger_number(const struct ledger *ledger);

/*
 * Appends whole lines, of which each lacks only its link, all or none; from any thread, and beside other processes.
 * ret_link (may be NULL) gets the link of the last line.
 */
bool ledger_append(struct ledger *ledger, const char *lines, size_t n, char ret_link[FILE_HEX + 1],
		   struct error *err);

/* Makes durable what was appended. */
bool ledger_sync(struct ledger *ledger, struct error *err);

/* Reads the lines of the file, one by one.  Begins with .ledger alone. */
struct ledger_reader {
	struct ledger *ledger;
	FILE *in;
	struct digest_key *key;
	int64_t left; /* bytes, of those that stood when the reading began */
	int64_t number; /* of the line; after CONFIG: of the line that is wrong */
	char *line; /* as COPY reads it: n bytes with the newline, without event and link */
	size_t n, room;
	int job; /* 0: the line holds an event's hash and nothing else */
	char time[32];
	char event[FILE_HEX + 1]; /* the hash on this line; "": none */
	char link[FILE_HEX + 1];
};

void auto_ledger_reader(struct ledger_reader *r);

/*
 * Reads the next line of those that stood when the reading began, without a line that is not finished.  false: the end, or
 * a failure with err.  CONFIG: the line is not what was written, or does not follow the line before it.  ENVIRONMENT:
 * another file has taken this one's place.
 */
bool ledger_next(struct ledger_reader *r, struct error *err);
