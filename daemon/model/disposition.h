/*
 * What an action does to the rows of a table that belong to a contact (or a request).  No other file
 * reads the model's `delete` and `anonymize`.
 */
#pragma once

#include "model/model.h"

enum disposition {
	DISPOSITION_NONE, /* the action does not reach the table */
	DISPOSITION_KEEP, /* reached, left as it is; what hangs off it is looked at */
	DISPOSITION_COPY, /* export: written to a file, left as it is */
	DISPOSITION_UPDATE, /* column rules */
	DISPOSITION_DETACH, /* the link becomes NULL, and the rules of on_delete are applied */
	DISPOSITION_DELETE
};

/* What the action does to t's rows; an export copies the tables of archive, or all of them. */
enum disposition disposition_of(const struct table *t, enum action action,
				enum archive_mode archive);

/* The rules by which rows of this disposition are changed: those of detachment, or of anonymization. */
struct column_rules disposition_rules(const struct table *t, enum disposition disposition);

/* Does any of the rules change its column? */
bool disposition_writes(const struct column_rules *rules);

/* Do the rows that the action erases from t go into the archive? */
bool disposition_is_archived(const struct table *t, enum action action, enum archive_mode archive);
