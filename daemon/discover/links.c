/*
 * Finds links in two passes.  The first gives each table one name, by its most certain link: a row that
 * must have a parent belongs to it, a row that may have none possibly does.  The second is links_second.c's.
 */
#include "discover/links_state.h"

#include "discover/keys.h"
#include <ctype.h>

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

/* A join table of requests stands in the request's own group, once. */
static bool is_second_of_join(const struct link_walk *w, const struct link *item)
{
	const struct link *join = links_join(w->links);

	return join && item->table == join->table;
}

size_t links_add(struct link_walk *w, struct link item)
{
	struct links *r = w->links;

	if (r->n >= LINKS_MAX || is_second_of_join(w, &item))
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

const struct link *links_of(const struct links *links, size_t table)
{
	for (size_t i = 0; i < links->n; i++)
		if (links->items[i].table == table)
			return &links->items[i];
	return NULL;
}

const struct link *links_join(const struct links *links)
{
	return links->n > 2 && links->items[2].request ? &links->items[2] : NULL;
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

/*
 * The link of a table to the parent by a type and an id; its value is NULL: there is none.  The value is one
 * that was seen in the database, or else a guess.  Only contact and request get a guess, an enum and a number get none,
 * because all their values are known, and the type of an inbox or a list is not about contacts.
 */
struct link links_type(const struct link_walk *w, size_t table, size_t parent)
{
	const struct schema_table *t = &w->schema->tables[table], *p = table_of(w, parent);
	const struct schema_column *type = w->pairs[table].type;
	struct link item = {.table = table, .of = parent, .how = LINKS_TYPE, .rank = RANK_TYPED};

	item.by = type ? keys_by(w->ctx, t, p, w->pairs[table].id) : NULL;
	if (!item.by)
		return item;
	item.type = type->name;
	for (size_t i = 0; i < type->n_values && !item.value; i++)
		if (names_is_type_of(type->values[i], p->name)) {
			item.value = type->values[i];
			item.number = type->numbers ? type->numbers[i] : NULL;
		}
	item.value_guessed = !item.value;
	if (!item.value && parent < 2 && !strchr("EN", type->category) &&
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

struct link links_reverse(const struct schema_key *k, size_t of)
{
	return (struct link){.table = k->to,
			     .of = of,
			     .how = LINKS_REVERSE,
			     .rank = RANK_REVERSE,
			     .by = k->to_columns,
			     .from = k->columns,
			     .key = k};
}

bool links_can_detach(const struct schema_table *t, const struct columns *by)
{
	for (size_t i = 0; i < by->n; i++) {
		const struct schema_column *c = schema_column(t, by->names[i]);

		if (!c->not_null && !c->generated && (by->n == 1 || !columns_have(t->key, c->name)))
			return true;
	}
	return false;
}

struct link links_key(const struct link_walk *w, const struct schema_key *k, size_t of)
{
	const struct schema_table *from = &w->schema->tables[k->from];
	const bool lets_go = strchr("nd", k->on_delete) && links_can_detach(from, k->columns);

	return (struct link){
		.table = k->from,
		.of = of,
		.how = LINKS_KEY,
		.rank = schema_not_null(from, k->columns) ? RANK_MUST
			: lets_go                         ? RANK_LETS_GO
							  : RANK_MAY,
		.by = k->columns,
		.from = columns_equal(w->schema->tables[k->to].key, k->to_columns) ? NULL
										   : k->to_columns,
		.detach = lets_go,
		.key = k,
	};
}

/*
 * Is the referenced row what many rows below a contact are about, such as the newsletter that was sent, and not a part
 * of one?
 */
static bool is_subject_matter(const struct link_walk *w, const struct schema_key *k, size_t source)
{
	return source > 1 && w->links->items[source].how != LINKS_REVERSE &&
	       !schema_identifies(&w->schema->tables[k->from], k->columns) &&
	       !links_holds_files(&w->schema->tables[k->to]);
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
			consider(best, links_key(w, k, of));
		if (of == LINKS_NONE && source != LINKS_NONE && !w->lookup[k->to] &&
		    !is_subject_matter(w, k, source))
			consider(best, links_reverse(k, source));
	}
}

static void add_named(struct link_walk *w, struct link item)
{
	w->named = t_grow(w->ctx, w->named, struct link, w->n_named + 1);
	w->named[w->n_named++] = item;
}

/* Does a table have this name, in the singular? */
static bool is_table(const struct link_walk *w, const char *stem)
{
	for (size_t i = 0; i < w->schema->n_tables; i++)
		if (strcmp(w->singular[i], stem) == 0)
			return true;
	return false;
}

/*
 * Can the column be a role of a contact: author_id, created_by?  Where staff has a table of its own, only customer_id
 * can.  A text without "id" is rather the name of a person.
 */
static bool is_role(const struct link_walk *w, const struct id_column *id, const char *contact_key)
{
	const struct schema_column *c = schema_column(&w->schema->tables[id->table], id->name);
	const struct schema_column *key =
		schema_column(&w->schema->tables[w->links->items[0].table], contact_key);

	if (id->role == NAME_ROLE_NONE || is_table(w, id->stem) || strcmp(c->base, key->base) != 0)
		return false;
	if (w->pairs[id->table].type && strcmp(w->pairs[id->table].id, id->name) == 0)
		return false;
	return (id->role == NAME_ROLE_CUSTOMER || !w->staff) &&
	       (c->category != 'S' || names_link_stem(w->ctx, id->name));
}

struct link links_name(const struct link_walk *w, const struct id_column *id, size_t parent)
{
	const struct schema_table *p = table_of(w, parent);
	const char *singular = w->singular[w->links->items[parent].table];
	const char *role = role_of(parent);
	struct link item = {
		.table = id->table, .of = parent, .how = LINKS_NAME, .rank = RANK_NAMED};
	const bool exact =
		(strcmp(id->stem, singular) == 0 || (role && strcmp(id->stem, role) == 0)) &&
		(!id->numbered || parent == 0);

	if (id->of_key && p->key && strcmp(id->name, keys_own(p->key)) == 0) {
		item.by = keys_by(w->ctx, &w->schema->tables[id->table], p, id->name);
		return item;
	}
	if (exact && (id->numbered || id->bare)) {
		item.role = true;
		item.rank = RANK_ROLE;
	}
	if (!exact && parent == 0 && p->key) {
		const bool ends = names_ends_with(id->name, singular);

		item.role = !ends && is_role(w, id, keys_own(p->key));
		item.rank = item.role ? RANK_ROLE : RANK_NAMED;
		if (!ends && !item.role)
			return item;
	} else if (!exact) {
		return item;
	}
	item.by = keys_by(w->ctx, &w->schema->tables[id->table], p, id->name);
	return item;
}

/* Adds the possible links by name to a parent; is called once for each parent. */
static void collect_names(struct link_walk *w, size_t parent)
{
	for (size_t i = 0; i < w->n_ids; i++) {
		const size_t table = w->ids[i].table;
		struct link item = {.by = NULL};

		if (w->main[table] == LINKS_NONE && !w->list[table])
			item = links_name(w, &w->ids[i], parent);
		/* A creator does not own what others use, nor a thing that says nothing of a person. */
		if (item.role && w->ids[i].role != NAME_ROLE_CUSTOMER &&
		    (links_is_common(w->schema, table) ||
		     (w->ids[i].role == NAME_ROLE_BY &&
		      !links_holds_persons(&w->schema->tables[table]))))
			continue;
		if (item.by)
			add_named(w, item);
	}
	for (size_t t = 0; t < w->schema->n_tables; t++) {
		struct link item = {.value = NULL};

		if (w->main[t] == LINKS_NONE && !w->list[t])
			item = links_type(w, t, parent);
		if (item.value)
			add_named(w, item);
	}
}

void links_first(struct link_walk *w)
{
	struct link best;
	size_t seen = 0;

	do {
		for (; seen < w->links->n; seen++)
			if (w->links->items[seen].how != LINKS_REVERSE)
				collect_names(w, seen);
		best = (struct link){.rank = RANK_NONE};
		consider_keys(w, &best);
		for (size_t i = 0; i < w->n_named; i++)
			if (w->main[w->named[i].table] == LINKS_NONE)
				consider(&best, w->named[i]);
	} while (best.rank != RANK_NONE && links_add(w, best) != LINKS_NONE);
}
