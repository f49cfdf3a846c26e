#include "plan/slice.h"

#include "base/mem.h"
#include "plan/due.h"
#include "base/sql.h"

static bool is_deleted(const struct builder *b, const struct table *t)
{
	return disposition_of(t, b->opts->action, b->opts->archive) == DISPOSITION_DELETE;
}

/* Deleted under two names, of which what hangs off it knows but one. */
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

/* Has a table its statement before one that hangs off it?  In one batch what is collected tells whose rows those were. */
static bool has_parent_first(const struct builder *b)
{
	for (size_t i = 0; i < b->plan->n_steps; i++)
		for (size_t k = 0; k < i; k++)
			if (model_is_under(b->plan->steps[i].table, b->plan->steps[k].table))
				return true;
	return false;
}

/*
 * Not where rows are shared; nor where a foreign key within one table acts by itself (CASCADE, SET NULL): rows that
 * are still to come would change, or go, before they are archived.  Nor where predicates ask other rows: what is true
 * before a slice may be false after it because of what went, and who is due, or what is his, would not be found again.
 * Nor where foreign keys want a row gone before what hangs off it: that may have to wait for a later slice, which could
 * not find it any more.
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
 * What single rows of t are told apart by: its key, or where the model names none, the first column that may be one.
 * NULL is like no other: rows with that would be in no slice.
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

/*
 * $1 the parents' array, $2 the rows' own keys where they are collected, else how many.  A row that a client
 * has moved to another's meanwhile is not ours any more: the server asks again on the row's newest version.
 * IS TRUE: the rows are found by their own key, never by an index on the link that walks all that a person has.
 */
static char *slice_statement(const struct builder *b, const struct step *s, const char *parents,
			     const char *own)
{
	const struct table *t = s->table;
	const char *table = sql_table(b->ctx, t->schema, t->table);
	const char *ours = plan_selection(b, t, parents, false);
	const char *key = plan_column(b->ctx, "t", slice_key(b, t));
	const char *some =
		plan_is_own(b, t)
			? plan_selection(b, t, own, true)
			: t_printf(b->ctx,
				   "%s = ANY (ARRAY(\n"
				   "  SELECT %s FROM %s AS t WHERE %s%s LIMIT %s::bigint))",
				   key, key, table, ours, plan_slice_order(b, t), own);
	char *list = t_strdup(b->ctx, "");

	for (size_t i = 0; s->archived && i < s->n_columns; i++)
		t_append(&list, "%s%s", i ? ", " : " RETURNING ",
			 plan_column(b->ctx, "t", s->columns[i]));
	return t_printf(b->ctx, "DELETE FROM %s AS t WHERE %s AND (%s) IS TRUE%s", table, some,
			ours, list);
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

/* Which tables must have no rows left before s is run. */
static void find_waits(const struct builder *b, struct step *s)
{
	const struct model *m = b->model;
	bool *waits = t_array(b->ctx, bool, m->n_tables);

	for (size_t i = 0; i < m->n_tables; i++) {
		const struct table *x = &m->tables[i];

		if (x != s->table && model_is_under(x, s->table))
			waits[i] = true;
		/* By another key than its link: some may point here that hang off rows which come later. */
		for (const struct table *a = x; points_otherwise(b, x, s->table) && a->of;
		     a = a->of)
			waits[a->index] = waits[a->index] || a != s->table;
	}
	s->waits_for = waits;
}

/* Is t's step to wait until x has no rows left, directly or by what it waits for? */
static bool must_follow(const struct builder *b, const struct step *steps, const struct table *t,
			const struct table *x)
{
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
 * By his requests a contact is due: they go last but for himself, or he would not be between two slices.  Only what
 * must wait for them goes after them.
 */
static void requests_last(const struct builder *b, struct step *steps)
{
	const struct model *m = b->model;
	bool *waits = t_array(b->ctx, bool, m->n_tables);
	bool *after = t_array(b->ctx, bool, m->n_tables);
	struct step *requests = NULL;

	for (size_t i = 0; i < b->plan->n_steps; i++)
		if (steps[i].table == m->request)
			requests = &steps[i];
	if (!requests)
		return;
	for (size_t i = 0; i < b->plan->n_steps; i++) {
		const struct table *x = steps[i].table;

		waits[x->index] = requests->waits_for[x->index] ||
				  (x != m->request && !model_is_under(m->request, x) &&
				   !must_follow(b, steps, x, m->request));
	}
	requests->waits_for = waits;
	for (size_t i = 0; i < b->plan->n_steps; i++) {
		const struct table *x = steps[i].table;

		after[x->index] = x != b->plan->subject && x != m->request &&
				  must_follow(b, steps, x, m->request);
	}
	b->plan->after_requests = after;
}

/* How many rows there are of those tables that nobody collects, up to a limit ($1). */
static void find_sizes(struct builder *b)
{
	const struct plan *plan = b->plan;
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
		sql = t_printf(
			b->ctx,
			"%s%s (SELECT count(*) FROM (SELECT FROM %s AS t WHERE %s LIMIT $1::bigint) AS x) AS c%zu",
			sql ? sql : "SELECT", sql ? "," : "",
			sql_table(b->ctx, t->schema, t->table),
			plan_selection(b, t, t_printf(b->ctx, "$%zu", n + 2), false), n);
		n++;
	}
	b->plan->sizes_sql = sql;
	b->plan->sizes = sources;
	b->plan->size_tables = tables;
	b->plan->n_sizes = n;
}

void plan_slices(struct builder *b, struct step *steps)
{
	static const char keys_mark[] = {PLAN_KEYS, '\0'}, own_mark[] = {PLAN_OWN, '\0'};

	if (!b->plan->may_slice)
		return;
	for (size_t i = 0; i < b->plan->n_steps; i++)
		find_waits(b, &steps[i]);
	requests_last(b, steps);
	for (size_t i = 0; i < b->plan->n_steps; i++) {
		struct step *s = &steps[i];

		if (!plan_is_cut(b, s->table))
			continue;
		s->slice_parent = plan_source(b, s->table, false);
		s->slice_sql = slice_statement(b, s, "$1", "$2");
		if (s->archived)
			s->slice_copy_sql = t_printf(
				b->ctx, "COPY (%s) TO STDOUT (FORMAT csv, DELIMITER %s)",
				slice_statement(b, s, keys_mark, own_mark),
				sql_literal(b->ctx, t_printf(b->ctx, "%c", b->opts->delimiter)));
	}
	find_sizes(b);
}
