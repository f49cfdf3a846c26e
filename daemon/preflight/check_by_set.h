/*
 * Reads what decides between "set" and "triggers" (preflight/integrity.h).
 */
#pragma once

#include "database/db.h"
#include "preflight/integrity.h"

/* Reads the facts about the session's role and the tables of the plan.  Owned by ctx. */
bool check_by_set_read(struct db *db, const struct plan *plan, void *ctx,
		       struct integrity_facts *ret, struct error *err);
