#include "plan/guard.h"

#include "base/mem.h"
#include "plan/due.h"
#include "plan/state.h"
#include "base/sql.h"

struct guard {
	struct plan *plan; /* owns the text, too */
	const struct catalog *catalog;
};

static char *contact_keys(const struct guard *b)
{
	const struct table *c = b->plan->model->contact;

	return t_printf(b->plan, "$1::%s[]", plan_type(b->catalog, c, c->key));
}

/* The requests, as t, whose link is in an array of the link's type. */
static char *request_selection(const struct guard *b, const char *links)
{
	const struct table *r = b->plan->model->request;

	return t_printf(b->plan, "%s = ANY (%s)%s%s%s", plan_column(b->plan, "t", r->by), links,
			r->where ? " AND (" : "", r->where ? r->where : "", r->where ? "\n)" : "");
}

/* The contacts' values that requests point at: $1 itself, where that is the key. */
static char *request_links(const struct guard *b)
{
	const struct table *c = b->plan->model->contact, *r = b->plan->model->request;
	const char *column = model_parent_column(r);
	const char *type = plan_type(b->catalog, r, r->by);

	if (strcmp(column, c->key) == 0)
		return t_printf(b->plan, "$1::%s[]", type);
	return t_printf(b->plan, "ARRAY(SELECT %s::%s FROM %s AS c WHERE %s = ANY (%s))",
			plan_column(b->plan, "c", column), type,
			sql_table(b->plan, c->schema, c->table), plan_column(b->plan, "c", c->key),
			contact_keys(b));
}

/*
 * A request that somebody is changing right now may be reopened, redated or on its way to another
 * contact, and its lock says nothing to the contact's: so they are locked too, before the re-check.
 * A contact of which one cannot be had, or has just moved, is left for a later sweep.
 */
static char *lock_requests(const struct guard *b)
{
	const struct table *c = b->plan->model->contact, *r = b->plan->model->request;
	const char *by = plan_column(b->plan, "t", r->by);
	const char *rows =
		t_printf(b->plan, "%s AS t WHERE %s", sql_table(b->plan, r->schema, r->table),
			 request_selection(b, request_links(b)));

	return t_printf(
		b->plan,
		"WITH every AS MATERIALIZED (SELECT %s AS link, count(*) AS n FROM %s GROUP BY 1),\n"
		"held AS MATERIALIZED (SELECT h.link, count(*) AS n FROM (\n"
		"  SELECT %s AS link FROM %s FOR UPDATE SKIP LOCKED) AS h GROUP BY 1),\n"
		"busy AS MATERIALIZED (SELECT e.link FROM every AS e LEFT JOIN held AS h\n"
		"  ON h.link = e.link WHERE h.n IS DISTINCT FROM e.n)\n"
		"SELECT coalesce(array_agg(x.k::text), '{}')::text AS keys, count(*) AS n\n"
		"  FROM (SELECT %s AS k FROM %s AS c WHERE %s = ANY (%s)\n"
		"           AND NOT EXISTS (SELECT FROM busy WHERE busy.link = %s::%s)\n"
		"         ORDER BY 1) AS x",
		by, rows, by, rows, plan_column(b->plan, "c", c->key),
		sql_table(b->plan, c->schema, c->table), plan_column(b->plan, "c", c->key),
		contact_keys(b), plan_column(b->plan, "c", model_parent_column(r)),
		plan_type(b->catalog, r, r->by));
}

static bool request_has_foreign_key(const struct guard *b)
{
	const struct table *r = b->plan->model->request;

	for (size_t i = 0; i < b->catalog->n_keys; i++) {
		const struct foreign_key *k = &b->catalog->keys[i];

		if (k->from_oid == b->catalog->relations[r->index].oid &&
		    k->to_oid == b->catalog->relations[b->plan->model->contact->index].oid &&
		    strcmp(k->from_columns[0], r->by) == 0)
			return true;
	}
	return false;
}

void plan_guards(struct plan *plan, const struct catalog *catalog, const struct plan_opts *opts)
{
	const enum action action = opts->action;
	const struct guard b = {.plan = plan, .catalog = catalog};
	const struct table *r = plan->model->request;
	const bool by_key = strcmp(model_parent_column(r), plan->model->contact->key) == 0;

	if (plan->subject != r && action != ACTION_EXPORT)
		plan->lock_requests_sql = lock_requests(&b);
	/* No foreign key: nothing keeps a client from attaching a request to a contact that goes. */
	if (action == ACTION_DELETE_CONTACTS && by_key && !request_has_foreign_key(&b))
		plan->strays_sql = t_printf(plan, "SELECT count(*) AS n FROM %s AS t WHERE %s",
					    sql_table(plan, r->schema, r->table),
					    request_selection(&b, request_links(&b)));
	plan->state_sql = plan_state_sql(plan, plan->model);
	plan->relations = catalog->relations;
	plan->by_set = opts->by_set;
}
