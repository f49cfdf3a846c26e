/* Builds the plan of an action: from the model and the catalog to statements. */
#include "plan/builder.h"

#include "base/mem.h"
#include "plan/crossref.h"

static bool build_steps(const struct builder *b, struct plan *plan, struct complaints *c)
{
	const size_t before = c->n;
	const struct table **order = t_array(b->ctx, const struct table *, b->model->n_tables);
	const struct table *ring = plan_order(b, order, &plan->n_steps, &plan->defer);
	size_t n_files = 0;

	if (ring) {
		complain(c, &ring->place,
			 "table \"%s\": foreign keys form a ring through %s.%s, so that no order "
			 "of deletion satisfies them: make one of them DEFERRABLE, or use "
			 "delete = \"detach\"",
			 ring->name, ring->schema, ring->table);
		return false;
	}
	plan->steps = t_array(b->ctx, struct step, plan->n_steps);
	for (size_t i = 0; i < plan->n_steps; i++) {
		struct step *s = &plan->steps[i];

		*s = plan_step(b, order[i]);
		s->file_number = n_files;
		n_files += s->archived ? 1 : 0;
		if (s->archived && s->disposition == DISPOSITION_DETACH && !s->table->key)
			complain(c, &s->table->place,
				 "table \"%s\": an archive of detached rows needs the table's key",
				 s->table->name);
	}
	plan->may_slice = plan_may_slice(b);
	plan_slices(b, plan);
	return c->n == before;
}

struct plan *plan_build(void *ctx, const struct model *model, const struct catalog *catalog,
			const struct plan_opts *opts, struct complaints *c)
{
	struct plan *plan = t_zero(ctx, struct plan);
	struct builder b = {
		.ctx = plan, .model = model, .catalog = catalog, .opts = opts, .plan = plan};

	plan->action = opts->action;
	plan->archive = opts->archive;
	plan->by_set = opts->by_set;
	plan->model = model;
	plan->catalog = catalog;
	plan->subject = disposition_subject(model, opts->action);
	plan_slots(&b);
	if (!build_steps(&b, plan, c)) {
		talloc_free(plan);
		return NULL;
	}
	plan_collects(&b, plan);
	plan_subject(&b, plan);
	if (opts->by_set)
		plan_by_set(&b, plan);
	plan->crossref_sql = plan_crossref(&b);
	plan_guards(&b, plan);
	return plan;
}
