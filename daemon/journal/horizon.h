/*
 * Erasure status: erased rows are not yet gone everywhere.  A job records at its end what is needed to
 * tell later how far its erasures have come; retention.horizon() tells it (migrations/0006_api.sql).
 *
 *	T0	gone from the live tables, by the commit, and from the materialized views that read them
 *	T1	VACUUM and ANALYZE have passed over the rows: gone from the pages of the tables and from the
 *		planner's statistics
 *	T2	standbys have replayed it, and no slot holds WAL from before it
 *	T3	base backups and archived WAL from before it are no longer kept (as backups.keep declares)
 */
#pragma once

#include "database/db.h"

/*
 * Gets a transaction number above those of all batches, owned by ctx.  In a transaction of its own, once
 * all batches have ended.  Where patient, it is an error of the surroundings that a server to which Citus has spread the
 * rows does not answer, or still has a batch to end.
 */
bool horizon_mark(struct db *db, int job, bool patient, void *ctx, const char **ret_xid,
		  struct error *err);

/*
 * What the journal keeps of the tables that the job took rows from, as a JSON object owned by ctx; NULL
 * with err.  In the transaction that ends the job.
 */
const char *horizon_record(struct db *db, int job, const char *xid, void *ctx, struct error *err);
