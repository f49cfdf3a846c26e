/*
 * A subject with more rows than a transaction should hold goes in slices.  Each is a batch that
 * takes a limited number of rows of each table: child rows first, then their parents, the subject's
 * own row last.
 *
 * A row goes in a slice only when no child row is left and no row points at it.  Therefore a table's
 * step waits while a table below it, or a table with a foreign key onto it, still has rows
 * (step.waits_for).  So
 * a slice that is committed leaves no row that the next one could not find.  An interrupted job
 * finds the rest as it finds everything, by the subject that is still in its list.  The subject is
 * still due, because its requests go when nothing else is left.
 */
#include "plan/builder.h"

#include "base/mem.h"
#include "base/sql.h"

static bool is_deleted(const struct builder *b, const struct table *t)
{
	return plan_disposition(b, t) == DISPOSITION_DELETE;
}

/* Is it deleted under two names?  What hangs off it knows only one of them. */
static bool has_twin(const struct builder *b, const struct table *t)
{
	for (size_t i = 0; i < b->model->n_tables; i++) {
		const struct table *x = &b->model->tables[i];

		if (x != t && is_deleted(b, x) &&
		    plan_relation(b, x)->oid == plan_relation(b, t)->oid)
			return true;
	}
	return false;
}

/*
 * Does a table go before one that hangs off it?  In one batch the collected keys tell whose rows
 * those were.
 */
