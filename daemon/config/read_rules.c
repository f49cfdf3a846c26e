/* Reads the rules for the columns of a table.  The names of the rules stand in model/model.c. */
#include "config/read.h"

#include "base/mem.h"
#include "base/text.h"
#include "model/disposition.h"

/* A table that is being read; collects its rules until all are known. */
struct table_reader {
	const struct reader *r;
	struct column_rule *rules;
	size_t n_rules;
	bool is_full; /* more rules than allowed: has complained */
};

static void add_rule(struct table_reader *tr, const config_setting_t *s, struct column_rule rule)
{
	const struct reader *r = tr->r;

	rule.place = reader_place(r, s);
	for (size_t i = 0; i < tr->n_rules; i++) {
		const struct column_rule *other = &tr->rules[i];

		if (strcmp(other->column, rule.column) != 0)
			continue;
		if (other->kind == rule.kind)
			complain_at(r, s, "column \"%s\" is under %s twice", rule.column,
				    rule_names[rule.kind]);
		else
			complain_at(r, s,
				    "column \"%s\" is under %s and under %s: use one rule for each "
				    "column",
				    rule.column, rule_names[other->kind], rule_names[rule.kind]);
		return;
	}
	if (tr->n_rules >= SETTING_STRINGS_MAX) {
		if (!tr->is_full)
			complain_at(r, s, "more than %d columns", SETTING_STRINGS_MAX);
		tr->is_full = true;
		return;
	}
	tr->rules = t_grow(r->ctx, tr->rules, struct column_rule, tr->n_rules + 1);
	tr->rules[tr->n_rules++] = rule;
}

/* Every brace must belong to a known placeholder, because a typo would be written into each row. */
static bool check_template(const struct reader *r, const config_setting_t *s, const char *column,
			   const char *value)
{
	for (const char *p = value + strcspn(value, "{}"); *p; p += strcspn(p, "{}")) {
		if (strncmp(p, "{key}", 5) == 0) {
			p += 5;
		} else if (strncmp(p, "{number}", 8) == 0) {
			p += 8;
		} else {
			complain_at(r, s,
				    "set %s = \"%s\": the placeholders are {key} and {number}",
				    column, value);
			return false;
		}
	}
	return true;
}

/* Adds a rule of a kind that needs a value besides the column. */
static void add_with_value(struct table_reader *tr, const config_setting_t *s, enum rule_kind kind,
			   const char *column, const config_setting_t *value)
{
	struct column_rule rule = {.kind = kind, .column = column};
	const char *text = config_setting_get_string(value);

	if (kind != RULE_SET) {
		rule.keys = setting_strings(tr->r, value, rule_names[kind], &rule.n_keys);
	} else if (text && !*text) {
		rule.value = ""; /* an empty value is allowed here */
	} else {
		rule.value = setting_string(tr->r, value, column, VALUE_SQL);
		if (rule.value && !check_template(tr->r, value, column, rule.value))
			return;
	}
	if (rule.keys || rule.value)
		add_rule(tr, s, rule);
}

/* Reads { column = "First Name"; value = "F_{key}"; }; json and json_keep have keys instead of value. */
static void read_pair(struct table_reader *tr, const config_setting_t *s, enum rule_kind kind)
{
	static const struct setting_spec set_parts[] = {
		{.key = "column", .kind = VALUE_NAME, .required = true},
		{.key = "value", .required = true},
		{0},
	};
	static const struct setting_spec json_parts[] = {
		{.key = "column", .kind = VALUE_NAME, .required = true},
		{.key = "keys", .required = true},
		{0},
	};
	const struct setting_spec *specs = kind == RULE_SET ? set_parts : json_parts;
	const struct reader inner = reader_in(tr->r, s, tr->r->what);
	const config_setting_t *value;
	const char *column = NULL;

	if (!config_setting_is_group(s)) {
		complain_at(tr->r, s, "%s as a list holds { column = \"...\"; %s = ...; }",
			    rule_names[kind], specs[1].key);
		return;
	}
	settings_read(&inner, specs, &column);
	value = reader_key(&inner, specs[1].key);
	if (column && value)
		add_with_value(tr, s, kind, column, value);
}

/* Reads set, json or json_keep: { NAME = ...; } or ( { column = "NAME"; ... } ). */
static void read_columns_with_values(struct table_reader *tr, const config_setting_t *s,
				     enum rule_kind kind)
{
	const bool is_many = config_setting_is_group(s) || config_setting_is_list(s);
	const int n = is_many ? config_setting_length(s) : 0;

