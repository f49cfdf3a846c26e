/* The text by which a change of a table under a job is noticed: state and loud_keys of the catalog (plan/state.c). */
#pragma once

#include "database/db.h"
#include "model/catalog.h"

/* Fills them in the relations, and the partitions; everything is owned by ctx. */
bool read_state(struct db *db, const struct model *model, void *ctx, struct catalog *catalog,
		struct error *err);