static bool has_parent_first(const struct builder *b)
{
	for (size_t i = 0; i < b->plan->n_steps; i++)
		for (size_t k = 0; k < i; k++)
			if (model_is_under(b->plan->steps[i].table, b->plan->steps[k].table))
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
bool plan_may_slice(const struct builder *b)
{
	if (b->opts->action != ACTION_DELETE_CONTACTS || b->plan->defer || has_parent_first(b) ||
	    catalog_asks_other_rows(b->catalog, b->opts->scope))
		return false;
	for (size_t i = 0; i < b->model->n_tables; i++) {
		const struct table *t = &b->model->tables[i];

		if (catalog_asks_other_rows(b->catalog, t->where) ||
		    catalog_asks_other_rows(b->catalog, t->due_when))
			return false;
		if (plan_has_step(b, t) &&
		    (t->shared || (is_deleted(b, t) && plan_is_collected(b, t) && has_twin(b, t))))
			return false;
	}
	for (size_t i = 0; i < b->catalog->n_keys; i++)
		if (b->catalog->keys[i].from_oid == b->catalog->keys[i].to_oid &&
		    catalog_key_is_silent(&b->catalog->keys[i]))
			return false;
	return true;
}

/*
 * Returns the column that tells single rows of t apart: its key, or where the model names none, the
 * first column that could be one.  NULL: there is none.  A column that may be NULL does not do,
 * because those rows would be in no slice.
 */
static const char *slice_key(const struct builder *b, const struct table *t)
{
	const struct relation *r = plan_relation(b, t);

	if (t->key)
		return catalog_column(r, t->key)->not_null ? t->key : NULL;
	if (plan_is_collected(b, t))
		return NULL;
	for (size_t i = 0; i < r->n_columns; i++)
		if (r->columns[i].identifies && r->columns[i].not_null)
			return r->columns[i].name;
	return NULL;
}

bool plan_is_cut(const struct builder *b, const struct table *t)
{
	return b->plan->may_slice && t != b->plan->subject && is_deleted(b, t) && slice_key(b, t);
}

char *plan_slice_order(const struct builder *b, const struct table *t)
{
	return t == b->model->request
		       ? t_printf(b->ctx, " ORDER BY %s", plan_column(b->ctx, "t", t->date))
		       : t_strdup(b->ctx, "");
}

/* Selects at most {limit} rows of a table whose keys are not collected. */
static const char some_sql[] =
	"{key} = ANY (ARRAY(\n"
	"  SELECT {key} FROM {table} AS t WHERE {selection}{order} LIMIT {limit}::bigint))";

/*
 * The arrays are those of the parents, and of the rows' own keys where they are collected, else how
 * many rows. The selection by the parents is asked again for each row: the server does so on the
 * row's newest version, and a row that a client has moved to another's parent meanwhile stays.  IS
 * TRUE: the rows are found by their own key, never by an index on the link, which would walk all
 * rows that a subject has.
 */
static char *slice_statement(const struct builder *b, const struct step *s,
			     const struct arrays *arrays)
{
	const struct table *t = s->table;
	const char *selection = plan_selection(b, t, arrays->keys, false);
	const char *some =
		plan_is_own(b, t)
			? plan_selection(b, t, arrays->own, true)
			: sql_fill(b->ctx, some_sql,
				   {"key", plan_column(b->ctx, "t", slice_key(b, t))},
				   {"table", plan_table(b->ctx, t)}, {"selection", selection},
				   {"order", plan_slice_order(b, t)}, {"limit", arrays->own});

	return t_printf(b->ctx, "DELETE FROM %s AS t WHERE %s AND (%s) IS TRUE%s%s",
			plan_table(b->ctx, t), some, selection, s->archived ? " RETURNING " : "",
			s->archived ? plan_columns(b->ctx, "t", s->columns, s->n_columns) : "");
}

/* Has x's table a foreign key onto t's that is not x's link to t? */
static bool points_otherwise(const struct builder *b, const struct table *x, const struct table *t)
{
	const unsigned int from = plan_relation(b, x)->oid, to = plan_relation(b, t)->oid;

	for (size_t i = 0; from != to && i < b->catalog->n_keys; i++) {
		const struct foreign_key *key = &b->catalog->keys[i];

		if (key->from_oid == from && key->to_oid == to &&
		    !(x->of == t && catalog_link_covers(b->catalog, x, key)))
			return true;
	}
	return false;
}

/* Finds which tables must have no rows left before s is run. */
static void find_waits(const struct builder *b, struct step *s)
{
	const struct model *m = b->model;
	bool *waits = t_array(b->ctx, bool, m->n_tables);

	for (size_t i = 0; i < m->n_tables; i++) {
		const struct table *x = &m->tables[i];

		if (x != s->table && model_is_under(x, s->table))
			waits[i] = true;
		/*
		 * Through another key than their link, rows may point here that hang off rows of a
		 * later slice.
		 */
		for (const struct table *a = x; points_otherwise(b, x, s->table) && a->of;
		     a = a->of)
			waits[a->index] = waits[a->index] || a != s->table;
	}
	s->waits_for = waits;
}

/* Must t's step wait until x has no rows left, directly or through what it waits for? */
static bool must_follow(const struct builder *b, const struct table *t, const struct table *x)
{
	const struct step *steps = b->plan->steps;
	const size_t n = b->model->n_tables;
	bool *waits = t_array(b->ctx, bool, n);
	bool grown = true;

	waits[t->index] = true;
	while (grown) {
		grown = false;
		for (size_t i = 0; i < b->plan->n_steps; i++)
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
static void requests_last(const struct builder *b, struct plan *plan)
{
	const struct model *m = b->model;
	bool *waits = t_array(b->ctx, bool, m->n_tables);
	bool *after = t_array(b->ctx, bool, m->n_tables);
	struct step *requests = NULL;

	for (size_t i = 0; i < plan->n_steps; i++)
		if (plan->steps[i].table == m->request)
			requests = &plan->steps[i];
	if (!requests)
		return;
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct table *x = plan->steps[i].table;

		waits[x->index] = requests->waits_for[x->index] ||
				  (x != m->request && !model_is_under(m->request, x) &&
				   !must_follow(b, x, m->request));
	}
	requests->waits_for = waits;
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct table *x = plan->steps[i].table;

		after[x->index] =
			x != plan->subject && x != m->request && must_follow(b, x, m->request);
	}
	plan->after_requests = after;
}

/* Counts the rows of the tables whose keys are not collected, each up to a limit ($1). */
static void find_sizes(const struct builder *b, struct plan *plan)
{
	struct source *sources = t_array(b->ctx, struct source, plan->n_steps);
	size_t *tables = t_array(b->ctx, size_t, plan->n_steps);
	char *sql = NULL;
	size_t n = 0;

	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct table *t = plan->steps[i].table;

		if (!plan_is_cut(b, t) || plan_is_own(b, t))
			continue;
		sources[n] = plan_source(b, t, false);
		tables[n] = t->index;
		sql = t_printf(b->ctx,
			       "%s (SELECT count(*) FROM (\n"
			       "  SELECT FROM %s AS t WHERE %s LIMIT $1::bigint) AS x) AS c%zu",
			       sql ? t_printf(b->ctx, "%s,", sql) : "SELECT", plan_table(b->ctx, t),
			       plan_selection(b, t, t_printf(b->ctx, "$%zu", n + 2), false), n);
		n++;
	}
	plan->sizes_sql = sql;
	plan->sizes = sources;
	plan->size_tables = tables;
	plan->n_sizes = n;
}

void plan_slices(const struct builder *b, struct plan *plan)
{
	if (!plan->may_slice)
		return;
	for (size_t i = 0; i < plan->n_steps; i++)
		find_waits(b, &plan->steps[i]);
	requests_last(b, plan);
	for (size_t i = 0; i < plan->n_steps; i++) {
		struct step *s = &plan->steps[i];

		if (!plan_is_cut(b, s->table))
			continue;
		s->slice_parent = plan_source(b, s->table, false);
		s->slice_sql = slice_statement(b, s, &plan_parameters);
		if (s->archived)
			s->slice_copy_sql = plan_copy(b, slice_statement(b, s, &plan_marks));
	}
	find_sizes(b, plan);
}
