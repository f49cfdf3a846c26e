/*
 * Finds links in two passes.  The first gives each table one name, by its most certain link: a row that
 * must have a parent belongs to it, a row that may have none possibly does.  The second gives a table one
 * more name for each other link between two named tables, because rows can be reached over it as well.
 */
#include "discover/links.h"

#include "discover/keys.h"
#include <ctype.h>

/* How certain a possible link is; the lowest rank is the most certain. */
enum { RANK_MUST, RANK_MAY, RANK_NAMED, RANK_TYPED, RANK_REVERSE, RANK_NONE };

/* A column with a type, and the column with the id that goes with it. */
struct pair {
	const struct schema_column *type;
	const char *id;
};

struct link_walk {
	void *ctx;
	const struct schema *schema;
	struct links *links;
	size_t *main; /* of each table: its first name, or LINKS_NONE */
	bool *lookup; /* of each table: links_is_lookup(), or the tenant's */
	struct pair *pairs; /* of each table its first; type NULL: it has none */
	struct link
		*named; /* n_named: possible links by name, added when the parent gets its name */
	size_t n_named;
};

static const struct schema_table *table_of(const struct link_walk *w, size_t item)
{
	return &w->schema->tables[w->links->items[item].table];
}

static bool is_taken(const struct link_walk *w, const char *name)
{
	for (size_t i = 0; i < w->links->n; i++)
		if (strcmp(w->links->items[i].name, name) == 0)
			return true;
	return false;
}

/* A valid name for libconfig and for a file; its 58 letters leave room for a number. */
static char *clean_name(void *ctx, const char *name)
{
	char *out = t_printf(ctx, "%s%.56s", isalpha((unsigned char)*name) ? "" : "t_", name);

	for (char *c = out; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-')
			*c = '_';
	return out;
}

static char *without_id(void *ctx, const char *column)
{
	const size_t n = strlen(column);
	const size_t id = n > 3 && strcmp(column + n - 3, "_id") == 0  ? 3
			  : n > 2 && strcmp(column + n - 2, "Id") == 0 ? 2
								       : 0;

	return t_printf(ctx, "%.*s", (int)(n - id), column);
}

static const char *name_for(const struct link_walk *w, const struct link *item)
{
	const char *table = w->schema->tables[item->table].name;
	const char *parent = w->links->items[item->of].name;
	const char *column = keys_own(item->how == LINKS_REVERSE ? item->from : item->by);
	const bool typed = item->how == LINKS_TYPE;
	const char *wanted =
		clean_name(w->ctx, typed ? t_printf(w->ctx, "%s_%s", parent, table) : table);
	const char *name;

	if (!typed && is_taken(w, wanted))
		wanted = clean_name(
			w->ctx, t_printf(w->ctx, "%s_by_%s", table, without_id(w->ctx, column)));
	name = wanted;
	for (int i = 2; is_taken(w, name); i++)
		name = t_printf(w->ctx, "%s_%d", wanted, i);
	return name;
}

/* Returns the index of the new item; LINKS_NONE: there are too many already. */
static size_t add(struct link_walk *w, struct link item)
{
	struct links *r = w->links;

	if (r->n >= LINKS_MAX)
		return LINKS_NONE;
	if (!item.name)
		item.name = name_for(w, &item);
	item.second = w->main[item.table] != LINKS_NONE;
	r->items = t_grow(w->ctx, r->items, struct link, r->n + 1);
	r->items[r->n] = item;
	if (!item.second)
		w->main[item.table] = r->n;
	return r->n++;
}

/* Does a column hold data that is personal in any table, such as an address?  A name is not enough. */
static bool holds_persons(const struct schema_table *t)
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
	       : holds_persons(t)        ? NULL
					 : "nothing in it looks personal";
}

const struct link *links_of(const struct links *links, size_t table)
{
	for (size_t i = 0; i < links->n; i++)
		if (links->items[i].table == table)
			return &links->items[i];
	return NULL;
}

