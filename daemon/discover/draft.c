/*
 * Prints the draft: the tables in the order of the links, a rule for each column with its reason, and at
 * the end what is left out.  Names and comments come from the database, so each is made one line.
 */
#include "discover/draft.h"

#include "base/mem.h"
#include "base/sql.h"
#include "base/text.h"
#include "discover/keys.h"
#include "discover/shards.h"
#include "model/catalog.h"

/* Appends to the draft. */
__attribute__((format(printf, 2, 3))) static void put(struct draft *x, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	x->out = must_alloc(talloc_vasprintf_append_buffer(x->out, fmt, args));
	va_end(args);
}

/* Text for one line of comment. */
static char *one_line(const struct draft *x, const char *text)
{
	return text_one_line(t_printf(x->ctx, "%.120s", text));
}

static char *quoted(const struct draft *x, const char *text)
{
	return text_quoted(x->ctx, text);
}

static const struct schema_table *table_of(const struct draft *x, const struct link *item)
{
	return &x->schema->tables[item->table];
}

static char *shown(const struct draft *x, const struct schema_table *t)
{
	return one_line(x, t_printf(x->ctx, "%s.%s", t->schema, t->name));
}

static char *shown_sql(const struct draft *x, const struct schema_table *t)
{
	return one_line(x, sql_table(x->ctx, t->schema, t->name));
}

static const char *opening(enum rule_kind rule)
{
	return rule == RULE_SET ? ": (" : " = [";
}

/* A column as an element of its rule. */
static char *element(const struct draft *x, const struct schema_column *c, const struct decision *d)
{
	return d->rule == RULE_SET ? t_printf(x->ctx, "{ column = %s; value = %s; }",
					      quoted(x, c->name), quoted(x, d->value))
				   : quoted(x, c->name);
}

/* Prints the columns with this rule, a line for each, with its reason; open ones last. */
static void print_rule(struct draft *x, size_t table, enum rule_kind rule)
{
	const struct schema_table *t = &x->schema->tables[table];
	const char *hidden = x->is_proposal ? "# " : "";
	size_t left = 0;

	for (size_t i = 0; i < t->n_columns; i++)
		left += decide_column(x, table, &t->columns[i]).rule == rule;
	if (left == 0)
		return;
	put(x, "    %s%s%s\n", hidden, rule_names[rule], opening(rule));
	for (int open = 0; open < 2; open++)
		for (size_t i = 0; i < t->n_columns; i++) {
			const struct schema_column *c = &t->columns[i];
			const struct decision d = decide_column(x, table, c);

			if (d.rule != rule || d.open != (open == 1))
				continue;
			left--;
			put(x, "    %s  %-26s # %s%s", hidden,
			    t_printf(x->ctx, "%s%s", element(x, c, &d), left ? "," : ""),
			    !d.open          ? ""
			    : x->is_proposal ? "is this personal? "
					     : MODEL_MARK ": is this personal? ",
			    one_line(x, d.why));
			if (c->comment)
				put(x, " (%s)", one_line(x, c->comment));
			put(x, "\n");
		}
	put(x, "    %s%s;\n", hidden, rule == RULE_SET ? ")" : "]");
}

/* Prints the rule of a second name of the table: the same, without reasons. */
static void print_rule_again(struct draft *x, size_t table, enum rule_kind rule)
{
	const struct schema_table *t = &x->schema->tables[table];
	size_t width = 0;

	for (size_t i = 0; i < t->n_columns; i++) {
		const struct decision d = decide_column(x, table, &t->columns[i]);
		const char *item = element(x, &t->columns[i], &d);
		const bool first = width == 0;

		if (d.rule != rule)
			continue;
		width += strlen(item) + 2;
		if (first)
			put(x, "    %s%s ", rule_names[rule], opening(rule));
		put(x, "%s%s%s", first ? "" : ",",
		    width > 90 ? "\n      "
		    : first    ? ""
			       : " ",
		    item);
		width = width > 90 ? strlen(item) : width;
	}
	if (width > 0)
		put(x, " %s;\n", rule == RULE_SET ? ")" : "]");
}

static void print_rules(struct draft *x, size_t table, bool again)
{
	static const enum rule_kind rules[] = {RULE_SET, RULE_CLEAR, RULE_KEEP};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		(again ? print_rule_again : print_rule)(x, table, rules[i]);
}

static void print_setting(struct draft *x, const char *key, const char *value)
{
	if (value)
		put(x, "    %s = %s;\n", key, quoted(x, value));
}