	if (n == 0)
		complain_at(tr->r, s,
			    "%s must be a group { column = ...; } or a list "
			    "( { column = \"...\"; ... } ), and not empty",
			    rule_names[kind]);
	for (int i = 0; i < n; i++) {
		const config_setting_t *elem = config_setting_get_elem(s, (unsigned int)i);
		const char *column = config_setting_name(elem);

		if (column)
			add_with_value(tr, elem, kind, t_strdup(tr->r->ctx, column), elem);
		else
			read_pair(tr, elem, kind);
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
	columns = setting_strings(tr->r, s, rule_names[kind], &n);
	for (size_t i = 0; columns && i < n; i++)
		add_rule(tr, config_setting_get_elem(s, (unsigned int)i),
			 (struct column_rule){.kind = kind, .column = columns[i]});
}

/* No rule may change a column that this program follows as a link or reads as a date. */
static void check_rules(const struct reader *r, const struct table *t,
			const struct column_rules *rules, bool has_key)
{
	for (size_t i = 0; i < rules->n; i++) {
		const struct column_rule *rule = &rules->list[i];
		const char *column = rule->column;
		const struct {
			const char *key;
			bool is_it;
		} fixed[] = {{"key", columns_have(t->key, column)},
			     {"by", !t->match && columns_have(t->by, column)},
			     {"date", t->date && strcmp(t->date, column) == 0},
			     {"created", t->created && strcmp(t->created, column) == 0}};

		for (size_t j = 0; j < LENGTH(fixed); j++)
			if (rule->kind != RULE_KEEP && fixed[j].is_it)
				complain_at(
					r, NULL,
					"column \"%s\" is its %s and cannot be under %s: put it "
					"under keep",
					rule->column, fixed[j].key, rule_names[rule->kind]);
		if (rule->kind == RULE_SET && strchr(rule->value, '{') && !has_key)
			complain_at(r, NULL, "key is missing: set %s = \"%s\" needs it",
				    rule->column, rule->value);
	}
}

void rules_read(const struct reader *r, struct table *t)
{
	const bool has_word = reader_key(r, "anonymize");
	struct table_reader tr = {.r = r};

	for (int m = 0; m < config_setting_length(r->group); m++) {
		const config_setting_t *s = config_setting_get_elem(r->group, (unsigned int)m);
		const size_t kind = text_index(config_setting_name(s), rule_names, RULE_COUNT);

		if (kind == RULE_COUNT)
			continue;
		if (has_word)
			complain_at(r, s, "%s contradicts anonymize: use only one of them",
				    rule_names[(enum rule_kind)kind]);
		else
			t->on_anonymize = ON_ANONYMIZE_RULES;
		read_rules(&tr, s, (enum rule_kind)kind);
	}
	t->rules = tr.rules;
	t->n_rules = tr.n_rules;
	check_rules(r, t, &(struct column_rules){t->rules, t->n_rules}, reader_key(r, "key"));
}

void rules_read_on_delete(const struct reader *r, const config_setting_t *group, struct table *t)
{
	static const struct setting_spec on_delete_parts[] = {
		{.key = "set"},
		{.key = "clear"},
		{.key = "json"},
		{.key = "json_keep"},
		{.key = "redact"},
		{.key = "keep"},
		{0},
	};
	const struct reader inner = reader_in(r, group, t_printf(r->ctx, "%s: on_delete", r->what));
	struct table_reader tr = {.r = &inner};

	if (!config_setting_is_group(group)) {
		complain_at(r, group, "on_delete must be a group: { clear = [ \"...\" ]; }");
		return;
	}
	if (t->on_delete != ON_DELETE_DETACH)
		complain_at(r, group,
			    "on_delete is for rows that stay without their link: use it with "
			    "delete = \"detach\"");
	settings_read(&inner, on_delete_parts, NULL);
	for (size_t kind = 0; kind < RULE_COUNT; kind++) {
		const config_setting_t *s = reader_key(&inner, rule_names[kind]);

		if (s)
			read_rules(&tr, s, (enum rule_kind)kind);
	}
	if (!reader_key(r, "key"))
		complain_at(r, group, "key is missing: on_delete needs it");
	t->on_detach = (struct column_rules){tr.rules, tr.n_rules};
	for (size_t i = 0; i < tr.n_rules; i++)
		if (tr.rules[i].kind == RULE_SET && strstr(tr.rules[i].value, "{number}"))
			complain_at(&inner, NULL,
				    "set %s = \"%s\": a detached row gets no number: use {key}",
				    tr.rules[i].column, tr.rules[i].value);
	if (!disposition_writes(&t->on_detach))
		complain_at(r, group, "on_delete clears nothing: leave it out");
	check_rules(&inner, t, &t->on_detach, reader_key(r, "key"));
}
