/* What the database really has of the model's tables, read by a few set-based queries. */
#pragma once

#include "database/db.h"
#include "model/catalog.h"

/*
 * A table or column that does not exist, or
 * that cannot be worked on (a view, row-level security, a rule), is a complaint.  false: the
 * database failed us (err), or there is a complaint (err is empty).  *ret is owned by ctx.
 */
bool catalog_read(struct db *db, const struct model *model, void *ctx, struct catalog **ret,
		  struct complaints *c, struct error *err);

/* Its part in read_database.c: the members of catalog that are about no table. */
bool read_database(struct db *db, void *ctx, struct catalog *catalog, struct error *err);