static void print_columns(struct draft *x, const char *key, const struct columns *columns)
{
	if (columns)
		put(x, "    %s = %s;\n", key, columns_setting(x->ctx, columns));
}

static void print_index(struct draft *x, const struct schema_table *t,
			const struct columns *columns)
{
	if (!columns || schema_indexed(t, columns))
		return;
	put(x,
	    "    # No index begins with %s; the daemon refuses a large table without one:\n"
	    "    # %s\n",
	    columns->n == 1 ? "it" : "them",
	    sql_create_index(x->ctx, shown_sql(x, t),
			     one_line(x, sql_idents(x->ctx, columns->names, columns->n)),
			     t->partitioned));
	if (t->partitioned)
		put(x, "    # (" SQL_INDEX_LOCKS ".)\n");
}

/* Is there a column whose type or collation makes different values equal? */
static bool is_blurred(const struct schema_table *t, const struct columns *columns)
{
	for (size_t i = 0; i < columns->n; i++)
		if (!schema_column(t, columns->names[i])->plain)
			return true;
	return false;
}

/* Prints why the daemon refuses the foreign key, if what it does by itself contradicts the model. */
static void print_silent_key(struct draft *x, const struct link *item)
{
	const struct schema_key *k = item->key;

	if (k && strchr("cnd", k->on_delete) && item->how == LINKS_KEY && item->keeps &&
	    !item->detach)
		put(x,
		    "    # The daemon refuses foreign key %s, which acts by itself: make it NO ACTION.\n",
		    one_line(x, k->name));
	if (k && item->keeps && k->from != k->to && !k->deferrable)
		put(x,
		    "    # The daemon refuses keys in a cycle, which no order of deletion satisfies:\n"
		    "    # ALTER TABLE %s ALTER CONSTRAINT %s DEFERRABLE;\n",
		    shown_sql(x, table_of(x, item)), one_line(x, sql_ident(x->ctx, k->name)));
}

/* An identifier, quoted only if it must be. */
static char *plain_ident(void *ctx, const char *name)
{
	return name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")] ? sql_ident(ctx, name)
								 : t_strdup(ctx, name);
}

static void print_where(struct draft *x, const struct link *item)
{
	if (item->how != LINKS_TYPE)
		return;
	put(x, "    where = %s;%s\n",
	    quoted(x, t_printf(x->ctx, "%s = %s", plain_ident(x->ctx, item->type),
			       sql_literal(x->ctx, item->value))),
	    item->value_guessed ? "  # " MODEL_MARK ": how does the CRM write this type?" : "");
	if (item->value_guessed && !x->samples)
		put(x, "    # --samples finds it, and other tables that the column can name.\n");
}

/* Prints which other tables reference a shared row: as its user or as a part of it, which is an open question. */
static void print_users(struct draft *x, const struct link *item)
{
	for (size_t i = 0; item->shared && !item->second && i < x->schema->n_keys; i++) {
		const struct schema_key *k = &x->schema->keys[i];
		const struct schema_table *from = &x->schema->tables[k->from];

		if (k->to == item->table && !links_of(x->links, k->from))
			put(x,
			    "    # " MODEL_MARK
			    ": %s.%s references this row too (%s) and keeps it; if it is "
			    "a part of the row, map it with of = %s.\n",
			    one_line(x, from->schema), one_line(x, from->name),
			    one_line(x, columns_text(x->ctx, k->columns)), quoted(x, item->name));
	}
}

static void print_link(struct draft *x, const struct link *item)
{
	static const char *const how[] = {
		[LINKS_NAME] = "  # by its name: no foreign key says so",
		[LINKS_TYPE] = "  # by its name: no foreign key can say so",
	};
	const struct schema_table *t = table_of(x, item);
	const struct link *parent = &x->links->items[item->of];

	print_setting(x, "of", parent->name);
	put(x, "    by = %s;%s\n", columns_setting(x->ctx, item->by),
	    item->how <= LINKS_TYPE && how[item->how] ? how[item->how] : "");
	print_columns(x, "from", item->from);
	print_where(x, item);
	print_index(x, t, item->by);
	if (item->how == LINKS_REVERSE)
		print_index(x, table_of(x, parent), item->from);
	if (is_blurred(t, item->by))
		put(x, "    # The daemon refuses it: its type or collation makes different "
		       "values equal.\n");
	if (item->shared)
		put(x,
		    "    shared = true;  # other rows may reference the same one\n"
		    "    # " MODEL_MARK ": is it a person's own (an address), or does it stay (a "
		    "company)?  It stays until\n"
		    "    # both lines with keep are gone: then it goes with the last row that "
		    "references it.\n"
		    "    delete = \"keep\";\n");
	print_users(x, item);
	if (item->detach)
		put(x, "    delete = \"detach\";  # the row also belongs to others\n");
	else if (item->keeps)
		put(x, "    delete = \"keep\";\n");
	print_silent_key(x, item);
}

