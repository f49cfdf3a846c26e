/*
 * Builds the plan of an action: from the model and the catalog to statements.
 *
 * The foreign keys of the catalog decide the order of the erasures: the statement of a table runs
 * only after the statements of all tables that have a foreign key onto it.
 */
#include "plan/build.h"

#include "base/mem.h"

/* Have all tables been taken that have a foreign key onto t, whose rows go? */
static bool is_ready(const struct plan *p, const struct table *t, const bool *taken)
{
	const unsigned int to = plan_oid(p, t);

	for (size_t i = 0; plan_is_deleted(p, t) && i < p->model->n_tables; i++) {
		const struct table *x = &p->model->tables[i];
		const unsigned int from = plan_oid(p, x);
		const struct foreign_key *k = NULL;

		while (!taken[i] && from != to && plan_has_step(p, x) &&
		       (k = catalog_next_key(p->catalog, k, from, to)))
			if (!(p->defer && k->deferrable))
				return false;
	}
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

/*
 * Fills order with the tables that have a step, in an order that the foreign keys allow, and n_steps
 * and defer.  Returns NULL, or a table within a ring that no order satisfies.
 */
static const struct table *find_order(struct plan *p, const struct table **order)
{
	const struct table *ring = take_tables(p, order);

	p->defer = ring != NULL;
	return ring ? take_tables(p, order) : NULL;
}

/* An archive of detached rows names them by their key. */
static bool lacks_key(const struct plan *p, const struct table *t)
{
	return !t->key && plan_disposition(p, t) == DISPOSITION_DETACH &&
	       disposition_is_archived(t, p->opts.action, p->opts.archive);
}

/* Complains about an archive that would have the number of a large object, and not its bytes. */
static void check_archived_objects(const struct plan *p, const struct table *t,
				   struct complaints *c)
{
	const struct relation *r = plan_relation(p, t);
	const struct column_rules rules = plan_rules(p, t);

	if (!(plan_is_deleted(p, t) || plan_is_cleared(p, t)) ||
	    !disposition_is_archived(t, p->opts.action, p->opts.archive))
		return;
	for (size_t i = 0; i < r->n_columns; i++)
		if (catalog_refers_to_objects(t, &r->columns[i]) &&
		    (plan_is_deleted(p, t) || column_rules_find(&rules, r->columns[i].name)))
			complain(
				c, &t->place,
				"table \"%s\": an archive has the numbers of the large objects in "
				"\"%s\" and not their bytes, so that nothing could bring them back: "
				"use archive = \"none\", or \"listed\" without this table, or make the "
				"column a bytea",
				t->name, r->columns[i].name);
}

static bool build_steps(struct plan *p, struct complaints *c)
{
	const size_t before = c->n;
	const struct table **order = t_array(p, const struct table *, p->model->n_tables);
	const struct table *ring = find_order(p, order);
	size_t n_files = 0;

	if (ring) {
		complain(c, &ring->place,
			 "table \"%s\": foreign keys form a ring through %s.%s, so that no order "
			 "of deletion satisfies them: make one of them DEFERRABLE, or use "
			 "delete = \"detach\"",
			 ring->name, ring->schema, ring->table);
		return false;
	}
	for (size_t i = 0; i < p->n_steps; i++) {
		if (lacks_key(p, order[i]))
			complain(c, &order[i]->place,
				 "table \"%s\": an archive of detached rows needs the table's key",
				 order[i]->name);
		check_archived_objects(p, order[i], c);
	}
	if (c->n > before)
		return false;
	p->steps = t_array(p, struct step, p->n_steps);
	for (size_t i = 0; i < p->n_steps; i++) {
		struct step *s = &p->steps[i];

		*s = plan_step(p, order[i]);
		s->file_number = n_files;
		n_files += s->archived ? 1 : 0;
	}
	plan_slices(p);
	return true;
}

struct plan *plan_build(void *ctx, const struct model *model, const struct catalog *catalog,
			const struct plan_opts *opts, struct complaints *c)
{
	struct plan *p = plan_new(ctx, model, catalog, opts);

	plan_slots(p);
	p->in_batch = true;
	if (!build_steps(p, c)) {
		talloc_free(p);
		return NULL;
	}
	plan_collects(p);
	plan_due_statements(p);
	if (opts->by_set)
		plan_by_set(p);
	plan_guards(p);
	plan_state(p);
	p->in_batch = false;
	plan_list(p);
	p->crossref_sql = plan_crossref(p);
	return p;
}
