/*
 * Column rules as SQL.
 */
#ifndef RETENTION_PLAN_RULE_H
#define RETENTION_PLAN_RULE_H

#include "model/catalog.h"

/* As plan_dirty, for the columns of the row itself. "false" where it has no rules. */
char *plan_dirty_row(void *ctx, const struct catalog *catalog, const struct table *t,
		     const char *alias, bool redact);

/* What a rule writes into its column, as an SQL expression over the row alias. */
char *plan_rule_value(void *ctx, const struct catalog *catalog, const struct table *t,
		      const struct column_rule *rule, const char *alias, const char *number);

#endif
