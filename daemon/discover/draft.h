/*
 * The text of a model to start from: the tables, what becomes of each column, and why.  A column that
 * nobody can judge from outside is erased and marked, until a person decides that it may stay.
 */
#pragma once

#include "discover/decide.h"

/* The whole file, owned by draft->ctx. */
const char *draft_text(struct draft *draft);
