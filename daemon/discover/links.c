/*
 * Two passes.  First each table gets one name, by the surest link there is: a row that must have a
 * parent belongs to it, one that may have none perhaps does.  Then every other link between two
 * tables that have a name gets a second one, since a row can be reached over it as well.
 */
#include "discover/links.h"

#include "base/mem.h"

#include <ctype.h>

#define ITEMS_MAX 600 /* a model has at most 1000, and its file 1 MiB */

/* A link that a table could have, and how sure it is. */
struct best {
	int rank;
	struct reached item;
};

struct walk {
	void *ctx;
	const struct schema *found;
	struct links *reach;
	size_t *main; /* of each table: its first name, or LINKS_NONE */
	bool *lookup; /* of each table: links_is_lookup() */
	const char **pair; /* of each table: its column with a type, or NULL */
	struct best *named; /* n_named: links by name, found when their parent got its name */
	size_t n_named;
};

static const struct schema_table *table_of(const struct walk *w, size_t item)
{
	return &w->found->tables[w->reach->items[item].table];
}

static bool is_taken(const struct walk *w, const char *name)
{
	for (size_t i = 0; i < w->reach->n; i++)
		if (strcmp(w->reach->items[i].name, name) == 0)
			return true;
	return false;
}

/* A name that libconfig and a file's name can have: 60 letters at most leave room for a number. */
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
	char *out = t_strdup(ctx, column);
	const size_t n = strlen(out);

	if (n > 3 && strcmp(out + n - 3, "_id") == 0)
		out[n - 3] = '\0';
	else if (n > 2 && strcmp(out + n - 2, "Id") == 0)
		out[n - 2] = '\0';
	return out;
}

static const char *name_for(const struct walk *w, const struct reached *item)
{
	const char *table = w->found->tables[item->table].name;
	const char *parent = w->reach->items[item->of].name;
	const char *column = item->how == LINKS_REVERSE ? item->from : item->by;
	const char *wanted = clean_name(w->ctx, table);
	char *name;

	if (item->how == LINKS_TYPE)
		wanted = clean_name(w->ctx, t_printf(w->ctx, "%s_%s", parent, table));
	if (strcmp(wanted, "contact") != 0 && strcmp(wanted, "request") != 0 &&
	    !is_taken(w, wanted))
		return wanted;
	wanted = clean_name(w->ctx, item->how == LINKS_TYPE ? wanted
							    : t_printf(w->ctx, "%s_by_%s", table,
								       without_id(w->ctx, column)));
	name = t_strdup(w->ctx, wanted);
	for (int i = 2; is_taken(w, name); i++)
		name = t_printf(w->ctx, "%s_%d", wanted, i);
	return name;
}

/* The item's index, or LINKS_NONE where there are too many already. */
static size_t add(struct walk *w, struct reached item)
{
	struct links *r = w->reach;

	if (r->n >= ITEMS_MAX)
		return LINKS_NONE;
	if (!item.name)
		item.name = name_for(w, &item);
	item.second = w->main[item.table] != LINKS_NONE;
	r->items = t_grow(w->ctx, r->items, struct reached, r->n + 1);
	r->items[r->n] = item;
	if (!item.second)
		w->main[item.table] = r->n;
	return r->n++;
}

const char *links_is_lookup(const struct schema_table *t)
{
	switch (names_of_table(t->name)) {
	case NAME_TABLE_STAFF:
		return "the company's own people, by its name";
	case NAME_TABLE_LIST:
		return "a list that others choose from, by its name";
	case NAME_TABLE_UNKNOWN:
		break;
	}
	return schema_holds_persons(t) ? NULL : "nothing in it looks personal";
}

const struct reached *links_of(const struct links *reach, size_t table)
{
	for (size_t i = 0; i < reach->n; i++)
		if (reach->items[i].table == table)
			return &reach->items[i];
	return NULL;
}

