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
	enum action action = 0;

	while (action < ACTION_COUNT && strcmp(name, action_names[action]) != 0)
		action++;
	return action;
}

const char *archive_mode_name(enum archive_mode mode)
{
	assert(mode < ARCHIVE_MODE_COUNT);
	return archive_mode_names[mode];
}

enum archive_mode archive_mode_parse(const char *name)
{
	enum archive_mode mode = 0;

	while (mode < ARCHIVE_MODE_COUNT && strcmp(name, archive_mode_names[mode]) != 0)
		mode++;
	return mode;
}

bool model_value_uses(const char *value, const char *placeholder)
{
	return strstr(value, placeholder) != NULL;
}

bool model_is_under(const struct table *t, const struct table *root)
{
	for (; t; t = t->of)
		if (t == root)
			return true;
	return false;
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

/*
 * A manual action may ask for an anonymization that no policy names.  The configuration then has
 * not insisted on an answer for every table, so a table without one is refused here.
 */
bool model_can_anonymize(const struct model *model, enum action action)
{
	const struct table *root =
		action == ACTION_ANONYMIZE_REQUESTS ? model->request : model->contact;

	if (root->on_anonymize != ON_ANONYMIZE_RULES ||
	    model->request->on_anonymize != ON_ANONYMIZE_RULES)
		return false;
	for (size_t i = 0; i < model->n_tables; i++)
		if (model->tables[i].on_anonymize == ON_ANONYMIZE_UNSET &&
		    model_is_under(&model->tables[i], root))
			return false;
	return true;
}
