/*
 * limits.integrity = "set": rows are deleted with session_replication_role = replica, so that the server
 * fires no foreign-key trigger for each of them; instead each foreign key onto a table that loses rows is
 * asked once a batch, by these statements, in a snapshot taken after the deletions: does a row still point
 * at one that is gone?  Then the batch does not commit.
 *
 * Why nothing orphaned can come of it: who adds a row that points at ours takes FOR KEY SHARE on ours first
 * (that trigger fires in its session, not in this one).  If it had it before the DELETE, the DELETE has
 * waited until it committed, and the question sees its row.  If it comes later, it waits for our COMMIT and
 * is refused.  That is what the server's own trigger rests on (ri_triggers.c, RI_FKey_noaction_del).
 *
 * Subjects that go whole go from the top down: a parent's row first, then what hangs off it, found by the very
 * column of the foreign key.  That statement's snapshot is taken after the parent's DELETE, so that by the same
 * reasoning it sees every row that will ever point there, and takes it: the question is answered, and each index
 * is walked once instead of twice.  For the same reason a table's keys need not be known before its own DELETE, which
 * returns them to those below (collect.gather_sql): whatever a client has put in the place of what was there, these
 * are the rows that went.
 *
 * Keys that no link of the model covers are asked as before.  So are all of them in batches that are measured, which
 * have to know before they erase, and in slices, which go from the bottom up: between two of them the parents are
 * there.
 */
#ifndef RETENTION_PLAN_BY_SET_H
#define RETENTION_PLAN_BY_SET_H

#include "plan/builder.h"

/* Does a foreign key point at t's table? */
bool plan_is_referenced(const struct catalog *catalog, const struct table *t);

/*
 * The column of t that the foreign key's question takes an array of: its key, where that is one of the
 * columns pointed at, else the first of them.
 */
const char *plan_asked_column(const struct table *t, const struct foreign_key *key);

/* Fills orphans, loose, top_down and what is gathered of the plan; after its steps and collects. */
void plan_by_set(struct builder *b, struct step *steps, struct collect *collects);

#endif
