/* The list "policies" of a configuration. */
#include "config/read.h"

#include "base/mem.h"
#include "base/text.h"

#define N_POLICIES_MAX 1000

#define POLICY(member) .offset = offsetof(struct policy, member)

static const char *const without_names[] = {NULL, "created"};

const struct setting_spec policy_specs[] = {
	{.key = "name", .kind = VALUE_NAME, POLICY(name), .required = true},
	{.key = "action", CHOICE(action_names), POLICY(action), .required = true},
	{.key = "depth", .kind = VALUE_PERIOD, POLICY(depth), .required = true},
	{.key = "schedule", .kind = VALUE_NAME, POLICY(schedule_text), .required = true},
	{.key = "archive", CHOICE(archive_mode_names), POLICY(archive)},
	{.key = "scope", .kind = VALUE_SQL, POLICY(scope)},
	{.key = "without_requests", WORD(without_names), POLICY(without_requests)},
	{.key = "approval", .kind = VALUE_BOOL, POLICY(approval)},
	{.key = "enabled", .kind = VALUE_BOOL, POLICY(enabled)},
	{0},
};

static bool is_policy_name(const char *name)
{
	return strlen(name) <= 63 && !name[strspn(name, LETTERS DIGITS "._-")];
}

static bool is_anonymization(const struct policy *policy)
{
	return policy->action == ACTION_ANONYMIZE_CONTACTS ||
	       policy->action == ACTION_ANONYMIZE_REQUESTS;
}

static void check_archive(const struct reader *r, struct policy *policy)
{
	const config_setting_t *s = reader_key(r, "archive");

	if (policy->archive == ARCHIVE_MODE_COUNT)
		policy->archive = policy->action == ACTION_EXPORT ? ARCHIVE_LISTED : ARCHIVE_NONE;
	if (policy->action == ACTION_EXPORT && policy->archive == ARCHIVE_NONE)
		complain_at(
			r, s,
			"archive \"none\": an export only writes an archive: use listed or full");
	if (is_anonymization(policy) && policy->archive != ARCHIVE_NONE)
		complain_at(r, s,
			    "archive \"%s\": an anonymization cannot be archived, because it must "
			    "not leave the old values: leave archive out",
			    archive_mode_names[policy->archive]);
}

static void check_without_requests(const struct reader *r, const struct model *model,
				   const struct policy *policy)
{
	const config_setting_t *s = reader_key(r, "without_requests");

	if (policy->action == ACTION_ANONYMIZE_REQUESTS)
		complain_at(r, s,
			    "without_requests is for actions on contacts, not for "
			    "anonymize_requests");
	else if (model->contact && !model->contact->created)
		complain_at(r, s,
			    "without_requests needs created in table \"contact\" of the model");
}

/* Complains of a name that cannot be one, or that an earlier policy has. */
static void check_name(const struct reader *r, const struct config *config, const char *name)
{
	const config_setting_t *s = reader_key(r, "name");

	if (!is_policy_name(name))
		complain_at(r, s, "name \"%s\" is not 1 to 63 letters, digits, dots, - and _",
			    name);
	for (size_t i = 0; i < config->n_policies; i++) {
		const struct policy *other = &config->policies[i];

		if (other->name && strcmp(other->name, name) == 0)
			complain_at(r, s, "another policy has the same name, at %s:%d",
				    other->place.file, other->place.line);
	}
}

/* Complains if the model lacks the rules that the policy's action needs: it anonymizes. */
static void require_rules(const struct reader *r, const struct model *model, enum action action)
{
	const struct table *const needed[] = {
		model->request, action == ACTION_ANONYMIZE_CONTACTS ? model->contact : NULL};

	for (size_t i = 0; i < LENGTH(needed); i++)
		if (needed[i] && needed[i]->on_anonymize != ON_ANONYMIZE_RULES)
			complain_at(r, NULL,
				    "%s needs rules (set, clear, json, keep) on table \"%s\" of "
				    "the model",
				    action_names[action], needed[i]->name);
}

static void read_policy(const struct reader *outer, const config_setting_t *group,
			struct config *config)
{
	struct policy policy = {.place = reader_place(outer, group),
				.action = ACTION_COUNT,
				.archive = ARCHIVE_MODE_COUNT,
				.enabled = true};
	const config_setting_t *s = config_setting_get_member(group, "name");
	const char *name = s ? config_setting_get_string(s) : NULL;
	const struct reader inner =
		reader_in(outer, group,
			  name && is_policy_name(name)
				  ? t_printf(config, "policy \"%s\"", name)
				  : t_printf(config, "policy %zu", config->n_policies + 1));
	const struct reader *r = &inner;
	const char *why;

