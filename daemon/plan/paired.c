/*
 * Requests that name a contact in a column of their own, beside the join table: through.also.  The join table says which
 * contacts a request keeps, and with which it goes.  So a contact that a request names without a row there stays, whatever
 * its dates, until somebody adds the row.
 */
#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"

static const char unpaired_sql[] =
	"FROM {requests} AS q\n"
	"  WHERE {names} AND NOT EXISTS (\n"
	"    SELECT FROM {joins} AS j WHERE {of_request} AND {of_contact})";

/* The requests q without a row in the join table for the contact that they name. */
static char *unpaired(const struct plan *p, const char *names)
{
	const struct table *r = p->model->request, *join = p->model->through;

	return sql_fill(p, unpaired_sql, {"requests", plan_filtered(p, r, r->where, NULL)},
			{"names", names}, {"joins", plan_table(p, join)},
			{"of_request", plan_link(p, r, "q", "j")},
			{"of_contact", t_printf(p, "%s = %s", plan_key(p, "j", join->by),
						plan_key(p, "q", join->also))});
}

const char *plan_paired(const struct plan *p)
{
	const struct table *join = p->model->through;

	if (!join || !join->also)
		return NULL;
	return t_printf(p, "NOT EXISTS (SELECT %s)",
			unpaired(p, t_printf(p, "%s = %s", plan_key(p, "q", join->also),
					     plan_key(p, "c", model_parent_columns(join)))));
}

char *plan_unpaired_sql(void *ctx, const struct model *model, const struct catalog *catalog)
{
	const struct plan *p = plan_new(ctx, model, catalog, &(struct plan_opts){0});
	const struct columns *also = model->through->also;

	return t_printf(ctx, "SELECT count(*) AS n, (array_agg(%s))[1:5]::text AS keys %s",
			plan_key_text(ctx, "q", model->request->key),
			unpaired(p, t_printf(p, "%s IS NOT NULL", plan_key(p, "q", also))));
}

char *plan_pairs_sql(void *ctx, const struct model *model, const struct columns *also)
{
	const struct table *r = model->request, *join = model->through;
	char *into = sql_idents(ctx, r->from->names, r->from->n);
	char *values = sql_idents(ctx, r->by->names, r->by->n);

	for (size_t i = 0; i < also->n; i++) {
		if (columns_have(r->from, join->by->names[i]))
			continue; /* the account's column is in both links */
		t_append(&into, ", %s", sql_ident(ctx, join->by->names[i]));
		t_append(&values, ", %s", sql_ident(ctx, also->names[i]));
	}
	return t_printf(ctx,
			"INSERT INTO %s (%s) SELECT %s FROM %s WHERE (%s) IS NOT NULL ON CONFLICT "
			"DO NOTHING",
			sql_table(ctx, join->schema, join->table), into, values,
			sql_table(ctx, r->schema, r->table), sql_idents(ctx, also->names, also->n));
}
