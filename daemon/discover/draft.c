#include "discover/draft.h"

#include "model/catalog.h"
#include "base/mem.h"
#include "base/sql.h"

/* The mark that a person looks for, and takes away; in two parts, for none is to be left in this file. */
#define MARK                                                                                       \
	"TO"                                                                                       \
	"DO"

enum rule { RULE_OF_KEEP, RULE_OF_CLEAR, RULE_OF_SET };

struct decision {
	enum rule rule;
	const char *value; /* RULE_OF_SET */
	const char *why;
	bool open; /* somebody has to say */
};

struct text {
	void *ctx;
	const struct draft_opts *opts;
	const struct schema *found;
	const struct links *reach;
	bool *wiped; /* of each table: anonymize = "delete" */
	char *out;
};

/* One line of comment: what could end it, or command a terminal, becomes a blank. */
static char *one_line(void *ctx, const char *text)
{
	char *out = t_printf(ctx, "%.120s", text);

	for (char *c = out; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 127)
			*c = ' ';
	return out;
}

/* In libconfig's quotes. */
static char *quoted(void *ctx, const char *text)
{
	char *out = t_strdup(ctx, "\"");

	for (const char *c = text; *c; c++)
		t_append(&out, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
	t_append(&out, "\"");
	return out;
}

static const struct schema_table *table_of(const struct text *x, const struct reached *item)
{
	return &x->found->tables[item->table];
}

static char *shown(void *ctx, const struct schema_table *t)
{
	return one_line(ctx, t_printf(ctx, "%s.%s", t->schema, t->name));
}

static bool is_date(const struct schema_column *c)
{
	return strcmp(c->base, "timestamptz") == 0 || strcmp(c->base, "timestamp") == 0 ||
	       strcmp(c->base, "date") == 0;
}

static const char *first_date(const struct schema_table *t, const char *const *names)
{
	for (; *names; names++) {
		const struct schema_column *c = schema_column(t, *names);

		if (c && is_date(c))
			return c->name;
	}
	return NULL;
}

static const char *created_of(const struct schema_table *contact)
{
	static const char *const names[] = {"created_at",
					    "create_date",
					    "created",
					    "created_on",
					    "creation_date",
					    "date_creation",
					    "registered_at",
					    "date_entered",
					    "createdAt",
					    "cree_le",
					    NULL};

	return first_date(contact, names);
}

const char *draft_date(const struct schema_table *request)
{
	static const char *const names[] = {
		"last_activity_at", "closed_at",     "updated_at", "created_at",    "create_date",
		"write_date",       "date_closed",   "updated_on", "date_modified", "date_mod",
		"created_on",       "creation_date", "updatedAt",  "createdAt",     "date_creation",
		"created",          "date_entered",  "ferme_le",   "cree_le",       NULL};
	const char *date = first_date(request, names);

	for (size_t i = 0; !date && i < request->n_columns; i++)
		if (is_date(&request->columns[i]))
			date = request->columns[i].name;
	return date;
}

/* What the model's own links and dates stand on, which can only be kept; NULL: nothing. */
static const char *fixed_because(const struct text *x, size_t table, const char *column)
{
	const struct schema_table *t = &x->found->tables[table];

	if (t->key && strcmp(t->key, column) == 0)
		return "the key";
	for (size_t i = 0; i < x->reach->n; i++) {
		const struct reached *item = &x->reach->items[i];

		if (item->table == table && item->by && strcmp(item->by, column) == 0)
			return t_printf(x->ctx, "the link to %s", x->reach->items[item->of].name);
		if (item->table == table && item->type && strcmp(item->type, column) == 0)
			return "what the link points at";
		if (item->of != LINKS_NONE && x->reach->items[item->of].table == table &&
		    item->from && strcmp(item->from, column) == 0)
			return t_printf(x->ctx, "the link to %s", item->name);
	}
	if (table == x->reach->items[1].table && strcmp(column, x->opts->date) == 0)
		return "the date";
	if (table == x->reach->items[0].table && created_of(t) &&
	    strcmp(column, created_of(t)) == 0)
		return "the day of creation";
	return NULL;
}

/* A value for a column that can neither be NULL nor empty; NULL: nobody knows one. */
static const char *stand_in(const struct schema_column *c)
{
	static const char *const values[][2] = {
		{"inet", "0.0.0.0"},
		{"cidr", "0.0.0.0/32"},
		{"macaddr", "00:00:00:00:00:00"},
		{"macaddr8", "00:00:00:00:00:00:00:00"},
		{"date", "1900-01-01"},
		{"timestamp", "1900-01-01"},
		{"timestamptz", "1900-01-01"},
		{"uuid", "00000000-0000-0000-0000-000000000000"},
		{"xml", "<gone/>"},
	};

	if (c->category == 'N')
		return c->collides ? "{number}" : "0";
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (strcmp(c->base, values[i][0]) == 0)
			return values[i][1];
	return NULL;
}

/* How a column is erased: NULL, the empty value, or something that stands in for it. */
static void erase(const struct text *x, const struct schema_table *t, const struct schema_column *c,
		  struct decision *d)
{
	const struct column probe = {.base = c->base, .category = c->category};
	const bool empty = catalog_empty_value(&probe) != NULL;
	const char *needs = t->key ? NULL : "the daemon refuses that: the table has no key";

	d->rule = RULE_OF_CLEAR;
	if (!c->not_null || (empty && !c->collides)) {
		if (c->not_null && c->checked)
			d->why = t_printf(x->ctx, "%s; a CHECK may refuse the empty value", d->why);
		return;
	}
	d->value = empty && c->category == 'S' ? t_printf(x->ctx, "gone_{key}") : stand_in(c);
	if (d->value && strchr(d->value, '{') && needs)
		d->value = NULL;
	else
		needs = "the daemon refuses that: NOT NULL, and no value stands in for it";
	if (!d->value) {
		d->why = t_printf(x->ctx, "%s; %s", d->why, needs);
		d->open = true;
		return;
	}
	d->rule = RULE_OF_SET;
	d->why = t_printf(x->ctx, "%s; NOT NULL%s%s", d->why, c->collides ? ", unique" : "",
			  c->collides && !strchr(d->value, '{') ? ": the daemon refuses a constant"
								: "");
	d->open = d->open || (c->collides && !strchr(d->value, '{'));
}

static struct decision decide(const struct text *x, size_t table, const struct schema_column *c)
{
	struct decision d = {.rule = RULE_OF_KEEP};
	enum verdict verdict;

	d.why = fixed_because(x, table, c->name);
	if (d.why)
		return d;
	if (c->generated || c->primary || c->foreign) {
		d.why = c->generated ? "the database makes it"
			: c->primary ? "of the primary key"
				     : "a foreign key";
		return d;
	}
	verdict = schema_verdict(x->ctx, c, &d.why);
	if (verdict == VERDICT_KEEP)
		return d;
	d.open = verdict == VERDICT_ASK;
	erase(x, &x->found->tables[table], c, &d);
	return d;
}

/* Beside a file or a text, what only describes it: a size, a type, a day. */
static bool only_describes(const struct schema_column *c)
{
	static const char *const words[] = {"type", "size", "checksum", "charset", "format"};

	if (c->category == 'D')
		return true;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(c->name, words[i]) && strchr("SN", c->category))
			return true;
	return false;
}