/* Prints the settings of the request only: the date that its age is counted from, and when it is closed. */
static void print_request(struct draft *x)
{
	static const char *const states[] = {"status",    "state",    "statut",   "etat",
					     "status_id", "state_id", "stage_id", NULL};
	const struct schema_table *t = table_of(x, &x->links->items[1]);
	const struct schema_column *date = schema_column(t, x->date);
	const struct schema_column *state = NULL;
	char *others = t_strdup(x->ctx, "");

	for (size_t i = 0; i < t->n_columns; i++)
		if (catalog_is_date(t->columns[i].base) && &t->columns[i] != date)
			t_append(&others, "%s%s", *others ? ", " : "",
				 one_line(x, t->columns[i].name));
	print_setting(x, "date", x->date);
	put(x, "    # The date that a policy's depth is counted from%s%s%s.\n",
	    date && !date->not_null ? "; a request without it keeps its contact" : "",
	    *others ? "; other dates are " : "", others);
	for (const char *const *s = states; *s && !state; s++)
		state = schema_column(t, *s);
	put(x,
	    "    # " MODEL_MARK ": which requests are closed?  An open one keeps its contact.  "
	    "As it stands, none is closed.\n    due_when = \"false\";\n    # due_when = "
	    "\"%s%s\";\n",
	    state ? state->name : "true", state ? " = 'closed'" : "");
}

/* Prints the column by which the rows of a large table are found, where contact has one. */
static void print_shard(struct draft *x, size_t i)
{
	const char *contacts = x->shards ? x->shards->names[0] : NULL;
	const char *name = x->shards ? x->shards->names[i] : NULL;
	const char *fault = x->shards ? x->shards->faults[i] : NULL;

	if (i == 0 && name)
		put(x,
		    "    shard = %s;  # %zu of these tables %s partitions (or Citus shards) by it, so "
		    "each batch takes the contacts of one\n",
		    quoted(x, name), x->shards->n_narrowed,
		    x->shards->n_narrowed == 1 ? "has" : "have");
	else if (name && strcmp(name, contacts) != 0)
		put(x, "    shard = %s;  # the contact's %s in this table\n", quoted(x, name),
		    one_line(x, contacts));
	if (fault)
		put(x, "    # Each of its statements asks all its partitions: %s.\n",
		    text_one_line(t_strdup(x->ctx, fault)));
}

/* Has the table another name in the model, with tables below it that this name does not have? */
static bool has_parts(const struct draft *x, const struct link *item)
{
	const struct link *items = x->links->items;

	for (size_t i = 1; i < x->links->n; i++)
		if (items[i].how != LINKS_REVERSE && !items[i].keeps &&
		    &items[items[i].of] != item && items[items[i].of].table == item->table)
			return true;
	return false;
}

/* Prints what an anonymization does with the rows. */
static void print_anonymize(struct draft *x, const struct link *item)
{
	const char *first = links_of(x->links, item->table)->name;

	if (item->shared) {
		put(x, "    anonymize = \"keep\";\n");
		x->is_proposal = true;
		print_rules(x, item->table, false);
		x->is_proposal = false;
	} else if (item->keeps) {
		put(x, "    anonymize = \"keep\";  # %s has the rules of its columns\n", first);
	} else if (x->is_erased[item->table] && item->detach && has_parts(x, item)) {
		put(x, "    # The row stays here, because other tables hold parts of it.\n");
		print_rules(x, item->table, false);
	} else if (x->is_erased[item->table]) {
		put(x, "    anonymize = \"delete\";  # it holds nothing else\n");
	} else if (item->second) {
		put(x, "    # The same rules as %s: change both together.\n", first);
		print_rules(x, item->table, true);
	} else {
		print_rules(x, item->table, false);
	}
}

