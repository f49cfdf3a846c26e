/*
 * What a rule writes into its column, and how a row is known to which it has been done already.
 */
#include "plan/rule.h"

#include "base/mem.h"
#include "plan/due.h"
#include "base/sql.h"

/* '^F_[0-9]+$' of "F_{number}": what an earlier pass has written there. */
static char *number_pattern(void *ctx, const char *value)
{
	const char *place = strstr(value, "{number}");
	char *pattern = t_strdup(ctx, "^");

	for (const char *c = value; *c; c++) {
		if (c == place) {
			t_append(&pattern, "[0-9]+");
			c += strlen("{number}") - 1;
			place = strstr(c, "{number}");
		} else if (strchr(".[]{}()\\*+?|^$", *c)) {
			t_append(&pattern, "\\%c", *c);
		} else {
			t_append(&pattern, "%c", *c);
		}
	}
	t_append(&pattern, "$");
	return sql_literal(ctx, pattern);
}

/* 'L_' || (alias."id")::text: the template with its placeholders as expressions. */
static char *template_text(void *ctx, const struct table *t, const char *value, const char *alias,
			   const char *number)
{
	char *sql = t_strdup(ctx, "");
	const char *rest = value;

	while (*rest) {
		const char *brace = strchr(rest, '{');
		const size_t plain = brace ? (size_t)(brace - rest) : strlen(rest);

		if (plain > 0)
			t_append(&sql, "%s%s", *sql ? " || " : "",
				 sql_literal(ctx, t_printf(ctx, "%.*s", (int)plain, rest)));
		rest += plain;
		if (!brace)
			break;
		if (strncmp(rest, "{key}", 5) == 0) {
			t_append(&sql, "%s(%s)::text", *sql ? " || " : "",
				 plan_column(ctx, alias, t->key));
			rest += 5;
		} else { /* {number}: the configuration lets no other through */
			t_append(&sql, "%s(%s)::text", *sql ? " || " : "", number);
			rest += 8;
		}
	}
	return *sql ? sql : t_strdup(ctx, "''");
}

static char *json_keys(void *ctx, const struct column_rule *rule)
{
	return t_printf(ctx, "%s::text[]",
			sql_literal(ctx, sql_array(ctx, rule->keys, rule->n_keys)));
}

/* The column as jsonb: json has no operators. */
static char *as_jsonb(void *ctx, const struct column *column, const char *at)
{
	return t_printf(ctx, strcmp(column->base, "json") == 0 ? "(%s)::jsonb" : "%s", at);
}

/*
 * Values shorter than REDACT_MIN would take half of a text along; what stands in their place is not longer,
 * so that it fits a varchar(n).
 */
#define REDACT_MIN "3"
#define REDACTED "'***'"

/* A longer one is no name, and would make an expression that the server takes for too complex. */
#define REDACT_MAX "1000"

/* A class of blanks, the no-break ones too. */
#define BLANK "[\\s\\u00a0\\u202f]"
#define BLANKS "[\\\\s\\\\u00a0\\\\u202f]+" /* as what it is replaced by */
#define TRIMMED "regexp_replace(v.value, '^" BLANK "+|" BLANK "+$', '', 'g')"

static char *dirty_column(void *ctx, const struct catalog *catalog, const struct table *t,
			  const struct column_rule *rule, const char *alias);

/* Is what the column of the contact holds still a person's, not what its rule has written there? */
static char *is_own(void *ctx, const struct catalog *catalog, const struct table *contact,
		    const char *column, const char *alias)
{
	char *dirty = NULL;

	for (size_t i = 0; !dirty && i < contact->n_rules; i++)
		if (strcmp(contact->rules[i].column, column) == 0 &&
		    contact->rules[i].kind != RULE_REDACT)
			dirty = dirty_column(ctx, catalog, contact, &contact->rules[i], alias);
	return dirty ? dirty : t_strdup(ctx, "true");
}

/* The contact's identity columns as rows of v(value). */
static char *identity_values(void *ctx, const struct catalog *catalog, const struct table *contact,
			     const char *alias)
{
	char *sql = t_strdup(ctx, "");

	for (size_t i = 0; i < contact->n_identity; i++) {
		const struct column *column =
			catalog_column(&catalog->relations[contact->index], contact->identity[i]);
		const char *at = plan_column(ctx, alias, column->name);

		t_append(&sql,
			 column->category == 'A' ? "%sSELECT unnest(%s::text[]) WHERE %s"
						 : "%sSELECT %s::text WHERE %s",
			 i ? " UNION ALL " : "", at,
			 is_own(ctx, catalog, contact, column->name, alias));
	}
	return sql;
}

/*
 * A regular expression of what the row's own contact is known by, whole words, the longest first; NULL
 * where nothing is known.  A blank in a name stands for any number of them in the text.
 */
