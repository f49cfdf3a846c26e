/*
 * Reads what becomes of a table's rows: delete, anonymize, and a rule for each column.  The names of the
 * rules stand in model/model.c.
 */
#include "config/read.h"

#include "base/mem.h"

#include <string.h>

/* A table that is being read; collects its rules until all are known. */
struct table_reader {
	struct reader *r;
	const char *what;
	struct column_rule *rules;
	size_t n_rules;
	bool is_full; /* more rules than allowed: has complained */
};

static void add_rule(struct table_reader *tr, const config_setting_t *s, struct column_rule rule)
{
	struct reader *r = tr->r;

	rule.place = reader_place(r, s);
	for (size_t i = 0; i < tr->n_rules; i++)
		if (strcmp(tr->rules[i].column, rule.column) == 0) {
			if (tr->rules[i].kind == rule.kind)
				reader_complain(r, s, "%s: column \"%s\" is under %s twice",
						tr->what, rule.column, rule_name(rule.kind));
			else
				reader_complain(
					r, s,
					"%s: column \"%s\" is under %s and under %s: use one "
					"rule for each column",
					tr->what, rule.column, rule_name(tr->rules[i].kind),
					rule_name(rule.kind));
			return;
		}
	if (tr->n_rules >= SETTING_STRINGS_MAX) {
		if (!tr->is_full)
			reader_complain(r, s, "%s: more than %d columns", tr->what,
					SETTING_STRINGS_MAX);
		tr->is_full = true;
		return;
	}
	tr->rules = t_grow(r->ctx, tr->rules, struct column_rule, tr->n_rules + 1);
	tr->rules[tr->n_rules++] = rule;
}

/* Every brace must belong to a known placeholder, because a typo would be written into each row. */
static bool check_template(struct table_reader *tr, const config_setting_t *s, const char *column,
			   const char *value)
{
	for (const char *p = value + strcspn(value, "{}"); *p; p += strcspn(p, "{}")) {
		if (strncmp(p, "{key}", 5) == 0) {
			p += 5;
		} else if (strncmp(p, "{number}", 8) == 0) {
			p += 8;
		} else {
			reader_complain(tr->r, s,
					"%s: set %s = \"%s\": the placeholders are {key} "
					"and {number}",
					tr->what, column, value);
			return false;
		}
	}
	return true;
}

static void add_set(struct table_reader *tr, const config_setting_t *s, const char *column,
		    const config_setting_t *value)
{
	const char *text = NULL;

	if (config_setting_type(value) == CONFIG_TYPE_STRING)
		text = config_setting_get_string(value);
	if (text && !*text) {
		text = ""; /* an empty value is allowed here */
	} else {
		text = setting_string(tr->r, value, tr->what, column, VALUE_SQL);
		if (!text || !check_template(tr, value, column, text))
			return;
	}
	add_rule(tr, s, (struct column_rule){.kind = RULE_SET, .column = column, .value = text});
}

static void add_json(struct table_reader *tr, const config_setting_t *s, enum rule_kind kind,
		     const char *column, const config_setting_t *value)
{
	size_t n;
	const char **keys = setting_strings(tr->r, value, tr->what, rule_name(kind), &n);

	if (keys)
		add_rule(tr, s,
			 (struct column_rule){
				 .kind = kind, .column = column, .keys = keys, .n_keys = n});
}

/* Reads { column = "First Name"; value = "F_{key}"; }; json and json_keep have keys instead of value. */
static void read_pair(struct table_reader *tr, const config_setting_t *s, enum rule_kind kind)
{
	static const struct setting_spec set_specs[] = {
		{.key = "column", .kind = VALUE_NAME, .required = true},
		{.key = "value", .required = true},
	};
	static const struct setting_spec json_specs[] = {
		{.key = "column", .kind = VALUE_NAME, .required = true},
		{.key = "keys", .required = true},
	};
	const struct setting_spec *specs = kind == RULE_SET ? set_specs : json_specs;
	const config_setting_t *value;
	const char *column = NULL;

	if (!config_setting_is_group(s)) {
		reader_complain(tr->r, s, "%s: %s as a list holds { column = \"...\"; %s = ...; }",
				tr->what, rule_name(kind), specs[1].key);
		return;
	}
	settings_read(tr->r, s, tr->what, specs, 2, &column);
	value = config_setting_get_member(s, specs[1].key);
	if (!column || !value)
		return;
	if (kind == RULE_SET)
		add_set(tr, s, column, value);
	else
		add_json(tr, s, kind, column, value);
}

