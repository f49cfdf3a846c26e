/*
 * Finds the shard of the contacts: a column by which tables are split, and which the database proves to be the same down
 * the links (model/shard.h).
 */
#pragma once

#include "discover/draft.h"

/*
 * The shard of each item of the draft's links.  names: NULL where it has none; contact's is the default of the others.
 * faults: why a table that is split has none; NULL: it has one, or is not split.
 */
struct shards {
	const char **names, **faults; /* n of the links */
	size_t n_narrowed; /* tables that are split, and narrowed */
};

/* Proposes the column that narrows the most tables; NULL: there is none.  Owned by draft->ctx. */
const struct shards *shards_propose(const struct draft *draft);
