/*
 * Keys: a job lists those that are due once, in SQL, into retention.candidate; keys_take() deals
 * them to batches.  It is the one place that says which worker works on which key: workers never
 * share one, and a distribution by shard would be made here.
 */
#ifndef RETENTION_BATCH_KEYS_H
#define RETENTION_BATCH_KEYS_H

#include "database/db.h"
#include "plan/plan.h"

/* Fills the list anew; in the caller's transaction.  No snapshot is held after it. */
bool keys_list(struct db *db, const struct plan *plan, int job, const char *from,
	       const char *cutoff, struct error *err);

/* What one batch works on: keys as a text[] literal, first_n to last_n of the list. */
struct keys {
	char *array; /* owned by the context given to keys_take */
	int64_t n;
	int64_t weight; /* rows that hang off them, as far as the list knows */
	int64_t first_n;
	int64_t last_n;
};

/* A worker's stretch of the list, in hand. */
struct key_window {
	PGresult *rows; /* n, key, weight; NULL: none yet */
	int next;
	int64_t after_n; /* all up to this one has been dealt */
};

/*
 * Takes worker's next keys of the window, which is read anew where it ends, up to weight (at least one key),
 * at most limit of them; ret->n is 0 when there is none.  They stay in the list until their batch removes
 * them.
 */
bool keys_take(struct db *db, int job, int worker, int workers, struct key_window *window,
	       int64_t weight, int64_t limit, void *ctx, struct keys *ret, struct error *err);

/* From the list's begin again: for a new sweep, or when the surroundings have failed. */
void keys_rewind(struct key_window *window);

/* Subjects whose rows point at one another's; plan/crossref.h. */
struct along {
	struct keys own; /* of the keys asked for, those that are on the list still */
	struct keys kept; /* of own: something that stays points at them */
	const char *via; /* the foreign keys by which it does */
	struct keys free; /* the others of own, and who goes along: may go in one batch */
};

/* By plan->along_sql.  limit: how many others of the job's list may go along; 0: none. */
bool keys_along(struct db *db, const struct plan *plan, int job, const struct keys *keys,
		int64_t limit, void *ctx, struct along *ret, struct error *err);

/* The two halves of an array of n keys; their order is kept. */
bool keys_halve(struct db *db, const struct keys *whole, void *ctx, struct keys ret[2],
		struct error *err);

/* Those of a that are not in b. */
bool keys_except(struct db *db, const char *a, const char *b, void *ctx, char **ret_array,
		 int64_t *ret_n, struct error *err);

#endif
