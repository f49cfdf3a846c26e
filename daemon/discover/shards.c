/*
 * The links are made a model, the schema its catalog, and model/shard decides as the daemon will.  So the draft proposes
 * only what the daemon accepts.
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

/* What is erased of the contact cannot stay as its shard. */
static void set_rules(const struct draft *x, struct table *contact)
{
	const size_t table = x->links->items[0].table;
	const struct schema_table *t = &x->schema->tables[table];
	struct column_rule *rules = t_array(x->ctx, struct column_rule, t->n_columns + 1);

	for (size_t i = 0; i < t->n_columns; i++) {
		const enum rule_kind kind = decide_column(x, table, &t->columns[i]).rule;

		if (kind != RULE_KEEP)
			rules[contact->n_rules++] =
				(struct column_rule){.kind = kind, .column = t->columns[i].name};
	}
	contact->rules = rules;
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
	set_rules(x, &tables[0]);
	for (size_t i = 0; i < schema->n_constraints; i++)
		keys[i] = key_of(x, &schema->constraints[i]);
	return (struct trial){
		.draft = x,
		.model = {.tables = tables, .n_tables = n, .contact = tables},
		.catalog = {.relations = relations, .keys = keys, .n_keys = schema->n_constraints},
	};
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
	if (!split || links_join(x->links)) /* the contacts of one request can be in several */
		return NULL;
	trial = begin(x);
	name = shard_propose(&trial.model, &trial.catalog);
	if (!name)
		return NULL;
	trial.model.contact->shard = name;
	shards->n_narrowed = shard_count(&trial.model, &trial.catalog);
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
