/*
 * "Before a single row is touched": the model against the catalog, and every statement that the
 * actions would run put before the server's parser and rights.
 */
#ifndef RETENTION_PREFLIGHT_CHECK_PLAN_H
#define RETENTION_PREFLIGHT_CHECK_PLAN_H

#include "config/config.h"
#include "database/db.h"
#include "plan/plan.h"

/*
 * Holds the whole configuration against the database: model, all four actions, all policies.  *ret_catalog is owned
 * by ctx.
 */
bool check_config(struct db *db, const struct config *config, void *ctx,
		  struct catalog **ret_catalog, struct complaints *c, struct error *err);

/* What the plan of an action is made from: the policy's own settings, none where it is NULL. */
struct plan_opts check_opts(const struct config *config, const struct policy *policy,
			    enum action action, enum archive_mode archive);

/*
 * The model alone, as action would use it: reads the catalog and nothing else.  *ret_catalog is
 * owned by ctx.  false with err empty: there are complaints.
 */
bool check_model_for(struct db *db, const struct config *config, enum action action, void *ctx,
		     struct catalog **ret_catalog, struct complaints *c, struct error *err);

/*
 * Model and statements of one action; the plan and what it stands on are owned by ctx.  policy is
 * for messages, and may be NULL: a manual action.  false with err empty: there are complaints.
 */
bool check_action(struct db *db, const struct config *config, const struct policy *policy,
		  const struct plan_opts *opts, void *ctx, struct plan **ret_plan,
		  struct complaints *c, struct error *err);

#endif
