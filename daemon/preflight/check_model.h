/*
 * The model held against the catalog: everything for which a model is refused.
 */
#pragma once

#include "model/catalog.h"

/* Complains about unclassified columns, rules that cannot be, foreign keys, missing indexes. */
void check_model(const struct model *model, const struct catalog *catalog, struct complaints *c);
