#include "model/model.h"

#include <assert.h>
#include <string.h>

static const char *const action_names[] = {
	[ACTION_EXPORT] = "export",
	[ACTION_DELETE_CONTACTS] = "delete_contacts",
	[ACTION_ANONYMIZE_CONTACTS] = "anonymize_contacts",
	[ACTION_ANONYMIZE_REQUESTS] = "anonymize_requests",
};
static_assert(sizeof(action_names) / sizeof(action_names[0]) == ACTION_COUNT, "a name for each");

static const char *const archive_mode_names[] = {
	[ARCHIVE_NONE] = "none",
	[ARCHIVE_LISTED] = "listed",
	[ARCHIVE_FULL] = "full",
};
static_assert(sizeof(archive_mode_names) / sizeof(archive_mode_names[0]) == ARCHIVE_MODE_COUNT,
	      "a name for each");

static const char *const rule_names[] = {
	[RULE_SET] = "set",       [RULE_CLEAR] = "clear",
	[RULE_JSON] = "json",     [RULE_JSON_KEEP] = "json_keep",
	[RULE_REDACT] = "redact", [RULE_KEEP] = "keep",
};
static_assert(sizeof(rule_names) / sizeof(rule_names[0]) == RULE_COUNT, "a name for each");

/* Returns the name's index, n for an unknown name. */
static unsigned int find_name(const char *const *names, unsigned int n, const char *name)
{
	unsigned int i = 0;

	while (i < n && strcmp(name, names[i]) != 0)
		i++;
	return i;
}

const char *rule_name(enum rule_kind kind)
{
	assert(kind < RULE_COUNT);
	return rule_names[kind];
}

const char *action_name(enum action action)
{
	assert(action < ACTION_COUNT);
	return action_names[action];
}

enum action action_parse(const char *name)
{
	return find_name(action_names, ACTION_COUNT, name);
}

const char *archive_mode_name(enum archive_mode mode)
{
	assert(mode < ARCHIVE_MODE_COUNT);
	return archive_mode_names[mode];
}

enum archive_mode archive_mode_parse(const char *name)
{
	return find_name(archive_mode_names, ARCHIVE_MODE_COUNT, name);
}

bool model_is_under(const struct table *t, const struct table *root)
{
	for (; t; t = t->of)
		if (t == root)
			return true;
	return false;
}

const struct column_rule *model_rule(const struct table *t, const char *column)
{
	for (size_t i = 0; i < t->n_rules; i++)
		if (strcmp(t->rules[i].column, column) == 0)
			return &t->rules[i];
	return NULL;
}

size_t model_depth(const struct table *t)
{
	size_t depth = 0;

	for (; t->of; t = t->of)
		depth++;
	return depth;
}

const char *model_parent_column(const struct table *t)
{
	assert(t->of);
	return t->from ? t->from : t->of->key;
}

const struct table *model_subject(const struct model *model, enum action action)
{
	return action == ACTION_ANONYMIZE_REQUESTS ? model->request : model->contact;
}

/*
 * A manual action may ask for an anonymization that no policy names.  The configuration then has
 * not insisted on an answer for every table, so a table without one is refused here.
 */
bool model_can_anonymize(const struct model *model, enum action action)
{
	const struct table *root = model_subject(model, action);

	if (root->on_anonymize != ON_ANONYMIZE_RULES ||
	    model->request->on_anonymize != ON_ANONYMIZE_RULES)
		return false;
	for (size_t i = 0; i < model->n_tables; i++)
		if (model->tables[i].on_anonymize == ON_ANONYMIZE_UNSET &&
		    model_is_under(&model->tables[i], root))
			return false;
	return true;
}
