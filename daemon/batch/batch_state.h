/*
 * What batch/batch.c and batch/erase.c share of a batch; nobody else's.
 */
#ifndef RETENTION_BATCH_BATCH_STATE_H
#define RETENTION_BATCH_BATCH_STATE_H

#include "batch/batch.h"

struct batch {
	const struct batch_job *job;
	struct batch_worker *worker;
	const struct keys *keys;
	void *ctx; /* all of the batch's text */
	char ***arrays; /* [table][slot]: the collected keys */
	int64_t *collected; /* [table]: how many rows they came from */
	int64_t *rows; /* per step */
	bool *unfinished; /* [table]: has rows left that this batch does not take */
	bool slicing; /* a single subject, with more than a batch may take */
	bool large, giant; /* as in struct batch_result */
	bool complete; /* nothing is left of the subjects */
	char *locked; /* those of keys that we hold */
	char *due; /* those of locked that are due */
	char *done_with; /* those that leave the list */
	char *dropped; /* locked, but not due any more */
	char *gone; /* not there any more */
	char *ledger; /* lines for its file, once the batch has committed; NULL: none */
	int64_t n_locked, n_due, n_dropped, n_gone, n_left, n_blocked;
	bool origin; /* session_replication_role, until the transaction's end, with integrity = "set" */
};

/* A COPY takes no parameters: the arrays (PLAN_KEYS, PLAN_OWN) become constants.  NULL: one cannot be quoted. */
char *batch_with_arrays(struct batch *b, const char *copy_sql, const char *const arrays[2]);

/*
 * integrity = "set": the worker's session is a replica, for which no trigger fires; a statement that wants
 * triggers is run as origin.  (Each change of the role makes the session plan all its statements anew.)
 */
bool batch_as_origin(struct batch *b, bool on, struct error *err);

/*
 * From the top down, a table's DELETE may return what those below ask for (collect.gather_sql).  A batch that is
 * measured has to know before it erases: there it is collected.
 */
bool batch_gathers(const struct batch *b);

/* What c's statement returned, collected or gathered. */
void batch_keep_arrays(struct batch *b, const struct collect *c, const PGresult *res);

/* Step 4, and what it has to be held against before anything is accounted for. */
bool batch_erase(struct batch *b, struct error *err);

/* CHANGED: a table of the model is not what the plan was made for. */
bool batch_check_schema(struct batch *b, struct error *err);

/*
 * Before the erasure: is there more than a batch may take?  A single subject is sliced then; several are BUSY, to
 * be halved.
 */
bool batch_measure(struct batch *b, struct error *err);

/*
 * In a batch that was not measured: has step s taken more rows than a batch may?  false: so it has; err, b->large.
 * By then it is done, but only in this transaction, which does not commit.
 */
bool batch_stays_small(struct batch *b, const struct step *s, int64_t rows, struct error *err);

/* Too many rows of a collected table. */
bool batch_too_large(struct batch *b, const struct table *t, struct error *err);

/* Of a batch in slices: has step s to wait for a later one?  Then its table counts as unfinished. */
bool batch_waits(struct batch *b, const struct step *s);

/*
 * DATA, where the last requests would go in this slice and rows that must go after them in another: nothing would
 * say then that these are due.
 */
bool batch_may_go(const struct batch *b, const struct step *s, struct error *err);

/* $2 of a slice's statement: its table's own keys, or how many. */
const char *batch_slice_own(const struct batch *b, const struct step *s);

/* Holds a slice's rows against what was collected. */
bool batch_verify_slice(struct batch *b, const struct step *s, int64_t rows, struct error *err);

/* DATA, where a slice has taken nothing and something is left: the next one would not either. */
bool batch_advances(const struct batch *b, struct error *err);

#endif