	settings_read(r, policy_specs, &policy);
	if (policy.name)
		check_name(r, config, policy.name);
	check_archive(r, &policy);
	if (policy.schedule_text && !schedule_parse(policy.schedule_text, &policy.schedule, &why))
		complain_at(r, reader_key(r, "schedule"), "schedule \"%s\": %s",
			    policy.schedule_text, why);
	if (policy.without_requests)
		check_without_requests(r, &config->model, &policy);
	if (is_anonymization(&policy))
		require_rules(r, &config->model, policy.action);
	config->policies[config->n_policies] = policy;
}

static void read_list(const struct reader *r, const config_setting_t *list, struct config *config)
{
	const int n = config_setting_is_list(list) ? config_setting_length(list) : -1;

	/* libconfig reads () as a list and [] as an array: both are lists without a policy. */
	if (config_setting_is_array(list) && config_setting_length(list) == 0)
		return;
	if (n < 0 || n > N_POLICIES_MAX) {
		complain_at(r, list,
			    "policies must be a list of at most %d groups: ( { ... }, { ... } )",
			    N_POLICIES_MAX);
		return;
	}
	config->policies = t_array(config, struct policy, n);
	for (int i = 0; i < n; i++, config->n_policies++) {
		const config_setting_t *group = config_setting_get_elem(list, (unsigned int)i);

		if (config_setting_is_group(group))
			read_policy(r, group, config);
		else
			complain_at(r, group, "policy %d must be a group: { name = \"...\"; }",
				    i + 1);
	}
}

/* The model has to be ready for the actions that the page may make a policy of. */
static void check_page_actions(const struct reader *r, const struct config *config)
{
	const struct reader inner = reader_in(r, reader_key(r, "page_policies"), "page_policies");

	for (size_t i = 0; inner.group && i < config->n_page_actions; i++) {
		const enum action action = action_parse(config->page_actions[i]);

		if (action == ACTION_ANONYMIZE_CONTACTS || action == ACTION_ANONYMIZE_REQUESTS)
			require_rules(&inner, &config->model, action);
	}
}

/*
 * Complains, at each table below root, if it has neither a key anonymize nor rules.  r reads the group model.
 * policy: the one that anonymizes root.
 */
static void require_answers(const struct reader *r, const char *policy, const struct model *model,
			    const struct table *root)
{
	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *t = &model->tables[i];

		if (t->on_anonymize == ON_ANONYMIZE_UNSET && t != root && t != model->request &&
		    model_is_under(t, root))
			complain(r->complaints, &t->place,
				 "model: table \"%s\": %s anonymizes \"%s\" and all "
				 "tables below it: add anonymize = %s\"keep\", or rules",
				 t->name, policy, root->name,
				 t == model->through ? "" : "\"delete\" or ");
	}
}

/*
 * Complains once per table, naming the first policy that reaches it.  A policy that anonymizes contacts
 * reaches all tables.
 */
static void check_answers(const struct reader *r, const struct config *config)
{
	const char *first[ACTION_COUNT + 1] = {NULL};
	const char *policy;
	const struct table *root = config->model.contact;

	for (size_t i = 0; config->pages && i < config->n_page_actions; i++)
		first[action_parse(config->page_actions[i])] = "a policy of the page";

	for (size_t i = config->n_policies; i-- > 0;)
		if (config->policies[i].name)
			first[config->policies[i].action] =
				t_printf(r->ctx, "policy \"%s\"", config->policies[i].name);
	policy = first[ACTION_ANONYMIZE_CONTACTS];
	if (!policy) {
		policy = first[ACTION_ANONYMIZE_REQUESTS];
		root = config->model.request;
	}
	if (policy && root)
		require_answers(r, policy, &config->model, root);
}

void policies_read(const struct reader *r, struct config *config)
{
	const config_setting_t *list = reader_key(r, "policies");
	const config_setting_t *model = reader_key(r, "model");
	const struct reader inner = reader_in(r, model, NULL);

	if (list)
		read_list(r, list, config);
	if (config->pages && model)
		check_page_actions(r, config);
	if ((list || config->pages) && model)
		check_answers(&inner, config);
}
