/*
 * Prints a table's group: how it hangs off its parent, and what becomes of its rows.
 */
#include "discover/dates.h"
#include "discover/draft_state.h"

#include "base/mem.h"
#include "base/sql.h"
#include "base/text.h"
#include "discover/shards.h"

/* Is there a column whose type or collation makes different values equal? */
static bool is_blurred(const struct schema_table *t, const struct columns *columns)
{
	for (size_t i = 0; i < columns->n; i++)
		if (!schema_column(t, columns->names[i])->plain)
			return true;
	return false;
}

/* The statement that makes a foreign key act no more by itself. */
static const char *without_action(const struct draft *x, const struct schema_key *k)
{
	const struct schema_table *from = &x->schema->tables[k->from];
	const struct schema_table *to = &x->schema->tables[k->to];
	const struct schema_key *whole = x->schema->constraints;

	while (whole->from != k->from || strcmp(whole->name, k->name) != 0)
		whole++;
	return t_printf(x->ctx,
			"ALTER TABLE %s DROP CONSTRAINT %s, ADD CONSTRAINT %s FOREIGN KEY (%s) "
			"REFERENCES %s (%s)%s;",
			sql_table(x->ctx, from->schema, from->name), sql_ident(x->ctx, k->name),
			sql_ident(x->ctx, k->name),
			sql_idents(x->ctx, whole->columns->names, whole->columns->n),
			sql_table(x->ctx, to->schema, to->name),
			sql_idents(x->ctx, whole->to_columns->names, whole->to_columns->n),
			k->from != k->to || k->deferrable ? " DEFERRABLE" : "");
}

/* Prints why the daemon refuses the foreign key, if what it does by itself contradicts the model. */
static void print_silent_key(struct draft *x, const struct link *item)
{
	const struct schema_key *k = item->key;

	if (k && k->on_delete == 'c' && item->how == LINKS_KEY && item->keeps && !item->detach)
		draft_put(
			x,
			"    # " MODEL_MARK
			": the daemon refuses this key, because it deletes in a ring; it can be NO ACTION:\n"
			"    # %s\n",
			text_one_line(t_strdup(x->ctx, without_action(x, k))));
	else if (k && item->keeps && k->from != k->to && !k->deferrable)
		draft_put(
			x,
			"    # The daemon refuses keys in a cycle, which no order of deletion satisfies:\n"
			"    # ALTER TABLE %s ALTER CONSTRAINT %s DEFERRABLE;\n",
			draft_shown_sql(x, draft_table(x, item)),
			draft_line(x, sql_ident(x->ctx, k->name)));
}

static void print_where(struct draft *x, const struct link *item)
{
	if (item->how != LINKS_TYPE)
		return;
	draft_put(x, "    where = %s;%s\n",
		  draft_quoted(x, t_printf(x->ctx, "%s = %s", draft_ident(x, item->type),
					   item->number ? item->number
							: sql_literal(x->ctx, item->value))),
		  item->number          ? t_printf(x->ctx, "  # %s", draft_line(x, item->value))
		  : item->value_guessed ? "  # " MODEL_MARK ": how does the CRM write this type?"
					: "");
	if (item->value_guessed && !x->samples)
		draft_put(x,
			  "    # --samples finds it, and other tables that the column can name.\n");
}

/* Prints which other tables reference a shared row: as its user or as a part of it, which is an open question. */
static void print_users(struct draft *x, const struct link *item)
{
	for (size_t i = 0; item->shared && !item->second && i < x->schema->n_keys; i++) {
		const struct schema_key *k = &x->schema->keys[i];
		const struct schema_table *from = &x->schema->tables[k->from];

		if (k->to == item->table && !links_of(x->links, k->from))
			draft_put(x,
				  "    # " MODEL_MARK
				  ": %s.%s references this row too (%s) and keeps it; if it is "
				  "a part of the row, map it with of = %s.\n",
				  draft_line(x, from->schema), draft_line(x, from->name),
				  draft_line(x, columns_text(x->ctx, k->columns)),
				  draft_quoted(x, item->name));
	}
}

static void print_link(struct draft *x, const struct link *item)
{
	const struct schema_table *t = draft_table(x, item);
	const struct link *parent = &x->links->items[item->of];

	print_where(x, item);
	draft_index(x, t, item->by);
	if (item->how == LINKS_REVERSE)
		draft_index(x, draft_table(x, parent), item->from);
	if (is_blurred(t, item->by))
		draft_put(x, "    # The daemon refuses it: its type or collation makes different "
			     "values equal.\n");
	if (item->shared)
		draft_put(
			x,
			"    shared = true;  # other rows may reference the same one\n"
			"    # " MODEL_MARK
			": is it a person's own (an address), or does it stay (a "
			"company)?  It stays until\n"
			"    # both lines with keep are gone: then it goes with the last row that "
			"references it.\n"
			"    delete = \"keep\";\n");
	print_users(x, item);
	print_silent_key(x, item);
	if (item->keeps)
		draft_put(
			x,
			"    delete = \"%s\"; anonymize = \"keep\";  # %s has the rules of its columns\n",
			item->detach ? "detach" : "keep", links_of(x->links, item->table)->name);
	else if (item->detach)
		draft_put(x, "    delete = \"detach\";  # %s\n",
			  item->key && strchr("nd", item->key->on_delete)
				  ? "its foreign key lets go of the row"
				  : "the row also belongs to others");
}