/* Is nothing in the table worth its row once the personal is gone? */
static bool is_all_personal(const struct text *x, size_t table)
{
	const struct schema_table *t = &x->found->tables[table];
	bool personal = false;

	for (size_t i = 0; i < t->n_columns; i++) {
		const struct schema_column *c = &t->columns[i];
		const struct decision d = decide(x, table, c);

		if (d.open)
			return false;
		if (d.rule != RULE_OF_KEEP)
			personal = true;
		else if (!fixed_because(x, table, c->name) && !c->primary && !c->foreign &&
			 !only_describes(c))
			return false;
	}
	return personal;
}

/*
 * What hangs off deleted rows has to be deleted too, and what a row points at (in reverse) can only go
 * when that row goes: until all agree.
 */
static void find_wiped(struct text *x)
{
	bool changed = true;

	for (size_t i = 0; i < x->reach->n; i++)
		x->wiped[x->reach->items[i].table] = is_all_personal(x, x->reach->items[i].table);
	x->wiped[x->reach->items[0].table] = x->wiped[x->reach->items[1].table] = false;
	while (changed) {
		changed = false;
		for (size_t i = 1; i < x->reach->n; i++) {
			const struct reached *item = &x->reach->items[i];
			bool *child = &x->wiped[item->table];
			bool *parent = &x->wiped[x->reach->items[item->of].table];

			if (*parent && (!*child || item->keeps)) {
				*parent = false;
				changed = true;
			}
			if (item->how == LINKS_REVERSE && *child && !*parent) {
				*child = false;
				changed = true;
			}
		}
	}
}

