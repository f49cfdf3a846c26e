/*
 * Prints the draft: the tables in the order of the links, a rule for each column with its reason, and at
 * the end what is left out.  Names and comments come from the database, so each is made one line.
 */
#include "discover/draft.h"

#include "base/mem.h"
#include "base/sql.h"
#include "discover/decide.h"

struct text {
	void *ctx;
	const struct draft_opts *opts;
	const struct schema *schema;
	const struct links *links;
	struct draft draft;
	bool is_proposal; /* the rules stand in comments, so their own marks are left out */
	char *out;
};

/* Text for one line of comment: control characters become blanks. */
static char *one_line(void *ctx, const char *text)
{
	char *out = t_printf(ctx, "%.120s", text);

	for (char *c = out; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 127)
			*c = ' ';
	return out;
}

/* A string as libconfig reads it. */
static char *quoted(void *ctx, const char *text)
{
	char *out = t_strdup(ctx, "\"");

	for (const char *c = text; *c; c++)
		t_append(&out, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
	t_append(&out, "\"");
	return out;
}

static const struct schema_table *table_of(const struct text *x, const struct link *item)
{
	return &x->schema->tables[item->table];
}

static char *shown(void *ctx, const struct schema_table *t)
{
	return one_line(ctx, t_printf(ctx, "%s.%s", t->schema, t->name));
}

static const char *opening(enum rule_kind rule)
{
	return rule == RULE_SET ? ": (" : " = [";
}

/* Prints the columns with this rule, a line for each, with its reason; open ones last. */
static void print_rules(struct text *x, size_t table, enum rule_kind rule)
{
	const struct schema_table *t = &x->schema->tables[table];
	size_t left = 0;

	for (size_t i = 0; i < t->n_columns; i++)
		left += decide_column(&x->draft, table, &t->columns[i]).rule == rule;
	if (left == 0)
		return;
	t_append(&x->out, "    %s%s\n", rule_name(rule), opening(rule));
	for (int open = 0; open < 2; open++)
		for (size_t i = 0; i < t->n_columns; i++) {
			const struct decision d = decide_column(&x->draft, table, &t->columns[i]);
			char *line;

			if (d.rule != rule || d.open != (open == 1))
				continue;
			left--;
			line = quoted(x->ctx, t->columns[i].name);
			if (rule == RULE_SET)
				line = t_printf(x->ctx, "{ column = %s; value = %s; }", line,
						quoted(x->ctx, d.value));
			line = t_printf(x->ctx, "%s%s", line, left ? "," : "");
			t_append(&x->out, "      %-26s # %s%s", line,
				 !d.open          ? ""
				 : x->is_proposal ? "is this personal? "
						  : MODEL_MARK ": is this personal? ",
				 one_line(x->ctx, d.why));
			if (t->columns[i].comment)
				t_append(&x->out, " (%s)", one_line(x->ctx, t->columns[i].comment));
			t_append(&x->out, "\n");
		}
	t_append(&x->out, "    %s;\n", rule == RULE_SET ? ")" : "]");
}

/* Prints the rules of a second name of the table: the same, without reasons. */
static void print_rules_again(struct text *x, size_t table, enum rule_kind rule)
{
	const struct schema_table *t = &x->schema->tables[table];
	size_t width = 0, n = 0;

	for (size_t i = 0; i < t->n_columns; i++) {
		const struct decision d = decide_column(&x->draft, table, &t->columns[i]);
		char *item = quoted(x->ctx, t->columns[i].name);

		if (d.rule != rule)
			continue;
		if (rule == RULE_SET)
			item = t_printf(x->ctx, "{ column = %s; value = %s; }", item,
					quoted(x->ctx, d.value));
		if (n == 0)
			t_append(&x->out, "    %s%s ", rule_name(rule), opening(rule));
		width += strlen(item) + 2;
		t_append(&x->out, "%s%s%s", n ? "," : "",
			 width > 90 ? "\n      "
			 : n        ? " "
				    : "",
			 item);
		width = width > 90 ? strlen(item) : width;
		n++;
	}
	if (n > 0)
		t_append(&x->out, " %s;\n", rule == RULE_SET ? ")" : "]");
}

static void print_setting(struct text *x, const char *key, const char *value)
{
	if (value)
		t_append(&x->out, "    %s = %s;\n", key, quoted(x->ctx, value));
}

static void print_index(struct text *x, const struct schema_table *t, const char *column)
{
	const struct schema_column *c = schema_column(t, column);

	if (c && !c->indexed)
		t_append(
			&x->out,
			"    # No index begins with it; the daemon refuses a large table without one:\n"
			"    # CREATE INDEX CONCURRENTLY ON %s (%s);\n",
			one_line(x->ctx, sql_table(x->ctx, t->schema, t->name)),
			one_line(x->ctx, sql_ident(x->ctx, column)));
}

/* Prints why the daemon refuses the foreign key, if what it does by itself contradicts the model. */
static void print_silent_key(struct text *x, const struct link *item)
{
	const struct schema_key *k = item->key;

	if (k && strchr("cnd", k->on_delete) && item->how == LINKS_KEY && item->keeps &&
	    !item->detach)
		t_append(
			&x->out,
			"    # The daemon refuses foreign key %s, which acts by itself: make it NO ACTION.\n",
			one_line(x->ctx, k->name));
	if (k && item->keeps && k->from != k->to && !k->deferrable)
		t_append(
			&x->out,
			"    # The daemon refuses keys in a cycle, which no order of deletion satisfies:\n"
			"    # ALTER TABLE %s ALTER CONSTRAINT %s DEFERRABLE;\n",
			one_line(x->ctx, sql_table(x->ctx, table_of(x, item)->schema,
						   table_of(x, item)->name)),
			one_line(x->ctx, sql_ident(x->ctx, k->name)));
}

/* An identifier, quoted only if it must be. */
static char *plain_ident(void *ctx, const char *name)
{
	return name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")] ? sql_ident(ctx, name)
								 : t_strdup(ctx, name);
}

static void print_where(struct text *x, const struct link *item)
{
	if (item->how != LINKS_TYPE)
		return;
	t_append(&x->out, "    where = %s;%s\n",
		 quoted(x->ctx, t_printf(x->ctx, "%s = %s", plain_ident(x->ctx, item->type),
					 sql_literal(x->ctx, item->value))),
		 item->value_guessed ? "  # " MODEL_MARK ": how does the CRM write this type?"
				     : "");
	if (item->value_guessed && !x->opts->samples)
		t_append(&x->out,
			 "    # --samples finds it, and other tables that the column can name.\n");
}

/* Prints which other tables reference a shared row: as its user or as a part of it, which is an open question. */
static void print_users(struct text *x, const struct link *item)
{
	for (size_t i = 0; item->shared && !item->second && i < x->schema->n_keys; i++) {
		const struct schema_key *k = &x->schema->keys[i];
		const struct schema_table *from = &x->schema->tables[k->from];

		if (k->to == item->table && !links_of(x->links, k->from))
			t_append(&x->out,
				 "    # " MODEL_MARK
				 ": %s.%s references this row too (%s) and keeps it; if it is "
				 "a part of the row, map it with of = %s.\n",
				 one_line(x->ctx, from->schema), one_line(x->ctx, from->name),
				 one_line(x->ctx, k->column), quoted(x->ctx, item->name));
	}
}

static void print_link(struct text *x, const struct link *item)
{
	static const char *const how[] = {
		[LINKS_NAME] = "  # by its name: no foreign key says so",
		[LINKS_TYPE] = "  # by its name: no foreign key can say so",
	};
	const struct schema_table *t = table_of(x, item);
	const struct link *parent = &x->links->items[item->of];
	const struct schema_column *by = schema_column(t, item->by);

	print_setting(x, "of", parent->name);
	t_append(&x->out, "    by = %s;%s\n", quoted(x->ctx, item->by),
		 item->how <= LINKS_TYPE && how[item->how] ? how[item->how] : "");
	print_setting(x, "from", item->from);
	print_where(x, item);
	print_index(x, t, item->by);
	if (item->how == LINKS_REVERSE)
		print_index(x, table_of(x, parent), item->from);
	if (!by->plain)
		t_append(&x->out,
			 "    # The daemon refuses it: its type or collation makes different "
			 "values equal.\n");
	if (item->shared)
		t_append(&x->out,
			 "    shared = true;  # other rows may reference the same one\n"
			 "    # " MODEL_MARK
			 ": is it a person's own (an address), or does it stay (a "
			 "company)?  It stays until\n"
			 "    # both lines with keep are gone: then it goes with the last row that "
			 "references it.\n"
			 "    delete = \"keep\";\n");
	print_users(x, item);
	if (item->detach)
		t_append(&x->out, "    delete = \"detach\";  # the row also belongs to others\n");
	else if (item->keeps)
		t_append(&x->out, "    delete = \"keep\";\n");
	print_silent_key(x, item);
}

/* Prints the settings of the request only: the date that its age is counted from, and when it is closed. */
static void print_request(struct text *x)
{
	static const char *const states[] = {"status",    "state",    "statut",   "etat",
					     "status_id", "state_id", "stage_id", NULL};
	const struct schema_table *t = table_of(x, &x->links->items[1]);
	const struct schema_column *date = schema_column(t, x->opts->date);
	const struct schema_column *state = NULL;
	char *others = t_strdup(x->ctx, "");

	for (size_t i = 0; i < t->n_columns; i++)
		if (decide_is_date(&t->columns[i]) && &t->columns[i] != date)
			t_append(&others, "%s%s", *others ? ", " : "",
				 one_line(x->ctx, t->columns[i].name));
	print_setting(x, "date", x->opts->date);
	t_append(&x->out, "    # The date that a policy's depth is counted from%s%s%s.\n",
		 date && !date->not_null ? "; a request without it keeps its contact" : "",
		 *others ? "; other dates are " : "", others);
	for (const char *const *s = states; *s && !state; s++)
		state = schema_column(t, *s);
	t_append(&x->out,
		 "    # " MODEL_MARK
		 ": which requests are closed?  An open one keeps its contact.  "
		 "As it stands, none is closed.\n    due_when = \"false\";\n    # due_when = "
		 "\"%s%s\";\n",
		 state ? state->name : "true", state ? " = 'closed'" : "");
}

static void print_all_rules(struct text *x, size_t table)
{
	print_rules(x, table, RULE_SET);
	print_rules(x, table, RULE_CLEAR);
	print_rules(x, table, RULE_KEEP);
}

/* Prints in comments how an anonymization would treat the columns of a shared table. */
static void print_proposal(struct text *x, size_t table)
{
	char *const before = x->out;
	const char *rules;

	x->out = t_strdup(x->ctx, "");
	x->is_proposal = true;
	print_all_rules(x, table);
	rules = x->out;
	x->out = before;
	x->is_proposal = false;
	for (const char *end; *rules; rules = end + 1) {
		end = strchr(rules, '\n');
		t_append(&x->out, "    # %.*s\n", (int)(end - rules - 4), rules + 4);
	}
}

static void print_item(struct text *x, size_t i)
{
	const struct link *item = &x->links->items[i];
	const struct schema_table *t = table_of(x, item);
	const bool is_erased = x->draft.is_erased[item->table];

	t_append(&x->out, "\n  # %s%s%s%s\n", shown(x->ctx, t), item->second ? ", once more" : "",
		 t->comment ? ": " : "", t->comment ? one_line(x->ctx, t->comment) : "");
	if (t->trouble)
		t_append(&x->out, "  # The daemon refuses it: %s.\n", t->trouble);
	t_append(&x->out, "  %s: {\n", item->name);
	if (strchr(t->schema, '.'))
		t_append(&x->out, "    table = [ %s, %s ];\n", quoted(x->ctx, t->schema),
			 quoted(x->ctx, t->name));
	else
		print_setting(x, "table", t_printf(x->ctx, "%s.%s", t->schema, t->name));
	print_setting(x, "key", t->key);
	if (!t->key)
		t_append(&x->out, "    # It has no key of one column.\n");
	if (item->of != LINKS_NONE)
		print_link(x, item);
	if (i == 0)
		print_setting(x, "created", decide_created(t));
	if (i == 1)
		print_request(x);
	if (i < 2)
		t_append(&x->out, "    archive = true;\n");
	if (item->shared) {
		t_append(&x->out, "    anonymize = \"keep\";\n");
		print_proposal(x, item->table);
	} else if (item->keeps) {
		t_append(&x->out, "    anonymize = \"keep\";  # %s has the rules of its columns\n",
			 links_of(x->links, item->table)->name);
	} else if (is_erased) {
		t_append(&x->out, "    anonymize = \"delete\";  # it holds nothing else\n");
	} else if (item->second) {
		t_append(&x->out, "    # The same rules as %s: change both together.\n",
			 links_of(x->links, item->table)->name);
		print_rules_again(x, item->table, RULE_SET);
		print_rules_again(x, item->table, RULE_CLEAR);
		print_rules_again(x, item->table, RULE_KEEP);
	} else {
		print_all_rules(x, item->table);
	}
	t_append(&x->out, "  };\n");
}

/* Prints the tables that mapped tables reference and that hold no personal data. */
static void print_left_out(struct text *x)
{
	bool first = true;

	for (size_t t = 0; t < x->schema->n_tables; t++) {
		const char *why = links_is_lookup(&x->schema->tables[t]);
		const bool mapped = links_of(x->links, t) != NULL;
		char *uses = t_strdup(x->ctx, "");

		for (size_t i = 0; i < x->schema->n_keys && !mapped; i++) {
			const struct schema_key *k = &x->schema->keys[i];
			const struct link *from = k->to == t ? links_of(x->links, k->from) : NULL;

			if (from)
				t_append(&uses, "%s%s.%s", *uses ? ", " : "", from->name,
					 one_line(x->ctx, k->column));
		}
		if (!*uses)
			continue;
		if (first)
			t_append(&x->out,
				 "\n  # Not mapped, although mapped tables reference them:\n");
		first = false;
		t_append(&x->out, "  #   %s: %s (%s)\n", shown(x->ctx, &x->schema->tables[t]),
			 why ? why : "its key has several columns", uses);
	}
}

static void print_not_followed(struct text *x)
{
	for (size_t i = 0; i < x->schema->n_keys; i++) {
		const struct schema_key *k = &x->schema->keys[i];
		const struct schema_table *to = &x->schema->tables[k->to];

		if (k->n_columns > 1 && links_of(x->links, k->to) &&
		    (!to->key || strcmp(k->to_column, to->key) != 0))
			t_append(&x->out,
				 "  # Not followed: foreign key %s of %s has %d columns, and none "
				 "is the key of %s.\n",
				 one_line(x->ctx, k->name),
				 shown(x->ctx, &x->schema->tables[k->from]), k->n_columns,
				 shown(x->ctx, to));
	}
}

static int count_marks(const char *text)
{
	int n = 0;

	for (const char *at = strstr(text, MODEL_MARK); at; at = strstr(at + 1, MODEL_MARK))
		n++;
	return n;
}

char *draft_text(void *ctx, const struct draft_opts *opts, int *ret_open)
{
	struct text x = {.ctx = ctx, .opts = opts, .schema = opts->schema, .links = opts->links};

	x.draft = (struct draft){
		.ctx = ctx, .schema = opts->schema, .links = opts->links, .date = opts->date};
	x.draft.is_erased = t_array(ctx, bool, opts->schema->n_tables + 1);
	x.out = t_strdup(ctx, "\nmodel: {\n");
	decide_tables(&x.draft);
	for (size_t i = 0; i < opts->links->n; i++)
		print_item(&x, i);
	print_left_out(&x);
	print_not_followed(&x);
	if (opts->links->n >= opts->links->most)
		t_append(&x.out, "\n  # " MODEL_MARK
				 ": more tables can be reached than are listed here.\n");
	t_append(&x.out, "};\n");
	*ret_open = count_marks(x.out);
	return t_printf(
		ctx,
		"# A model to start from, made from the catalog of database %s and from names.\n"
		"# Read every line.  " MODEL_MARK
		" (%d times) marks a question that only a person can answer.\n"
		"# While one is left, the daemon erases nothing.  A marked column is under a rule that erases\n"
		"# it: move it to keep if it is not personal, and remove the mark.  retentiond.conf(5) explains\n"
		"# the settings; retentionctl model check lists the marks that are left.\n%s",
		one_line(ctx, opts->database), *ret_open, x.out);
}
