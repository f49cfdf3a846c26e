/*
 * Before a single row is touched, this checks the model against the catalog.  The server also has to
 * parse every statement that the actions would run, and to check the rights for it.
 */
#pragma once

#include "base/job_protocol.h"
#include "config/config.h"
#include "database/db.h"
#include "plan/plan.h"

struct passed;

/* What a check works with, and where it puts what it finds. */
struct check {
	struct db *db;
	const struct config *config;
	void *ctx; /* owns all that is found */
	struct complaints *complaints;
	struct catalog *catalog; /* found, once the model holds */
	const char *integrity; /* found by check_action(): "set", or "triggers, because ..." */
	/* Gets a detail for each policy, and progress as a sign of life; NULL: nobody asks. */
	struct report *report;
	const char *
		grants; /* option of retentionctl grants that prints what this role lacks; NULL: none */
	struct passed *passed; /* by policies before, and not asked again; NULL: one action alone */
};

/* All of these return false with err empty where there are complaints. */

/* Holds the whole configuration against the database: model, all four actions, all policies. */
bool check_config(struct check *check, struct error *err);

/*
 * The types by which place_hold() writes a key as the table does: "int4", or "(int4,uuid)" of several
 * columns.  Owned by ctx.
 */
const char *check_key_types(const void *ctx, const struct table *t, const struct relation *r);

/* What the plan of an action is made from: the policy's own settings, none where it is NULL. */
struct plan_opts check_opts(const struct config *config, const struct policy *policy,
			    enum action action, enum archive_mode archive);

/* The model alone, as action would use it: reads the catalog and nothing else. */
bool check_model_for(struct check *check, enum action action, struct error *err);

/*
 * Complains where this role is a superuser, and a query of the model's tables would run functions of others with its
 * rights (preflight/foreign_code.h).  Before each query of these tables.
 */
bool check_foreign_code(const struct check *check, const struct catalog *catalog,
			struct error *err);

/*
 * In check_dates.c.  Complains about a date_unit in which no value is a date, and warns where some of the first rows have
 * none.  Reads more than the first rows only if none of them has a date; behind check_foreign_code().
 */
bool check_date_values(struct check *check, struct error *err);

/*
 * The predicates of a plan that is to be read with, and not run.  The scope, which may be NULL, is that of a policy of
 * the configuration.
 */
bool check_predicates(struct check *check, const struct plan *plan, struct error *err);

/*
 * Model and statements of one action, and how its foreign keys are kept: opts->by_set is set so.
 * policy is for messages, and may be NULL: a manual action.
 */
bool check_action(struct check *check, const struct policy *policy, struct plan_opts *opts,
		  struct plan **ret_plan, struct error *err);
