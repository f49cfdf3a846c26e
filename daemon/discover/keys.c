/*
 * A table of a company with several tenants numbers its rows within each: (account_id, id) names one, and id
 * alone names one of each account.  A link by id alone would lead to the rows of others, so the key is the one
 * that a unique index holds, and a link takes the tenant's columns along.
 */
#include "discover/keys.h"

#include "base/mem.h"
#include "model/catalog.h"

/* A column of so many tables is the tenant's. */
#define EVERYWHERE 4

static const struct columns *made(void *ctx, const char *const *names, size_t n)
{
	struct columns *columns = t_zero(ctx, struct columns);

	*columns = (struct columns){.names = names, .n = n};
	return columns;
}

const char *keys_own(const struct columns *columns)
{
	return columns->names[columns->n - 1];
}

bool keys_same_kind(const struct schema_column *a, const struct schema_column *b)
{
	return a && b && a->plain && b->plain &&
	       (a->category == b->category || strcmp(a->base, b->base) == 0);
}

/* Can values of the column be written as text and read back, and be compared as bytes? */
static bool is_key_column(const struct schema_column *c)
{
	return c && c->plain && catalog_is_key_type(c->base);
}

/* Can the index be the key of its table? */
static bool is_usable(const struct schema_table *t, const struct schema_index *x)
{
	for (size_t i = 0; i < x->columns.n; i++) {
		const struct schema_column *c = schema_column(t, x->columns.names[i]);

		if (!is_key_column(c) || !c->not_null)
			return false;
	}
	return x->identifies;
}

static bool is_referenced(const struct schema *schema, size_t table, const struct columns *columns)
{
	for (size_t i = 0; i < schema->n_keys; i++)
		if (schema->keys[i].to == table && schema->keys[i].to_columns->n == columns->n &&
		    columns_are_among(columns, schema->keys[i].to_columns))
			return true;
	return false;
}

/* Are the columns those of a table that only joins others: all of foreign keys, of which none holds them all? */
static bool is_join(const struct schema *schema, size_t table, const struct columns *columns)
{
	for (size_t i = 0; i < columns->n; i++)
		if (!schema_column(&schema->tables[table], columns->names[i])->foreign)
			return false;
	for (size_t i = 0; i < schema->n_keys; i++)
		if (schema->keys[i].from == table &&
		    columns_are_among(columns, schema->keys[i].columns))
			return false;
	return true;
}

/* How well an index serves as the key; the lowest rank is the best. */
enum {
	RANK_PRIMARY, /* one column */
	RANK_REFERENCED,
	RANK_PRIMARY_TOGETHER, /* several */
	RANK_REFERENCED_TOGETHER,
	RANK_UNIQUE,
	RANK_UNIQUE_TOGETHER,
	RANK_NONE
};

static int rank_of(const struct schema *schema, size_t table, const struct schema_index *x)
{
	const bool referenced = is_referenced(schema, table, &x->columns);

	if (!is_usable(&schema->tables[table], x))
		return RANK_NONE;
	if (x->columns.n == 1)
		return x->primary ? RANK_PRIMARY : referenced ? RANK_REFERENCED : RANK_UNIQUE;
	if (!referenced && is_join(schema, table, &x->columns))
		return RANK_NONE;
	return x->primary   ? RANK_PRIMARY_TOGETHER
	       : referenced ? RANK_REFERENCED_TOGETHER
			    : RANK_UNIQUE_TOGETHER;
}

/* Is it the number of the row: id, or contact_id of contacts? */
static bool is_own(const char *column, const char *table)
{
	return strcasecmp(column, "id") == 0 || names_is_link_to(column, table, NULL);
}

/* The columns with the row's own number last. */
static const struct columns *own_last(void *ctx, const struct columns *columns, const char *table)
{
	const char **names = t_array(ctx, const char *, columns->n);
	size_t n = 0;

	for (int own = 0; own < 2; own++)
		for (size_t i = 0; i < columns->n; i++)
			if (is_own(columns->names[i], table) == (own == 1))
				names[n++] = columns->names[i];
	return made(ctx, names, n);
}

/* Takes the index of the best rank; of equal ones that with the earlier column of the table. */
static void choose(void *ctx, const struct schema *schema, size_t table)
{
	struct schema_table *t = &schema->tables[table];
	const struct schema_index *best = NULL;
	int best_rank = RANK_NONE;

	for (size_t i = 0; i < t->n_indexes; i++) {
		const struct schema_index *x = &t->indexes[i];
		const int rank = rank_of(schema, table, x);

		if (rank < best_rank || (best && rank == best_rank &&
					 schema_column(t, x->columns.names[0]) <
						 schema_column(t, best->columns.names[0]))) {
			best = x;
			best_rank = rank;
		}
	}
	t->key = best ? own_last(ctx, &best->columns, t->name) : NULL;
}

/* A column collides if a unique index holds it, and not the whole key. */
static void find_collisions(struct schema_table *t)
{
	for (size_t c = 0; c < t->n_columns; c++)
		for (size_t i = 0; i < t->n_indexes; i++) {
			const struct schema_index *x = &t->indexes[i];

			if (x->unique && columns_have(&x->columns, t->columns[c].name) &&
			    !(t->key && columns_are_among(t->key, &x->all)))
				t->columns[c].collides = true;
		}
}

/* The foreign key's column that references the other table's column; NULL: none does. */
static const char *partner(const struct schema_key *k, const char *to_column)
{
	for (size_t i = 0; i < k->to_columns->n; i++)
		if (strcmp(k->to_columns->names[i], to_column) == 0)
			return k->columns->names[i];
	return NULL;
}