static char *identity_pattern(void *ctx, const struct catalog *catalog, const struct table *t,
			      const char *alias)
{
	char *from = t_strdup(ctx, ""), *where = t_strdup(ctx, "");
	const char *below = alias;

	for (; t->of; t = t->of) {
		const char *name = t_printf(ctx, "k%zu", t->of->index);

		t_append(&from, "%s AS %s, ", sql_table(ctx, t->of->schema, t->of->table), name);
		t_append(&where, " AND %s", plan_link(ctx, catalog, t, below, name));
		below = name;
	}
	return t_printf(ctx,
			"(SELECT '(?<!\\w)(' || string_agg(regexp_replace(regexp_replace(w.value,\n"
			"    '([^[:alnum:]_[:space:]\\u00a0\\u202f])', '\\\\\\1', 'g'),\n"
			"    '" BLANK "+', '" BLANKS "', 'g'), '|'\n"
			"    ORDER BY length(w.value) DESC, w.value) || ')(?!\\w)'\n"
			"   FROM %sLATERAL (%s) AS v(value), LATERAL (SELECT " TRIMMED
			") AS w(value)\n"
			"  WHERE length(w.value) BETWEEN " REDACT_MIN " AND " REDACT_MAX
			" AND w.value ~ '[^*]'%s)",
			from, identity_values(ctx, catalog, t, below), where);
}

char *plan_rule_value(void *ctx, const struct catalog *catalog, const struct table *t,
		      const struct column_rule *rule, const char *alias, const char *number)
{
	const struct column *column = catalog_column(&catalog->relations[t->index], rule->column);
	const char *at = plan_column(ctx, alias, rule->column);
	const char *json;

	switch (rule->kind) {
	case RULE_SET:
		if (!strchr(rule->value, '{'))
			return t_printf(ctx, "%s::%s", sql_literal(ctx, rule->value), column->type);
		return t_printf(ctx, "(%s)::%s", template_text(ctx, t, rule->value, alias, number),
				column->type);
	case RULE_CLEAR:
		return column->not_null
			       ? t_printf(ctx, "%s::%s", catalog_empty_value(column), column->type)
			       : t_strdup(ctx, "NULL");
	case RULE_JSON:
		json = as_jsonb(ctx, column, at);
		return t_printf(
			ctx, "CASE WHEN jsonb_typeof(%s) = 'object' THEN (%s - %s)::%s ELSE %s END",
			json, json, json_keys(ctx, rule), column->base, at);
	case RULE_JSON_KEEP:
		json = as_jsonb(ctx, column, at);
		return t_printf(
			ctx,
			"CASE WHEN %s IS NOT NULL THEN (SELECT coalesce(jsonb_object_agg(j.key, j.value),\n"
			"  '{}') FROM jsonb_each(CASE WHEN jsonb_typeof(%s) = 'object' THEN %s END) AS j\n"
			"  WHERE j.key = ANY (%s))::%s END",
			at, json, json, json_keys(ctx, rule), column->base);
	case RULE_REDACT:
		return t_printf(ctx,
				"coalesce(regexp_replace(%s::text, %s, " REDACTED
				", 'gi'), %s::text)::%s",
				at, identity_pattern(ctx, catalog, t, alias), at, column->type);
	case RULE_KEEP:
	case RULE_COUNT:
		break;
	}
	return t_strdup(ctx, at);
}

/* Compared as text: a type of an extension may have its = outside pg_catalog, or none. */
static char *dirty_column(void *ctx, const struct catalog *catalog, const struct table *t,
			  const struct column_rule *rule, const char *alias)
{
	const struct column *column = catalog_column(&catalog->relations[t->index], rule->column);
	const char *at = plan_column(ctx, alias, rule->column);

	if (rule->kind == RULE_KEEP)
		return NULL;
	if (rule->kind == RULE_JSON || rule->kind == RULE_JSON_KEEP) {
		at = as_jsonb(ctx, column, at);
		return rule->kind == RULE_JSON
			       ? t_printf(ctx, "(jsonb_typeof(%s) = 'object' AND %s ?| %s)", at, at,
					  json_keys(ctx, rule))
			       : t_printf(
					 ctx,
					 "CASE WHEN jsonb_typeof(%s) = 'object' THEN %s - %s <> '{}'\n"
					 "  ELSE %s IS NOT NULL END",
					 at, at, json_keys(ctx, rule), at);
	}
	if (rule->kind == RULE_REDACT)
		return t_printf(ctx, "coalesce(%s::text ~* %s, false)", at,
				identity_pattern(ctx, catalog, t, alias));
	if (rule->kind == RULE_CLEAR && !column->not_null)
		return t_printf(ctx, "%s IS NOT NULL", at);
	if (rule->kind == RULE_SET && model_value_uses(rule->value, "{number}"))
		return t_printf(ctx, "(%s IS NULL OR %s::text !~ %s)", at, at,
				number_pattern(ctx, rule->value));
	return t_printf(ctx, "%s::text IS DISTINCT FROM (%s)::text", at,
			plan_rule_value(ctx, catalog, t, rule, alias, NULL));
}

char *plan_dirty_row(void *ctx, const struct catalog *catalog, const struct table *t,
		     const char *alias, bool redact)
{
	char *sql = t_strdup(ctx, "");

	for (size_t i = 0; i < t->n_rules; i++) {
		const char *one = t->rules[i].kind == RULE_REDACT && !redact
					  ? NULL
					  : dirty_column(ctx, catalog, t, &t->rules[i], alias);

		if (one)
			t_append(&sql, "%s%s", *sql ? " OR " : "", one);
	}
	return *sql ? sql : t_strdup(ctx, "false");
}
