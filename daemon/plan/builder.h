/*
 * What plan/build.c and plan/step.c share while a plan is built; nobody else's.
 */
#ifndef RETENTION_PLAN_BUILDER_H
#define RETENTION_PLAN_BUILDER_H

#include "plan/plan.h"

struct builder {
	void *ctx;
	const struct model *model;
	const struct catalog *catalog;
	const struct plan_opts *opts;
	struct plan *plan;
	const char ***slots; /* per table: the columns collected; [0] is the key */
	size_t *n_slots;
};

const struct relation *plan_relation(const struct builder *b, const struct table *t);

/* Has t a statement of its own? */
bool plan_has_step(const struct builder *b, const struct table *t);

/* integrity = "set": are t's rows deleted, and pointed at by foreign keys? */
bool plan_is_asked(const struct builder *b, const struct table *t);

/*
 * Do t's rows have to be in hand?  Where others hang off it, each row gets its number, rows are shared or
 * use what is shared, or foreign keys are asked set by set.
 */
bool plan_is_collected(const struct builder *b, const struct table *t);

/* Are t's rows found by their own keys then?  A join table may have none. */
bool plan_is_own(const struct builder *b, const struct table *t);

/* keys, an SQL expression, as an array of the type of t's column. */
char *plan_array(const struct builder *b, const struct table *t, const char *column,
		 const char *keys);

/* The column of t that is collected (NULL: none), as those below compare it: a char(8) without its padding. */
char *plan_slot(const struct builder *b, const struct table *t, const char *column);

/* The array that t's rows are found by: its parent's, unless t's own keys were collected (own). */
struct source plan_source(const struct builder *b, const struct table *t, bool own);

/* t.key = ANY (own keys), or t.by = ANY (parent's) AND (where).  keys: an SQL expression. */
char *plan_selection(const struct builder *b, const struct table *t, const char *keys, bool own);

/* The step of a table that has one. */
void plan_step(const struct builder *b, const struct table *t, struct step *ret);

#endif
