/*
 * Whether a column holds personal data, from its type, its name and its table.
 */
#pragma once

#include "discover/schema.h"

/* A proposal for a column. */
enum verdict { VERDICT_KEEP, VERDICT_CLEAR, VERDICT_ASK };

/* *ret_why: half a sentence, owned by ctx.  The caller decides about keys, links and dates itself. */
enum verdict verdict_of(void *ctx, const struct schema_table *t, const struct schema_column *column,
			const char **ret_why);
