/*
 * The part of residue that differs where Citus has the rows on several servers.  Citus refuses a table function within
 * UNION ALL, a correlated subquery beside one, and what is no table below LATERAL.
 */
#pragma once

#include "model/catalog.h"

/*
 * The text columns of contact c that an anonymization would write, as an item of FROM with rows (name, value).  "":
 * there are none.  Owned by ctx.
 */
char *residue_columns(void *ctx, const struct table *c, const struct relation *relation);

/* What the search of one table is made of, as SQL. */
struct residue_spread {
	const char *with; /* plan_reach_sql() */
	const char *table;
	const char *texts; /* its columns as rows (name, text) of t */
	const char *covered; /* plan_covered_sql() */
	const char *fold; /* " COLLATE ..." */
};

/* The statement: column, of, exact, inside, covered.  Only texts with a value come to the coordinator.  Owned by ctx. */
char *residue_spread_search(void *ctx, const struct residue_spread *search);
