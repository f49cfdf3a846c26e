#include "model/model.h"

#include "base/text.h"

#include <assert.h>
#include <string.h>

const char *const action_names[ACTION_COUNT] = {
	[ACTION_EXPORT] = "export",
	[ACTION_DELETE_CONTACTS] = "delete_contacts",
	[ACTION_ANONYMIZE_CONTACTS] = "anonymize_contacts",
	[ACTION_ANONYMIZE_REQUESTS] = "anonymize_requests",
};
const char *const archive_mode_names[ARCHIVE_MODE_COUNT] = {
	[ARCHIVE_NONE] = "none",
	[ARCHIVE_LISTED] = "listed",
	[ARCHIVE_FULL] = "full",
};
const char *const rule_names[RULE_COUNT] = {
	[RULE_SET] = "set",       [RULE_CLEAR] = "clear",
	[RULE_JSON] = "json",     [RULE_JSON_KEEP] = "json_keep",
	[RULE_REDACT] = "redact", [RULE_KEEP] = "keep",
};

const char *const date_unit_names[DATE_UNIT_COUNT] = {
	[DATE_UNIT_NONE] = NULL, [DATE_UNIT_S] = "s",     [DATE_UNIT_MS] = "ms",
	[DATE_UNIT_US] = "us",   [DATE_UNIT_ISO] = "iso",
};

enum action action_parse(const char *name)
{
	return (enum action)text_index(name, action_names, ACTION_COUNT);
}

enum archive_mode archive_mode_parse(const char *name)
{
	return (enum archive_mode)text_index(name, archive_mode_names, ARCHIVE_MODE_COUNT);
}

bool model_is_under(const struct table *t, const struct table *root)
{
	for (; t; t = t->of)
		if (t == root)
			return true;
	return false;
}

const struct column_rule *column_rules_find(const struct column_rules *rules, const char *column)
{
	for (size_t i = 0; i < rules->n; i++)
		if (strcmp(rules->list[i].column, column) == 0)
			return &rules->list[i];
	return NULL;
}

const struct column_rule *model_rule(const struct table *t, const char *column)
{
	return column_rules_find(&(struct column_rules){t->rules, t->n_rules}, column);
}

static bool redacts(const struct column_rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rules[i].kind == RULE_REDACT)
			return true;
	return false;
}

bool model_redacts(const struct table *t)
{
	return redacts(t->rules, t->n_rules) || redacts(t->on_detach.list, t->on_detach.n);
}

const char *model_date(const struct table *t)
{
	return t->date ? t->date : t->created;
}

size_t model_depth(const struct table *t)
{
	size_t depth = 0;

	for (; t->of; t = t->of)
		depth++;
	return depth;
}

const struct table *model_linked(const struct model *model)
{
	return model->through ? model->through : model->request;
}

const struct columns *model_parent_columns(const struct table *t)
{
	assert(t->of);
	return t->from ? t->from : t->of->key;
}

const char *model_shard(const struct table *t)
{
	const struct table *contact = t;

	while (contact->of)
		contact = contact->of;
	return t->shard ? t->shard : contact->shard;
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
