/*
 * Guesses what a table is, where names and foreign keys are all there is to tell.
 */
#include "discover/links_state.h"

#include "discover/keys.h"

/* What belongs to one person is not referenced by so many tables. */
#define MANY_USERS 4

bool links_holds_persons(const struct schema_table *t)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		const struct schema_column *c = &t->columns[i];
		const enum name_kind naming = names_of(c->name).kind;

		if (c->foreign || c->primary || strchr("BDTE", c->category))
			continue;
		if (naming == NAME_PERSON || naming == NAME_FILE || strcmp(c->base, "bytea") == 0 ||
		    strcmp(c->base, "inet") == 0)
			return true;
	}
	return false;
}

const char *links_is_lookup(const struct schema_table *t)
{
	const enum names_table kind = names_of_table(t->name);

	return kind == NAME_TABLE_STAFF  ? "the company's own people, by its name"
	       : kind == NAME_TABLE_LIST ? "a list that others choose from, by its name"
	       : links_holds_persons(t)  ? NULL
					 : "nothing in it looks personal";
}

/* How many tables reference the table by a foreign key. */
static size_t count_users(const struct schema *schema, size_t table)
{
	size_t n = 0;

	for (size_t i = 0; i < schema->n_tables; i++)
		for (size_t k = 0; k < schema->n_keys; k++)
			if (schema->keys[k].to == table && schema->keys[k].from == i) {
				n++;
				break;
			}
	return n;
}

bool links_is_common(const struct schema *schema, size_t table)
{
	for (size_t i = 0; i < schema->n_keys; i++)
		if (schema->keys[i].to == table && schema->keys[i].from != table &&
		    count_users(schema, schema->keys[i].from) > 0)
			return true;
	return count_users(schema, table) > 1 ||
	       (count_users(schema, table) > 0 &&
		names_of_table(schema->tables[table].name) != NAME_TABLE_UNKNOWN);
}

const char *links_reason(const struct schema *schema, size_t contact, size_t table)
{
	const struct schema_table *t = &schema->tables[table];
	const char *lookup = links_is_lookup(t);

	if (lookup)
		return lookup;
	if (keys_is_tenant(schema, contact, table))
		return "the tenant's: it has many contacts";
	/* A table of files has the files of all, and each row is somebody's own. */
	return names_of(t->name).kind < NAME_FILE && count_users(schema, table) >= MANY_USERS
		       ? "many tables reference it: it is not one person's"
		       : NULL;
}

const char *links_left_out(const struct links *links, const struct schema *schema, size_t table)
{
	return links_reason(schema, links->items[0].table, table);
}

bool links_holds_files(const struct schema_table *t)
{
	bool files = names_of(t->name).kind >= NAME_FILE;

	for (size_t i = 0; i < t->n_columns; i++)
		files = files || strcmp(t->columns[i].base, "bytea") == 0 ||
			names_of(t->columns[i].name).kind == NAME_FILE;
	return files;
}

bool links_is_staff(const struct schema *schema, size_t table, size_t contact)
{
	const struct schema_table *t = &schema->tables[table];

	for (size_t i = 0; i < schema->n_keys; i++)
		if (schema->keys[i].from == table && schema->keys[i].to == contact)
			return false;
	for (size_t i = 0; i < t->n_columns; i++)
		if (names_is_link_to(t->columns[i].name, schema->tables[contact].name, "contact"))
			return false;
	return table != contact && names_is_staff(t->name) && links_holds_persons(t);
}

static bool same_columns(const struct schema_table *a, const struct schema_table *b)
{
	if (a->n_columns != b->n_columns || strcmp(a->name, b->name) != 0)
		return false;
	for (size_t i = 0; i < a->n_columns; i++)
		if (!schema_column(b, a->columns[i].name))
			return false;
	return true;
}

const struct schema_table *links_copied(const struct schema *schema, size_t table)
{
	const struct schema_table *t = &schema->tables[table];

	for (size_t i = 0; i < t->n_columns; i++)
		if (t->columns[i].foreign)
			return NULL;
	for (size_t i = 0; i < schema->n_tables && !t->key; i++)
		if (i != table && schema->tables[i].key && same_columns(t, &schema->tables[i]))
			return &schema->tables[i];
	return NULL;
}