/* Reduces a foreign key to the pairs with the other table's key, and tells whether a link can have them. */
static void settle_pairs(void *ctx, const struct schema *schema, struct schema_key *k)
{
	const struct schema_table *from = &schema->tables[k->from], *to = &schema->tables[k->to];

	if (to->key && columns_are_among(to->key, k->to_columns)) {
		const char **names = t_array(ctx, const char *, to->key->n);

		for (size_t i = 0; i < to->key->n; i++)
			names[i] = partner(k, to->key->names[i]);
		k->columns = made(ctx, names, to->key->n);
		k->to_columns = to->key;
	}
	for (size_t i = 0; i < k->columns->n && k->columns->n > 1 && !k->unfit; i++) {
		const struct schema_column *a = schema_column(from, k->columns->names[i]);
		const struct schema_column *b = schema_column(to, k->to_columns->names[i]);

		if (!is_key_column(a) || !is_key_column(b) || a->category != b->category)
			k->unfit = k->columns->names[i];
	}
}

static bool is_same(const struct schema_key *a, const struct schema_key *b)
{
	return a->from == b->from && a->to == b->to && a->on_delete == b->on_delete &&
	       columns_equal(a->columns, b->columns) && columns_equal(a->to_columns, b->to_columns);
}

/* Adds the key to the first n, unless one of them says the same: partitions repeat it. */
static size_t add_once(struct schema_key *keys, size_t n, struct schema_key key)
{
	for (size_t i = 0; i < n; i++)
		if (is_same(&keys[i], &key))
			return n;
	keys[n] = key;
	return n + 1;
}

void keys_settle(void *ctx, struct schema *schema)
{
	size_t n = 0;

	for (size_t i = 0; i < schema->n_tables; i++) {
		choose(ctx, schema, i);
		find_collisions(&schema->tables[i]);
	}
	for (size_t i = 0; i < schema->n_keys; i++) {
		settle_pairs(ctx, schema, &schema->keys[i]);
		n = add_once(schema->keys, n, schema->keys[i]);
	}
	schema->n_keys = n;
}

const char *keys_missing(const struct schema_table *t, const struct schema_table *parent)
{
	for (size_t i = 0; i + 1 < parent->key->n; i++) {
		const char *name = parent->key->names[i];

		if (!keys_same_kind(schema_column(t, name), schema_column(parent, name)))
			return name;
	}
	return NULL;
}

const struct columns *keys_by(void *ctx, const struct schema_table *t,
			      const struct schema_table *parent, const char *id)
{
	const struct columns *key = parent->key;
	const char **names;

	if (!key || keys_missing(t, parent) ||
	    !keys_same_kind(schema_column(t, id), schema_column(parent, keys_own(key))))
		return NULL;
	names = t_array(ctx, const char *, key->n);
	for (size_t i = 0; i < key->n; i++)
		names[i] = i + 1 < key->n ? key->names[i] : id;
	return made(ctx, names, key->n);
}

const char *keys_lack(const struct schema_table *t, const struct schema_table *parent,
		      const char *other)
{
	if (!parent->key || !keys_missing(t, parent))
		return NULL;
	for (size_t i = 0; i < t->n_columns; i++)
		if (!t->columns[i].foreign &&
		    keys_same_kind(&t->columns[i], schema_column(parent, keys_own(parent->key))) &&
		    names_is_link_to(t->columns[i].name, parent->name, other))
			return t->columns[i].name;
	return NULL;
}

/* How many tables of the company's own people, or lists to choose from, have to reference the table. */
static size_t count_own(const struct schema *schema, size_t table)
{
	size_t n = 0;

	for (size_t i = 0; i < schema->n_tables; i++) {
		bool references = false;

		for (size_t k = 0; k < schema->n_keys && i != table; k++)
			references = references ||
				     (schema->keys[k].from == i && schema->keys[k].to == table &&
				      schema_not_null(&schema->tables[i], schema->keys[k].columns));
		n += references && names_of_table(schema->tables[i].name) != NAME_TABLE_UNKNOWN;
	}
	return n;
}

/*
 * Does the column by which each contact references the table stand in many tables, with a foreign key or without:
 * mandant_id?
 */
static bool is_everywhere(const struct schema *schema, size_t contact, size_t table)
{
	size_t most = 0;

	for (size_t i = 0; i < schema->n_keys; i++) {
		const struct schema_key *k = &schema->keys[i];
		size_t n = 0;

		if (k->from != contact || k->to != table || k->columns->n != 1 ||
		    !schema_not_null(&schema->tables[contact], k->columns) ||
		    schema_identifies(&schema->tables[contact], k->columns))
			continue;
		for (size_t t = 0; t < schema->n_tables; t++)
			n += t != table && schema_column(&schema->tables[t], k->columns->names[0]);
		most = n > most ? n : most;
	}
	return most >= EVERYWHERE;
}

bool keys_is_tenant(const struct schema *schema, size_t contact, size_t table)
{
	const struct columns *key = schema->tables[contact].key;
	const bool named = names_is_tenant(schema->tables[table].name);

	for (size_t i = 0; key && i < schema->n_keys; i++) {
		const struct schema_key *k = &schema->keys[i];

		if (k->from == contact && k->to == table && k->columns->n < key->n &&
		    columns_are_among(k->columns, key))
			return true;
	}
	return count_own(schema, table) >= (named ? 1 : 3) || is_everywhere(schema, contact, table);
}
