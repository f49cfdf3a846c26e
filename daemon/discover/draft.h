/*
 * The text of a model to start from: the tables, what becomes of each column, and why.  A column that
 * nobody can judge from outside is erased and marked, until a person decides that it may stay.
 */
#pragma once

#include "discover/links.h"

struct draft_opts {
	const struct schema *schema;
	const struct links *links;
	const char *date; /* of the request; never NULL */
	const char *database; /* its name, for the first comment */
	bool samples;
};

/* The whole file, owned by ctx.  *ret_open: the number of marks in it. */
char *draft_text(void *ctx, const struct draft_opts *opts, int *ret_open);