/* Reads set, json or json_keep: { NAME = ...; } or ( { column = "NAME"; ... } ). */
static void read_columns_with_values(struct table_reader *tr, const config_setting_t *s,
				     enum rule_kind kind)
{
	const int n = config_setting_is_group(s) || config_setting_is_list(s)
			      ? config_setting_length(s)
			      : 0;

	if (n == 0) {
		reader_complain(tr->r, s,
				"%s: %s must be a group { column = ...; } or a list "
				"( { column = \"...\"; ... } ), and not empty",
				tr->what, rule_name(kind));
		return;
	}
	for (int i = 0; i < n; i++) {
		const config_setting_t *elem = config_setting_get_elem(s, (unsigned int)i);
		const char *column = config_setting_name(elem);

		if (!column)
			read_pair(tr, elem, kind);
		else if (kind == RULE_SET)
			add_set(tr, elem, t_strdup(tr->r->ctx, column), elem);
		else
			add_json(tr, elem, kind, t_strdup(tr->r->ctx, column), elem);
	}
}

static void read_rules(struct table_reader *tr, const config_setting_t *s, enum rule_kind kind)
{
	const char **columns;
	size_t n;

	if (kind == RULE_SET || kind == RULE_JSON || kind == RULE_JSON_KEEP) {
		read_columns_with_values(tr, s, kind);
		return;
	}
	columns = setting_strings(tr->r, s, tr->what, rule_name(kind), &n);
	for (size_t i = 0; columns && i < n; i++)
		add_rule(tr, config_setting_get_elem(s, (unsigned int)i),
			 (struct column_rule){.kind = kind, .column = columns[i]});
}

/* Reads delete, anonymize, and the rules in the file's order; complains of contradictions. */
static void read_dispositions(struct table_reader *tr, const config_setting_t *group,
			      struct table *t)
{
	static const char *const delete_names[] = {"delete", "detach", "keep"};
	static const char *const anonymize_names[] = {"delete", "keep"};
	static const enum on_anonymize anonymize_values[] = {ON_ANONYMIZE_DELETE, ON_ANONYMIZE_KEEP,
							     ON_ANONYMIZE_UNSET};
	const config_setting_t *word = config_setting_get_member(group, "delete");
	size_t i;

	if (word) {
		i = setting_choice(tr->r, word, tr->what, "delete", delete_names, 3);
		t->on_delete = i < 3 ? (enum on_delete)i : ON_DELETE_DELETE;
	}
	word = config_setting_get_member(group, "anonymize");
	if (word)
		t->on_anonymize = anonymize_values[setting_choice(tr->r, word, tr->what,
								  "anonymize", anonymize_names, 2)];
	for (int m = 0; m < config_setting_length(group); m++) {
		const config_setting_t *s = config_setting_get_elem(group, (unsigned int)m);

		for (enum rule_kind kind = 0; kind < RULE_COUNT; kind++) {
			if (strcmp(config_setting_name(s), rule_name(kind)) != 0)
				continue;
			if (word)
				reader_complain(tr->r, s,
						"%s: %s contradicts anonymize: use only one "
						"of them",
						tr->what, rule_name(kind));
			else
				t->on_anonymize = ON_ANONYMIZE_RULES;
			read_rules(tr, s, kind);
		}
	}
	t->rules = tr->rules;
	t->n_rules = tr->n_rules;
}

/* No rule may change a column that this program follows as a link or reads as a date. */
static void check_rules(struct table_reader *tr, const config_setting_t *group,
			const struct table *t)
{
	const struct {
		const char *key;
		const char *column;
	} fixed[] = {{"key", t->key},
		     {"by", t->match ? NULL : t->by},
		     {"date", t->date},
		     {"created", t->created}};

	for (size_t i = 0; i < t->n_rules; i++) {
		const struct column_rule *rule = &t->rules[i];

		for (size_t j = 0; j < sizeof(fixed) / sizeof(fixed[0]); j++)
			if (rule->kind != RULE_KEEP && fixed[j].column &&
			    strcmp(rule->column, fixed[j].column) == 0)
				reader_complain(tr->r, group,
						"%s: column \"%s\" is its %s and "
						"cannot be under %s: put it under keep",
						tr->what, rule->column, fixed[j].key,
						rule_name(rule->kind));
		if (rule->kind == RULE_SET && strchr(rule->value, '{') &&
		    !config_setting_get_member(group, "key"))
			reader_complain(tr->r, group,
					"%s: key is missing: set %s = \"%s\" needs it", tr->what,
					rule->column, rule->value);
	}
}

void rules_read(struct reader *r, const config_setting_t *group, const char *what, struct table *t)
{
	struct table_reader tr = {.r = r, .what = what};

	read_dispositions(&tr, group, t);
	check_rules(&tr, group, t);
}
