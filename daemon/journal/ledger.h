/*
 * The ledger's file says which keys were erased.  It lies beside the archives, outside of the database: a
 * database restored from an older backup has forgotten what was erased since, and the file has not.
 *
 * The first line says which database the file belongs to.  Each further line is a row of retention.ledger
 * as COPY writes it: job, action, time in UTC, key; no other personal data.  Lines are only ever appended,
 * after the transaction that made them true has committed, so that the file never knows more than the
 * database that wrote it.  Lines that a crash kept from the file are appended at the next comparison.  A
 * last line without its newline was never finished, and is cut off.
 */
#pragma once

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define LEDGER_FILE "ledger"

struct ledger;

/*
 * Opens DIRECTORY/ledger; identity: retention.setting's ledger_id.  A file of another database is
 * ERR_CONFIG.  A missing file is made if create, otherwise *ret becomes NULL.  The caller closes it.
 */
bool ledger_open(const char *directory, const char *identity, bool create, struct ledger **ret,
		 struct error *err);

/* NULL is fine.  Loses nothing, because each append was a write of its own. */
void ledger_close(struct ledger *ledger);

static inline void auto_ledger(struct ledger **ledger)
{
	ledger_close(*ledger);
}

/* Appends whole lines, all or none; from any thread, and beside other processes. */
bool ledger_append(struct ledger *ledger, const char *lines, size_t n, struct error *err);

/* Makes durable what was appended. */
bool ledger_sync(struct ledger *ledger, struct error *err);

/* How much the file holds of a job. */
struct ledger_count {
	int job;
	int64_t lines;
	char newest[32]; /* the latest time */
};

/* All jobs of the file; the array is owned by ctx. */
bool ledger_counts(struct ledger *ledger, void *ctx, struct ledger_count **ret, size_t *ret_n,
		   struct error *err);

/* Takes one line; false with err filled ends the reading. */
typedef bool (*ledger_sink)(void *arg, const char *line, size_t n, struct error *err);

/* Hands sink the lines of these jobs, each with its newline. */
bool ledger_read(struct ledger *ledger, const int *jobs, size_t n_jobs, ledger_sink sink, void *arg,
		 struct error *err);
