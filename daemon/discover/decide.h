/* Decides what a draft (draft.h) does with each column and table: keep, clear, or set to a value. */
#pragma once

#include "discover/links.h"
#include "model/model.h"

struct draft {
	void *ctx; /* talloc: owns all that follows from the draft */
	const struct schema *schema;
	const struct links *links;
	const char *date; /* of the request; never NULL */
	const char *database; /* its name, for the first comment */
	bool samples; /* the schema was read with samples */
	bool *is_erased; /* of each table: an anonymization deletes its rows; set by decide_tables() */
	/* draft_text()'s own */
	char *out;
	bool is_proposal; /* of a shared table: its rules stand in comments, without marks */
};

struct decision {
	enum rule_kind rule; /* RULE_KEEP, RULE_CLEAR or RULE_SET */
	const char *value; /* RULE_SET */
	const char *why; /* half a sentence */
	bool open; /* a person has to decide */
};

/* The request's column to count ages from; NULL: it has no date. */
const char *decide_date(const struct schema_table *request);

/* The contact's column with the date of its creation; NULL: none is known by its name. */
const char *decide_created(const struct schema_table *contact);

struct decision decide_column(const struct draft *d, size_t table,
			      const struct schema_column *column);

/* Decides which tables an anonymization empties. */
void decide_tables(struct draft *d);
