/*
 * The rules that a configuration has for an action, as the database kept it: which rows are due, and what becomes of the
 * rows of each table and of each of its columns.  A configuration that this version cannot read is named with the reason.
 */
#include "report/report.h"

#include "base/mem.h"
#include "base/sql.h"
#include "base/text.h"
#include "model/disposition.h"

struct lines {
	const char **lines; /* each a text[] */
	size_t n;
};

struct report_rules {
	void *ctx;
	struct lines
		rules; /* configuration, action, table, relation, rule, columns, value, where, archived, shared, schema, name, by */
	struct lines
		selections; /* configuration, action, policy, depth, schedule, archive, scope, without_requests, approval, due_when, date, created, date_unit, created_unit */
	struct lines unreadable; /* configuration, why */
};

struct report_rules *report_rules_new(void *ctx)
{
	struct report_rules *rules = t_zero(ctx, struct report_rules);

	rules->ctx = rules;
	return rules;
}

/* Adds a line; NULL becomes the empty text, which stands for NULL. */
static void add(struct report_rules *r, struct lines *to, const char *const fields[], size_t n)
{
	const char **all = t_array(r->ctx, const char *, n);

	for (size_t i = 0; i < n; i++)
		all[i] = fields[i] ? fields[i] : "";
	to->lines = t_grow(r->ctx, to->lines, const char *, to->n + 1);
	to->lines[to->n++] = sql_array(r->ctx, all, n);
}

/* The configuration, the action and the table of a line. */
struct about {
	struct report_rules *r;
	const char *sha256;
	enum action action;
	const struct table *table;
	bool archived;
};

static void add_rule(const struct about *a, const char *rule, const struct columns *columns,
		     const char *value)
{
	const struct table *t = a->table;
	void *ctx = a->r->ctx;
	const char *const fields[] = {
		a->sha256,
		action_names[a->action],
		t->name,
		t_printf(ctx, "%s.%s", t->schema, t->table),
		rule,
		columns_array(ctx, columns),
		value,
		t->where,
		a->archived ? "true" : "false",
		t->shared ? "true" : "false",
		t->schema,
		t->table,
		columns_array(ctx, t->by),
	};

	add(a->r, &a->r->rules, fields, LENGTH(fields));
}

/* The columns whose rule has this kind, and the value of the rule at first. */
static void add_kind(const struct about *a, const struct column_rules *rules, size_t first)
{
	const struct column_rule *rule = &rules->list[first];
	const bool single = rule->value || rule->keys;
	const char **names = t_array(a->r->ctx, const char *, rules->n);
	struct columns columns = {.names = names};
	char *value = rule->value ? t_strdup(a->r->ctx, rule->value) : NULL;

	for (size_t i = first; i < (single ? first + 1 : rules->n); i++)
		if (rules->list[i].kind == rule->kind)
			names[columns.n++] = rules->list[i].column;
	for (size_t i = 0; rule->keys && i < rule->n_keys; i++) {
		if (!value)
			value = t_strdup(a->r->ctx, "");
		t_list(&value, ", ", "%s", rule->keys[i]);
	}
	add_rule(a, rule_names[rule->kind], &columns, value);
}

/* Rules with a value or with keys have a line each, the others one for each kind. */
static void add_columns(const struct about *a, const struct column_rules *rules)
{
	for (size_t i = 0; i < rules->n; i++) {
		const struct column_rule *rule = &rules->list[i];
		bool seen = false;

		for (size_t j = 0; j < i && !rule->value && !rule->keys; j++)
			seen = seen || rules->list[j].kind == rule->kind;
		if (!seen)
			add_kind(a, rules, i);
	}
}

/* Rows that are deleted take along their files outside the database. */
static void add_deleted(const struct about *a)
{
	const struct outside *file = &a->table->file;

	add_rule(a, "deleted", NULL, NULL);
	if (file->column)
		add_rule(a, "file_removed", &(const struct columns){.names = &file->column, .n = 1},
			 file->root);
}

static void add_table(const struct about *a, enum archive_mode archive)
{
	const enum disposition disposition = disposition_of(a->table, a->action, archive);
	const struct column_rules rules = disposition_rules(a->table, disposition);

	switch (disposition) {
	case DISPOSITION_NONE:
		break;
	case DISPOSITION_KEEP:
		add_rule(a, "kept", NULL, NULL);
		break;
	case DISPOSITION_COPY:
		add_rule(a, "copied", NULL, NULL);
		break;
	case DISPOSITION_DETACH:
		add_rule(a, "detached", a->table->by, NULL);
		add_columns(a, &rules);
		break;
	case DISPOSITION_DELETE:
		add_deleted(a);
		break;
	case DISPOSITION_UPDATE:
		add_columns(a, &rules);
		break;
	}
}

