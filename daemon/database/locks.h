/*
 * The locks.  Any role that can connect to the database can take any advisory lock, and their numbers are public, so
 * that anybody could stop all work.  So these are locks on tables and rows of schema retention, which nobody but
 * its owner and the daemon's role has the right to take:
 *
 *   chain_lock    table, EXCLUSIVE, to the transaction's end: it appends to the chain of journal_event.
 *   batch_lock    a row for each worker of an action, FOR UPDATE, to the end of a batch.  The next claim of the
 *                 action waits for the rows.
 *   hold_lock     table: batches share it (ROW SHARE), and a change of a hold has it EXCLUSIVE.  It is no shared
 *                 lock on a row, because batches that follow one another would pass a hold that waits;
 *                 a table's lock is given in turn.
 *   ledger_lock   table, EXCLUSIVE: the transaction compares the ledger with its file.
 *   claimed       one session works on an action, or on its archive, as long as the session lives.  A lock on a row
 *                 would need a transaction as long as the job, which keeps VACUUM from its work.  So the session
 *                 enters itself (retention.claim_action()), and the entry counts as long as the server has
 *                 that session.  If two took it nevertheless, the number of the claim, which each batch checks,
 *                 lets one of them commit.
 *
 * A person can still have chain_lock and hold_lock, by a transaction that has called a function of the schema and has
 * not ended.  Then the functions give up after 10 seconds, and name the session; a job waits, and names it, too.
 *
 * One advisory lock is left, which has two numbers, a class and an object.  Before the first migration there is no
 * table.  A person runs migrate, and is told which session has the lock.
 */
#pragma once

#define LOCK_MIGRATE 1380275199
#define LOCK_SCHEMA 1 /* one process migrates at a time */
