/*
 * What a rule writes into its column, and how to recognise a row to which the rule has already been
 * applied.
 */
#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"

#define KEY "{key}"
#define NUMBER "{number}"

/* Makes '^F_[0-9]+$' of "F_{number}": a pattern of what an earlier pass has written there. */
static char *number_pattern(const void *ctx, const char *value)
{
	char *pattern = t_strdup(ctx, "^");

	for (const char *c = value; *c; c++) {
		if (strncmp(c, NUMBER, strlen(NUMBER)) == 0) {
			t_append(&pattern, "[0-9]+");
			c += strlen(NUMBER) - 1;
		} else {
			t_append(&pattern, strchr(".[]{}()\\*+?|^$", *c) ? "\\%c" : "%c", *c);
		}
	}
	t_append(&pattern, "$");
	return sql_literal(ctx, pattern);
}

/*
 * The key as text.  A row's cast to text may depend on a setting, which Citus refuses in an UPDATE; numbers, which need no
 * quotes in it, are put together instead.
 */
static char *key_text(const struct plan *p, const struct table *t, const char *alias)
{
	const struct columns *key = t->key;
	char *sql = t_strdup(p, "");

	if (!p->catalog->citus || key->n == 1)
		return plan_key_text(p, alias, key);
	for (size_t i = 0; i < key->n; i++) {
		if (catalog_column(plan_relation(p, t), key->names[i])->category != 'N')
			return plan_key_text(p, alias, key);
		t_list(&sql, " || ',' || ", "%s::text", plan_column(p, alias, key->names[i]));
	}
	return t_printf(p, "'(' || %s || ')'", sql);
}

/* Makes 'L_' || (alias."id")::text of "L_{key}": the placeholders become expressions. */
static char *template_text(const struct plan *p, const struct table *t, const char *value,
			   const char *alias, const char *number)
{
	char *sql = t_strdup(p, "");

	while (*value) {
		const size_t plain = strcspn(value, "{");
		const bool key = strncmp(value, KEY, strlen(KEY)) == 0;

		if (plain > 0)
			t_list(&sql, " || ", "%s",
			       sql_literal(p, t_printf(p, "%.*s", (int)plain, value)));
		else /* {number}: the configuration lets no other through */
			t_list(&sql, " || ", "%s",
			       key ? key_text(p, t, alias) : t_printf(p, "(%s)::text", number));
		value += plain > 0 ? plain : strlen(key ? KEY : NUMBER);
	}
	return *sql ? sql : t_strdup(p, "''");
}

static char *json_keys(const void *ctx, const struct column_rule *rule)
{
	return t_printf(ctx, "%s::text[]",
			sql_literal(ctx, sql_array(ctx, rule->keys, rule->n_keys)));
}

/* Returns the column as jsonb, because json has no operators. */
static char *as_jsonb(const void *ctx, const struct column *column, const char *at)
{
	return t_printf(ctx, strcmp(column->base, "json") == 0 ? "(%s)::jsonb" : "%s", at);
}

/*
 * A shorter value would take half of a text along.  The replacement is no longer than the shortest
 * value, so that it fits a varchar(n).
 */
#define REDACT_MIN "3"
#define REDACTED "'***'"

/* A longer value is not a name, and the server takes its expression for too complex. */
#define REDACT_MAX "1000"

/* Blanks, the no-break ones too. */
#define BLANK "[\\s\\u00a0\\u202f]"
#define BLANKS "[\\\\s\\\\u00a0\\\\u202f]+" /* the same as a replacement */
#define TRIMMED "regexp_replace(v.value{fold}, '^" BLANK "+|" BLANK "+$', '', 'g')"

static char *dirty_column(const struct plan *p, const struct table *t,
			  const struct column_rule *rule, const char *alias);

/* A plan that is made from a literal has none. */
static const char *fold_of(const struct plan *p)
{
	return p->catalog->fold ? p->catalog->fold : "";
}

/*
 * The contact's identity columns as rows of v(value), where they still hold a person's value, not what
 * their rule has written there.
 */
