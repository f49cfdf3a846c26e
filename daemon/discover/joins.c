/*
 * A table that references both can be a message and its author as well.  It is taken for a join table where no two rows
 * have the same pair, or where nothing else in it is personal.
 */
#include "discover/joins.h"

#include "base/mem.h"
#include "discover/verdict.h"

/* More of them are only counted. */
#define MANY_JOINS 3

static bool is_pair_unique(void *ctx, const struct schema_table *t, const struct columns *a,
			   const struct columns *b)
{
	const char **names = t_array(ctx, const char *, a->n + b->n);

	memcpy(names, a->names, a->n * sizeof(*names));
	memcpy(names + a->n, b->names, b->n * sizeof(*names));
	return schema_identifies(t, &(struct columns){.names = names, .n = a->n + b->n});
}

static bool holds_nothing(void *ctx, const struct schema_table *t)
{
	const char *why;

	for (size_t i = 0; i < t->n_columns; i++)
		if (!t->columns[i].primary && !t->columns[i].foreign &&
		    verdict_of(ctx, t, &t->columns[i], &why) != VERDICT_KEEP)
			return false;
	return true;
}

/* Can the key be half of a pair: does it name the whole key of its table, in a table of its own? */
static bool is_half(const struct schema *schema, const struct schema_key *k, size_t to,
		    const size_t roots[2])
{
	return k->to == to && k->from != roots[0] && k->from != roots[1] && !k->unfit &&
	       columns_equal(k->to_columns, schema->tables[to].key);
}

const struct join *joins_find(void *ctx, const struct schema *schema, size_t contact,
			      size_t request)
{
	const size_t roots[2] = {contact, request};
	struct join *found = NULL;

	for (size_t i = 0; i < schema->n_keys; i++)
		for (size_t j = 0; j < schema->n_keys; j++) {
			const struct schema_key *r = &schema->keys[i], *c = &schema->keys[j];
			const struct schema_table *t = &schema->tables[r->from];
			bool unique;

			if (r->from != c->from || !is_half(schema, r, request, roots) ||
			    !is_half(schema, c, contact, roots))
				continue;
			unique = is_pair_unique(ctx, t, r->columns, c->columns);
			if (!unique && (found || !t->key || !holds_nothing(ctx, t)))
				continue;
			found = found ? found : t_zero(ctx, struct join);
			*found = (struct join){
				.table = r->from, .request = r->columns, .contact = c->columns};
			if (unique)
				return found;
		}
	return found;
}

/* The name of the table below the parent; NULL: there is none. */
static const struct link *below(const struct links *links, size_t table, size_t parent)
{
	for (size_t i = 2; i < links->n; i++)
		if (links->items[i].table == table && links->items[i].of == parent &&
		    (links->items[i].how == LINKS_KEY || links->items[i].how == LINKS_NAME))
			return &links->items[i];
	return NULL;
}

const char *joins_text(void *ctx, const struct schema *schema, const struct links *links)
{
	char *text = t_strdup(ctx, "");
	size_t n = 0;

	for (size_t i = 0; i < schema->n_tables; i++) {
		const struct schema_table *t = &schema->tables[i];
		const struct link *r = below(links, i, 1), *c = below(links, i, 0);

		if (!r || !c || columns_equal(r->by, c->by) ||
		    (!is_pair_unique(ctx, t, r->by, c->by) && !holds_nothing(ctx, t)))
			continue;
		if (++n <= MANY_JOINS)
			t_list(&text, ", ", "%s.%s (%s, %s)", t->schema, t->name,
			       columns_text(ctx, r->by), columns_text(ctx, c->by));
	}
	if (n > MANY_JOINS)
		t_append(&text, ", and %zu more", n - MANY_JOINS);
	return text;
}
