#include "model/shard.h"

#include "base/mem.h"
#include "base/sql.h"

#include <string.h>

/* A pair of columns: the shard of one end of a link, and that of the other. */
struct pair {
	const struct relation *from, *to;
	const struct columns *link_from, *link_to;
	struct columns shard_from, shard_to;
};

/* The rule that erases the column, by whichever name the model has for the table of t; NULL: there is none. */
static const struct column_rule *erased_by(const struct model *model, const struct catalog *catalog,
					   const struct table *t, const char *name)
{
	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *x = &model->tables[i];
		const struct column_rule *rules[] = {model_rule(x, name),
						     column_rules_find(&x->on_detach, name)};

		for (size_t k = 0; k < 2; k++)
			if (catalog->relations[i].oid == catalog->relations[t->index].oid &&
			    rules[k] && rules[k]->kind != RULE_KEEP)
				return rules[k];
	}
	return NULL;
}

/* Can the column alone be a shard?  The sentence of shard_fault(), or NULL. */
static const char *column_fault(void *ctx, const struct model *model, const struct catalog *catalog,
				const struct table *t, const char *name)
{
	const struct column *column = catalog_column(&catalog->relations[t->index], name);
	const struct column_rule *rule = erased_by(model, catalog, t, name);

	if (!column)
		return t_printf(ctx, "is not a column of %s.%s", t->schema, t->table);
	if (!column->plain || !catalog_is_key_type(column->base))
		return t_printf(
			ctx,
			"is %s: a shard is a whole number, a uuid or a text, and no two spellings of it "
			"are equal",
			column->type);
	if (column->generated)
		return "is generated from other columns: name one that the rows are stored with";
	if (rule)
		return t_printf(
			ctx,
			"is under %s, and an anonymized row would lose its shard: put it under keep",
			rule_names[rule->kind]);
	return NULL;
}

/* Asked last: to forbid NULL in a column that is not the shard would break what it is for. */
static const char *null_fault(void *ctx, const struct table *t, const struct relation *r,
			      const char *name)
{
	if (catalog_column(r, name)->no_nulls)
		return NULL;
	if (t->by && columns_have(t->by, name) && t->on_delete == ON_DELETE_DETACH &&
	    catalog_is_detached(t, r, name))
		return "is cleared by delete = \"detach\", and a row without it would be missed";
	return t_printf(ctx,
			"can be NULL, and a row without it would be missed: ALTER TABLE %s ALTER "
			"COLUMN %s SET NOT NULL",
			sql_table(ctx, t->schema, t->table), sql_ident(ctx, name));
}

/* Can the column hold each value of the parent's, written alike?  A narrower integer would refuse to be asked for one. */
static bool holds_values_of(const struct column *column, const struct column *parents)
{
	static const char *const integers[] = {"int2", "int4", "int8", NULL};

	return strcmp(column->base, parents->base) == 0 ||
	       (catalog_is_among(column->base, integers) &&
		catalog_is_among(parents->base, integers) &&
		strcmp(column->base, parents->base) > 0);
}

/* The column of the link that equals this one of the parent's; NULL: none does. */
static const char *partner(const struct table *t, const char *parents)
{
	const struct columns *to = model_parent_columns(t);

	for (size_t i = 0; i < t->by->n; i++)
		if (strcmp(to->names[i], parents) == 0)
			return t->by->names[i];
	return NULL;
}

static bool link_has(const struct table *t, const char *own, const char *parents)
{
	return columns_pairs_are_among(&(struct columns){&own, 1}, &(struct columns){&parents, 1},
				       t->by, model_parent_columns(t));
}

/* Does the key lead from one end of the link to the other, with the shards among its pairs? */
static bool key_has(const struct pair *p, const struct foreign_key *k)
{
	return k->from_oid == p->from->oid && k->to_oid == p->to->oid &&
	       catalog_key_pairs(k, p->link_from, p->link_to) &&
	       catalog_key_pairs(k, &p->shard_from, &p->shard_to);
}

/* A column by whose NULL a row of the link escapes the key; NULL: no row does.  Of the shard itself null_fault() tells. */
static const char *escape(const struct pair *p, const struct foreign_key *k)
{
	for (size_t i = 0; i < k->n_columns; i++)
		if (!columns_have(p->link_from, k->from_columns[i]) &&
		    !columns_have(&p->shard_from, k->from_columns[i]) &&
		    !catalog_column(p->from, k->from_columns[i])->no_nulls)
			return k->from_columns[i];
	return NULL;
}

/*
 * The row that the key references is the one that the link leads to only if the link names one row: otherwise a
 * second one with the same value may be of another shard.
 */
static bool key_proves(const struct pair *p, const struct foreign_key *k)
{
	return key_has(p, k) && !k->doubt && !escape(p, k) && catalog_identifies(p->to, p->link_to);
}

