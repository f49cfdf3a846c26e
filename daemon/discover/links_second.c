/*
 * Gives tables further names.  The first names are a tree, in which each table hangs off one other.  A row can be
 * reached over each other foreign key too, and below each further name of a table all that is below its first
 * one: what acts by itself when a row goes, the daemon wants to have at each name under which it deletes rows.
 *
 * The ways multiply.  Where they become too many, only those are given that the daemon needs: keys that act by
 * themselves, and the other keys once.
 */
#include "discover/links_state.h"

/* How many names may be there before only the needed ones are given. */
#define ENOUGH(n_main) (3 * (n_main) + 40)

/* Is the table that of the item, or of one above it? */
static bool is_above(const struct link_walk *w, size_t table, size_t item)
{
	while (item != LINKS_NONE && w->links->items[item].table != table)
		item = w->links->items[item].of;
	return item != LINKS_NONE;
}

static bool is_silent(const struct schema_key *k)
{
	return strchr("cnd", k->on_delete) != NULL;
}

static bool has_child(const struct link_walk *w, const struct link *child)
{
	for (size_t i = 1; i < w->links->n; i++) {
		const struct link *item = &w->links->items[i];

		if (item->of == child->of && item->table == child->table &&
		    columns_equal(item->by, child->by) &&
		    (item->how == LINKS_REVERSE) == (child->how == LINKS_REVERSE) &&
		    (child->how != LINKS_REVERSE || columns_equal(item->from, child->from)))
			return true;
	}
	return false;
}

/*
 * A row of contact, request, or a table above does not go with a row that it only references.  Nor does one that must
 * have another parent.
 */
static struct link settled(const struct link_walk *w, struct link item)
{
	const struct schema_table *t = &w->schema->tables[item.table];
	const struct link *first = &w->links->items[w->main[item.table]];
	const bool owner = w->main[item.table] < 2 || is_above(w, item.table, item.of);
	const bool sure = !owner && (first->how == LINKS_KEY || first->how == LINKS_NAME) &&
			  !first->role && !columns_equal(first->by, item.by) &&
			  (schema_not_null(t, first->by) || item.role);

	item.keeps = owner;
	item.detach = item.detach || ((owner || sure) && links_can_detach(t, item.by));
	/* A name proves too little to delete a row that must have another parent. */
	item.keeps = item.keeps || (item.how == LINKS_NAME && sure && !item.detach);
	return item;
}

/* Does a deletion of contacts delete the item's rows? */
static bool deletes(const struct link_walk *w, size_t item)
{
	const struct link *items = w->links->items;

	while (item != LINKS_NONE && !items[item].keeps && !items[item].detach)
		item = items[item].of;
	return item == LINKS_NONE;
}

/* Is the item the first of its table whose rows are deleted? */
static bool is_first_deleted(const struct link_walk *w, size_t item)
{
	size_t i = 0;

	while (w->links->items[i].table != w->links->items[item].table || !deletes(w, i))
		if (i++ == item)
			return false;
	return i == item;
}

/* Adds the names that are reached by a foreign key onto the item's table. */
static void second_keys(struct link_walk *w, size_t i, bool all)
{
	const size_t table = w->links->items[i].table;
	const bool once = w->main[table] == i || is_first_deleted(w, i);

	for (size_t n = 0; n < w->schema->n_keys; n++) {
		const struct schema_key *k = &w->schema->keys[n];
		const bool needed = is_silent(k) || once;
		struct link item;

		if (k->to != table || k->unfit || w->main[k->from] == LINKS_NONE ||
		    (!all && !needed))
			continue;
		item = links_key(w, k, i);
		/* Some row references itself, so that the server guards it. */
		if (k->from == k->to && item.rank == RANK_MUST && !is_silent(k))
			continue;
		if (!has_child(w, &item))
			(void)links_add(w, settled(w, item));
	}
}

/* Copies what is below the first name of the item's table and no foreign key says. */
static void copy_others(struct link_walk *w, size_t i, size_t n_copied)
{
	const size_t first = w->main[w->links->items[i].table];

	for (size_t c = 2; first != i && c < n_copied; c++) {
		struct link child = w->links->items[c];

		if (child.of != first || child.how == LINKS_KEY || is_above(w, child.table, i))
			continue;
		child.of = i;
		child.name = NULL;
		(void)links_add(w, child);
	}
}

