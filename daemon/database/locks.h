/*
 * The advisory locks that this program takes: the only place of their numbers in C.  A lock has two numbers, a class
 * and an object.  The SQL of migrations/ takes two of these locks and names them in a comment behind the call, so
 * that tests/lint.sh can compare the numbers.
 */
#pragma once

/* Classes. */
#define LOCK_MIGRATE 1380275199 /* object LOCK_SCHEMA */
#define LOCK_RETENTION 1380275200 /* object LOCK_CHAIN, LOCK_LEDGER or LOCK_HOLDS */
/* object: the id of an action.  The process that works on the action holds it. */
#define LOCK_JOB 1380275201
/*
 * The first of CONFIG_WORKERS_MAX classes, one for each worker.  Object: the id of the action.  A batch holds the
 * lock of its worker to its end, so that the next claim of the action can wait for the batches of the last one.
 */
#define LOCK_WORKER 1380275202

/* Objects. */
#define LOCK_SCHEMA 1 /* one process migrates at a time */
#define LOCK_CHAIN 0 /* one session at a time appends to the chain of journal_event */
#define LOCK_LEDGER 1 /* one process at a time compares the ledger with its file */
#define LOCK_HOLDS 2 /* batches share it; a change of a hold takes it alone */

/* The two numbers as arguments in the text of a statement. */
#define LOCK_SQL(class, object) LOCK_TEXT(class) ", " LOCK_TEXT(object)
#define LOCK_TEXT(number) LOCK_DIGITS(number)
#define LOCK_DIGITS(number) #number
