/* What the server has to accept before the first row is touched. */
#include "plan/plan.h"

#include "base/mem.h"

/* The probes of a plan, as they are gathered. */
struct probes {
	void *ctx;
	const char *shards; /* a batch's, as a constant */
	struct probe *list;
	size_t n;
};

static void add(struct probes *p, const struct place *place, const char *what, const char *sql)
{
	if (!sql)
		return;
	p->list = t_grow(p->ctx, p->list, struct probe, p->n + 1);
	p->list[p->n++] = (struct probe){
		.place = place, .what = what, .sql = plan_with_shards(p->ctx, sql, p->shards)};
}

static void add_of(struct probes *p, const struct table *t, const char *what, const char *sql)
{
	add(p, &t->place, t_printf(p->ctx, "table \"%s\": %s", t->name, what), sql);
}

/*
 * A predicate alone on its table, so that no other table's columns can lend it a name.  It stands
 * in two kinds of brackets, so that "a) OR (b" is refused: within a statement it would reach every
 * row.
 */
static char *predicate_probe(void *ctx, const struct table *t, const char *predicate)
{
	return predicate ? t_printf(ctx, "SELECT FROM %s WHERE (%s\n) ORDER BY (ARRAY[%s\n])[1]",
				    plan_table(ctx, t), predicate, predicate)
			 : NULL;
}

static struct probes predicates(void *ctx, const struct plan *plan, const struct place *scope_place)
{
	const struct model *m = plan->model;
	struct probes p = {.ctx = ctx, .shards = plan_some_shard(plan)};

	for (size_t i = 0; i < m->n_tables; i++) {
		const struct table *t = &m->tables[i];

		add_of(&p, t, "where", predicate_probe(ctx, t, t->where));
		add_of(&p, t, "due_when", predicate_probe(ctx, t, t->due_when));
	}
	add(&p, scope_place, "scope", predicate_probe(ctx, m->contact, plan->opts.scope));
	return p;
}

const struct probe *plan_predicates(void *ctx, const struct plan *plan,
				    const struct place *scope_place, size_t *ret_n)
{
	const struct probes p = predicates(ctx, plan, scope_place);

	*ret_n = p.n;
	return p.list;
}

const struct probe *plan_probes(void *ctx, const struct plan *plan, const struct place *scope_place,
				size_t *ret_n)
{
	const struct place *at = &plan->subject->place;
	struct probes p = predicates(ctx, plan, scope_place);

	add(&p, at, "the list of those due", plan->list_sql);
	add(&p, at, "the re-check of those due", plan->recheck_sql);
	add(&p, at, "the lock of a batch", plan->lock_sql);
	add(&p, at, "the lock of a batch's requests", plan->lock_requests_sql);
	add(&p, at, "the lock of whose the requests are", plan->lock_links_sql);
	add(&p, at, "the holds of a batch", plan->held_sql);
	add(&p, at, "the rows that stay", plan->kept_sql);
	for (size_t i = 0; i < plan->n_collects; i++) {
		const struct collect *one = &plan->collects[i];

		add_of(&p, one->table, "its keys", one->sql);
		add_of(&p, one->table, "its lock", one->lock_sql);
		add_of(&p, one->table, "its keys with the rows", one->gather_sql);
	}
	add(&p, at, "the question for orphans", plan->orphans.sql);
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct step *s = &plan->steps[i];

		add_of(&p, s->table, "its files", s->outbox_sql);
		add_of(&p, s->table, action_names[plan->opts.action], s->sql);
		add_of(&p, s->table, "its slices", s->slice_sql);
	}
	add(&p, at, "the sizes of a batch", plan->sizes_sql);
	*ret_n = p.n;
	return p.list;
}