const char *links_request_by(const struct schema *found, size_t contact, size_t request)
{
	const struct schema_table *t = &found->tables[request];
	const char *by = NULL;

	for (size_t i = 0; i < found->n_keys; i++) {
		const struct schema_key *k = &found->keys[i];

		if (k->from != request || k->to != contact)
			continue;
		if (!by || names_is_link_to(k->column, found->tables[contact].name, "contact"))
			by = k->column;
	}
	for (size_t i = 0; !by && i < t->n_columns; i++)
		if (names_is_link_to(t->columns[i].name, found->tables[contact].name, "contact"))
			by = t->columns[i].name;
	return by;
}

/* A key over several columns is only followed by the one that identifies the row: the others are shared. */
static bool is_followed(const struct schema *found, const struct schema_key *k)
{
	const char *key = found->tables[k->to].key;

	return k->n_columns == 1 || (key && strcmp(k->to_column, key) == 0);
}

/* The parent's column, where a link does not go by its key. */
static const char *from_of(const struct schema_table *parent, const char *to_column)
{
	return parent->key && strcmp(parent->key, to_column) == 0 ? NULL : to_column;
}

static bool same_kind(const struct schema_column *a, const struct schema_column *b)
{
	return a && b && a->plain && b->plain &&
	       (a->category == b->category || strcmp(a->base, b->base) == 0);
}

/* The pair's id, where column is a type; NULL: it is none. */
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
 * How the type names this parent: one of the values seen, else a guess, which only contact and
 * request are worth.  An enum has no other values than those.
 */
static const char *type_value(const struct walk *w, const struct schema_table *t,
			      const struct schema_column *type, size_t parent, bool *ret_guessed)
{
	const char *table = table_of(w, parent)->name;

	*ret_guessed = false;
	for (size_t i = 0; i < type->n_values; i++)
		if (names_is_type_of(type->values[i], table))
			return type->values[i];
	*ret_guessed = true;
	if (names_of_table(t->name) != NAME_TABLE_UNKNOWN)
		return NULL; /* an inbox has its channel, and a list what it lists */
	return parent < 2 && type->category != 'E' ? names_type_value(w->ctx, type->name, table)
						   : NULL;
}

enum { RANK_MUST, RANK_MAY, RANK_NAMED, RANK_TYPED, RANK_REVERSE, RANK_NONE };

static void consider(struct best *best, int rank, struct reached item)
{
	/* of two that are equally sure the deeper one: a message's file is not the request's */
	if (rank > best->rank || (rank == best->rank && item.of <= best->item.of))
		return;
	best->rank = rank;
	best->item = item;
}

static void consider_keys(const struct walk *w, struct best *best)
{
	for (size_t i = 0; i < w->found->n_keys; i++) {
		const struct schema_key *k = &w->found->keys[i];
		const struct schema_table *from = &w->found->tables[k->from];
		const struct schema_table *to = &w->found->tables[k->to];
		const size_t of = w->main[k->to];
		const size_t source = w->main[k->from];

		if (!is_followed(w->found, k))
			continue;
		if (of != LINKS_NONE && source == LINKS_NONE &&
		    w->reach->items[of].how != LINKS_REVERSE)
			consider(best,
				 schema_column(from, k->column)->not_null ? RANK_MUST : RANK_MAY,
				 (struct reached){.table = k->from,
						  .of = of,
						  .how = LINKS_KEY,
						  .by = k->column,
						  .from = from_of(to, k->to_column),
						  .key = k});
		if (of == LINKS_NONE && source != LINKS_NONE && !w->lookup[k->to])
			consider(best, RANK_REVERSE,
				 (struct reached){.table = k->to,
						  .of = source,
						  .how = LINKS_REVERSE,
						  .by = k->to_column,
						  .from = k->column,
						  .key = k});
	}
}

static void add_named(struct walk *w, int rank, struct reached item)
{
	w->named = t_grow(w->ctx, w->named, struct best, w->n_named + 1);
	w->named[w->n_named++] = (struct best){.rank = rank, .item = item};
}

