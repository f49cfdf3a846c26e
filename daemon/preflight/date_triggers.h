/*
 * Triggers that set the request's date when the daemon writes the row, as those that keep an updated_at.  Another contact
 * of the request, or a later policy, would then count from the day of the erasure.
 */
#pragma once

#include "database/db.h"
#include "model/model.h"

/*
 * Finds the row triggers BEFORE UPDATE of the request's table whose function, or whose arguments, name the date, if an
 * action of the model writes rows of that table and leaves them.  *ret are their names, n of them, owned by ctx.
 */
bool date_triggers_read(struct db *db, const struct model *model, void *ctx,
			const char *const **ret, size_t *ret_n, struct error *err);