const char *links_left_out(const struct links *links, const struct schema *schema, size_t table)
{
	const char *lookup = links_is_lookup(&schema->tables[table]);

	if (!lookup && keys_is_tenant(schema, links->items[0].table, table))
		return "each contact's key names it: it has many contacts";
	return lookup;
}

/* The name by which columns call an item, besides its table's. */
static const char *role_of(size_t item)
{
	return item == 0 ? "contact" : item == 1 ? "request" : NULL;
}

const char *links_without_tenant(const struct links *links, const struct schema *schema,
				 size_t table, const struct link **ret_of)
{
	const char *column = NULL;

	for (size_t i = 0; !column && i < links->n; i++) {
		*ret_of = &links->items[i];
		column = keys_lack(&schema->tables[table], &schema->tables[links->items[i].table],
				   role_of(i));
	}
	return column;
}

const struct columns *links_request_by(void *ctx, const struct schema *schema, size_t contact,
				       size_t request)
{
	const struct schema_table *t = &schema->tables[request], *c = &schema->tables[contact];
	const struct columns *by = NULL;

	for (size_t i = 0; i < schema->n_keys; i++) {
		const struct schema_key *k = &schema->keys[i];

		if (k->from != request || k->to != contact || k->unfit)
			continue;
		if (!by || names_is_link_to(keys_own(k->columns), c->name, "contact"))
			by = k->columns;
	}
	for (size_t i = 0; !by && i < t->n_columns; i++)
		if (names_is_link_to(t->columns[i].name, c->name, "contact"))
			by = keys_by(ctx, t, c, t->columns[i].name);
	return by;
}

/* The id column that forms a pair with a type column; NULL: none. */
static const char *pair_of(const struct schema_table *t, const struct schema_column *type)
{
	if (type->foreign || !strchr("SE", type->category))
		return NULL;
	for (size_t i = 0; i < t->n_columns; i++)
		if (!t->columns[i].foreign && t->columns[i].plain &&
		    names_is_pair(type->name, t->columns[i].name))
			return t->columns[i].name;
	return NULL;
}

/*
 * The link of a table to the parent by a type and an id; its value is NULL: there is none.  The value is one
 * that was seen in the database, or else a guess.  Only contact and request get a guess, an enum gets none,
 * because all its values are known, and the type of an inbox or a list is not about contacts.
 */
static struct link type_link(const struct link_walk *w, size_t table, size_t parent)
{
	const struct schema_table *t = &w->schema->tables[table], *p = table_of(w, parent);
	const struct schema_column *type = w->pairs[table].type;
	struct link item = {.table = table, .of = parent, .how = LINKS_TYPE, .rank = RANK_TYPED};

	item.by = type ? keys_by(w->ctx, t, p, w->pairs[table].id) : NULL;
	if (!item.by)
		return item;
	item.type = type->name;
	for (size_t i = 0; i < type->n_values && !item.value; i++)
		if (names_is_type_of(type->values[i], p->name))
			item.value = type->values[i];
	item.value_guessed = !item.value;
	if (!item.value && parent < 2 && type->category != 'E' &&
	    names_of_table(t->name) == NAME_TABLE_UNKNOWN)
		item.value = names_type_value(w->ctx, type->name, p->name);
	return item;
}

/* Takes the link if it is better.  If ranks are equal, the deeper one is: the file of a message is not the request's. */
static void consider(struct link *best, struct link item)
{
	if (item.rank < best->rank || (item.rank == best->rank && item.of > best->of))
		*best = item;
}

/* The link of the table that the key references, below a name of the table that references it. */
static struct link reverse_link(const struct schema_key *k, size_t of)
{
	return (struct link){.table = k->to,
			     .of = of,
			     .how = LINKS_REVERSE,
			     .rank = RANK_REVERSE,
			     .by = k->to_columns,
			     .from = k->columns,
			     .key = k};
}

/* The link of the table that the key stands in, below the first name of the table that it references. */
static struct link key_link(const struct link_walk *w, const struct schema_key *k)
{
	const struct columns *key = w->schema->tables[k->to].key;

