/*
 * Reads the model in two passes.  The first reads each table by itself, in the file's order, and keeps
 * the name of its parent.  The second checks what needs all tables: parents, cycles, keys, and whether
 * the tables' answers for an anonymization contradict one another.
 */
#include "config/read.h"

#include "base/mem.h"
#include "model/path.h"

#define N_TABLES_MAX 1000

#define FIELD(member) .offset = offsetof(struct table, member)
#define OUTSIDE(member) .offset = offsetof(struct outside, member)

static const char *const delete_names[] = {
	[ON_DELETE_DELETE] = "delete",
	[ON_DELETE_DETACH] = "detach",
	[ON_DELETE_KEEP] = "keep",
};
static const char *const anonymize_names[] = {
	[ON_ANONYMIZE_UNSET] = NULL,
	[ON_ANONYMIZE_DELETE] = "delete",
	[ON_ANONYMIZE_KEEP] = "keep",
	[ON_ANONYMIZE_RULES] = NULL,
};

const struct setting_spec table_specs[] = {
	{.key = "table", .required = true},
	{.key = "of"},
	{.key = "match"},
	{.key = "through"},
	{.key = "file"},
	{.key = "key", COLUMNS(struct table, key)},
	{.key = "by", COLUMNS(struct table, by)},
	{.key = "from", COLUMNS(struct table, from)},
	{.key = "shard", .kind = VALUE_NAME, FIELD(shard)},
	{.key = "shared", .kind = VALUE_BOOL, FIELD(shared), .quiet = true},
	{.key = "identity", STRINGS(struct table, identity, SETTING_STRINGS_MAX)},
	{.key = "where", .kind = VALUE_SQL, FIELD(where)},
	{.key = "date", .kind = VALUE_NAME, FIELD(date)},
	{.key = "date_unit",
	 .kind = VALUE_CHOICE,
	 .names = date_unit_names,
	 .max = DATE_UNIT_COUNT - 1,
	 FIELD(date_unit)},
	{.key = "due_when", .kind = VALUE_SQL, FIELD(due_when)},
	{.key = "created", .kind = VALUE_NAME, FIELD(created)},
	{.key = "archive", .kind = VALUE_BOOL, FIELD(archive)},
	{.key = "allow_unindexed", .kind = VALUE_BOOL, FIELD(allow_unindexed)},
	{.key = "refresh", .kind = VALUE_BOOL, FIELD(refresh), .quiet = true},
	{.key = "not_large_objects", STRINGS(struct table, not_large_objects, SETTING_STRINGS_MAX)},
	{.key = "export_without", STRINGS(struct table, export_without, SETTING_STRINGS_MAX)},
	{.key = "delete", CHOICE(delete_names), FIELD(on_delete)},
	{.key = "anonymize", CHOICE(anonymize_names), FIELD(on_anonymize)},
	{.key = "on_delete"},
	{.key = "set"},
	{.key = "clear"},
	{.key = "json"},
	{.key = "json_keep"},
	{.key = "redact"},
	{.key = "keep"},
	{0},
};

/* match = { column = "to_address"; of = "email"; }: a link by a copied value. */
const struct setting_spec match_parts[] = {
	{.key = "column", .kind = VALUE_COLUMNS, FIELD(by), .max = 1, .required = true},
	{.key = "of", .kind = VALUE_COLUMNS, FIELD(from), .max = 1, .required = true},
	{0},
};

/* file = { column = "path"; root = "/srv/files"; }, or with a command instead of root. */
const struct setting_spec file_parts[] = {
	{.key = "column", .kind = VALUE_NAME, OUTSIDE(column), .required = true},
	{.key = "root", .kind = VALUE_PATH, OUTSIDE(root)},
	{.key = "command", STRINGS(struct outside, command, SETTING_STRINGS_MAX)},
	{0},
};

/* Data of a table for the second pass, beside the table itself. */
struct table_draft {
	struct reader r; /* of the table's group */
	const char *parent; /* the value of key of; NULL: not given */
	bool is_lost; /* its parents never reach the contact */
	bool is_named; /* a table below links to its key */
};

static void read_match(const struct reader *r, const config_setting_t *s, struct table *t)
{
	static const char *const others[] = {"by", "from", "shared"};
	const struct reader inner = reader_in(r, s, r->what);

	for (size_t i = 0; i < LENGTH(others); i++)
		if (reader_key(r, others[i]))
			complain_at(r, s, "match replaces by, from and shared: leave %s out",
				    others[i]);
	if (!config_setting_is_group(s)) {
		complain_at(r, s, "match must be a group: { column = \"...\"; of = \"...\"; }");
		return;
	}
	settings_read(&inner, match_parts, t);
	t->match = true;
	t->shared = true;
}

