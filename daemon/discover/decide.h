/*
 * Decides what a draft does with each column and table: keep, clear, or set to a value.  A column that
 * nobody can judge from outside is erased, and marked as open until a person has looked at it.
 */
#pragma once

#include "discover/links.h"
#include "model/model.h"

struct draft {
	void *ctx; /* talloc: owns all reasons */
	const struct schema *schema;
	const struct links *links;
	const char *date; /* of the request */
	bool *is_erased; /* of each table: an anonymization deletes its rows; see decide_tables() */
};

struct decision {
	enum rule_kind rule; /* RULE_KEEP, RULE_CLEAR or RULE_SET */
	const char *value; /* RULE_SET */
	const char *why; /* half a sentence */
	bool open; /* a person has to decide */
};

bool decide_is_date(const struct schema_column *column);

/* The request's column to count ages from; NULL: it has no date. */
const char *decide_date(const struct schema_table *request);

/* The contact's column with the date of its creation; NULL: none is known by its name. */
const char *decide_created(const struct schema_table *contact);

struct decision decide_column(const struct draft *d, size_t table,
			      const struct schema_column *column);

/* Fills is_erased, which has an element for each table of the schema. */
void decide_tables(struct draft *d);