	return (struct link){.table = k->from,
			     .of = w->main[k->to],
			     .how = LINKS_KEY,
			     .rank = schema_not_null(&w->schema->tables[k->from], k->columns)
					     ? RANK_MUST
					     : RANK_MAY,
			     .by = k->columns,
			     .from = columns_equal(key, k->to_columns) ? NULL : k->to_columns,
			     .key = k};
}

static void consider_keys(const struct link_walk *w, struct link *best)
{
	for (size_t i = 0; i < w->schema->n_keys; i++) {
		const struct schema_key *k = &w->schema->keys[i];
		const size_t of = w->main[k->to];
		const size_t source = w->main[k->from];

		if (k->unfit)
			continue;
		if (of != LINKS_NONE && source == LINKS_NONE &&
		    w->links->items[of].how != LINKS_REVERSE)
			consider(best, key_link(w, k));
		if (of == LINKS_NONE && source != LINKS_NONE && !w->lookup[k->to])
			consider(best, reverse_link(k, source));
	}
}

static void add_named(struct link_walk *w, struct link item)
{
	w->named = t_grow(w->ctx, w->named, struct link, w->n_named + 1);
	w->named[w->n_named++] = item;
}

/* Adds the possible links by name of one table to a parent; is called once for each parent. */
static void collect_names(struct link_walk *w, size_t table, size_t parent)
{
	const struct schema_table *t = &w->schema->tables[table];
	const struct schema_table *p = table_of(w, parent);
	const struct link typed = type_link(w, table, parent);
	struct link item = {.table = table, .of = parent, .how = LINKS_NAME, .rank = RANK_NAMED};

	for (size_t i = 0; i < t->n_columns; i++) {
		if (t->columns[i].foreign ||
		    !names_is_link_to(t->columns[i].name, p->name, role_of(parent)))
			continue;
		item.by = keys_by(w->ctx, t, p, t->columns[i].name);
		if (item.by)
			add_named(w, item);
	}
	if (typed.value)
		add_named(w, typed);
}

static void first_names(struct link_walk *w)
{
	struct link best;
	size_t seen = 0;

	do {
		for (; seen < w->links->n; seen++)
			for (size_t t = 0; t < w->schema->n_tables; t++)
				if (w->main[t] == LINKS_NONE &&
				    w->links->items[seen].how != LINKS_REVERSE)
					collect_names(w, t, seen);
		best = (struct link){.rank = RANK_NONE};
		consider_keys(w, &best);
		for (size_t i = 0; i < w->n_named; i++)
			if (w->main[w->named[i].table] == LINKS_NONE)
				consider(&best, w->named[i]);
	} while (best.rank != RANK_NONE && add(w, best) != LINKS_NONE);
}

/* Copies the children of a table's first name below another name of it. */
static void copy_children(struct link_walk *w, size_t original, size_t copy, size_t n_main)
{
	for (size_t i = 0; copy != LINKS_NONE && i < n_main; i++) {
		struct link child = w->links->items[i];

		if (child.of != original)
			continue;
		child.of = copy;
		child.name = NULL;
		copy_children(w, i, add(w, child), n_main);
	}
}

static bool is_below(const struct link_walk *w, size_t item, size_t root)
{
	while (item != root && item != LINKS_NONE)
		item = w->links->items[item].of;
	return item == root;
}

static void second_key(struct link_walk *w, const struct schema_key *k, size_t n_main)
{
	const struct schema_table *from = &w->schema->tables[k->from];
	const bool not_null = schema_not_null(from, k->columns);
	const size_t main = w->main[k->from];
	const struct link *first = &w->links->items[main];
	const bool owner = main < 2 || is_below(w, w->main[k->to], main);
	struct link item = key_link(w, k);
	bool sure;

	if (first->by && first->how != LINKS_REVERSE && first->of == item.of &&
	    columns_equal(first->by, k->columns))
		return;
	if (k->from == k->to && not_null)
		return; /* some row references itself, so that the server guards it */
	sure = first->by && schema_not_null(from, first->by) && first->how == LINKS_KEY;
	item.keeps = owner;
	item.detach = !not_null && (owner || sure);
	main < 2 || item.detach ? (void)add(w, item) : copy_children(w, main, add(w, item), n_main);
}

