/*
 * Keys and links: a row is found by a value, and the value must name rows of one subject only.
 */
#pragma once

#include "model/catalog.h"

/*
 * Complains about keys that do not identify a row, links to a column of the parent that several of
 * its rows can have the same value in, and links whose type makes two values one.
 */
void check_links(const struct model *model, const struct catalog *catalog, struct complaints *c);
