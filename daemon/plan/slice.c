/*
 * A subject with more rows than a transaction should hold goes in slices.  Each is a batch that
 * takes a limited number of rows of each table: child rows first, then their parents, the subject's
 * own row last.
 *
 * A row goes in a slice only when no child row is left and no row points at it.  Therefore a table's
 * step waits while a table below it, or a table with a foreign key onto it, still has rows
 * (step.waits_for).  So a slice that is committed leaves no row that the next one could not find.
 * An interrupted job finds the rest as it finds everything, by the subject that is still in its
 * list.  The subject is still due, because its requests go when nothing else is left.
 */
#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"

/* Is it deleted under two names?  What hangs off it knows only one of them. */
static bool has_twin(const struct plan *p, const struct table *t)
{
	for (size_t i = 0; i < p->model->n_tables; i++) {
		const struct table *x = &p->model->tables[i];

		if (x != t && plan_is_deleted(p, x) && plan_oid(p, x) == plan_oid(p, t))
			return true;
	}
	return false;
}

/*
 * Does a table go before one that hangs off it?  In one batch the collected keys tell whose rows
 * those were.
 */
static bool has_parent_first(const struct plan *p)
{
	for (size_t i = 0; i < p->n_steps; i++)
		for (size_t k = 0; k < i; k++)
			if (model_is_under(p->steps[i].table, p->steps[k].table))
				return true;
	return false;
}

/*
 * Refuses slices in four cases.  Rows are shared.  A foreign key within one table acts by itself
 * (CASCADE, SET NULL): rows of a later slice would change, or go, before they are archived.  A
 * predicate reads other rows: deleting one slice could change its result, so that a contact is no
 * longer due, or its remaining rows are not found. Foreign keys want a row gone before the rows
 * that hang off it: these may have to wait for a later slice, which could not find them.
 */
static bool may_slice(const struct plan *p)
{
	if (p->opts.action != ACTION_DELETE_CONTACTS || p->defer || has_parent_first(p) ||
	    catalog_asks_other_rows(p->catalog, p->opts.scope))
		return false;
	for (size_t i = 0; i < p->model->n_tables; i++) {
		const struct table *t = &p->model->tables[i];

		if (catalog_asks_other_rows(p->catalog, t->where) ||
		    catalog_asks_other_rows(p->catalog, t->due_when))
			return false;
		if (plan_has_step(p, t) &&
		    (t->shared ||
		     (plan_is_deleted(p, t) && plan_is_collected(p, t) && has_twin(p, t))))
			return false;
	}
	for (const struct foreign_key *k = NULL; (k = catalog_next_key(p->catalog, k, 0, 0));)
		if (k->from_oid == k->to_oid && catalog_key_is_silent(k))
			return false;
	return true;
}

/*
 * Returns the columns that tell single rows of t apart: its key, or where the model names none, the
 * first that could be one.  NULL: there are none.  A column that may be NULL does not do, because
 * those rows would be in no slice.
 */
static const struct columns *slice_key(const struct plan *p, const struct table *t)
{
	const struct relation *r = plan_relation(p, t);
	struct columns *found = t_zero(p, struct columns);

	if (t->key)
		return catalog_is_not_null(r, t->key) ? t->key : NULL;
	if (plan_is_collected(p, t))
		return NULL;
	for (size_t i = 0; i < r->n_columns; i++)
		if (r->columns[i].identifies && r->columns[i].not_null) {
			*found = (struct columns){.names = &r->columns[i].name, .n = 1};
			return found;
		}
	for (size_t i = 0; i < r->n_uniques; i++)
		if (catalog_is_not_null(r, &r->uniques[i]))
			return &r->uniques[i];
	return NULL;
}

bool plan_is_cut(const struct plan *p, const struct table *t)
{
	return p->may_slice && t != p->subject && plan_is_deleted(p, t) && slice_key(p, t);
}

const char *plan_slice_order(const struct plan *p, const struct table *t)
{
	return t == p->model->request
		       ? t_printf(p, " ORDER BY %s",
				  plan_date_order(p, t, plan_column(p, "t", t->date)))
		       : "";
}

/* Selects at most {limit} rows of a table whose keys are not collected. */
static const char some_sql[] =
	"{key} = ANY (ARRAY(\n"
	"  SELECT {key} FROM {table} AS t WHERE {selection}{order} LIMIT {limit}::bigint))";
static const char some_rows_sql[] =
	"{key} IN (\n"
	"  SELECT {columns} FROM {table} AS t WHERE {selection}{order} LIMIT {limit}::bigint)";

/*
 * The arrays are those of the parents, and of the rows' own keys where they are collected, else how
 * many rows. The selection by the parents is asked again for each row: the server does so on the
 * row's newest version, and a row that a client has moved to another's parent meanwhile stays.  IS
 * TRUE: the rows are found by their own key, never by an index on the link, which would walk all
 * rows that a subject has.
 */