static void second_types(struct link_walk *w, size_t n_main)
{
	for (size_t i = 2; i < n_main; i++)
		for (size_t p = 0; p < n_main; p++) {
			const struct link first = w->links->items[i];
			const struct link item = type_link(w, first.table, p);

			if (p == i || w->links->items[p].how == LINKS_REVERSE ||
			    (first.how == LINKS_TYPE && p == first.of))
				continue;
			/* A guess adds no second link to a table that has a certain one. */
			if (item.value && (!item.value_guessed || first.how == LINKS_TYPE))
				copy_children(w, i, add(w, item), n_main);
		}
}

/* Adds the other columns that reference a table which was reached in reverse. */
static void reverse_keys(struct link_walk *w, const struct schema_key *k)
{
	const size_t n = w->links->n;

	for (size_t i = 0; i < n; i++) {
		const struct link *parent = &w->links->items[i];
		bool there = parent->table != k->from || parent->keeps || parent->detach;

		for (size_t j = 0; !there && j < n; j++)
			there = w->links->items[j].of == i && w->links->items[j].table == k->to &&
				w->links->items[j].how == LINKS_REVERSE &&
				columns_equal(w->links->items[j].from, k->columns);
		if (!there)
			(void)add(w, reverse_link(k, i));
	}
}

/*
 * Can two rows reference the same one, by a column that is not unique or by two columns?  Below a shared
 * row, which may stay, another one has to stay too.
 */
static bool is_shared(const struct link_walk *w, const struct link *item)
{
	int uses = 0;

	if (item->how != LINKS_REVERSE)
		return false;
	for (size_t k = 0; k < w->schema->n_keys; k++)
		uses += w->schema->keys[k].to == item->table;
	return uses > 1 || w->links->items[item->of].shared ||
	       !schema_identifies(&w->schema->tables[item->key->from], item->from);
}

static void second_names(struct link_walk *w)
{
	const size_t n_main = w->links->n;

	for (size_t i = 0; i < w->schema->n_keys; i++) {
		const struct schema_key *k = &w->schema->keys[i];
		const size_t to = w->main[k->to];

		if (w->main[k->from] == LINKS_NONE || to == LINKS_NONE || k->unfit ||
		    w->links->items[to].how == LINKS_REVERSE)
			continue;
		second_key(w, k, n_main);
	}
	second_types(w, n_main);
	for (size_t i = 0; i < w->schema->n_keys; i++) {
		const size_t to = w->main[w->schema->keys[i].to];

		if (to != LINKS_NONE && !w->schema->keys[i].unfit &&
		    w->links->items[to].how == LINKS_REVERSE)
			reverse_keys(w, &w->schema->keys[i]);
	}
	for (size_t i = 0; i < w->links->n; i++)
		w->links->items[i].shared = is_shared(w, &w->links->items[i]);
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

struct links *links_walk(void *ctx, const struct schema *schema, size_t contact, size_t request,
			 const struct columns *request_by)
{
	struct link_walk w = {.ctx = ctx, .schema = schema};

	w.links = t_zero(ctx, struct links);
	w.main = t_array(ctx, size_t, schema->n_tables + 1);
	w.lookup = t_array(ctx, bool, schema->n_tables + 1);
	w.pairs = t_array(ctx, struct pair, schema->n_tables + 1);
	for (size_t i = 0; i < schema->n_tables; i++) {
		const struct schema_table *t = &schema->tables[i];

		w.main[i] = LINKS_NONE;
		w.lookup[i] = links_is_lookup(t) || keys_is_tenant(schema, contact, i);
		for (size_t c = 0; !w.pairs[i].type && c < t->n_columns; c++) {
			const char *id = pair_of(t, &t->columns[c]);

			if (id)
				w.pairs[i] = (struct pair){.type = &t->columns[c], .id = id};
		}
	}
	(void)add(&w, (struct link){.table = contact, .name = "contact", .of = LINKS_NONE});
	(void)add(&w, request_link(schema, contact, request, request_by));
	first_names(&w);
	second_names(&w);
	return w.links;
}