/* The pair as a foreign key of the table has it, or in reverse as one of the parent's. */
static struct pair pair_of(const struct catalog *catalog, const struct table *t,
			   const char *const *own, const char *const *parents, bool reverse)
{
	const struct relation *r = &catalog->relations[t->index];
	const struct relation *of = &catalog->relations[t->of->index];
	const struct columns *to = model_parent_columns(t);
	const struct columns mine = {.names = own, .n = 1}, theirs = {.names = parents, .n = 1};

	return reverse ? (struct pair){of, r, to, t->by, theirs, mine}
		       : (struct pair){r, of, t->by, to, mine, theirs};
}

static bool is_proved(const struct catalog *catalog, const struct table *t, const char *own)
{
	const char *parents = catalog->relations[t->of->index].shard;

	if (link_has(t, own, parents))
		return true;
	for (int reverse = 0; reverse < 2; reverse++) {
		const struct pair p = pair_of(catalog, t, &own, &parents, reverse == 1);

		for (const struct foreign_key *k = NULL;
		     (k = catalog_next_key(catalog, k, p.from->oid, p.to->oid));)
			if (key_proves(&p, k))
				return true;
	}
	return false;
}

/* What makes a foreign key that has the pairs worthless as a proof; NULL: there is no such key, or it is too wide. */
static const char *key_fault(void *ctx, const struct catalog *catalog, const struct table *t,
			     const char *own)
{
	const char *parents = catalog->relations[t->of->index].shard;

	for (int reverse = 0; reverse < 2; reverse++) {
		const struct pair p = pair_of(catalog, t, &own, &parents, reverse == 1);

		for (const struct foreign_key *k = NULL;
		     (k = catalog_next_key(catalog, k, p.from->oid, p.to->oid));) {
			const char *name = key_has(&p, k) ? escape(&p, k) : NULL;

			if (!key_has(&p, k))
				continue;
			if (k->doubt)
				return t_printf(ctx, "foreign key \"%s\" %s", k->name, k->doubt);
			if (name)
				return t_printf(
					ctx,
					"a row whose \"%s\" is NULL escapes foreign key "
					"\"%s\": ALTER TABLE %s ALTER COLUMN %s SET NOT NULL",
					name, k->name, k->from_sql, sql_ident(ctx, name));
		}
	}
	return NULL;
}

/* The foreign key that would prove it.  The row that others use stands at its end, all others at its start. */
static const char *proposed_key(void *ctx, const struct catalog *catalog, const struct table *t,
				const char *own)
{
	const char *parents = catalog->relations[t->of->index].shard;
	const struct columns *to = model_parent_columns(t);
	const char *near = t_printf(ctx, "%s, %s", sql_ident(ctx, own),
				    sql_idents(ctx, t->by->names, t->by->n));
	const char *far =
		t_printf(ctx, "%s, %s", sql_ident(ctx, parents), sql_idents(ctx, to->names, to->n));
	const char *child = sql_table(ctx, t->schema, t->table);
	const char *parent = sql_table(ctx, t->of->schema, t->of->table);

	return t_printf(ctx, "ALTER TABLE %s ADD FOREIGN KEY (%s) REFERENCES %s (%s)",
			t->shared ? parent : child, t->shared ? far : near,
			t->shared ? child : parent, t->shared ? near : far);
}

/* The link says which column it is, if that one can be a shard. */
static const char *partner_fault(void *ctx, const struct model *model,
				 const struct catalog *catalog, const struct table *t)
{
	const struct relation *r = &catalog->relations[t->index];
	const char *parents = catalog->relations[t->of->index].shard;
	const char *name = partner(t, parents);
	const bool fits =
		!column_fault(ctx, model, catalog, t, name) && !null_fault(ctx, t, r, name);

	return t_printf(
		ctx,
		"is not the \"%s\" of its \"%s\", which the link has in \"%s\": %s%s%sleave it out",
		parents, t->of->name, name, fits ? "say shard = \"" : "", fits ? name : "",
		fits ? "\", or " : "");
}

static const char *link_fault(void *ctx, const struct model *model, const struct catalog *catalog,
			      const struct table *t, const char *own)
{
	const struct relation *of = &catalog->relations[t->of->index];
	const struct column *mine = catalog_column(&catalog->relations[t->index], own);
	const struct column *theirs = catalog_column(of, of->shard);
	const char *fault;

	if (!holds_values_of(mine, theirs))
		return t_printf(
			ctx,
			"is %s, and \"%s\" of \"%s\" is %s: ALTER TABLE %s ALTER COLUMN %s TYPE %s",
			mine->type, theirs->name, t->of->name, theirs->type,
			sql_table(ctx, t->schema, t->table), sql_ident(ctx, own), theirs->type);
	if (is_proved(catalog, t, own))
		return NULL;
	if (partner(t, of->shard))
		return partner_fault(ctx, model, catalog, t);
	fault = key_fault(ctx, catalog, t, own);
	if (fault)
		return t_printf(ctx, "is not proved to be the \"%s\" of its \"%s\", because %s",
				of->shard, t->of->name, fault);
	if (t->match)
		return t_printf(ctx,
				"is not proved to be the \"%s\" of its \"%s\": a copied value "
				"can be in rows of each shard%s",
				of->shard, t->of->name, t->shard ? ": leave shard out here" : "");
	return t_printf(
		ctx,
		"is not proved to be the \"%s\" of its \"%s\": %s, or name both in by and from, if a row "
		"where they differ is nobody's",
		of->shard, t->of->name, proposed_key(ctx, catalog, t, own));
}

