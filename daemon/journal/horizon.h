/*
 * Erased is not yet gone everywhere: what a job has to record at its end so that later somebody can
 * tell how far its erasures have come, and the query that tells.
 *
 *	T0	the commit: gone from the live tables
 *	T1	VACUUM has passed over the rows: gone from the pages of the tables
 *	T2	standbys have replayed it, and no slot holds WAL of before
 *	T3	base backups and archived WAL of before are no longer kept (declared: backups.keep)
 */
#ifndef RETENTION_JOURNAL_HORIZON_H
#define RETENTION_JOURNAL_HORIZON_H

#include "database/db.h"

/*
 * In a transaction of its own, once all batches have ended: a transaction number above all of theirs,
 * owned by ctx.
 */
bool horizon_mark(struct db *db, void *ctx, const char **ret_xid, struct error *err);

/* The tables that a job may have taken rows from; both as the text of a text[]. */
struct horizon_tables {
	const char *labels; /* table_name in retention.archive_file */
	const char *names; /* quoted */
};

/* What the journal keeps, as a JSON object owned by ctx; NULL with err.  In the transaction that ends the job. */
const char *horizon_record(struct db *db, int job, const char *xid,
			   const struct horizon_tables *tables, void *ctx, struct error *err);

/*
 * Rows (step, what, state, since, waits_for) of action $1; $2 is backups.keep as an interval, or NULL.
 * None for an action that has erased nothing or has not ended; of one that was restored, only that T0 is undone.
 */
extern const char horizon_sql[];

#endif
