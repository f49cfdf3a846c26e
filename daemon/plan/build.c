/* Builds the plan of an action: from the model and the catalog to statements. */
#include "plan/build.h"

#include "base/mem.h"

/* An archive of detached rows names them by their key. */
static bool lacks_key(const struct plan *p, const struct table *t)
{
	return !t->key && plan_disposition(p, t) == DISPOSITION_DETACH &&
	       disposition_is_archived(t, p->opts.action, p->opts.archive);
}

static bool build_steps(struct plan *p, struct complaints *c)
{
	const size_t before = c->n;
	const struct table **order = t_array(p, const struct table *, p->model->n_tables);
	const struct table *ring = plan_order(p, order);
	size_t n_files = 0;

	if (ring) {
		complain(c, &ring->place,
			 "table \"%s\": foreign keys form a ring through %s.%s, so that no order "
			 "of deletion satisfies them: make one of them DEFERRABLE, or use "
			 "delete = \"detach\"",
			 ring->name, ring->schema, ring->table);
		return false;
	}
	for (size_t i = 0; i < p->n_steps; i++)
		if (lacks_key(p, order[i]))
			complain(c, &order[i]->place,
				 "table \"%s\": an archive of detached rows needs the table's key",
				 order[i]->name);
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
	if (!build_steps(p, c)) {
		talloc_free(p);
		return NULL;
	}
	plan_collects(p);
	plan_subject(p);
	if (opts->by_set)
		plan_by_set(p);
	p->crossref_sql = plan_crossref(p);
	plan_guards(p);
	return p;
}