/* Prints the column by which the rows of a large table are found, where contact has one. */
static void print_shard(struct draft *x, size_t i)
{
	const char *contacts = x->shards ? x->shards->names[0] : NULL;
	const char *name = x->shards ? x->shards->names[i] : NULL;
	const char *fault = x->shards ? x->shards->faults[i] : NULL;

	if (i == 0 && name)
		draft_put(
			x,
			"    shard = %s;  # %zu of these tables %s partitions (or Citus shards) by it, so "
			"each batch takes the contacts of one\n",
			draft_quoted(x, name), x->shards->n_narrowed,
			x->shards->n_narrowed == 1 ? "has" : "have");
	else if (name && strcmp(name, contacts) != 0)
		draft_put(x, "    shard = %s;  # the contact's %s in this table\n",
			  draft_quoted(x, name), draft_line(x, contacts));
	if (fault)
		draft_put(x, "    # Each of its statements asks all its partitions: %s.\n",
			  text_one_line(t_strdup(x->ctx, fault)));
}

/* Is the child of another name of the item's table below the item too? */
static bool has_part(const struct draft *x, const struct link *item, const struct link *part)
{
	const struct link *items = x->links->items;

	for (size_t i = 1; i < x->links->n; i++)
		if (&items[items[i].of] == item && items[i].table == part->table &&
		    columns_equal(items[i].by, part->by))
			return true;
	return false;
}

/* Has the table another name in the model, with tables below it that this name does not have? */
static bool lacks_parts(const struct draft *x, const struct link *item)
{
	const struct link *items = x->links->items;

	for (size_t i = 1; i < x->links->n; i++)
		if (items[i].how != LINKS_REVERSE && !items[i].keeps &&
		    &items[items[i].of] != item && items[items[i].of].table == item->table &&
		    !has_part(x, item, &items[i]))
			return true;
	return false;
}

/* Prints what an anonymization does with the rows. */
static void print_anonymize(struct draft *x, const struct link *item)
{
	const char *first = links_of(x->links, item->table)->name;

	if (item->shared) {
		draft_put(x, "    anonymize = \"keep\";\n");
		x->is_proposal = true;
		draft_rules(x, item->table);
		x->is_proposal = false;
	} else if (item->keeps) {
		return; /* said in its link */
	} else if (x->is_erased[item->table] && item->second && lacks_parts(x, item)) {
		draft_put(x, "    # The row stays here, because other tables hold parts of it.\n");
		draft_rules(x, item->table);
	} else if (x->is_erased[item->table]) {
		draft_put(x, "    anonymize = \"delete\";  # it holds nothing else\n");
	} else if (item->second) {
		draft_rules_again(x, item->table, first);
	} else {
		draft_rules(x, item->table);
	}
}

/* Does a row above stay when its contact is deleted, so that this one does? */
static bool is_shielded(const struct draft *x, const struct link *item)
{
	const struct link *items = x->links->items;

	for (size_t of = item->of; !item->keeps && of != LINKS_NONE; of = items[of].of)
		if (items[of].detach || items[of].keeps)
			return true;
	return false;
}

/* Has a request its contacts through a join table? */
static bool is_joined(const struct draft *x, const struct link *item)
{
	return item == &x->links->items[1] && links_join(x->links);
}

/* Prints the table, its key, and which columns hang off which parent: one line as a rule. */
static void print_table(struct draft *x, const struct link *item)
{
	static const char *const how[] = {
		[LINKS_NAME] = "  # by its name: no foreign key says so",
		[LINKS_TYPE] = "  # by its name: no foreign key can say so",
		[LINKS_REVERSE] = NULL,
	};
	const struct schema_table *t = draft_table(x, item);

	draft_put(x, "    table = %s;", draft_setting_of(x, t));
	draft_columns(x, "key", t->key);
	if (is_joined(x, item)) {
		draft_put(x, "\n");
		draft_join(x);
		return;
	}
	if (item->of != LINKS_NONE) {
		draft_put(x, " of = %s;", draft_quoted(x, x->links->items[item->of].name));
		draft_columns(x, "by", item->by);
		draft_columns(x, "from", item->from);
	}
	draft_put(x, "%s%s\n",
		  item->role       ? t_printf(x->ctx,
					      "  # " MODEL_MARK
					      ": by its name alone: does it hold the keys of %s?",
					      x->links->items[item->of].name)
		  : how[item->how] ? how[item->how]
				   : "",
		  t->key ? "" : "  # It has no key of one column.");
}

void draft_item(struct draft *x, size_t i)
{
	const struct link *item = &x->links->items[i];
	const struct schema_table *t = draft_table(x, item);

	draft_put(x, "\n");
	if (t->comment)
		draft_put(x, "  # %s: %s\n", draft_shown(x, t), draft_line(x, t->comment));
	if (t->trouble)
		draft_put(x, "  # The daemon refuses it: %s.\n", t->trouble);
	draft_put(x, "  %s: {\n", item->name);
	print_table(x, item);
	if (item->of != LINKS_NONE && !is_joined(x, item))
		print_link(x, item);
	print_shard(x, i);
	if (i == 0) {
		draft_setting(x, "created", decide_created(t));
		dates_print(x, schema_column(t, decide_created(t)));
		draft_roles(x);
	}
	if (i == 1) {
		draft_other_contacts(x);
		draft_request(x);
	}
	if (i < 2)
		draft_put(x, "    archive = true;\n");
	if (!item->second) /* it holds for all names of the table */
		draft_secrets(x, item->table);
	if (is_shielded(x, item) && draft_erases(x, item->table))
		draft_put(x, "    # " MODEL_MARK
			     ": a deletion does not reach it, because the row above stays: "
			     "does it name the person?\n");
	print_anonymize(x, item);
	if (item->detach && !item->keeps)
		draft_on_delete(x, item->table,
				x->is_erased[item->table] &&
					!(item->second && lacks_parts(x, item)));
	draft_put(x, "  };\n");
}
