/*
 * Reads the model in two passes.  The first reads each table by itself, in the file's order, and keeps
 * the name of its parent.  The second checks what needs all tables: parents, cycles, keys, and whether
 * the tables' answers for an anonymization contradict one another.
 */
#include "config/read.h"

#include "base/mem.h"

#include <string.h>

#define N_TABLES_MAX 1000

#define FIELD(member) offsetof(struct table, member)
static const struct setting_spec table_specs[] = {
	{.key = "table", .required = true},
	{.key = "key", .kind = VALUE_NAME, .offset = FIELD(key)},
	{.key = "of"},
	{.key = "by", .kind = VALUE_NAME, .offset = FIELD(by)},
	{.key = "from", .kind = VALUE_NAME, .offset = FIELD(from)},
	{.key = "where", .kind = VALUE_SQL, .offset = FIELD(where)},
	{.key = "due_when", .kind = VALUE_SQL, .offset = FIELD(due_when)},
	{.key = "date", .kind = VALUE_NAME, .offset = FIELD(date)},
	{.key = "created", .kind = VALUE_NAME, .offset = FIELD(created)},
	{.key = "identity"},
	{.key = "shared", .kind = VALUE_BOOL, .offset = FIELD(shared)},
	{.key = "match"},
	{.key = "file"},
	{.key = "archive", .kind = VALUE_BOOL, .offset = FIELD(archive)},
	{.key = "allow_unindexed", .kind = VALUE_BOOL, .offset = FIELD(allow_unindexed)},
	{.key = "delete"},
	{.key = "anonymize"},
	{.key = "set"},
	{.key = "clear"},
	{.key = "json"},
	{.key = "json_keep"},
	{.key = "redact"},
	{.key = "keep"},
};

/* Data of a table for the second pass, beside the table itself. */
struct table_draft {
	const config_setting_t *setting;
	char *what; /* 'model: table "x"' */
	const char *parent; /* the value of key of; NULL: not given */
	bool is_broken; /* has a complaint: its links are not followed */
};

/* Reads "schema.table", "table", or [ "my.schema", "my.table" ] for a schema with a dot in its name. */
static void read_table_name(struct reader *r, const config_setting_t *s, const char *what,
			    struct table *t)
{
	const char *text, *dot, **parts;
	size_t n;

	if (config_setting_is_array(s) || config_setting_is_list(s)) {
		parts = setting_strings(r, s, what, "table", &n);
		if (parts && n == 2) {
			t->schema = parts[0];
			t->table = parts[1];
		} else if (parts) {
			reader_complain(r, s, "%s: table as an array is [ \"schema\", \"table\" ]",
					what);
		}
		return;
	}
	text = setting_string(r, s, what, "table", VALUE_NAME);
	if (!text)
		return;
	dot = strchr(text, '.');
	if (dot && (dot == text || !dot[1])) {
		reader_complain(r, s, "%s: table \"%s\" is not \"table\" or \"schema.table\"", what,
				text);
		return;
	}
	t->schema = dot ? must_alloc(talloc_strndup(r->ctx, text, (size_t)(dot - text))) : "public";
	t->table = dot ? dot + 1 : text;
}

/* Reads match = { column = "to_address"; of = "email"; }: a link by a copied value. */
static void read_match(struct reader *r, const config_setting_t *group, struct table *t,
		       const struct table_draft *d)
{
	static const struct setting_spec match_specs[] = {
		{.key = "column", .kind = VALUE_NAME, .offset = FIELD(by), .required = true},
		{.key = "of", .kind = VALUE_NAME, .offset = FIELD(from), .required = true},
	};
	static const char *const others[] = {"by", "from", "shared"};
	const config_setting_t *s = config_setting_get_member(group, "match");

	if (!s)
		return;
	for (size_t i = 0; i < 3; i++)
		if (config_setting_get_member(group, others[i]))
			reader_complain(r, s,
					"%s: match replaces by, from and shared: leave %s out",
					d->what, others[i]);
	if (!config_setting_is_group(s)) {
		reader_complain(r, s,
				"%s: match must be a group: { column = \"...\"; of = \"...\"; }",
				d->what);
		return;
	}
	settings_read(r, s, d->what, SETTING_SPECS(match_specs), t);
	t->match = true;
	t->shared = true;
}

