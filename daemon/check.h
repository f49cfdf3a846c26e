/*
 * "Before a single row is touched": the model against the catalog, and every statement that the
 * actions would run put before the server's parser and rights.
 */
#ifndef RETENTION_CHECK_H
#define RETENTION_CHECK_H

#include "plan.h"

/* Holds the whole configuration against the database: model, all four actions, all policies. */
bool check_config(struct db *db, const struct config *config, struct complaints *c,
		  struct error *err);

/*
 * The same for one action; the plan and what it stands on are owned by ctx.  policy may be NULL: a
 * manual action.  false with err empty: there are complaints.
 */
bool check_action(struct db *db, const struct config *config, const struct policy *policy,
		  enum action action, enum archive_mode archive, void *ctx, struct plan **ret_plan,
		  struct complaints *c, struct error *err);

#endif
