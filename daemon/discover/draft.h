/*
 * A model to start from, as text: what was found, what is to become of it, and why; what nobody can
 * tell from outside is marked, and erased until somebody has said that it may stay.
 */
#ifndef RETENTION_DISCOVER_DRAFT_H
#define RETENTION_DISCOVER_DRAFT_H

#include "discover/links.h"

struct draft_opts {
	const struct schema *found;
	const struct links *reach;
	const char *date; /* of the request; never NULL */
	const char *database; /* its name, for the head */
	bool samples;
};

/* The request's column that ages are best counted from; NULL: it has no date. */
const char *draft_date(const struct schema_table *request);

/* The whole file.  *ret_open: how many marks are in it.  Owned by ctx. */
char *draft_text(void *ctx, const struct draft_opts *opts, int *ret_open);

#endif