static void read_file(const struct reader *r, const config_setting_t *s, struct outside *file)
{
	const struct reader inner = reader_in(r, s, t_printf(r->ctx, "%s: file", r->what));
	const config_setting_t *command = reader_key(&inner, "command");

	if (!config_setting_is_group(s)) {
		complain_at(r, s,
			    "file must be a group: { column = \"...\"; root = \"/...\"; } or "
			    "{ column = \"...\"; command = [ \"/...\" ]; }");
		return;
	}
	file->place = reader_place(r, s);
	settings_read(&inner, file_parts, file);
	if (!reader_key(&inner, "root") == !command)
		complain_at(r, s, "file needs either a root or a command");
	if (file->command && *file->command[0] != '/')
		complain_at(&inner, command, "command \"%s\" does not begin with /",
			    file->command[0]);
}

/* Checks shared: several rows can only use a row that a column of the parent references. */
static void check_shared(const struct reader *r, const struct table *t, const char *parent)
{
	const char *name = parent ? parent : "...";

	if (!t->shared)
		return;
	if (!t->from)
		complain_at(
			r, reader_key(r, "shared"),
			"shared is for rows that a column of \"%s\" references: from is missing",
			name);
	if (!reader_key(r, "key"))
		complain_at(r, NULL, "key is missing: %s needs it", t->match ? "match" : "shared");
	if (t->on_delete == ON_DELETE_DETACH)
		complain_at(
			r, reader_key(r, "delete"),
			t->match
				? "delete = \"detach\" clears a link, and match has none: it compares "
				  "a value with one of \"%s\": use delete or keep"
				: "delete = \"detach\" clears the link of a row that references \"%s\"; "
				  "here \"%s\" references the row: use delete or keep",
			name, name);
}

/* Checks the keys that depend on which table it is: contact, request, or another. */
static void check_role(const struct reader *r, const struct table *t, const char *parent)
{
	const bool is_contact = strcmp(t->name, "contact") == 0;
	const bool is_request = strcmp(t->name, "request") == 0;
	const bool is_through = reader_key(r, "through");
	static const char *const contact_not[] = {"of", "by", "from", "shared", "match", "delete"};
	static const struct {
		const char *key, *table;
	} only[] = {{"date", "request"},
		    {"through", "request"},
		    {"due_when", "request"},
		    {"created", "contact"},
		    {"identity", "contact"}};
	const struct {
		const char *key;
		bool is_needed;
	} needs[] = {{"date", is_request},
		     {"key", is_contact || is_request},
		     {"by", !is_contact && !t->match && !is_through},
		     {"of", !is_contact && !is_through}};

	for (size_t i = 0; is_contact && i < LENGTH(contact_not); i++)
		if (reader_key(r, contact_not[i]) &&
		    (strcmp(contact_not[i], "delete") != 0 || t->on_delete != ON_DELETE_DELETE))
			complain_at(r, reader_key(r, contact_not[i]),
				    "a contact has no parent and is always deleted: leave %s out",
				    contact_not[i]);
	for (size_t i = 0; i < LENGTH(only); i++)
		if (strcmp(t->name, only[i].table) != 0 && reader_key(r, only[i].key))
			complain_at(r, reader_key(r, only[i].key), "%s is for table \"%s\" only",
				    only[i].key, only[i].table);
	if (t->date_unit && !model_date(t))
		complain_at(
			r, reader_key(r, "date_unit"),
			"date_unit says what date of \"request\", or created of \"contact\", holds: "
			"leave it out here");
	if (is_request && t->shared)
		complain_at(r, NULL,
			    "a request belongs to one contact, or to several with through: leave "
			    "shared and match out");
	if (is_contact && t->on_anonymize == ON_ANONYMIZE_DELETE)
		complain_at(r, reader_key(r, "anonymize"),
			    "an anonymized contact is not deleted: use rules");
	for (size_t i = 0; i < LENGTH(needs); i++)
		if (needs[i].is_needed && !reader_key(r, needs[i].key))
			complain_at(r, NULL, "%s is missing", needs[i].key);
	if (is_request && parent && strcmp(parent, "contact") != 0)
		complain_at(r, NULL, "of must be \"contact\"");
}

static void read_table(const struct reader *outer, const config_setting_t *group, struct table *t,
		       struct table_draft *d)
{
	const struct reader *r = &d->r;
	const config_setting_t *s;

