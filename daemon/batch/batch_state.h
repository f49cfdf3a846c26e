/*
 * The state of a batch.  Private to batch/batch.c, batch/erase.c and batch/slice.c.
 */
#pragma once

#include "batch/batch.h"

struct batch {
	const struct batch_job *job;
	struct batch_worker *worker;
	const struct keys *keys;
	struct batch_result *result;
	const struct plan *plan; /* the job's */
	const char *shards; /* the keys' shards, as a constant of SQL; "NULL": not known */
	struct db *db; /* the worker's */
	void *ctx; /* all of the batch's text */
	const char *id; /* the job's, as a parameter */
	char ***arrays; /* [table][slot]: the collected keys */
	int64_t *collected; /* [table]: rows that they came from */
	int64_t *rows; /* [step]: rows that it has worked on */
	bool *unfinished; /* [table]: some of its rows are left to a later slice */
	bool slicing; /* a single subject with more rows than a batch may take */
	bool complete; /* nothing is left of the subjects */
	struct key_set locked; /* the keys that this batch has locked */
	struct key_set due; /* of these: still due */
	struct key_set dropped; /* of these: due no longer */
	struct key_set gone; /* no longer in the database */
	const char *done_with; /* an array of the keys that leave the list */
	char *ledger; /* lines for its file, once the batch has committed; NULL: none */
	bool origin; /* integrity = "set": session_replication_role, until the transaction's end */
};

/*
 * Runs a statement of the plan, which the session keeps.  One that says the batch's shards is planned for these, because
 * only a constant leaves out partitions while it is planned.
 */
bool batch_query(struct batch *b, const char *sql, int n, const char *const values[],
		 PGresult **ret_res, struct error *err);

/* The same of a statement without a result; ret_rows: how many rows it has changed, or NULL. */
bool batch_command(struct batch *b, const char *sql, int n, const char *const values[],
		   int64_t *ret_rows, struct error *err);

/*
 * Writes the arrays into a statement in place of PLAN_KEYS and PLAN_OWN, because a COPY takes no parameters.
 * NULL: one of them cannot be quoted.
 */
char *batch_with_arrays(struct batch *b, const char *copy_sql, const char *const arrays[2]);

/*
 * integrity = "set": the worker's session is a replica, for which no trigger of the CRM fires.  A statement that wants
 * these triggers runs as origin.  Each change of the role makes the session plan all its statements anew.
 */
bool batch_as_origin(struct batch *b, bool on, struct error *err);

/*
 * Says whether a table's DELETE returns the keys that the tables below it need (collect.gather_sql).  That works from
 * the top down only.  A batch that is measured collects them beforehand, because it counts before it erases.
 */
bool batch_gathers(const struct batch *b);

/* The collected keys in that slot, as the text of an array. */
static inline char *batch_array(const struct batch *b, struct source source)
{
	return b->arrays[source.table][source.slot];
}

/* Runs a statement that returns an array of keys as "keys" and its length as "n". */
bool batch_ask_keys(struct batch *b, const char *sql, int n, const char *const values[],
		    struct key_set *ret, struct error *err);

/* Runs a statement that counts, as "n". */
bool batch_count(struct batch *b, const char *sql, int n, const char *const values[], int64_t *ret,
		 struct error *err);

/* Fills result.blocked. */
bool batch_count_blocked(struct batch *b, struct error *err);

/* Keeps the arrays that c's statement returned, collected or gathered. */
void batch_keep_arrays(struct batch *b, const struct collect *c, const PGresult *res);

/* Step 4, and the checks that follow it before anything is accounted for. */
bool batch_erase(struct batch *b, struct error *err);

/*
 * Counts the rows before the erasure.  Where a batch may not take them all, a single subject goes in slices, and
 * several are BUSY, to be halved.
 */
bool batch_measure(struct batch *b, struct error *err);

/*
 * Checks, in a batch that was not measured, that step s has not taken more rows than a batch may.  false: it has,
 * though only in this transaction, which does not commit.
 */
bool batch_stays_small(struct batch *b, const struct step *s, int64_t rows, struct error *err);

/* Handles too many rows of a collected table: true, if the subject goes in slices from here on. */
bool batch_too_large(struct batch *b, const struct table *t, struct error *err);

/* Says whether step s has to wait for a later slice.  Its table counts as unfinished then. */
bool batch_waits(struct batch *b, const struct step *s);

/*
 * DATA, where the last requests would go in this slice and rows that must go after them in a later one: nothing
 * would show by then that these are due.
 */
bool batch_may_go(const struct batch *b, const struct step *s, struct error *err);

/* $2 of a slice's statement: its table's own keys, or a number of rows. */
const char *batch_slice_own(const struct batch *b, const struct step *s);

/* Compares the rows of a slice with those that were collected. */
bool batch_verify_slice(struct batch *b, const struct step *s, int64_t rows, struct error *err);

/* DATA, where a slice has taken nothing although something is left: the next one would take nothing, either. */
bool batch_advances(const struct batch *b, struct error *err);