static char *identity_values(const struct plan *p, const struct table *contact, const char *alias)
{
	char *sql = t_strdup(p, "");

	for (size_t i = 0; i < contact->n_identity; i++) {
		const char *name = contact->identity[i], *at = plan_column(p, alias, name);
		const struct column_rule *rule = model_rule(contact, name);
		const bool told = rule && rule->kind != RULE_KEEP && rule->kind != RULE_REDACT;
		const struct column *column = catalog_column(plan_relation(p, contact), name);

		t_list(&sql, " UNION ALL ", "%s WHERE %s", plan_texts(p, column, at, ""),
		       told ? dirty_column(p, contact, rule, alias) : "true");
	}
	return sql;
}

/* Letters that have more than two cases, and what stands for each of them in an expression. */
#define SIGMA "'[\\u03a3\\u03c2\\u03c3]', '[\\\\u03a3\\\\u03c2\\\\u03c3]', 'g'"
#define SHARP_S "'[\\u00df\\u1e9e]|ss', '(?:[\\\\u00df\\\\u1e9e]|ss)', 'gi'"

/*
 * A regular expression of the identity values of the row's own contact: whole words, the longest
 * first.  NULL where there are none.  A blank in a name stands for any number of them in the text.
 */
static const char identity_pattern_sql[] =
	"(SELECT '(?<!\\w)(' || string_agg(regexp_replace(regexp_replace(regexp_replace(\n"
	"    regexp_replace(w.value, '([^[:alnum:]_[:space:]\\u00a0\\u202f])', '\\\\\\1', 'g'),\n"
	"    " SIGMA "), " SHARP_S "),\n"
	"    '" BLANK "+', '" BLANKS "', 'g'), '|'\n"
	"    ORDER BY length(w.value) DESC, w.value) || ')(?!\\w)'\n"
	"   FROM {tables_above}LATERAL ({values}) AS v(value), LATERAL (SELECT " TRIMMED
	") AS w(value)\n"
	"  WHERE length(w.value) BETWEEN " REDACT_MIN " AND " REDACT_MAX
	" AND w.value ~ '[^*]'{links})";

static char *identity_pattern(const struct plan *p, const struct table *t, const char *alias)
{
	char *tables = t_strdup(p, ""), *links = t_strdup(p, "");
	const char *below = alias;

	for (; t->of; t = t->of) {
		const char *name = t_printf(p, "k%zu", t->of->index);

		t_append(&tables, "%s AS %s, ", plan_table(p, t->of), name);
		t_append(&links, " AND %s", plan_link(p, t, below, name));
		below = name;
	}
	return sql_fill(p, identity_pattern_sql, {"tables_above", tables}, {"fold", fold_of(p)},
			{"values", identity_values(p, t, below)}, {"links", links});
}

/* An object without the listed keys. */
static const char json_sql[] =
	"CASE WHEN jsonb_typeof({json}) = 'object' THEN ({json} - {keys})::{type} ELSE {column} END";

/* An object with the listed keys alone; of another value nothing. */
static const char json_keep_sql[] =
	"CASE WHEN {column} IS NOT NULL THEN (SELECT coalesce(jsonb_object_agg(j.key, j.value),\n"
	"  '{}') FROM jsonb_each(CASE WHEN jsonb_typeof({json}) = 'object' THEN {json} END) AS j\n"
	"  WHERE j.key = ANY ({keys}))::{type} END";

static const char redact_sql[] =
	"coalesce(regexp_replace({column}::text{fold}, {pattern}, " REDACTED
	", 'gi'), {column}::text)::{type}";