/* NULL: the column is a date. */
static const char *unit_of(const struct table *t)
{
	return t ? date_unit_names[t->date_unit] : NULL;
}

static void add_selection(struct report_rules *r, const struct config *config, const char *sha256,
			  enum action action, const struct policy *policy)
{
	const struct table *request = config->model.request;
	char depth[32] = "";
	const char *const fields[] = {
		sha256,
		action_names[action],
		policy ? policy->name : NULL,
		depth,
		policy ? policy->schedule_text : NULL,
		policy ? archive_mode_names[policy->archive] : NULL,
		policy ? policy->scope : NULL,
		policy && policy->without_requests ? "true" : NULL,
		policy && policy->approval ? "true" : NULL,
		request ? request->due_when : NULL,
		request ? request->date : NULL,
		config->model.contact ? config->model.contact->created : NULL,
		unit_of(request),
		unit_of(config->model.contact),
	};

	if (policy)
		period_print(&policy->depth, depth, sizeof(depth));
	add(r, &r->selections, fields, LENGTH(fields));
}

static void add_rules(struct report_rules *r, const struct config *config, const char *sha256,
		      enum action action, enum archive_mode archive)
{
	for (size_t i = 0; i < config->model.n_tables; i++) {
		const struct table *t = &config->model.tables[i];
		const struct about about = {
			.r = r,
			.sha256 = sha256,
			.action = action,
			.table = t,
			.archived = disposition_is_archived(t, action, archive),
		};

		add_table(&about, archive);
	}
}

void report_rules_of(struct report_rules *rules, const struct config *config, const char *sha256,
		     enum action action, const char *policy)
{
	const struct policy *of = policy ? config_policy(config, policy) : NULL;

	add_selection(rules, config, sha256, action, of);
	add_rules(rules, config, sha256, action, of ? of->archive : ARCHIVE_NONE);
}

static int nibble(char digit)
{
	return digit <= '9' ? digit - '0' : digit - 'a' + 10;
}

/* The text whose bytes the server has printed as hexadecimal digits. */
static char *from_hex(void *ctx, const char *hex)
{
	const size_t n = strlen(hex) / 2;
	char *text = t_array(ctx, char, n + 1);

	for (size_t i = 0; i < n; i++)
		text[i] = (char)(nibble(hex[2 * i]) * 16 + nibble(hex[2 * i + 1]));
	return text;
}

static const char *value(const PGresult *res, int row, const char *column)
{
	const int c = PQfnumber(res, column);

	return PQgetisnull(res, row, c) ? NULL : PQgetvalue(res, row, c);
}

/*
 * A version of this program that knows other settings may have written it.  The complaint may quote bytes that are no
 * text, which the server would not take.
 */
static void add_unreadable(struct report_rules *r, const char *sha256, const char *why)
{
	char *text = text_one_line(t_strdup(r->ctx, why));
	const char *const fields[] = {sha256, text};

	for (char *t = text; *t; t++)
		if ((unsigned char)*t > 127)
			*t = '?';
	add(r, &r->unreadable, fields, LENGTH(fields));
}

void report_rules_read(struct report_rules *rules, const PGresult *used)
{
	for (int row = 0; row < PQntuples(used); row++) {
		const char *sha256 = value(used, row, "sha256"), *hex = value(used, row, "hex");
		const char *policy = value(used, row, "policy");
		const enum action action = action_parse(value(used, row, "action"));
		const enum archive_mode archive = archive_mode_parse(value(used, row, "archive"));
		AUTO(complaints) struct complaints c = {0};
		AUTO(talloc) struct config *config = NULL;

		if (!hex || action == ACTION_COUNT || archive == ARCHIVE_MODE_COUNT)
			continue; /* the document says that it was removed */
		config = config_parse_text("configuration", from_hex(rules->ctx, hex), &c);
		if (!config) {
			add_unreadable(rules, sha256, c.lines[0]);
			continue;
		}
		add_selection(rules, config, sha256, action,
			      policy ? config_policy(config, policy) : NULL);
		add_rules(rules, config, sha256, action, archive);
	}
}

void report_rules_values(struct report_rules *rules, const struct report_ask *ask,
			 const char *ret_values[REPORT_VALUES])
{
	const struct lines *all[] = {&rules->rules, &rules->selections, &rules->unreadable};

	ret_values[0] = ask->ids;
	for (size_t i = 0; i < LENGTH(all); i++)
		ret_values[1 + i] = sql_array(rules->ctx, all[i]->lines, all[i]->n);
	ret_values[4] = ask->policy;
	ret_values[5] = ask->from;
	ret_values[6] = ask->to;
	ret_values[7] = ask->keys ? "true" : "false";
	ret_values[8] = ask->preview;
}