	t->name = t_strdup(outer->ctx, config_setting_name(group));
	t->place = reader_place(outer, group);
	d->r = reader_in(outer, group, t_printf(outer->ctx, "model: table \"%s\"", t->name));
	/* The name becomes part of a file name in the archive. */
	if (strlen(t->name) > 63 || strchr(t->name, '*'))
		complain_at(r, NULL, "the name must be 1 to 63 letters, digits, - and _");
	if (!config_setting_is_group(group)) {
		complain_at(outer, group, "%s must be a group: %s: { table = \"...\"; }", r->what,
			    t->name);
		return;
	}
	settings_read(r, table_specs, t);
	if ((s = reader_key(r, "table")))
		table_name_read(r, s, t);
	if ((s = reader_key(r, "of")))
		d->parent = setting_string(r, s, "of", VALUE_NAME);
	if ((s = reader_key(r, "match")))
		read_match(r, s, t);
	if ((s = reader_key(r, "file")))
		read_file(r, s, &t->file);
	rules_read(r, t);
	if ((s = reader_key(r, "on_delete")))
		rules_read_on_delete(r, s, t);
	check_shared(r, t, d->parent);
	check_role(r, t, d->parent);
}

static struct table *find_table(const struct model *model, const char *name)
{
	for (size_t i = 0; i < model->n_tables; i++)
		if (strcmp(model->tables[i].name, name) == 0)
			return &model->tables[i];
	return NULL;
}

static void link_parents(struct model *model, const struct table_draft *drafts)
{
	const char **names = t_array(NULL, const char *, model->n_tables);

	for (size_t i = 0; i < model->n_tables; i++)
		names[i] = model->tables[i].name;
	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table_draft *d = &drafts[i];
		struct table *t = &model->tables[i];

		if (!d->parent || t == model->contact)
			continue;
		t->of = find_table(model, d->parent);
		if (!t->of)
			complain_at(&d->r, reader_key(&d->r, "of"),
				    "of = \"%s\" is not a table of the model%s", d->parent,
				    nearest_name_hint(names, d->parent, names, model->n_tables));
	}
	talloc_free(names);
}

/*
 * Finds cycles of parents, which never reach the contact.  Complains of each table on or below a cycle,
 * and clears its parent, so that a walk up the parents ends everywhere from here on.
 */
static void break_cycles(struct model *model, struct table_draft *drafts)
{
	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *t = &model->tables[i];
		size_t steps = 0;

		for (; t->of && steps <= model->n_tables; steps++)
			t = t->of;
		drafts[i].is_lost = steps > model->n_tables;
	}
	for (size_t i = 0; i < model->n_tables; i++) {
		if (!drafts[i].is_lost)
			continue;
		complain_at(&drafts[i].r, reader_key(&drafts[i].r, "of"),
			    "its parents form a cycle and never reach \"contact\"");
		model->tables[i].of = NULL;
	}
}

/* The nearest table above t whose rows an anonymization deletes; NULL: none. */
static const struct table *deleted_above(const struct table *t)
{
	for (t = t->of; t; t = t->of)
		if (t->on_anonymize == ON_ANONYMIZE_DELETE)
			return t;
	return NULL;
}

/*
 * Redaction searches text for the values of the identity columns, so that these must be named.  An
 * anonymization must erase them as well, because a kept name would still identify the person.
 */
static void check_identity(const struct model *model, const struct table_draft *drafts)
{
	const struct table *c = model->contact;
	const struct reader *r = &drafts[c->index].r;

	for (size_t i = 0; i < model->n_tables; i++)
		if (model_redacts(&model->tables[i]) && c->n_identity == 0)
			complain_at(&drafts[i].r, NULL,
				    "redact needs the identity columns of \"contact\" to search "
				    "for: identity = [ \"name\", \"email\" ]");
	for (size_t i = 0; c->on_anonymize == ON_ANONYMIZE_RULES && i < c->n_identity; i++) {
		const struct column_rule *rule = model_rule(c, c->identity[i]);

		if (!rule || rule->kind == RULE_KEEP)
			complain_at(r, reader_key(r, "identity"),
				    "identity names \"%s\", which an anonymization must erase: put "
				    "it under set or clear",
				    c->identity[i]);
	}
}

/* A link equals as many columns of the parent's as it has itself. */
static void check_widths(const struct table *t, const struct reader *r)
{
	const struct columns *parent = t->of ? model_parent_columns(t) : NULL;

	if (parent && t->by && t->by->n != parent->n)
		complain_at(
			r, reader_key(r, t->from ? "from" : "by"),
			"by has %zu column%s (%s), and %s \"%s\" has %zu (%s): name them in pairs",
			t->by->n, t->by->n == 1 ? "" : "s", columns_text(r->ctx, t->by),
			t->from ? "from, of" : "the key of", t->of->name, parent->n,
			columns_text(r->ctx, parent));
}

/* The values of a shard come from the contact. */
static void check_shard(const struct model *model, const struct table *t, const struct reader *r)
{
	if (t->shard && model->contact && !model->contact->shard)
		complain_at(
			r, reader_key(r, "shard"),
			"shard needs that of \"contact\", whose value each row of \"%s\" holds: say shard "
			"on contact first",
			t->name);
}