/* Reads file = { column = "path"; root = "/srv/files"; }, or with a command instead of root. */
static void read_file(struct reader *r, const config_setting_t *group, struct table *t,
		      const struct table_draft *d)
{
	static const struct setting_spec file_specs[] = {
		{.key = "column",
		 .kind = VALUE_NAME,
		 .offset = offsetof(struct outside, column),
		 .required = true},
		{.key = "root", .kind = VALUE_NAME, .offset = offsetof(struct outside, root)},
		{.key = "command"},
	};
	const config_setting_t *s = config_setting_get_member(group, "file"), *command;

	if (!s)
		return;
	if (!config_setting_is_group(s)) {
		reader_complain(
			r, s,
			"%s: file must be a group: { column = \"...\"; root = \"/...\"; } or "
			"{ column = \"...\"; command = [ \"/...\" ]; }",
			d->what);
		return;
	}
	t->file.place = reader_place(r, s);
	settings_read(r, s, d->what, SETTING_SPECS(file_specs), &t->file);
	command = config_setting_get_member(s, "command");
	if (command)
		t->file.command =
			setting_strings(r, command, d->what, "command", &t->file.n_command);
	if (!t->file.root == !command)
		reader_complain(r, s, "%s: file needs either a root or a command", d->what);
	if (t->file.root && *t->file.root != '/')
		reader_complain(r, s, "%s: file: root \"%s\" does not begin with /", d->what,
				t->file.root);
	if (t->file.command && *t->file.command[0] != '/')
		reader_complain(r, s, "%s: file: command \"%s\" does not begin with /", d->what,
				t->file.command[0]);
}

static void read_identity(struct reader *r, const config_setting_t *group, struct table *t,
			  const struct table_draft *d)
{
	const config_setting_t *s = config_setting_get_member(group, "identity");

	if (s)
		t->identity = setting_strings(r, s, d->what, "identity", &t->n_identity);
}

/* Checks shared: several rows can only use a row that a column of the parent references. */
static void check_shared(struct reader *r, const config_setting_t *group, const struct table *t,
			 const struct table_draft *d)
{
	if (!t->shared)
		return;
	if (!t->from)
		reader_complain(r, config_setting_get_member(group, "shared"),
				"%s: shared is for rows that a column of \"%s\" references: "
				"from is missing",
				d->what, d->parent ? d->parent : "...");
	if (!t->key && !config_setting_get_member(group, "key"))
		reader_complain(r, group, "%s: key is missing: %s needs it", d->what,
				t->match ? "match" : "shared");
	if (t->on_delete == ON_DELETE_DETACH)
		reader_complain(r, config_setting_get_member(group, "delete"),
				"%s: delete = \"detach\" clears the link of a row that "
				"references \"%s\"; here \"%s\" references the row: use "
				"delete or keep",
				d->what, d->parent ? d->parent : "...",
				d->parent ? d->parent : "...");
}

/* Checks the keys that depend on which table it is: contact, request, or another. */
static void check_role(struct reader *r, const config_setting_t *group, const struct table *t,
		       struct table_draft *d)
{
	const bool is_contact = strcmp(t->name, "contact") == 0;
	const bool is_request = strcmp(t->name, "request") == 0;
	static const char *const contact_not[] = {"of", "by", "from", "shared", "match", "delete"};
	static const char *const request_only[] = {"date", "due_when"};
	const config_setting_t *s;

	for (size_t i = 0; is_contact && i < 6; i++) {
		s = config_setting_get_member(group, contact_not[i]);
		if (s && (i < 5 || t->on_delete != ON_DELETE_DELETE))
			reader_complain(r, s,
					"%s: a contact has no parent and is always deleted: "
					"leave %s out",
					d->what, contact_not[i]);
	}
	for (size_t i = 0; !is_request && i < 2; i++) {
		s = config_setting_get_member(group, request_only[i]);
		if (s)
			reader_complain(r, s, "%s: %s is for table \"request\" only", d->what,
					request_only[i]);
	}
	s = config_setting_get_member(group, "created");
	if (s && !is_contact)
		reader_complain(r, s, "%s: created is for table \"contact\" only", d->what);
	s = config_setting_get_member(group, "identity");
	if (s && !is_contact)
		reader_complain(r, s, "%s: identity is for table \"contact\" only", d->what);
	if (is_request && t->shared)
		reader_complain(r, group,
				"%s: a request belongs to one contact: leave shared and match out",
				d->what);
	if (is_contact && t->on_anonymize == ON_ANONYMIZE_DELETE)
		reader_complain(r, config_setting_get_member(group, "anonymize"),
				"%s: an anonymized contact is not deleted: use rules", d->what);
	if (is_request && !config_setting_get_member(group, "date"))
		reader_complain(r, group, "%s: date is missing", d->what);
	if ((is_contact || is_request) && !config_setting_get_member(group, "key"))
		reader_complain(r, group, "%s: key is missing", d->what);
	if (!is_contact && !t->match && !config_setting_get_member(group, "by"))
		reader_complain(r, group, "%s: by is missing", d->what);
	if (!is_contact && !d->parent) {
		if (!config_setting_get_member(group, "of"))
			reader_complain(r, group, "%s: of is missing", d->what);
		d->is_broken = true;
	}
	if (is_request && d->parent && strcmp(d->parent, "contact") != 0)
		reader_complain(r, group, "%s: of must be \"contact\"", d->what);
}