static char *slice_statement(const struct plan *p, const struct step *s,
			     const struct arrays *arrays)
{
	const struct table *t = s->table;
	const char *selection = plan_selection(p, t, arrays->keys, false);
	const struct columns *key = slice_key(p, t);
	const char *some =
		plan_is_own(p, t)
			? plan_selection(p, t, arrays->own, true)
			: sql_fill(p, key->n == 1 ? some_sql : some_rows_sql,
				   {"key", plan_key(p, "t", key)},
				   {"columns", plan_columns(p, "t", key->names, key->n)},
				   {"table", plan_table(p, t)}, {"selection", selection},
				   {"order", plan_slice_order(p, t)}, {"limit", arrays->own});

	return plan_fires(p, s->archived ? plan_columns(p, "t", s->columns, s->n_columns) : NULL,
			  "DELETE FROM %s AS t WHERE %s AND (%s) IS TRUE", plan_table(p, t), some,
			  selection);
}

/* Has x's table a foreign key onto t's that is not x's link to t? */
static bool points_otherwise(const struct plan *p, const struct table *x, const struct table *t)
{
	const unsigned int from = plan_oid(p, x), to = plan_oid(p, t);
	const struct foreign_key *k = NULL;

	while (from != to && (k = catalog_next_key(p->catalog, k, from, to)))
		if (!(x->of == t && catalog_link_covers(p->catalog, x, k)))
			return true;
	return false;
}

/* Finds which tables must have no rows left before s is run. */
static void find_waits(const struct plan *p, struct step *s)
{
	const struct model *m = p->model;
	bool *waits = t_array(p, bool, m->n_tables);

	for (size_t i = 0; i < m->n_tables; i++) {
		const struct table *x = &m->tables[i];

		if (x != s->table && model_is_under(x, s->table))
			waits[i] = true;
		/*
		 * Through another key than their link, rows may point here that hang off rows of a
		 * later slice.
		 */
		for (const struct table *a = x; points_otherwise(p, x, s->table) && a->of;
		     a = a->of)
			waits[a->index] = waits[a->index] || a != s->table;
	}
	s->waits_for = waits;
}

/* Must t's step wait until x has no rows left, directly or through what it waits for? */
static bool must_follow(const struct plan *p, const struct table *t, const struct table *x)
{
	const struct step *steps = p->steps;
	const size_t n = p->model->n_tables;
	bool *waits = t_array(p, bool, n);
	bool grown = true;

	waits[t->index] = true;
	while (grown) {
		grown = false;
		for (size_t i = 0; i < p->n_steps; i++)
			for (size_t k = 0; k < n && waits[steps[i].table->index]; k++)
				if (steps[i].waits_for[k] && !waits[k])
					grown = waits[k] = true;
	}
	return waits[x->index];
}

/*
 * A contact is due because of its requests.  So they go last, just before the contact: otherwise it
 * is no longer due after the first slice.  Only tables that must wait for the requests go after
 * them.
 */
static void requests_last(struct plan *p)
{
	const struct table *r = p->model->request;
	bool *waits = t_array(p, bool, p->model->n_tables);
	bool *after = t_array(p, bool, p->model->n_tables);
	struct step *requests = plan_step_of(p, r);

	if (!requests)
		return;
	for (size_t i = 0; i < p->n_steps; i++) {
		const struct table *x = p->steps[i].table;

		waits[x->index] = requests->waits_for[x->index] ||
				  (x != r && !model_is_under(r, x) && !must_follow(p, x, r));
	}
	requests->waits_for = waits;
	for (size_t i = 0; i < p->n_steps; i++) {
		const struct table *x = p->steps[i].table;

		after[x->index] = x != p->subject && x != r && must_follow(p, x, r);
	}
	p->after_requests = after;
}

/* Counts the rows of the tables whose keys are not collected, each up to a limit ($1). */
static void find_sizes(struct plan *p)
{
	char *counts = t_strdup(p, "");
	size_t n = 0;

	for (size_t i = 0; i < p->n_steps; i++) {
		const struct table *t = p->steps[i].table;
		const char *keys = t_printf(p, "$%zu", n + 2);

		p->steps[i].sized = plan_is_cut(p, t) && !plan_is_own(p, t);
		if (!p->steps[i].sized)
			continue;
		t_list(&counts, ",",
		       " (SELECT count(*) FROM (\n"
		       "  SELECT FROM %s AS t WHERE %s LIMIT $1::bigint) AS x) AS c%zu",
		       plan_table(p, t), plan_selection(p, t, keys, false), n);
		n++;
	}
	p->sizes_sql = n > 0 ? t_printf(p, "SELECT%s", counts) : NULL;
}

void plan_slices(struct plan *p)
{
	p->may_slice = may_slice(p);
	if (!p->may_slice)
		return;
	for (size_t i = 0; i < p->n_steps; i++)
		find_waits(p, &p->steps[i]);
	requests_last(p);
	for (size_t i = 0; i < p->n_steps; i++) {
		struct step *s = &p->steps[i];

		if (!plan_is_cut(p, s->table))
			continue;
		s->slice_sql = slice_statement(p, s, &plan_parameters);
		if (s->archived)
			s->slice_copy_sql = plan_copy(p, slice_statement(p, s, &plan_marks));
	}
	find_sizes(p);
}