const char *shard_expected(const struct catalog *catalog, const struct table *t)
{
	const char *parents = t->of ? catalog->relations[t->of->index].shard : NULL;

	if (t->shard || !parents)
		return model_shard(t);
	return partner(t, parents) ? partner(t, parents) : parents;
}

/* Why the parent has no shard.  Another column than its default can be proved. */
static const char *parent_fault(void *ctx, const struct model *model, const struct catalog *catalog,
				const struct table *of)
{
	const char *name = shard_expected(catalog, of);
	const char *fault = shard_fault(ctx, model, catalog, of, name);

	return fault ? t_printf(ctx, "needs that of \"%s\" above it, where \"%s\" %s", of->name,
				name, fault)
		     : t_printf(ctx, "needs that of \"%s\" above it: say shard = \"%s\" there",
				of->name, name);
}

const char *shard_fault(void *ctx, const struct model *model, const struct catalog *catalog,
			const struct table *t, const char *column)
{
	const struct table *of = t->of;
	const struct relation *r = &catalog->relations[t->index];
	const char *fault;

	if (!column)
		return "is missing";
	fault = column_fault(ctx, model, catalog, t, column);
	if (!fault && t != model->contact)
		fault = catalog->relations[of->index].shard
				? link_fault(ctx, model, catalog, t, column)
				: parent_fault(ctx, model, catalog, of);
	return fault ? fault : null_fault(ctx, t, r, column);
}

static bool leads_to_a_part(const struct relation *r, const char *name)
{
	return r->spread == SPREAD_ROWS ? strcmp(r->spread_by, name) == 0
					: columns_have(&r->found_by, name);
}

const char *shard_proved(const struct model *model, const struct catalog *catalog,
			 const struct table *t)
{
	const struct relation *r = &catalog->relations[t->index];
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *proved = NULL;

	for (size_t i = 0; i < r->n_columns; i++) {
		const char *name = r->columns[i].name;

		if ((!proved || leads_to_a_part(r, name)) &&
		    !shard_fault(ctx, model, catalog, t, name))
			proved = name;
	}
	return proved;
}

bool shard_narrows(const struct relation *r)
{
	return r->shard && leads_to_a_part(r, r->shard);
}

/* The column's own name if that is proved, unless another one leads to the row's part. */
static const char *best_of_table(const struct model *model, const struct catalog *catalog,
				 const struct table *t, const char *name)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct relation own = catalog->relations[t->index], other = own;

	if (t != model->contact && !catalog->relations[t->of->index].shard)
		return NULL; /* nothing is proved without the parent's */
	own.shard = shard_fault(ctx, model, catalog, t, name) ? NULL : name;
	if (t == model->contact || shard_narrows(&own))
		return own.shard;
	other.shard = shard_proved(model, catalog, t);
	return !own.shard || shard_narrows(&other) ? other.shard : own.shard;
}

static void settle_for(const struct model *model, struct catalog *catalog, const char *name)
{
	size_t left = model->n_tables;

	for (size_t depth = 0; left > 0; depth++)
		for (size_t i = 0; i < model->n_tables; i++)
			if (model_depth(&model->tables[i]) == depth) {
				catalog->relations[i].shard =
					best_of_table(model, catalog, &model->tables[i], name);
				left--;
			}
}

size_t shard_count(const struct model *model, const struct catalog *catalog)
{
	size_t n = 0;

	for (size_t i = 0; i < model->n_tables; i++) {
		const struct relation *r = &catalog->relations[i];
		bool first = shard_narrows(r);

		for (size_t j = 0; first && j < i; j++)
			first = catalog->relations[j].oid != r->oid ||
				!shard_narrows(&catalog->relations[j]);
		n += first;
	}
	return n;
}

const char *shard_propose(const struct model *model, struct catalog *catalog)
{
	const struct relation *contact = &catalog->relations[model->contact->index];
	const char *best = NULL;
	size_t most = 0;

	for (int parts = 1; parts >= 0; parts--)
		for (size_t i = 0; i < contact->n_columns; i++) {
			const char *name = contact->columns[i].name;

			if (leads_to_a_part(contact, name) != (parts == 1))
				continue;
			settle_for(model, catalog, name);
			if (contact->shard && shard_count(model, catalog) > most) {
				best = name;
				most = shard_count(model, catalog);
			}
		}
	if (best)
		settle_for(model, catalog, best);
	return best;
}
