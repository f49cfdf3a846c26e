/*
 * The columns of a key, or of a link, in their order.  The columns of a link stand in the order of
 * the parent's columns that they equal.  A key of several columns is written as PostgreSQL writes a
 * row: (7,42).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct columns {
	const char *const *names; /* n, at least 1 */
	size_t n;
};

/* Are these the same columns in the same order?  NULL equals nothing. */
bool columns_equal(const struct columns *a, const struct columns *b);

/* Is the column among them?  Nothing is among NULL. */
bool columns_have(const struct columns *columns, const char *name);

/* Are all of these among the others, in any order? */
bool columns_are_among(const struct columns *columns, const struct columns *others);

/* Is each pair of columns a[i] and b[i] one of x[j] and y[j]?  a and b have the same number, as have x and y. */
bool columns_pairs_are_among(const struct columns *a, const struct columns *b,
			     const struct columns *x, const struct columns *y);

/* The text of their array, for a parameter; "{}" of NULL.  Owned by ctx. */
char *columns_array(const void *ctx, const struct columns *columns);

/* As a setting of the configuration: "id", or [ "account_id", "id" ].  Owned by ctx. */
char *columns_setting(void *ctx, const struct columns *columns);

/* account_id, id: for messages.  Owned by ctx. */
char *columns_text(const void *ctx, const struct columns *columns);