/* All that could hang off parent by a name: once for each parent, for there are many names. */
static void collect_names(struct walk *w, size_t table, size_t parent)
{
	const struct schema_table *t = &w->found->tables[table];
	const struct schema_table *p = table_of(w, parent);
	const struct schema_column *type = schema_column(t, w->pair[table]);
	const char *role = parent == 0 ? "contact" : parent == 1 ? "request" : NULL;
	struct reached item = {.table = table, .of = parent, .how = LINKS_NAME};

	for (size_t i = 0; i < t->n_columns; i++) {
		item.by = t->columns[i].name;
		if (!t->columns[i].foreign && same_kind(&t->columns[i], schema_column(p, p->key)) &&
		    names_is_link_to(item.by, p->name, role))
			add_named(w, RANK_NAMED, item);
	}
	if (!type || !p->key)
		return;
	item.how = LINKS_TYPE;
	item.by = pair_of(t, type);
	item.type = type->name;
	item.value = type_value(w, t, type, parent, &item.value_guessed);
	if (item.value)
		add_named(w, RANK_TYPED, item);
}

static void first_names(struct walk *w)
{
	struct best best;
	size_t seen = 0;

	do {
		for (; seen < w->reach->n; seen++)
			for (size_t t = 0; t < w->found->n_tables; t++)
				if (w->main[t] == LINKS_NONE &&
				    w->reach->items[seen].how != LINKS_REVERSE)
					collect_names(w, t, seen);
		best = (struct best){.rank = RANK_NONE};
		consider_keys(w, &best);
		for (size_t i = 0; i < w->n_named; i++)
			if (w->main[w->named[i].item.table] == LINKS_NONE)
				consider(&best, w->named[i].rank, w->named[i].item);
	} while (best.rank != RANK_NONE && add(w, best.item) != LINKS_NONE);
}

/* What hangs off the table under its first name hangs off it under this one too. */
static void copy_children(struct walk *w, size_t original, size_t copy, size_t n_main)
{
	for (size_t i = 0; copy != LINKS_NONE && i < n_main; i++) {
		struct reached child = w->reach->items[i];

		if (child.of != original)
			continue;
		child.of = copy;
		child.name = NULL;
		copy_children(w, i, add(w, child), n_main);
	}
}

static bool is_below(const struct walk *w, size_t item, size_t root)
{
	while (item != root && item != LINKS_NONE)
		item = w->reach->items[item].of;
	return item == root;
}

static void second_key(struct walk *w, const struct schema_key *k, size_t n_main)
{
	const struct schema_table *from = &w->found->tables[k->from];
	const struct schema_column *column = schema_column(from, k->column);
	const size_t main = w->main[k->from];
	const struct reached *first = &w->reach->items[main];
	const bool owner = main < 2 || is_below(w, w->main[k->to], main);
	struct reached item = {.table = k->from,
			       .of = w->main[k->to],
			       .how = LINKS_KEY,
			       .by = k->column,
			       .from = from_of(&w->found->tables[k->to], k->to_column),
			       .keeps = owner,
			       .detach = !column->not_null,
			       .key = k};
	bool sure;

	if (first->by && first->how != LINKS_REVERSE && first->of == item.of &&
	    strcmp(first->by, k->column) == 0)
		return;
	if (k->from == k->to && column->not_null)
		return; /* it has itself for a parent somewhere: the server guards it */
	sure = !owner && first->by && schema_column(from, first->by)->not_null &&
	       first->how == LINKS_KEY;
	if (!owner && !(sure && !column->not_null))
		item.detach = false;
	main < 2 || item.detach ? (void)add(w, item) : copy_children(w, main, add(w, item), n_main);
}

static void second_types(struct walk *w, size_t n_main)
{
	for (size_t i = 2; i < n_main; i++)
		for (size_t p = 0; p < n_main; p++) {
			const struct reached first = w->reach->items[i];
			const struct schema_table *t = &w->found->tables[first.table];
			const struct schema_column *type = schema_column(t, w->pair[first.table]);
			struct reached item = {.table = first.table, .of = p, .how = LINKS_TYPE};

			if (!type || p == i || !table_of(w, p)->key ||
			    w->reach->items[p].how == LINKS_REVERSE ||
			    (first.how == LINKS_TYPE && p == first.of))
				continue;
			item.by = pair_of(t, type);
			item.type = type->name;
			item.value = type_value(w, t, type, p, &item.value_guessed);
			/* a guess is not worth a second way to a table that has a sure one */
			if (item.value && (!item.value_guessed || first.how == LINKS_TYPE))
				copy_children(w, i, add(w, item), n_main);
		}
}

