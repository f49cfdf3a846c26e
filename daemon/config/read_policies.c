/* The list "policies" of a configuration. */
#include "config/read.h"

#include "base/mem.h"

#include <string.h>

#define N_POLICIES_MAX 1000

#define POLICY(member) offsetof(struct policy, member)
static const struct setting_spec policy_specs[] = {
	{.key = "name", .kind = VALUE_NAME, .offset = POLICY(name), .required = true},
	{.key = "action", .required = true},
	{.key = "depth", .kind = VALUE_PERIOD, .offset = POLICY(depth), .required = true},
	{.key = "schedule", .kind = VALUE_NAME, .offset = POLICY(schedule_text), .required = true},
	{.key = "archive"},
	{.key = "scope", .kind = VALUE_SQL, .offset = POLICY(scope)},
	{.key = "without_requests"},
	{.key = "approval", .kind = VALUE_BOOL, .offset = POLICY(approval)},
	{.key = "enabled", .kind = VALUE_BOOL, .offset = POLICY(enabled)},
};
static bool is_policy_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";

	return strlen(name) <= 63 && name[strspn(name, allowed)] == '\0';
}

static void read_action(struct reader *r, const config_setting_t *group, const char *what,
			struct policy *policy)
{
	const config_setting_t *action = config_setting_get_member(group, "action");
	const config_setting_t *archive = config_setting_get_member(group, "archive");
	const char *actions[ACTION_COUNT], *modes[ARCHIVE_MODE_COUNT];

	for (enum action a = 0; a < ACTION_COUNT; a++)
		actions[a] = action_name(a);
	for (enum archive_mode m = 0; m < ARCHIVE_MODE_COUNT; m++)
		modes[m] = archive_mode_name(m);
	policy->action = ACTION_COUNT;
	if (action)
		policy->action = (enum action)setting_choice(r, action, what, "action", actions,
							     ACTION_COUNT);
	policy->archive = policy->action == ACTION_EXPORT ? ARCHIVE_LISTED : ARCHIVE_NONE;
	if (!archive)
		return;
	policy->archive = (enum archive_mode)setting_choice(r, archive, what, "archive", modes,
							    ARCHIVE_MODE_COUNT);
	if (policy->archive == ARCHIVE_MODE_COUNT || policy->action == ACTION_COUNT)
		return;
	if (policy->action == ACTION_EXPORT && policy->archive == ARCHIVE_NONE)
		reader_complain(r, archive,
				"%s: archive \"none\": an export only writes an archive: "
				"use listed or full",
				what);
	if ((policy->action == ACTION_ANONYMIZE_CONTACTS ||
	     policy->action == ACTION_ANONYMIZE_REQUESTS) &&
	    policy->archive != ARCHIVE_NONE)
		reader_complain(r, archive,
				"%s: archive \"%s\": an anonymization cannot be archived, "
				"because it must not leave the old values: leave archive out",
				what, archive_mode_name(policy->archive));
}

static void read_without_requests(struct reader *r, const config_setting_t *s, const char *what,
				  const struct model *model, struct policy *policy)
{
	static const char *const names[] = {"created"};

	if (setting_choice(r, s, what, "without_requests", names, 1) == 1)
		return;
	policy->without_requests = true;
	if (policy->action == ACTION_ANONYMIZE_REQUESTS)
		reader_complain(r, s,
				"%s: without_requests is for actions on contacts, not for "
				"anonymize_requests",
				what);
	else if (model->contact && !model->contact->created)
		reader_complain(r, s,
				"%s: without_requests needs created in table \"contact\" of "
				"the model",
				what);
}

static void read_policy(struct reader *r, const config_setting_t *group, struct config *config,
			struct policy *policy)
{
	const config_setting_t *s = config_setting_get_member(group, "name");
	const char *name = s ? config_setting_get_string(s) : NULL;
	char *what = name && is_policy_name(name)
			     ? t_printf(config, "policy \"%s\"", name)
			     : t_printf(config, "policy %zu", config->n_policies + 1);
	const char *why;

	*policy = (struct policy){.place = reader_place(r, group), .enabled = true};
	settings_read(r, group, what, SETTING_SPECS(policy_specs), policy);
	if (policy->name && !is_policy_name(policy->name))
		reader_complain(r, s,
				"%s: name \"%s\" is not 1 to 63 letters, digits, dots, - and _",
				what, policy->name);
	for (size_t i = 0; policy->name && i < config->n_policies; i++)
		if (config->policies[i].name && strcmp(config->policies[i].name, policy->name) == 0)
			reader_complain(r, s, "%s: another policy has the same name, at %s:%d",
					what, config->policies[i].place.file,
					config->policies[i].place.line);
	read_action(r, group, what, policy);
	if (policy->schedule_text &&
	    !schedule_parse(policy->schedule_text, &policy->schedule, &why))
		reader_complain(r, config_setting_get_member(group, "schedule"),
				"%s: schedule \"%s\": %s", what, policy->schedule_text, why);
	s = config_setting_get_member(group, "without_requests");
	if (s)
		read_without_requests(r, s, what, &config->model, policy);
	if (policy->action == ACTION_ANONYMIZE_CONTACTS ||
	    policy->action == ACTION_ANONYMIZE_REQUESTS)
		model_require_rules(r, group, what, &config->model, policy->action);
}

static void read_list(struct reader *r, const config_setting_t *list, struct config *config)
{
	const int n = config_setting_is_list(list) ? config_setting_length(list) : -1;

	/* libconfig reads () as a list and [] as an array: both are lists without a policy. */
	if (config_setting_is_array(list) && config_setting_length(list) == 0)
		return;
	if (n < 0 || n > N_POLICIES_MAX) {
		reader_complain(r, list,
				"policies must be a list of at most %d groups: ( { ... }, "
				"{ ... } )",
				N_POLICIES_MAX);
		return;
	}
	config->policies = t_array(config, struct policy, n);
	for (int i = 0; i < n; i++) {
		const config_setting_t *group = config_setting_get_elem(list, (unsigned int)i);

		if (config_setting_is_group(group))
			read_policy(r, group, config, &config->policies[config->n_policies]);
		else
			reader_complain(r, group, "policy %d must be a group: { name = \"...\"; }",
					i + 1);
		config->n_policies++;
	}
}

/*
 * Complains once per table, naming the first policy that reaches it.  A policy that anonymizes contacts
 * reaches all tables.
 */
static void check_answers(struct reader *r, const config_setting_t *group,
			  const struct config *config)
{
	const struct model *model = &config->model;
	const struct policy *first[ACTION_COUNT + 1] = {NULL};
	const struct policy *policy;
	const struct table *root;
	char *what;

	for (size_t i = config->n_policies; i-- > 0;)
		if (config->policies[i].name)
			first[config->policies[i].action] = &config->policies[i];
	policy = first[ACTION_ANONYMIZE_CONTACTS];
	root = model->contact;
	if (!policy) {
		policy = first[ACTION_ANONYMIZE_REQUESTS];
		root = model->request;
	}
	if (!policy || !root)
		return;
	what = t_printf(config, "policy \"%s\"", policy->name);
	model_require_answers(r, group, what, model, root);
}

void policies_read(struct reader *r, const config_setting_t *root, struct config *config)
{
	const config_setting_t *list = config_setting_get_member(root, "policies");
	const config_setting_t *model = config_setting_get_member(root, "model");

	if (!list)
		return;
	read_list(r, list, config);
	if (model)
		check_answers(r, model, config);
}
