/*
 * What is left that an anonymization would erase: of a row, or of all that hangs off it.
 */
#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"

const char *plan_dirty_self(const struct plan *p, const struct table *t, const char *alias)
{
	/*
	 * Nothing names a contact any longer that has been anonymized: what a text says of it
	 * counts only while the contact's own row is dirty.
	 */
	return plan_dirty_row(p, t, alias, p->opts.action == ACTION_ANONYMIZE_REQUESTS);
}

char *plan_dirty_tree(const struct plan *p, const struct table *t, const char *alias,
		      plan_shared_fn shared)
{
	const bool updates = plan_disposition(p, t) == DISPOSITION_UPDATE;
	char *sql;

	if (plan_is_deleted(p, t))
		return t_strdup(p, "true");
	sql = t_strdup(p, updates ? plan_dirty_self(p, t, alias) : "false");
	for (size_t i = 0; i < p->model->n_tables; i++) {
		const struct table *child = &p->model->tables[i];
		const char *name = t_printf(p, "t%zu", i);

		if (child->of == t && (shared || !child->shared) &&
		    (plan_has_step(p, child) || plan_is_inner(p, child)))
			t_append(&sql, "\n OR EXISTS (SELECT FROM %s AS %s WHERE %s%s%s AND (%s))",
				 plan_filtered(p, child, child->where, NULL), name,
				 plan_link(p, child, name, alias), plan_in_shards(p, child, name),
				 child->shared ? shared(p, child, name, alias) : "",
				 plan_dirty_tree(p, child, name, shared));
	}
	return sql;
}
