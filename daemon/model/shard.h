/*
 * The shard of a table: the column in which each of its rows holds the shard of its contact.  A statement that is
 * narrowed by it finds the same rows only if that is true of each row, so the database has to prove it: down each
 * link, the row's column equals the parent's.
 *
 *   the link itself    by and from have both columns
 *   a foreign key      has the link's columns and these two, and the link names one row.  A row in which a column of
 *                      the key is NULL escapes it (MATCH SIMPLE), so that only columns of the link, which finds
 *                      no row then, may be NULL.
 *
 * A table under two names is proved for each, because each has a link of its own.
 */
#pragma once

#include "model/catalog.h"

/*
 * Why the column (NULL: none is named) is not proved to be the shard of t, and what to do: a sentence that follows
 * 'shard "account_id"'.  NULL: it is proved.  The parent's relation.shard has to be settled.  Owned by ctx.
 */
const char *shard_fault(void *ctx, const struct model *model, const struct catalog *catalog,
			const struct table *t, const char *column);

/*
 * The column of t in which a person would look for the shard: the one that is written, or that equals the parent's, or
 * has its name.
 */
const char *shard_expected(const struct catalog *catalog, const struct table *t);

/*
 * A column of t that is proved to be its shard, one by which the table is split if there is such a one; NULL: there is
 * none.  t is not contact.
 */
const char *shard_proved(const struct model *model, const struct catalog *catalog,
			 const struct table *t);

/*
 * Tries each column of contact: returns the one that narrows the most tables by what the database proves, one by which
 * contact itself is split among equal ones, and settles relation.shard of all tables for it.  A table has another column
 * where only that is proved, or leads to its part.  NULL: no column narrows a table.
 */
const char *shard_propose(const struct model *model, struct catalog *catalog);

/* How many tables are narrowed.  One with several names counts once. */
size_t shard_count(const struct model *model, const struct catalog *catalog);

/* Does the server find a part of the table's partitions, or its shards of Citus, by the relation's shard? */
bool shard_narrows(const struct relation *relation);