static void print_item(struct draft *x, size_t i)
{
	const struct link *item = &x->links->items[i];
	const struct schema_table *t = table_of(x, item);

	put(x, "\n  # %s%s%s%s\n", shown(x, t), item->second ? ", once more" : "",
	    t->comment ? ": " : "", t->comment ? one_line(x, t->comment) : "");
	if (t->trouble)
		put(x, "  # The daemon refuses it: %s.\n", t->trouble);
	put(x, "  %s: {\n", item->name);
	if (strchr(t->schema, '.'))
		put(x, "    table = [ %s, %s ];\n", quoted(x, t->schema), quoted(x, t->name));
	else
		print_setting(x, "table", t_printf(x->ctx, "%s.%s", t->schema, t->name));
	print_columns(x, "key", t->key);
	if (!t->key)
		put(x, "    # It has no key of one column.\n");
	if (item->of != LINKS_NONE)
		print_link(x, item);
	print_shard(x, i);
	if (i == 0)
		print_setting(x, "created", decide_created(t));
	if (i == 1)
		print_request(x);
	if (i < 2)
		put(x, "    archive = true;\n");
	print_anonymize(x, item);
	put(x, "  };\n");
}

/* Prints the tables that mapped tables reference and that hold no personal data. */
static void print_left_out(struct draft *x)
{
	bool first = true;

	for (size_t t = 0; t < x->schema->n_tables; t++) {
		const char *why = links_left_out(x->links, x->schema, t);
		const bool mapped = links_of(x->links, t) != NULL;
		char *uses = t_strdup(x->ctx, "");

		for (size_t i = 0; i < x->schema->n_keys && !mapped; i++) {
			const struct schema_key *k = &x->schema->keys[i];
			const struct link *from = k->to == t ? links_of(x->links, k->from) : NULL;

			if (from)
				t_list(&uses, ", ", k->columns->n == 1 ? "%s.%s" : "%s (%s)",
				       from->name, one_line(x, columns_text(x->ctx, k->columns)));
		}
		if (!*uses)
			continue;
		if (first)
			put(x, "\n  # Not mapped, although mapped tables reference them:\n");
		first = false;
		put(x, "  #   %s: %s (%s)\n", shown(x, &x->schema->tables[t]),
		    why ? why : "not followed", uses);
	}
}

static void print_not_followed(struct draft *x)
{
	const struct link *of;

	for (size_t i = 0; i < x->schema->n_keys; i++) {
		const struct schema_key *k = &x->schema->keys[i];
		const struct schema_table *from = &x->schema->tables[k->from];

		if (k->unfit && links_of(x->links, k->to))
			put(x,
			    "  # Not followed: foreign key %s of %s.  A link over several columns holds "
			    "whole numbers, uuids or texts, and %s is %s.\n",
			    one_line(x, k->name), shown(x, from), one_line(x, k->unfit),
			    one_line(x, schema_column(from, k->unfit)->type));
	}
	for (size_t i = 0; i < x->schema->n_tables; i++) {
		const struct schema_table *t = &x->schema->tables[i];
		const char *column = links_of(x->links, i)
					     ? NULL
					     : links_without_tenant(x->links, x->schema, i, &of);

		if (column)
			put(x,
			    "  # Not followed: %s of %s.  The key of %s has %s too, and the table has no "
			    "such column.\n",
			    one_line(x, column), shown(x, t), of->name,
			    one_line(x, keys_missing(t, table_of(x, of))));
	}
}

static int count_marks(const char *text)
{
	int n = 0;

	while ((text = strstr(text, MODEL_MARK))) {
		text++;
		n++;
	}
	return n;
}

const char *draft_text(struct draft *x)
{
	int marks;

	x->out = t_strdup(x->ctx, "\nmodel: {\n");
	decide_tables(x);
	x->shards = shards_propose(x);
	for (size_t i = 0; i < x->links->n; i++)
		print_item(x, i);
	print_left_out(x);
	print_not_followed(x);
	if (x->links->n >= LINKS_MAX)
		put(x, "\n  # " MODEL_MARK ": more tables can be reached than are listed here.\n");
	put(x, "};\n");
	marks = count_marks(x->out);
	return t_printf(
		x->ctx,
		"# A model to start from, made from the catalog of database %s and from names.\n"
		"# Read every line.  " MODEL_MARK
		" (%s) marks a question that only a person can answer.\n"
		"# While one is left, the daemon erases nothing.  A marked column is under a rule that erases\n"
		"# it: move it to keep if it is not personal, and remove the mark.  retentiond.conf(5) explains\n"
		"# the settings; retentionctl model check lists the marks that are left.\n%s",
		one_line(x, x->database), marks == 1 ? "once" : t_printf(x->ctx, "%d times", marks),
		x->out);
}
