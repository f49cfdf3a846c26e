/*
 * The foreign keys of the catalog decide the order of the erasures: the statement of a table runs
 * only after the statements of all tables that have a foreign key onto it.
 */
#include "plan/builder.h"

#include "base/mem.h"

static bool must_precede(const struct builder *b, const struct table *first,
			 const struct table *second, bool defer)
{
	const unsigned int from = plan_relation(b, first)->oid, to = plan_relation(b, second)->oid;

	if (from == to || plan_disposition(b, second) != DISPOSITION_DELETE)
		return false;
	for (size_t i = 0; i < b->catalog->n_keys; i++) {
		const struct foreign_key *k = &b->catalog->keys[i];

		if (k->from_oid == from && k->to_oid == to && !(defer && k->deferrable))
			return true;
	}
	return false;
}

static bool is_ready(const struct builder *b, const struct table *t, const bool *taken, bool defer)
{
	for (size_t i = 0; i < b->model->n_tables; i++)
		if (!taken[i] && plan_has_step(b, &b->model->tables[i]) &&
		    must_precede(b, &b->model->tables[i], t, defer))
			return false;
	return true;
}

/*
 * Takes one table after the other whose referencing tables have all been taken, the deepest first,
 * so that triggers see what an application would show them.  Returns NULL, or a table that is left
 * in a ring.
 */
static const struct table *take_tables(const struct builder *b, const struct table **order,
				       size_t *ret_n, bool defer)
{
	const struct model *m = b->model;
	AUTO(talloc) bool *taken = t_array(NULL, bool, m->n_tables);

	*ret_n = 0;
	for (;;) {
		const struct table *best = NULL, *stuck = NULL;

		for (size_t i = 0; i < m->n_tables; i++) {
			const struct table *t = &m->tables[i];

			if (taken[i] || !plan_has_step(b, t))
				continue;
			stuck = t;
			if (is_ready(b, t, taken, defer) &&
			    (!best || model_depth(t) > model_depth(best)))
				best = t;
		}
		if (!best)
			return stuck;
		taken[best->index] = true;
		order[(*ret_n)++] = best;
	}
}

const struct table *plan_order(const struct builder *b, const struct table **order, size_t *ret_n,
			       bool *ret_defer)
{
	*ret_defer = take_tables(b, order, ret_n, false) != NULL;
	return *ret_defer ? take_tables(b, order, ret_n, true) : NULL;
}
