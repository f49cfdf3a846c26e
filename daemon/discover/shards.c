/*
 * Each column of contact is tried: the links are made a model, the schema its catalog, and model/shard decides as the
 * daemon will.  So the draft proposes only what the daemon accepts.
 */
#include "discover/shards.h"

#include "base/mem.h"
#include "model/shard.h"

#include <string.h>

/* The links as a model, with its catalog. */
struct trial {
	const struct draft *draft;
	struct model model;
	struct catalog catalog;
};

static struct relation relation_of(void *ctx, const struct schema_table *t, size_t table)
{
	struct relation r = {.oid = (unsigned int)table + 1,
			     .columns = t_array(ctx, struct column, t->n_columns + 1),
			     .n_columns = t->n_columns,
			     .uniques = t_array(ctx, struct columns, t->n_indexes + 1),
			     .found_by = t->split_by};

	for (size_t i = 0; i < t->n_columns; i++) {
		const struct schema_column *c = &t->columns[i];
		const struct columns alone = {.names = &c->name, .n = 1};

		r.columns[i] = (struct column){
			.name = c->name,
			.type = c->type,
			.base = c->base,
			.plain = c->plain,
			.no_nulls = c->no_nulls,
			.generated = c->computed,
			.identifies = schema_identifies(t, &alone),
		};
	}
	for (size_t i = 0; i < t->n_indexes; i++)
		if (t->indexes[i].identifies && t->indexes[i].columns.n > 1)
			r.uniques[r.n_uniques++] = t->indexes[i].columns;
	return r;
}

static struct foreign_key key_of(const struct draft *x, const struct schema_key *k)
{
	const struct schema_table *from = &x->schema->tables[k->from];
	const size_t n = k->columns->n;
	const char **columns = t_array(x->ctx, const char *, n);
	const char **to_columns = t_array(x->ctx, const char *, n);

	memcpy(columns, k->columns->names, n * sizeof(*columns));
	memcpy(to_columns, k->to_columns->names, n * sizeof(*to_columns));
	return (struct foreign_key){
		.name = k->name,
		.from_sql = t_printf(x->ctx, "%s.%s", from->schema, from->name),
		.from_oid = (unsigned int)k->from + 1,
		.to_oid = (unsigned int)k->to + 1,
		.doubt = k->doubt,
		.from_columns = columns,
		.to_columns = to_columns,
		.n_columns = n,
	};
}

static struct trial begin(const struct draft *x)
{
	const struct schema *schema = x->schema;
	const size_t n = x->links->n;
	struct table *tables = t_array(x->ctx, struct table, n + 1);
	struct relation *relations = t_array(x->ctx, struct relation, n + 1);
	struct foreign_key *keys = t_array(x->ctx, struct foreign_key, schema->n_constraints + 1);

	for (size_t i = 0; i < n; i++) {
		const struct link *item = &x->links->items[i];
		const struct schema_table *t = &schema->tables[item->table];

		tables[i] = (struct table){
			.name = item->name,
			.schema = t->schema,
			.table = t->name,
			.key = t->key,
			.of = item->of == LINKS_NONE ? NULL : &tables[item->of],
			.by = item->by,
			.from = item->from,
			.shared = item->shared,
			.index = i,
		};
		relations[i] = relation_of(x->ctx, t, item->table);
	}
	for (size_t i = 0; i < schema->n_constraints; i++)
		keys[i] = key_of(x, &schema->constraints[i]);
	return (struct trial){
		.draft = x,
		.model = {.tables = tables, .n_tables = n, .contact = tables},
		.catalog = {.relations = relations, .keys = keys, .n_keys = schema->n_constraints},
	};
}

/* The shard of a table below contact: the same name if that is proved, unless another one leads to its part. */
static void settle(const struct trial *trial, const struct table *t, const char *name)
{
	struct relation *r = &trial->catalog.relations[t->index];
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct relation other = *r;

	r->shard = shard_fault(ctx, &trial->model, &trial->catalog, t, name) ? NULL : name;
	if (shard_narrows(r))
		return;
	other.shard = shard_proved(&trial->model, &trial->catalog, t);
	if (!r->shard || shard_narrows(&other))
		r->shard = other.shard;
}

/* Settles all tables for a shard of contact; returns how many are narrowed by it. */
static size_t try_column(struct trial *trial, const char *name)
{
	size_t narrowed = 0;

	trial->model.contact->shard = trial->catalog.relations[0].shard = name;
	for (size_t i = 0; i < trial->model.n_tables; i++) {
		if (i > 0)
			settle(trial, &trial->model.tables[i], name);
		narrowed += shard_narrows(&trial->catalog.relations[i]);
	}
	return narrowed;
}

static bool fits_contact(const struct trial *trial, const struct schema_column *c)
{
	const struct draft *x = trial->draft;
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));

	return !shard_fault(ctx, &trial->model, &trial->catalog, trial->model.contact, c->name) &&
	       decide_column(x, x->links->items[0].table, c).rule == RULE_KEEP;
}

/* Prefers a column by which contact itself is split, and else the first of equal ones. */
static const char *best_column(struct trial *trial, size_t *ret_narrowed)
{
	const struct schema_table *contact =
		&trial->draft->schema->tables[trial->draft->links->items[0].table];
	const char *best = NULL;

	*ret_narrowed = 0;
	for (int split = 1; split >= 0; split--)
		for (size_t i = 0; i < contact->n_columns; i++) {
			const struct schema_column *c = &contact->columns[i];
			size_t narrowed;

			if (columns_have(&contact->split_by, c->name) != (split == 1) ||
			    !fits_contact(trial, c))
				continue;
			narrowed = try_column(trial, c->name);
			if (narrowed > *ret_narrowed) {
				best = c->name;
				*ret_narrowed = narrowed;
			}
		}
	return best;
}

/* Why the item has no shard.  The reason of its parent is said there. */
static const char *fault_of(const struct trial *trial, size_t i, const struct shards *shards)
{
	const struct table *t = &trial->model.tables[i];
	const char *name = shard_expected(&trial->catalog, t);
	void *ctx = trial->draft->ctx;

	if (shards->faults[t->of->index])
		return t_printf(ctx, "\"%s\" above it has no shard", t->of->name);
	return t_printf(ctx, "shard \"%s\" %s", name,
			shard_fault(ctx, &trial->model, &trial->catalog, t, name));
}

const struct shards *shards_propose(const struct draft *x)
{
	struct shards *shards = t_zero(x->ctx, struct shards);
	const char *name = NULL;
	struct trial trial;
	bool split = false;

	for (size_t i = 0; i < x->links->n; i++)
		split = split || x->schema->tables[x->links->items[i].table].split_by.n > 0;
	if (!split)
		return NULL;
	trial = begin(x);
	name = best_column(&trial, &shards->n_narrowed);
	if (!name)
		return NULL;
	(void)try_column(&trial, name); /* again: the last one tried was another */
	shards->names = t_array(x->ctx, const char *, x->links->n);
	shards->faults = t_array(x->ctx, const char *, x->links->n);
	for (size_t i = 0; i < x->links->n; i++) {
		const struct relation *r = &trial.catalog.relations[i];

		shards->names[i] = r->shard;
		if (r->found_by.n > 0 && !r->shard)
			shards->faults[i] = fault_of(&trial, i, shards);
	}
	return shards;
}
