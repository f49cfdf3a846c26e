#include "command/residue_spread.h"

#include "base/mem.h"
#include "base/sql.h"
#include "plan/plan.h"

#include <string.h>

static char *listed(void *ctx, const struct table *c, const struct relation *relation)
{
	char *sql = t_strdup(ctx, "");

	for (size_t i = 0; i < c->n_rules; i++) {
		const struct column *column = catalog_column(relation, c->rules[i].column);
		const char *at = plan_column(ctx, "c", column->name);
		const char *name = sql_literal(ctx, column->name);

		if (c->rules[i].kind == RULE_KEEP || c->rules[i].kind == RULE_REDACT)
			continue;
		if (column->category == 'S' || column->category == 'I' || column->category == 'A')
			t_list(&sql, " UNION ALL ", "%s",
			       plan_texts(ctx, column, at, t_printf(ctx, "%s, ", name)));
		else if (strcmp(column->base, "jsonb") == 0)
			t_list(&sql, " UNION ALL ",
			       "SELECT %s, j #>> '{}' FROM jsonb_path_query(%s, 'strict $.** ? (@.type() == "
			       "\"string\")') AS j",
			       name, at);
	}
	return *sql ? t_printf(ctx, "(%s)", sql) : sql;
}

/* Citus takes one array of all values, beside one of their columns' names. */
static char *arrays(void *ctx, const struct table *c, const struct relation *relation)
{
	char *names = t_strdup(ctx, ""), *values = t_strdup(ctx, "");

	for (size_t i = 0; i < c->n_rules; i++) {
		const struct column *column = catalog_column(relation, c->rules[i].column);
		const char *at = plan_column(ctx, "c", column->name), *array = NULL;

		if (c->rules[i].kind == RULE_KEEP || c->rules[i].kind == RULE_REDACT)
			continue;
		if (column->category == 'S' || column->category == 'I' || column->category == 'A')
			array = t_printf(ctx, "ARRAY(%s)", plan_texts(ctx, column, at, ""));
		else if (strcmp(column->base, "jsonb") == 0)
			array = t_printf(
				ctx,
				"ARRAY(SELECT j #>> '{}' FROM jsonb_path_query(%s, 'strict $.** ? "
				"(@.type() == \"string\")') AS j)",
				at);
		if (!array)
			continue;
		t_list(&names, " || ", "array_fill(%s::text, ARRAY[cardinality(%s)])",
		       sql_literal(ctx, column->name), array);
		t_list(&values, " || ", "%s", array);
	}
	return *names ? t_printf(ctx, "unnest(%s, %s)", names, values) : names;
}

char *residue_columns(void *ctx, const struct table *c, const struct relation *relation)
{
	return (relation->spread == SPREAD_ROWS ? arrays : listed)(ctx, c, relation);
}

static const char rows_sql[] =
	"  SELECT c.name, c.text{fold} AS text, {is_covered} AS covered\n"
	"    FROM {table} AS t CROSS JOIN LATERAL unnest(ARRAY[{texts}]) AS c(name text, text text)\n"
	"   WHERE c.text{fold} ~* (SELECT current_setting('retention.pattern')) AND {which}\n";

static char *found_rows(void *ctx, const struct residue_spread *s, bool covered)
{
	return sql_fill(
		ctx, rows_sql, {"fold", s->fold}, {"table", s->table}, {"texts", s->texts},
		{"is_covered", covered ? "true" : "false"},
		{"which", t_printf(ctx, covered ? "(%s)" : "NOT coalesce(%s, false)", s->covered)});
}

char *residue_spread_search(void *ctx, const struct residue_spread *s)
{
	return t_printf(
		ctx,
		"%s, found AS MATERIALIZED (\n%s  UNION ALL\n%s)\n"
		"SELECT c.name AS column, v.name AS of,\n"
		"       count(*) FILTER (WHERE NOT c.covered AND v.exact) AS exact,\n"
		"       count(*) FILTER (WHERE NOT c.covered AND NOT v.exact) AS inside,\n"
		"       count(*) FILTER (WHERE c.covered) AS covered\n"
		"  FROM (SELECT f.name, f.text%s AS text, f.covered FROM found AS f) AS c\n"
		"  JOIN LATERAL (SELECT u.name, bool_or(lower(c.text) = u.value) AS exact\n"
		"         FROM unnest((SELECT current_setting('retention.values')::text[]),\n"
		"                     (SELECT current_setting('retention.names')::text[])) AS u(value, name)\n"
		"        WHERE strpos(lower(c.text), u.value) > 0 GROUP BY 1) AS v ON true\n"
		" GROUP BY 1, 2 ORDER BY 1, 2",
		s->with, found_rows(ctx, s, true), found_rows(ctx, s, false), s->fold);
}
