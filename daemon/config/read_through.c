/*
 * through = { table = "ticket_contact"; request = "ticket_id"; contact = "contact_id"; }: a request with several
 * contacts.  Nothing else is new: the join table is one more table of the model, below contact, and the request
 * is a shared row that its rows use (plan/shared.c), so that it goes with the last of them.
 */
#include "config/read.h"

#include "base/mem.h"

#define FIELD(member) .offset = offsetof(struct table, member)

/* An anonymized contact keeps its requests, so that the rows which say so cannot be deleted. */
static const char *const anonymize_names[] = {
	[ON_ANONYMIZE_UNSET] = NULL,
	[ON_ANONYMIZE_DELETE] = NULL,
	[ON_ANONYMIZE_KEEP] = "keep",
	[ON_ANONYMIZE_RULES] = NULL,
};

/* request is read into from, which then becomes the request's own. */
const struct setting_spec through_parts[] = {
	{.key = "table", .required = true},
	{.key = "request", COLUMNS(struct table, from), .required = true},
	{.key = "contact", COLUMNS(struct table, by), .required = true},
	{.key = "also", COLUMNS(struct table, also)},
	{.key = "key", COLUMNS(struct table, key)},
	{.key = "archive", .kind = VALUE_BOOL, FIELD(archive)},
	{.key = "allow_unindexed", .kind = VALUE_BOOL, FIELD(allow_unindexed)},
	{.key = "anonymize", CHOICE(anonymize_names), FIELD(on_anonymize)},
	{.key = "set"},
	{.key = "clear"},
	{.key = "json"},
	{.key = "json_keep"},
	{.key = "redact"},
	{.key = "keep"},
	{0},
};

/* A join table's own key is the pair, unless it says another. */
static const struct columns *pair(void *ctx, const struct columns *a, const struct columns *b)
{
	const char **names = t_array(ctx, const char *, a->n + b->n);
	struct columns *both = t_zero(ctx, struct columns);

	for (size_t i = 0; i < a->n; i++)
		names[both->n++] = a->names[i];
	for (size_t i = 0; i < b->n; i++)
		if (!columns_have(a, b->names[i])) /* the account's column is in both links */
			names[both->n++] = b->names[i];
	both->names = names;
	return both;
}

bool through_read(const struct reader *r, const config_setting_t *s, struct table *request,
		  struct table *join)
{
	static const char *const others[] = {"of", "by", "from"};
	const config_setting_t *group = config_setting_parent(s), *table;

	join->name = THROUGH_NAME;
	join->place = reader_place(r, s);
	for (size_t i = 0; i < LENGTH(others); i++)
		if (config_setting_get_member(group, others[i]))
			complain_at(
				r, s,
				"through alone says which contacts a request has: leave %s out, "
				"and if the column points at a contact too, give that one a row "
				"of the join table",
				others[i]);
	if (!config_setting_is_group(s)) {
		complain_at(r, s,
			    "must be a group: { table = \"...\"; request = \"...\"; "
			    "contact = \"...\"; }");
		return false;
	}
	settings_read(r, through_parts, join);
	if ((table = reader_key(r, "table")))
		table_name_read(r, table, join);
	rules_read(r, join);
	for (size_t i = 0; i < join->n_rules; i++)
		if (join->rules[i].kind != RULE_KEEP &&
		    columns_have(join->from, join->rules[i].column))
			complain_at(r, NULL,
				    "column \"%s\" says which request it is and cannot be under "
				    "%s: put it under keep",
				    join->rules[i].column, rule_names[join->rules[i].kind]);
	if (join->also && join->by && join->also->n != join->by->n)
		complain_at(
			r, reader_key(r, "also"),
			"also has %zu column%s (%s), and contact has %zu (%s): name them in pairs",
			join->also->n, join->also->n == 1 ? "" : "s",
			columns_text(r->ctx, join->also), join->by->n,
			columns_text(r->ctx, join->by));
	if (!join->key && join->from && join->by)
		join->key = pair(r->ctx, join->from, join->by);
	request->from = join->from;
	request->by = request->key;
	request->shared = true;
	join->from = NULL;
	return true;
}

/*
 * redact searches for the names of the request's contacts.  With several contacts the content goes with the
 * last of them, and what the others were called is then known no more.
 */
void through_check(const struct reader *r, const struct model *model)
{
	if (!model->through)
		return;
	for (size_t i = 0; i < model->n_tables; i++)
		if (model_is_under(&model->tables[i], model->request) &&
		    model_redacts(&model->tables[i]))
			complain(
				r->complaints, &model->tables[i].place,
				"model: table \"%s\": redact is not for what hangs off a request "
				"with through: the text is cleared when the last contact goes, and "
				"the names of those who went before are not known then; use clear",
				model->tables[i].name);
	if (model->contact && model->contact->shard)
		complain(
			r->complaints, &model->through->place,
			"model: table \"request\": through does not go with shard: the contacts of one "
			"request can be in several shards; leave shard out");
}
