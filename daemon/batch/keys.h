/*
 * Keys: a job lists the keys that are due, once, by SQL, into retention.candidate.  keys_take() gives
 * them to batches.  This is the only place that decides which worker works on which key.  Two workers
 * never get the same key.
 */
#pragma once

#include "database/db.h"
#include "plan/plan.h"

/* Fills the list anew, in the caller's transaction.  Holds no snapshot afterwards. */
bool keys_list(struct db *db, const struct plan *plan, int job, const char *from,
	       const char *cutoff, struct error *err);

/* Keys as the text of a text[], owned by the context given to the function that fills it. */
struct key_set {
	char *array;
	int64_t n;
};

/* The keys of one batch, between the lines first_n and last_n of the list. */
struct keys {
	char *array; /* as in struct key_set */
	int64_t n;
	int64_t weight; /* rows that belong to them, as far as the list knows */
	int64_t first_n;
	int64_t last_n;
	/*
	 * The text of an array: all shards of these keys, perhaps further ones.  NULL: the list was made by another shard
	 * column than the plan, or without any, because the model has changed since.
	 */
	char *shards;
	const char *group; /* what their shards have in common; "" where the model has none */
};

/* The next lines of a worker's share of the list, read ahead.  The first four members are the caller's. */
struct key_page {
	int job;
	int worker;
	int workers; /* that share the list */
	const char *shard; /* plan_shard(), or NULL */
	PGresult *rows; /* n, key, weight, shard, shard_group; NULL: none yet */
	int next; /* row */
	int64_t after_n; /* lines up to this one have been dealt; -1: none */
};

/*
 * Takes the worker's next keys up to weight, at least one, of one group of shards (plan/shard.c), and reads the next
 * page where this one ends.  ret->n is 0 when the list holds none.  They stay in the list until their batch removes them.
 */
bool keys_take(struct db *db, struct key_page *page, int64_t weight, void *ctx, struct keys *ret,
	       struct error *err);

/* Begins at the start of the list again: for a new sweep, or after a failure. */
void keys_rewind(struct key_page *page);

struct reference_question {
	const struct plan *plan; /* with crossref_sql */
	int job;
	const struct keys *keys;
	int64_t most_others; /* other subjects of the list that may be added; 0: none */
};

/* The answer of the database: rows of other subjects that refer to rows of these. */
struct references {
	struct keys kept; /* remaining rows refer to these */
	const char *via; /* the foreign keys of those rows */
	struct keys own; /* the other keys that were asked for and are still in the list */
	struct keys together; /* own and the subjects that refer to them, for one batch */
};

/* Asks plan->crossref_sql. */
bool keys_ask_references(struct db *db, const struct reference_question *question, void *ctx,
			 struct references *ret, struct error *err);

/* The two halves of the array, in its order. */
bool keys_halve(struct db *db, const struct keys *whole, void *ctx, struct keys ret[2],
		struct error *err);
