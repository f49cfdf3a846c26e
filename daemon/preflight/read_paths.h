/*
 * Links by a value within a document (model/path.h).
 */
#pragma once

#include "database/db.h"
#include "model/catalog.h"

/*
 * Adds to each table the paths of its link as columns, which hold texts, and reads whether an index serves them.  Complains
 * where the document's column is not there, or holds no json.
 */
bool read_paths(struct db *db, const struct model *model, void *ctx, struct catalog *catalog,
		struct complaints *c, struct error *err);
