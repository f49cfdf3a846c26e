/*
 * Prepares what the two passes of a walk ask, and runs them.
 */
#include "discover/links_state.h"

#include "discover/keys.h"
#include "model/catalog.h"

/*
 * Does the column hold the names of tables?  Where values are known, one of them has to be a table's: a MIME type is
 * none.  Where they are not, its name may say that it is about contents.
 */
static bool is_type(const struct schema *schema, const struct schema_column *type)
{
	for (size_t i = 0; i < type->n_values; i++)
		for (size_t t = 0; t < schema->n_tables; t++)
			if (names_is_type_of(type->values[i], schema->tables[t].name))
				return true;
	return type->n_values == 0 && !names_is_content(type->name);
}

/* The id column that forms a pair with a type column; NULL: none. */
static const char *pair_of(const struct schema *schema, const struct schema_table *t,
			   const struct schema_column *type)
{
	bool (*const is_pair)(const char *, const char *) =
		type->numbers ? names_is_numbered_pair : names_is_pair;

	if (!type->numbers && (type->foreign || !strchr("SE", type->category)))
		return NULL;
	for (size_t i = 0; i < t->n_columns; i++)
		if (!t->columns[i].foreign && t->columns[i].plain &&
		    is_pair(type->name, t->columns[i].name))
			return is_type(schema, type) ? t->columns[i].name : NULL;
	return NULL;
}

/* The request's link to contact: by the foreign key over its columns, if there is one. */
static struct link request_link(const struct schema *schema, size_t contact, size_t request,
				const struct columns *by)
{
	struct link item = {
		.table = request, .name = "request", .of = 0, .how = LINKS_NAME, .by = by};

	for (size_t i = 0; i < schema->n_keys && !item.key; i++) {
		const struct schema_key *k = &schema->keys[i];

		if (k->from != request || k->to != contact || !columns_equal(k->columns, by))
			continue;
		item.how = LINKS_KEY;
		item.key = k;
		item.from = columns_equal(schema->tables[contact].key, k->to_columns)
				    ? NULL
				    : k->to_columns;
	}
	return item;
}

/* Is a table called like the column: vorgang? */
static bool is_bare(const struct link_walk *w, const struct schema_column *c)
{
	static const char *const numbers[] = {"int4", "int8", "uuid", NULL};
	const char *singular;

	if (c->primary || !catalog_is_among(c->base, numbers))
		return false;
	singular = names_singular(w->ctx, c->name);
	for (size_t i = 0; i < w->schema->n_tables; i++)
		if (strcmp(w->singular[i], singular) == 0)
			return true;
	return false;
}

/*
 * Is the key of another table called like the column, which is no key itself: vertrag_nr?  That of a table which extends
 * another (account_id of account_settings) is the other one's.
 */
static bool is_of_key(const struct link_walk *w, size_t table, const struct schema_column *c,
		      const char *stem)
{
	bool found = false;

	if (c->primary || !names_is_telling(c->name))
		return false;
	for (size_t i = 0; i < w->schema->n_tables; i++) {
		const struct schema_table *t = &w->schema->tables[i];
		const char *key = t->key ? keys_own(t->key) : NULL;

		if (stem && strcmp(w->singular[i], stem) == 0)
			return false;
		found = found || (i != table && key && strcmp(key, c->name) == 0 &&
				  !schema_column(t, key)->foreign);
	}
	return found;
}

/* Notes the column if its name says that it references something, and no foreign key does. */
static void read_id(struct link_walk *w, size_t table, const struct schema_column *c)
{
	const enum names_role role = names_role(c->name);
	const char *stem = c->foreign ? NULL : names_link_stem(w->ctx, c->name);
	const bool bare = !c->foreign && !stem && role == NAME_ROLE_NONE && is_bare(w, c);
	const bool of_key = !c->foreign && is_of_key(w, table, c, stem);

	if (c->foreign || (!stem && role == NAME_ROLE_NONE && !bare && !of_key))
		return;
	w->ids = t_grow(w->ctx, w->ids, struct id_column, w->n_ids + 1);
	w->ids[w->n_ids++] = (struct id_column){
		.table = table,
		.name = c->name,
		.stem = stem ? stem : names_singular(w->ctx, c->name),
		.of_key = of_key,
		.numbered = names_is_numbered(c->name),
		.bare = bare,
		.role = role,
	};
}

/* Prepares what the walk asks of each table. */
static void read_table(struct link_walk *w, size_t i, size_t contact)
{
	const struct schema_table *t = &w->schema->tables[i];

	w->main[i] = LINKS_NONE;
	w->list[i] = w->list[i] || links_copied(w->schema, i);
	w->lookup[i] = links_reason(w->schema, contact, i) != NULL;
	w->staff = w->staff || links_is_staff(w->schema, i, contact);
	for (size_t c = 0; c < t->n_columns; c++) {
		const char *id = w->pairs[i].type ? NULL : pair_of(w->schema, t, &t->columns[c]);

		if (id)
			w->pairs[i] = (struct pair){.type = &t->columns[c], .id = id};
		read_id(w, i, &t->columns[c]);
	}
}

/* Finds lists that requests choose from: that a contact has written an entry does not make it the contact's. */
static void find_lists(struct link_walk *w, size_t request)
{
	const struct schema_table *r = &w->schema->tables[request];

	for (size_t t = 0; t < w->schema->n_tables; t++)
		for (size_t i = 0; i < r->n_columns; i++)
			if (names_of_table(w->schema->tables[t].name) == NAME_TABLE_LIST &&
			    names_is_link_to(r->columns[i].name, w->schema->tables[t].name, NULL))
				w->list[t] = true;
}

struct links *links_walk(void *ctx, const struct schema *schema, size_t contact, size_t request,
			 const struct columns *request_by, const struct join *join)
{
	struct link_walk w = {.ctx = ctx, .schema = schema};

	w.links = t_zero(ctx, struct links);
	w.main = t_array(ctx, size_t, schema->n_tables + 1);
	w.lookup = t_array(ctx, bool, schema->n_tables + 1);
	w.list = t_array(ctx, bool, schema->n_tables + 1);
	w.singular = t_array(ctx, const char *, schema->n_tables + 1);
	w.pairs = t_array(ctx, struct pair, schema->n_tables + 1);
	for (size_t i = 0; i < schema->n_tables; i++)
		w.singular[i] = names_singular(ctx, schema->tables[i].name);
	for (size_t i = 0; i < schema->n_tables; i++)
		read_table(&w, i, contact);
	find_lists(&w, request);
	(void)links_add(&w, (struct link){.table = contact, .name = "contact", .of = LINKS_NONE});
	(void)links_add(&w, request_link(schema, contact, request, request_by));
	if (join)
		(void)links_add(&w, (struct link){.table = join->table,
						  .name = "request_contact",
						  .of = 0,
						  .how = LINKS_KEY,
						  .by = join->contact,
						  .request = join->request});
	links_first(&w);
	links_second(&w);
	return w.links;
}
