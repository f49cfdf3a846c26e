/*
 * May a plan delete with limits.integrity = "set"?  Whatever that would skip without a word is refused.
 */
#ifndef RETENTION_PREFLIGHT_CHECK_BY_SET_H
#define RETENTION_PREFLIGHT_CHECK_BY_SET_H

#include "config/config.h"
#include "database/db.h"
#include "plan/plan.h"

/*
 * Complaints, each with what to do: a user trigger that would not fire on DELETE (or that fires only as a
 * replica), a foreign key whose columns cannot be compared as bytes, a missing right to set
 * session_replication_role.  false: err, or a complaint.
 */
bool check_by_set(struct db *db, const struct config *config, const struct plan *plan,
		  const struct catalog *catalog, struct complaints *c, struct error *err);

#endif