/* name = [ "a", ... ] or set: a line a column, each with its reason. */
static void print_rules(struct text *x, size_t table, enum rule rule)
{
	static const char *const names[] = {"keep = [", "clear = [", "set: ("};
	const struct schema_table *t = &x->found->tables[table];
	size_t left = 0;

	for (size_t i = 0; i < t->n_columns; i++)
		left += decide(x, table, &t->columns[i]).rule == rule;
	if (left == 0)
		return;
	t_append(&x->out, "    %s\n", names[rule]);
	for (int open = 0; open < 2; open++)
		for (size_t i = 0; i < t->n_columns; i++) {
			const struct decision d = decide(x, table, &t->columns[i]);
			char *line;

			if (d.rule != rule || d.open != (open == 1))
				continue;
			left--;
			line = quoted(x->ctx, t->columns[i].name);
			if (rule == RULE_OF_SET)
				line = t_printf(x->ctx, "{ column = %s; value = %s; }", line,
						quoted(x->ctx, d.value));
			line = t_printf(x->ctx, "%s%s", line, left ? "," : "");
			t_append(&x->out, "      %-26s # %s%s", line,
				 d.open ? MARK ": is this personal? " : "",
				 one_line(x->ctx, d.why));
			if (t->columns[i].comment)
				t_append(&x->out, " (%s)", one_line(x->ctx, t->columns[i].comment));
			t_append(&x->out, "\n");
		}
	t_append(&x->out, "    %s;\n", rule == RULE_OF_SET ? ")" : "]");
}

