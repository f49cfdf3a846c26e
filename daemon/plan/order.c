/*
 * The foreign keys of the catalog decide the order of the erasures: the statement of a table runs
 * only after the statements of all tables that have a foreign key onto it.
 */
#include "plan/build.h"

#include "base/mem.h"

static bool must_precede(const struct plan *p, const struct table *first,
			 const struct table *second)
{
	const unsigned int from = plan_oid(p, first), to = plan_oid(p, second);
	const struct foreign_key *k = NULL;

	while (from != to && plan_is_deleted(p, second) &&
	       (k = catalog_next_key(p->catalog, k, from, to)))
		if (!(p->defer && k->deferrable))
			return true;
	return false;
}

static bool is_ready(const struct plan *p, const struct table *t, const bool *taken)
{
	for (size_t i = 0; i < p->model->n_tables; i++)
		if (!taken[i] && plan_has_step(p, &p->model->tables[i]) &&
		    must_precede(p, &p->model->tables[i], t))
			return false;
	return true;
}

/*
 * Takes one table after the other whose referencing tables have all been taken, the deepest first,
 * so that triggers see what an application would show them.  Returns NULL, or a table that is left
 * in a ring.
 */
static const struct table *take_tables(struct plan *p, const struct table **order)
{
	const struct model *m = p->model;
	AUTO(talloc) bool *taken = t_array(NULL, bool, m->n_tables);

	for (p->n_steps = 0;; p->n_steps++) {
		const struct table *best = NULL, *stuck = NULL;

		for (size_t i = 0; i < m->n_tables; i++) {
			const struct table *t = &m->tables[i];

			if (taken[i] || !plan_has_step(p, t))
				continue;
			stuck = t;
			if (is_ready(p, t, taken) && (!best || model_depth(t) > model_depth(best)))
				best = t;
		}
		if (!best)
			return stuck;
		taken[best->index] = true;
		order[p->n_steps] = best;
	}
}

const struct table *plan_order(struct plan *p, const struct table **order)
{
	const struct table *ring = take_tables(p, order);

	p->defer = ring != NULL;
	return ring ? take_tables(p, order) : NULL;
}
