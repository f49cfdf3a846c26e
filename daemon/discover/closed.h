/*
 * When a request is closed, as far as labels tell: of an enum, a CHECK or a comment on the column, and with samples of
 * the table that the column refers to, and of the planner's statistics.
 */
#pragma once

#include "discover/schema.h"

struct closed {
	const char *condition; /* SQL; NULL: nothing tells */
	const char *labels; /* all that the column can hold, for a comment; NULL: not known */
};

/* What is asked of which database. */
struct closed_search {
	struct db *db;
	const struct schema *schema;
	const struct schema_table *request;
	bool samples; /* rows may be read */
};

/* *ret is owned by ctx. */
bool closed_find(void *ctx, const struct closed_search *search, struct closed *ret,
		 struct error *err);
