/* The materialized views that read what an action erases: they keep it until somebody refreshes them. */
#pragma once

#include "database/db.h"
#include "model/model.h"

struct view {
	const char *name; /* schema.name */
	const char *owner;
	const char *
		lacking; /* the tables that it reads and that do not say refresh = true; NULL: none */
	bool refreshed; /* after a pass that changed another of its tables */
	bool may; /* the session's role may refresh it */
};

/*
 * Finds the views by the catalog, also behind other views; *ret and what it holds are owned by ctx.
 * A table that no action changes does not count.
 */
bool views_read(struct db *db, const struct model *model, void *ctx, struct view **ret,
		size_t *ret_n, struct error *err);
