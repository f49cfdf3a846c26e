/*
 * What keeps a batch honest beside the lock on its subjects: against clients that change requests, add
 * some where no foreign key speaks, or change the schema while a job runs.
 */
#ifndef RETENTION_PLAN_GUARD_H
#define RETENTION_PLAN_GUARD_H

#include "plan/plan.h"

/* Fills lock_requests_sql, strays_sql and state_sql of the plan, which owns them, and what the latter is held against. */
void plan_guards(struct plan *plan, const struct catalog *catalog, const struct plan_opts *opts);

#endif
