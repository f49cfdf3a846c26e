/* The rows of a table as the rules of an action would leave them, for the constraints to be tried on. */
#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"

static bool is_tried(const struct column_rule *rule)
{
	return rule && (rule->kind == RULE_SET || rule->kind == RULE_CLEAR);
}

/* The value of the column in a row that the rules have changed; NULL: they leave it as it is. */
static const char *tried_value(const struct plan *p, const struct table *t,
			       const struct column *column)
{
	const struct column_rules rules = plan_rules(p, t);
	const struct column_rule *rule = column_rules_find(&rules, column->name);

	/* A NULL without its type would be a text, and casts from text to it may be anybody's. */
	if (is_tried(rule) && rule->kind == RULE_CLEAR && !column->not_null)
		return t_printf(p, "NULL::%s", column->type);
	if (is_tried(rule))
		return plan_rule_value(p, t, rule, "t", "1");
	return plan_disposition(p, t) == DISPOSITION_DETACH && columns_have(t->by, column->name) &&
			       catalog_is_detached(t, plan_relation(p, t), column->name)
		       ? t_printf(p, "NULL::%s", column->type)
		       : NULL;
}

const char *plan_tried_columns(void *ctx, const struct plan *p, const struct table *t)
{
	const struct relation *r = plan_relation(p, t);
	const enum disposition d = plan_disposition(p, t);
	const char **names = t_array(ctx, const char *, r->n_columns + 1);
	size_t n = 0;

	for (size_t i = 0; (d == DISPOSITION_UPDATE || d == DISPOSITION_DETACH) && i < r->n_columns;
	     i++)
		if (tried_value(p, t, &r->columns[i]))
			names[n++] = r->columns[i].name;
	return n > 0 ? sql_array(ctx, names, n) : NULL;
}

char *plan_tried_rows(void *ctx, const struct plan *p, const struct table *t, bool changed)
{
	const struct relation *r = plan_relation(p, t);
	char *list = t_strdup(ctx, "");

	for (size_t i = 0; i < r->n_columns; i++) {
		const char *name = r->columns[i].name;
		const char *value = changed ? tried_value(p, t, &r->columns[i]) : NULL;

		t_list(&list, ", ", "%s AS %s", value ? value : plan_column(ctx, "t", name),
		       sql_ident(ctx, name));
	}
	return t_printf(ctx, "SELECT %s FROM %s AS t LIMIT 100", list,
			plan_filtered(ctx, t, t->where, NULL));
}