char *plan_rule_value(const struct plan *p, const struct table *t, const struct column_rule *rule,
		      const char *alias, const char *number)
{
	const struct column *column = catalog_column(plan_relation(p, t), rule->column);
	const char *at = plan_column(p, alias, rule->column);

	switch (rule->kind) {
	case RULE_SET:
		return t_printf(p, strchr(rule->value, '{') ? "(%s)::%s" : "%s::%s",
				template_text(p, t, rule->value, alias, number), column->type);
	case RULE_CLEAR:
		return column->not_null
			       ? t_printf(p, "%s::%s", catalog_empty_value(column), column->type)
			       : t_strdup(p, "NULL");
	case RULE_JSON:
	case RULE_JSON_KEEP:
		return sql_fill(p, rule->kind == RULE_JSON ? json_sql : json_keep_sql,
				{"json", as_jsonb(p, column, at)}, {"column", at},
				{"keys", json_keys(p, rule)}, {"type", column->base});
	case RULE_REDACT:
		return sql_fill(p, redact_sql, {"column", at}, {"fold", fold_of(p)},
				{"pattern", identity_pattern(p, t, alias)}, {"type", column->type});
	case RULE_KEEP:
	case RULE_COUNT:
		break;
	}
	return t_strdup(p, at);
}

/* Does the value hold a listed key? */
static const char json_dirty_sql[] = "(jsonb_typeof({json}) = 'object' AND {json} ?| {keys})";

/* Does it hold another than the listed keys, or is it something else than an object? */
static const char json_keep_dirty_sql[] =
	"CASE WHEN jsonb_typeof({json}) = 'object' THEN {json} - {keys} <> '{}'\n"
	"  ELSE {json} IS NOT NULL END";

/*
 * Values of one of PostgreSQL's own types that are compared as they are where Citus would run their cast to text, which
 * may depend on a setting, in an UPDATE: it refuses that.
 */
static bool is_compared_as_it_is(const struct plan *p, const struct column *column)
{
	static const char *const kinds = "ABDINSTV"; /* pg_type.typcategory: each has an = */

	return p->catalog->citus && column->plain &&
	       (strchr(kinds, column->category) || strcmp(column->base, "bytea") == 0);
}

/*
 * Is there anything left that the rule, which is not keep, would erase?  Compared as text, because a
 * type of an extension may have its = outside pg_catalog, or none.
 */
static char *dirty_column(const struct plan *p, const struct table *t,
			  const struct column_rule *rule, const char *alias)
{
	const struct column *column = catalog_column(plan_relation(p, t), rule->column);
	const char *at = plan_column(p, alias, rule->column), *value;

	if (rule->kind == RULE_JSON || rule->kind == RULE_JSON_KEEP)
		return sql_fill(p, rule->kind == RULE_JSON ? json_dirty_sql : json_keep_dirty_sql,
				{"json", as_jsonb(p, column, at)}, {"keys", json_keys(p, rule)});
	if (rule->kind == RULE_REDACT)
		return t_printf(p, "coalesce(%s::text%s ~* %s, false)", at, fold_of(p),
				identity_pattern(p, t, alias));
	if (rule->kind == RULE_CLEAR && !column->not_null)
		return t_printf(p, "%s IS NOT NULL", at);
	if (rule->kind == RULE_SET && strstr(rule->value, NUMBER))
		return t_printf(p, "(%s IS NULL OR %s !~ %s)", at, plan_text(p, column, at),
				number_pattern(p, rule->value));
	value = plan_rule_value(p, t, rule, alias, NULL);
	if (is_compared_as_it_is(p, column))
		return t_printf(p, "%s IS DISTINCT FROM %s", at, value);
	return t_printf(p, "%s IS DISTINCT FROM %s", plan_text(p, column, at),
			plan_text(p, column, value));
}

const char *plan_dirty_row(const struct plan *p, const struct table *t, const char *alias,
			   bool redact)
{
	const struct column_rules rules = plan_rules(p, t);
	char *sql = t_strdup(p, "");

	for (size_t i = 0; i < rules.n; i++)
		if (rules.list[i].kind != RULE_KEEP &&
		    (rules.list[i].kind != RULE_REDACT || redact))
			t_list(&sql, " OR ", "%s", dirty_column(p, t, &rules.list[i], alias));
	return *sql ? sql : "false";
}