/* The name becomes part of a file name in the archive. */
static bool is_table_name(const char *name)
{
	return strlen(name) <= 63 && !strchr(name, '*');
}

static void read_table(struct reader *r, const config_setting_t *group, struct table *t,
		       struct table_draft *d)
{
	const config_setting_t *s;

	t->name = t_strdup(r->ctx, config_setting_name(group));
	t->place = reader_place(r, group);
	d->setting = group;
	d->what = t_printf(r->ctx, "model: table \"%s\"", t->name);
	if (!is_table_name(t->name))
		reader_complain(r, group, "%s: the name must be 1 to 63 letters, digits, - and _",
				d->what);
	if (!config_setting_is_group(group)) {
		reader_complain(r, group, "%s must be a group: %s: { table = \"...\"; }", d->what,
				t->name);
		d->is_broken = true;
		return;
	}
	settings_read(r, group, d->what, SETTING_SPECS(table_specs), t);
	s = config_setting_get_member(group, "table");
	if (s)
		read_table_name(r, s, d->what, t);
	s = config_setting_get_member(group, "of");
	if (s)
		d->parent = setting_string(r, s, d->what, "of", VALUE_NAME);
	read_match(r, group, t, d);
	read_identity(r, group, t, d);
	read_file(r, group, t, d);
	rules_read(r, group, d->what, t);
	check_shared(r, group, t, d);
	check_role(r, group, t, d);
}

static struct table *find_table(const struct model *model, const char *name)
{
	for (size_t i = 0; i < model->n_tables; i++)
		if (strcmp(model->tables[i].name, name) == 0)
			return &model->tables[i];
	return NULL;
}

static void link_parents(struct reader *r, struct model *model, struct table_draft *drafts)
{
	const char **names = t_array(NULL, const char *, model->n_tables);

	for (size_t i = 0; i < model->n_tables; i++)
		names[i] = model->tables[i].name;
	for (size_t i = 0; i < model->n_tables; i++) {
		struct table_draft *d = &drafts[i];
		const char *nearest;

		if (!d->parent || &model->tables[i] == model->contact)
			continue;
		model->tables[i].of = find_table(model, d->parent);
		if (model->tables[i].of)
			continue;
		d->is_broken = true;
		nearest = nearest_name(d->parent, names, model->n_tables);
		reader_complain(r, config_setting_get_member(d->setting, "of"),
				"%s: of = \"%s\" is not a table of the model%s%s%s", d->what,
				d->parent, nearest ? "; did you mean \"" : "",
				nearest ? nearest : "", nearest ? "\"?" : "");
	}
	talloc_free(names);
}

/*
 * Finds cycles of parents, which never reach the contact.  Complains of each table on or below a cycle,
 * and clears its parent, so that a walk up the parents ends everywhere from here on.
 */
static void break_cycles(struct reader *r, struct model *model, struct table_draft *drafts)
{
	bool *is_lost = t_array(NULL, bool, model->n_tables + 1);

	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *t = &model->tables[i];
		size_t steps = 0;

		while (t->of && steps <= model->n_tables) {
			t = t->of;
			steps++;
		}
		is_lost[i] = steps > model->n_tables;
	}
	for (size_t i = 0; i < model->n_tables; i++) {
		if (!is_lost[i])
			continue;
		reader_complain(r, config_setting_get_member(drafts[i].setting, "of"),
				"%s: its parents form a cycle and never reach \"contact\"",
				drafts[i].what);
		model->tables[i].of = NULL;
		drafts[i].is_broken = true;
	}
	talloc_free(is_lost);
}

/* The nearest table above t whose rows an anonymization deletes; NULL: none. */
static const struct table *deleted_above(const struct table *t)
{
	for (t = t->of; t; t = t->of)
		if (t->on_anonymize == ON_ANONYMIZE_DELETE)
			return t;
	return NULL;
}

static bool redacts(const struct table *t)
{
	for (size_t i = 0; i < t->n_rules; i++)
		if (t->rules[i].kind == RULE_REDACT)
			return true;
	return false;
}

/*
 * Redaction searches text for the values of the identity columns, so that these must be named.  An
 * anonymization must erase them as well, because a kept name would still identify the person.
 */