/* Only the column of a link may be a value within a document. */
static void check_paths(const struct model *model, const struct table *t, const struct reader *r)
{
	const struct columns *const others[] = {t->key, t->from};

	for (size_t o = 0; o < LENGTH(others); o++)
		for (size_t i = 0; others[o] && i < others[o]->n; i++)
			if (path_is_meant(others[o]->names[i]))
				complain_at(r, NULL,
					    "%s is not a column: only by and match follow a value "
					    "within a document",
					    others[o]->names[i]);
	for (size_t i = 0; i < t->n_export_without; i++)
		if (path_is_meant(t->export_without[i]))
			complain_at(
				r, reader_key(r, "export_without"),
				"export_without leaves out whole columns, and %s is a value within a "
				"document: name its column",
				t->export_without[i]);
	for (size_t i = 0; t->by && i < t->by->n; i++) {
		const char *name = t->by->names[i];

		if (!path_is_meant(name))
			continue;
		if (!path_is(name))
			complain_at(
				r, NULL,
				"%s is not a path within a document: write it as column -> 'key' "
				"->> 'key', with ->> before the last key alone",
				name);
		else if (t == model->request)
			complain_at(
				r, NULL,
				"by is %s: a request needs a column with the contact's key, because "
				"a contact whose request is missed would be erased",
				name);
		else if (t->by->n > 1)
			complain_at(
				r, NULL,
				"%s is within a document, and a link over several columns needs "
				"columns",
				name);
		else if (!t->key)
			complain_at(r, NULL, "key is missing: a link by %s needs it", name);
	}
}

static void check_links(const struct model *model, struct table_draft *drafts)
{
	for (size_t i = 0; i < model->n_tables; i++)
		if (model->tables[i].of && !model->tables[i].from)
			drafts[model->tables[i].of->index].is_named = true;
	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *t = &model->tables[i];
		const struct table *above = deleted_above(t);

		check_widths(t, &drafts[i].r);
		check_paths(model, t, &drafts[i].r);
		check_shard(model, t, &drafts[i].r);
		if (drafts[i].is_named && t != model->contact && t != model->request &&
		    t != model->through && !reader_key(&drafts[i].r, "key"))
			complain_at(&drafts[i].r, NULL,
				    "key is missing: it is the parent of other tables");
		if (above &&
		    (t->on_anonymize == ON_ANONYMIZE_KEEP || t->on_anonymize == ON_ANONYMIZE_RULES))
			complain_at(&drafts[i].r, NULL,
				    "its rows cannot stay, because they belong to rows of \"%s\", "
				    "which are deleted: use anonymize = \"delete\"",
				    above->name);
	}
}

/* The join table of a request's through stands behind the tables of the file. */
static void add_through(struct model *model, struct table_draft *drafts)
{
	struct table_draft *request = &drafts[model->request->index];
	const config_setting_t *s = reader_key(&request->r, "through");
	struct table *join = &model->tables[model->n_tables];

	if (!s)
		return;
	if (find_table(model, THROUGH_NAME)) {
		complain_at(&request->r, s,
			    "through maps its table under the name \"" THROUGH_NAME
			    "\", which another table of the model has: rename that one");
		return;
	}
	drafts[model->n_tables] = (struct table_draft){
		.r = reader_in(&request->r, s,
			       t_printf(request->r.ctx, "%s: through", request->r.what)),
		.parent = "contact"};
	join->index = model->n_tables;
	if (!through_read(&drafts[join->index].r, s, model->request, join))
		return;
	model->through = join;
	model->n_tables++;
	request->parent = THROUGH_NAME;
}

void model_read(const struct reader *r, struct model *model)
{
	const int n = config_setting_is_group(r->group) ? config_setting_length(r->group) : 0;
	struct table_draft *drafts;

	model->place = reader_place(r, r->group);
	if (n < 1 || n > N_TABLES_MAX) {
		complain_at(r, NULL, "model must be a group of 1 to %d tables", N_TABLES_MAX);
		return;
	}
	model->n_tables = (size_t)n;
	model->tables = t_array(r->ctx, struct table, n + 1);
	drafts = t_array(r->ctx, struct table_draft, n + 1);
	for (size_t i = 0; i < model->n_tables; i++) {
		model->tables[i].index = i;
		read_table(r, config_setting_get_elem(r->group, (unsigned int)i), &model->tables[i],
			   &drafts[i]);
	}
	model->contact = find_table(model, "contact");
	model->request = find_table(model, "request");
	if (model->request)
		add_through(model, drafts);
	if (!model->contact)
		complain_at(r, NULL, "model: table \"contact\" is missing");
	if (!model->request)
		complain_at(r, NULL, "model: table \"request\" is missing");
	link_parents(model, drafts);
	break_cycles(model, drafts);
	check_links(model, drafts);
	through_check(r, model);
	if (model->contact)
		check_identity(model, drafts);
	talloc_free(drafts);
}
