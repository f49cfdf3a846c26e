/*
 * The text of a model to start from: the tables, what becomes of each column, and why.  A column that
 * nobody can judge from outside is erased and marked, until a person decides that it may stay.
 */
#pragma once

#include "discover/closed.h"
#include "discover/links.h"
#include "model/model.h"

struct draft {
	void *ctx; /* talloc: owns all that follows from the draft */
	const struct schema *schema;
	const struct links *links;
	const char *date; /* of the request; never NULL */
	struct closed closed;
	const char *database; /* its name, for the first comment */
	bool samples; /* the schema was read with samples */
	bool *is_erased; /* of each table: an anonymization deletes its rows; set by decide_tables() */
	/* draft_text()'s own */
	const struct shards *shards; /* NULL: none is proposed */
	char *out;
	char *indexes; /* lines of comment: those that links lack */
	const char *indent; /* of the rules */
	bool is_proposal; /* of a shared table: its rules stand in comments, without marks */
};

/* What a draft does with a column, as decide.c has it. */
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

/* The whole file, owned by draft->ctx. */
const char *draft_text(struct draft *draft);