static void check_identity(struct reader *r, const struct model *model,
			   const struct table_draft *drafts)
{
	const struct table *c = model->contact;

	for (size_t i = 0; i < model->n_tables; i++)
		if (redacts(&model->tables[i]) && c->n_identity == 0)
			reader_complain(
				r, drafts[i].setting,
				"%s: redact needs the identity columns of \"contact\" to search "
				"for: identity = [ \"name\", \"email\" ]",
				drafts[i].what);
	for (size_t i = 0; c->on_anonymize == ON_ANONYMIZE_RULES && i < c->n_identity; i++) {
		bool erased = false;

		for (size_t j = 0; j < c->n_rules; j++)
			erased = erased || (strcmp(c->rules[j].column, c->identity[i]) == 0 &&
					    c->rules[j].kind != RULE_KEEP);
		if (!erased)
			reader_complain(
				r, config_setting_get_member(drafts[c->index].setting, "identity"),
				"%s: identity names \"%s\", which an anonymization must "
				"erase: put it under set or clear",
				drafts[c->index].what, c->identity[i]);
	}
}

static void check_links(struct reader *r, const struct model *model,
			const struct table_draft *drafts)
{
	bool *needs_key = t_array(NULL, bool, model->n_tables + 1);

	for (size_t i = 0; i < model->n_tables; i++)
		if (model->tables[i].of && !model->tables[i].from)
			needs_key[model->tables[i].of->index] = true;
	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *t = &model->tables[i];
		const struct table *above = deleted_above(t);

		if (needs_key[i] && !t->key && t != model->contact && t != model->request &&
		    !config_setting_get_member(drafts[i].setting, "key"))
			reader_complain(r, drafts[i].setting,
					"%s: key is missing: it is the parent of other tables",
					drafts[i].what);
		if (above &&
		    (t->on_anonymize == ON_ANONYMIZE_KEEP || t->on_anonymize == ON_ANONYMIZE_RULES))
			reader_complain(
				r, drafts[i].setting,
				"%s: its rows cannot stay, because they belong to rows of \"%s\", "
				"which are deleted: use anonymize = \"delete\"",
				drafts[i].what, above->name);
	}
	talloc_free(needs_key);
}

void model_read(struct reader *r, const config_setting_t *group, struct model *model)
{
	const int n = config_setting_is_group(group) ? config_setting_length(group) : 0;
	struct table_draft *drafts;

	model->place = reader_place(r, group);
	if (n < 1 || n > N_TABLES_MAX) {
		reader_complain(r, group, "model must be a group of 1 to %d tables", N_TABLES_MAX);
		return;
	}
	model->n_tables = (size_t)n;
	model->tables = t_array(r->ctx, struct table, n);
	drafts = t_array(r->ctx, struct table_draft, n);
	for (size_t i = 0; i < model->n_tables; i++) {
		model->tables[i].index = i;
		read_table(r, config_setting_get_elem(group, (unsigned int)i), &model->tables[i],
			   &drafts[i]);
	}
	model->contact = find_table(model, "contact");
	model->request = find_table(model, "request");
	if (!model->contact)
		reader_complain(r, group, "model: table \"contact\" is missing");
	if (!model->request)
		reader_complain(r, group, "model: table \"request\" is missing");
	link_parents(r, model, drafts);
	break_cycles(r, model, drafts);
	check_links(r, model, drafts);
	if (model->contact)
		check_identity(r, model, drafts);
	talloc_free(drafts);
}

void model_require_rules(struct reader *r, const config_setting_t *policy, const char *what,
			 const struct model *model, enum action action)
{
	const struct table *const needed[] = {
		model->request, action == ACTION_ANONYMIZE_CONTACTS ? model->contact : NULL};

	for (size_t i = 0; i < 2; i++)
		if (needed[i] && needed[i]->on_anonymize != ON_ANONYMIZE_RULES)
			reader_complain(r, policy,
					"%s: %s needs rules (set, clear, json, keep) on "
					"table \"%s\" of the model",
					what, action_name(action), needed[i]->name);
}

void model_require_answers(struct reader *r, const config_setting_t *group, const char *what,
			   const struct model *model, const struct table *root)
{
	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *t = &model->tables[i];

		if (t->on_anonymize == ON_ANONYMIZE_UNSET && t != root && t != model->request &&
		    model_is_under(t, root))
			reader_complain(
				r, config_setting_get_elem(group, (unsigned int)i),
				"model: table \"%s\": %s anonymizes \"%s\" and all tables below "
				"it: add anonymize = \"delete\" or \"keep\", or rules",
				t->name, what, root->name);
	}
}