static bool is_reached(const struct link_walk *w, size_t table)
{
	const size_t main = w->main[table];

	return main != LINKS_NONE && w->links->items[main].how != LINKS_REVERSE;
}

/* Adds links by a type and an id, and by names, between tables that have a name. */
static void second_names(struct link_walk *w, size_t n_main)
{
	for (size_t p = 0; p < n_main; p++) {
		if (w->links->items[p].how == LINKS_REVERSE)
			continue;
		for (size_t i = 2; i < n_main; i++) {
			const struct link first = w->links->items[i];
			const struct link item = links_type(w, first.table, p);

			/* A table that has a certain link gets no guess at contact: it would be the same one. */
			if (p != i && item.value && !has_child(w, &item) &&
			    (!item.value_guessed || first.how == LINKS_TYPE || p == 1))
				(void)links_add(w, item);
		}
		for (size_t i = 0; i < w->n_ids; i++) {
			const struct id_column *id = &w->ids[i];
			struct link item = {.by = NULL};

			if (is_reached(w, id->table) && id->table != w->links->items[p].table)
				item = links_name(w, id, p);
			if (item.role && w->main[id->table] < 2)
				continue;
			if (item.by && !has_child(w, &item))
				(void)links_add(w, settled(w, item));
		}
	}
}

static bool is_first(const struct link_walk *w, size_t item)
{
	return w->main[w->links->items[item].table] == item;
}

/*
 * Can two rows reference the same one, by a column that is not unique or by two columns?  Below a shared
 * row, which may stay, another one has to stay too.  Where the key acts by itself the daemon wants to hear of all
 * rows that it could change, and shared says so.
 */
static bool is_shared(const struct link_walk *w, const struct link *item)
{
	int uses = 0;

	if (item->how != LINKS_REVERSE)
		return false;
	for (size_t k = 0; k < w->schema->n_keys; k++)
		uses += w->schema->keys[k].to == item->table;
	return uses > 1 || is_silent(item->key) || w->links->items[item->of].shared ||
	       !schema_identifies(&w->schema->tables[item->key->from], item->from);
}

/* Adds the other columns that reference a table which was reached in reverse; a shared row stays, so once for each. */
static void reverse_keys(struct link_walk *w, const struct schema_key *k)
{
	const size_t n = w->links->n;

	for (size_t i = 0; i < n; i++) {
		const struct link *parent = &w->links->items[i];
		struct link item = links_reverse(k, i);

		if (parent->table == k->from && !parent->keeps && !parent->detach &&
		    (is_first(w, i) || !is_shared(w, &item)) && !has_child(w, &item))
			(void)links_add(w, item);
	}
}

static void give(struct link_walk *w, size_t n_main, bool all)
{
	const size_t enough = all ? ENOUGH(n_main) : LINKS_MAX;
	size_t n_copied;

	second_names(w, n_main);
	n_copied = w->links->n;
	for (size_t i = 0; i < w->links->n && w->links->n < enough; i++) {
		const struct link item = w->links->items[i];

		if (item.how == LINKS_REVERSE || item.keeps)
			continue;
		if (all)
			copy_others(w, i, n_copied);
		second_keys(w, i, all);
	}
}

void links_second(struct link_walk *w)
{
	const size_t n_main = w->links->n;

	give(w, n_main, true);
	if (w->links->n >= ENOUGH(n_main)) {
		w->links->n = n_main;
		give(w, n_main, false);
	}
	for (size_t i = 0; i < w->schema->n_keys; i++) {
		const size_t to = w->main[w->schema->keys[i].to];

		if (to != LINKS_NONE && !w->schema->keys[i].unfit &&
		    w->links->items[to].how == LINKS_REVERSE)
			reverse_keys(w, &w->schema->keys[i]);
	}
	for (size_t i = 0; i < w->links->n; i++)
		w->links->items[i].shared = is_shared(w, &w->links->items[i]);
}