/* Every other column that points at a table reached in reverse, and whether its rows are shared. */
static void reverse_keys(struct walk *w, const struct schema_key *k)
{
	const size_t n = w->reach->n;

	for (size_t i = 0; i < n; i++) {
		const struct reached *parent = &w->reach->items[i];
		bool there = parent->table != k->from || parent->keeps || parent->detach;

		for (size_t j = 0; !there && j < n; j++)
			there = w->reach->items[j].of == i && w->reach->items[j].table == k->to &&
				w->reach->items[j].how == LINKS_REVERSE &&
				strcmp(w->reach->items[j].from, k->column) == 0;
		if (!there)
			(void)add(w, (struct reached){.table = k->to,
						      .of = i,
						      .how = LINKS_REVERSE,
						      .by = k->to_column,
						      .from = k->column,
						      .key = k});
	}
}

/* Two rows can point at the same one, if only by one column that is not unique; or another column does. */
static bool is_shared(const struct walk *w, const struct reached *item)
{
	int uses = 0;

	if (item->how != LINKS_REVERSE)
		return false;
	for (size_t k = 0; k < w->found->n_keys; k++)
		uses += w->found->keys[k].to == item->table;
	return uses > 1 ||
	       !schema_column(&w->found->tables[item->key->from], item->from)->identifies;
}

static void second_names(struct walk *w)
{
	const size_t n_main = w->reach->n;

	for (size_t i = 0; i < w->found->n_keys; i++) {
		const struct schema_key *k = &w->found->keys[i];
		const size_t to = w->main[k->to];

		if (w->main[k->from] == LINKS_NONE || to == LINKS_NONE ||
		    !is_followed(w->found, k) || w->reach->items[to].how == LINKS_REVERSE)
			continue;
		second_key(w, k, n_main);
	}
	second_types(w, n_main);
	for (size_t i = 0; i < w->found->n_keys; i++) {
		const size_t to = w->main[w->found->keys[i].to];

		if (to != LINKS_NONE && is_followed(w->found, &w->found->keys[i]) &&
		    w->reach->items[to].how == LINKS_REVERSE)
			reverse_keys(w, &w->found->keys[i]);
	}
	for (size_t i = 0; i < w->reach->n; i++)
		w->reach->items[i].shared = is_shared(w, &w->reach->items[i]);
}

struct links *links_walk(void *ctx, const struct schema *found, size_t contact, size_t request,
			 const char *request_by)
{
	const struct schema_column *by = schema_column(&found->tables[request], request_by);
	struct walk w = {.ctx = ctx, .found = found};

	w.reach = t_zero(ctx, struct links);
	w.reach->most = ITEMS_MAX;
	w.main = t_array(ctx, size_t, found->n_tables + 1);
	for (size_t i = 0; i < found->n_tables; i++)
		w.main[i] = LINKS_NONE;
	w.lookup = t_array(ctx, bool, found->n_tables + 1);
	w.pair = t_array(ctx, const char *, found->n_tables + 1);
	for (size_t i = 0; i < found->n_tables; i++) {
		const struct schema_table *t = &found->tables[i];

		w.lookup[i] = links_is_lookup(t) != NULL;
		for (size_t c = 0; !w.pair[i] && c < t->n_columns; c++)
			if (pair_of(t, &t->columns[c]))
				w.pair[i] = t->columns[c].name;
	}
	(void)add(&w, (struct reached){.table = contact, .name = "contact", .of = LINKS_NONE});
	(void)add(&w, (struct reached){.table = request,
				       .name = "request",
				       .of = 0,
				       .how = by && by->foreign ? LINKS_KEY : LINKS_NAME,
				       .by = request_by});
	first_names(&w);
	second_names(&w);
	return w.reach;
}