/* Under a second name the same rules, without the reasons. */
static void print_rules_again(struct text *x, size_t table, enum rule rule)
{
	static const char *const begins[] = {"keep = [", "clear = [", "set: ("};
	const struct schema_table *t = &x->found->tables[table];
	size_t width = 0, n = 0;

	for (size_t i = 0; i < t->n_columns; i++) {
		const struct decision d = decide(x, table, &t->columns[i]);
		char *item = quoted(x->ctx, t->columns[i].name);

		if (d.rule != rule)
			continue;
		if (rule == RULE_OF_SET)
			item = t_printf(x->ctx, "{ column = %s; value = %s; }", item,
					quoted(x->ctx, d.value));
		if (n == 0)
			t_append(&x->out, "    %s ", begins[rule]);
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
		t_append(&x->out, " %s;\n", rule == RULE_OF_SET ? ")" : "]");
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
		t_append(&x->out,
			 "    # No index begins with it, and a large table is refused without:\n"
			 "    # CREATE INDEX CONCURRENTLY ON %s (%s);\n",
			 one_line(x->ctx, sql_table(x->ctx, t->schema, t->name)),
			 one_line(x->ctx, sql_ident(x->ctx, column)));
}

/* What the key says by itself, where the model cannot be in charge of it. */
static void print_silent_key(struct text *x, const struct reached *item)
{
	const struct schema_key *k = item->key;

	if (k && strchr("cnd", k->on_delete) && item->how == LINKS_KEY && item->keeps &&
	    !item->detach)
		t_append(&x->out,
			 "    # Refused while foreign key %s acts by itself: make it NO ACTION.\n",
			 one_line(x->ctx, k->name));
	if (k && item->keeps && k->from != k->to && !k->deferrable)
		t_append(
			&x->out,
			"    # Refused while no order of deletion satisfies the keys of this ring:\n"
			"    # ALTER TABLE %s ALTER CONSTRAINT %s DEFERRABLE;\n",
			one_line(x->ctx, sql_table(x->ctx, table_of(x, item)->schema,
						   table_of(x, item)->name)),
			one_line(x->ctx, sql_ident(x->ctx, k->name)));
}

/* As a person would write it: quoted only where it has to be. */
static char *plain_ident(void *ctx, const char *name)
{
	return name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")] ? sql_ident(ctx, name)
								 : t_strdup(ctx, name);
}

static void print_where(struct text *x, const struct reached *item)
{
	if (item->how != LINKS_TYPE)
		return;
	t_append(&x->out, "    where = %s;%s\n",
		 quoted(x->ctx, t_printf(x->ctx, "%s = %s", plain_ident(x->ctx, item->type),
					 sql_literal(x->ctx, item->value))),
		 item->value_guessed ? "  # " MARK ": how does the CRM write this type?" : "");
	if (item->value_guessed && !x->opts->samples)
		t_append(
			&x->out,
			"    # --samples finds it out, and other tables that the column may name.\n");
}

/* Who else points at a shared row: a user, or a part of it, which nobody can tell from outside. */
static void print_users(struct text *x, const struct reached *item)
{
	for (size_t i = 0; item->shared && !item->second && i < x->found->n_keys; i++) {
		const struct schema_key *k = &x->found->keys[i];
		const struct schema_table *from = &x->found->tables[k->from];

		if (k->to == item->table && !links_of(x->reach, k->from))
			t_append(&x->out,
				 "    # " MARK
				 ": %s.%s points here, too (%s), and keeps the row; where it is a "
				 "part of the row, map it with of = %s.\n",
				 one_line(x->ctx, from->schema), one_line(x->ctx, from->name),
				 one_line(x->ctx, k->column), quoted(x->ctx, item->name));
	}
}

static void print_link(struct text *x, const struct reached *item)
{
	static const char *const how[] = {
		[LINKS_NAME] = "  # by its name: no foreign key says so",
		[LINKS_TYPE] = "  # by its name: no foreign key can say so",
	};
	const struct schema_table *t = table_of(x, item);
	const struct reached *parent = &x->reach->items[item->of];
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
		t_append(&x->out, "    # Refused: to its type, or its collation, different values "
				  "are equal.\n");
	if (item->shared)
		t_append(&x->out, "    shared = true;  # other rows may point at the same one\n");
	print_users(x, item);
	if (item->detach)
		t_append(&x->out, "    delete = \"detach\";  # the row is not this one's alone\n");
	else if (item->keeps)
		t_append(&x->out, "    delete = \"keep\";\n");
	print_silent_key(x, item);
}

/* Only the request's: from what day its age counts, and when it is over. */
static void print_request(struct text *x)
{
	static const char *const states[] = {"status",    "state",    "statut",   "etat",
					     "status_id", "state_id", "stage_id", NULL};
	const struct schema_table *t = table_of(x, &x->reach->items[1]);
	const struct schema_column *date = schema_column(t, x->opts->date);
	char *others = t_strdup(x->ctx, "");

	for (size_t i = 0; i < t->n_columns; i++)
		if (is_date(&t->columns[i]) && &t->columns[i] != date)
			t_append(&others, "%s%s", *others ? ", " : "",
				 one_line(x->ctx, t->columns[i].name));
	print_setting(x, "date", x->opts->date);
	t_append(&x->out, "    # What a policy's depth is counted from%s%s%s.\n",
		 date && !date->not_null ? "; a request without it keeps its contact" : "",
		 *others ? "; instead it could be " : "", others);
	for (const char *const *s = states; *s; s++)
		if (schema_column(t, *s)) {
			t_append(&x->out,
				 "    # " MARK ": which requests are over?  One that is not keeps "
				 "its contact:\n    # due_when = \"%s = 'closed'\";\n",
				 *s);
			break;
		}
}

static void print_item(struct text *x, size_t i)
{
	const struct reached *item = &x->reach->items[i];
	const struct schema_table *t = table_of(x, item);
	const bool wiped = x->wiped[item->table];

	t_append(&x->out, "\n  # %s%s%s%s\n", shown(x->ctx, t), item->second ? ", once more" : "",
		 t->comment ? ": " : "", t->comment ? one_line(x->ctx, t->comment) : "");
	if (t->trouble)
		t_append(&x->out, "  # Refused: %s.\n", t->trouble);
	t_append(&x->out, "  %s: {\n", item->name);
	if (strchr(t->schema, '.'))
		t_append(&x->out, "    table = [ %s, %s ];\n", quoted(x->ctx, t->schema),
			 quoted(x->ctx, t->name));
	else
		print_setting(x, "table", t_printf(x->ctx, "%s.%s", t->schema, t->name));
	print_setting(x, "key", t->key);
	if (!t->key)
		t_append(&x->out, "    # No column alone is its key.\n");
	if (item->of != LINKS_NONE)
		print_link(x, item);
	if (i == 0)
		print_setting(x, "created", created_of(t));
	if (i == 1)
		print_request(x);
	if (i < 2)
		t_append(&x->out, "    archive = true;\n");
	if (item->keeps) {
		t_append(&x->out, "    anonymize = \"keep\";  # its columns are treated under %s\n",
			 links_of(x->reach, item->table)->name);
	} else if (wiped) {
		t_append(&x->out, "    anonymize = \"delete\";  # nothing else is in it\n");
	} else if (item->second) {
		t_append(&x->out,
			 "    # As under %s: what is changed there is to be changed here.\n",
			 links_of(x->reach, item->table)->name);
		print_rules_again(x, item->table, RULE_OF_SET);
		print_rules_again(x, item->table, RULE_OF_CLEAR);
		print_rules_again(x, item->table, RULE_OF_KEEP);
	} else {
		print_rules(x, item->table, RULE_OF_SET);
		print_rules(x, item->table, RULE_OF_CLEAR);
		print_rules(x, item->table, RULE_OF_KEEP);
	}
	t_append(&x->out, "  };\n");
}

/* Tables that mapped ones point at, and that are none of a contact's. */
static void print_left_out(struct text *x)
{
	bool first = true;

	for (size_t t = 0; t < x->found->n_tables; t++) {
		const char *why = links_is_lookup(&x->found->tables[t]);
		const bool mapped = links_of(x->reach, t) != NULL;
		char *uses = t_strdup(x->ctx, "");

		for (size_t i = 0; i < x->found->n_keys && !mapped; i++) {
			const struct schema_key *k = &x->found->keys[i];
			const struct reached *from =
				k->to == t ? links_of(x->reach, k->from) : NULL;

			if (from)
				t_append(&uses, "%s%s.%s", *uses ? ", " : "", from->name,
					 one_line(x->ctx, k->column));
		}
		if (!*uses)
			continue;
		if (first)
			t_append(&x->out, "\n  # Not mapped, though mapped tables point there:\n");
		first = false;
		t_append(&x->out, "  #   %s: %s (%s)\n", shown(x->ctx, &x->found->tables[t]),
			 why ? why : "its key has several columns", uses);
	}
}

static void print_not_followed(struct text *x)
{
	for (size_t i = 0; i < x->found->n_keys; i++) {
		const struct schema_key *k = &x->found->keys[i];
		const struct schema_table *to = &x->found->tables[k->to];

		if (k->n_columns > 1 && links_of(x->reach, k->to) &&
		    (!to->key || strcmp(k->to_column, to->key) != 0))
			t_append(&x->out,
				 "  # Not followed: foreign key %s of %s has %d columns, none of "
				 "which is %s's key.\n",
				 one_line(x->ctx, k->name),
				 shown(x->ctx, &x->found->tables[k->from]), k->n_columns,
				 shown(x->ctx, to));
	}
}

static int count_marks(const char *text)
{
	int n = 0;

	for (const char *at = strstr(text, MARK); at; at = strstr(at + 1, MARK))
		n++;
	return n;
}

char *draft_text(void *ctx, const struct draft_opts *opts, int *ret_open)
{
	struct text x = {.ctx = ctx, .opts = opts, .found = opts->found, .reach = opts->reach};

	x.wiped = t_array(ctx, bool, opts->found->n_tables + 1);
	x.out = t_strdup(ctx, "\nmodel: {\n");
	find_wiped(&x);
	for (size_t i = 0; i < opts->reach->n; i++)
		print_item(&x, i);
	print_left_out(&x);
	print_not_followed(&x);
	if (opts->reach->n >= opts->reach->most)
		t_append(&x.out, "\n  # " MARK ": more tables can be reached than fit here.\n");
	t_append(&x.out, "};\n");
	*ret_open = count_marks(x.out);
	return t_printf(
		ctx,
		"# A model to start from: what the catalog of database %s says, and what names "
		"suggest.\n"
		"# Read every line.  What nobody can tell from outside is marked " MARK
		" (%d times), and is erased\n"
		"# as it stands: move to keep what is not personal, and take the mark away.\n"
		"# Each table's settings: retentiond.conf(5); what is still open: "
		"retentionctl model check.\n%s",
		one_line(ctx, opts->database), *ret_open, x.out);
}
