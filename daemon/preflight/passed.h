/*
 * What has passed the check for one policy is not asked again for the next: 50 policies of one model differ in their
 * scope, and in little else.
 */
#pragma once

#include "plan/plan.h"

/* Plans that differ in their scope alone are of one kind. */
struct passed_kind {
	enum action action;
	enum archive_mode archive;
	bool without_requests;
	bool by_set; /* how their foreign keys are kept */
	const char *integrity; /* the same, for people; NULL: an export */
};

/* Nothing at first: all zero, and allocated by talloc, which owns what is added. */
struct passed {
	struct passed_kind *kinds; /* n_kinds */
	size_t n_kinds;
	const char **statements; /* n_statements */
	size_t n_statements;
};

/* Returns the kind of such a plan, whose tables have passed; NULL: none, or p is NULL. */
const struct passed_kind *passed_like(const struct passed *p, const struct plan_opts *opts);

/* opts as the plan was made at last; integrity is kept as it is. */
void passed_add_kind(struct passed *p, const struct plan_opts *opts, const char *integrity);

/* Has the server taken this statement already?  p may be NULL. */
bool passed_has(const struct passed *p, const char *sql);

/* Keeps the pointer. */
void passed_add(struct passed *p, const char *sql);
