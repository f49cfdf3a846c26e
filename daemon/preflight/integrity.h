/*
 * Decides how a plan's foreign keys are kept (limits.integrity): "set" deletes as a replica and
 * asks each foreign key once a batch (plan/by_set.c), "triggers" lets the server fire a trigger for
 * each row.  "set" is only taken where nothing of the database is skipped silently.
 *
 * The decision is a function of facts, so that it can be tested without a server.
 */
#pragma once

#include "database/db.h"
#include "plan/plan.h"

/* What the server says, beside the catalog. */
struct integrity_facts {
	bool grantable; /* the right can be granted: PostgreSQL 15 and later; before, a superuser has it alone */
	bool may_set; /* the role may set session_replication_role */
	const char *role; /* quoted */
	/*
	 * [step of the plan]: the user triggers on DELETE of its table, which a replica does not
	 * fire, or which it alone fires; NULL: none.
	 */
	const char *const *triggers;
};

/* Reads the facts about the session's role and the tables of the plan.  Owned by ctx. */
bool integrity_read(struct db *db, const struct plan *plan, void *ctx, struct integrity_facts *ret,
		    struct error *err);

/* One thing that forbids "set". */
struct obstacle {
	const struct place *place; /* NULL: limits.integrity */
	const char *because; /* "... because <because>"; "it" is "set" */
	const char *cure; /* for a configuration that demands "set", before "say ..."; or "" */
};

/* Returns all that forbids "set" for the plan, n in *ret_n.  Owned by ctx. */
const struct obstacle *integrity_obstacles(void *ctx, const struct plan *plan,
					   const struct integrity_facts *facts, size_t *ret_n);

/*
 * Chooses, where the configuration wants auto: "set" if the plan deletes rows and there is no
 * obstacle.  *ret_text is "set" or "triggers, because ...", owned by ctx.
 */
bool integrity_by_set(void *ctx, const struct plan *plan, const struct obstacle *obstacles,
		      size_t n, const char **ret_text);
