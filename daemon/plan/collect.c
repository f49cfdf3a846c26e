/*
 * The keys that a batch reads before it erases.  It reads them from each table that has tables below
 * it, and from each table whose rows have to be known one by one.
 */
#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"

static size_t add_slot(const struct columns **slots, size_t n, const struct columns *columns)
{
	for (size_t i = 0; i < n; i++)
		if (columns_equal(slots[i], columns))
			return n;
	slots[n] = columns;
	return n + 1;
}

void plan_slots(struct plan *p)
{
	const size_t n = p->model->n_tables;
	const struct columns ***slots = t_array(p, const struct columns **, n);

	p->slots = slots;
	p->n_slots = t_array(p, size_t, n);
	for (size_t i = 0; i < n; i++) {
		const struct table *t = &p->model->tables[i];
		const struct foreign_key *k = NULL;

		slots[i] = t_array(p, const struct columns *, n + p->catalog->n_keys + 1);
		slots[i][0] = t->key;
		p->n_slots[i] = 1;
		for (size_t j = 0; j < n; j++)
			if (p->model->tables[j].of == t)
				p->n_slots[i] =
					add_slot(slots[i], p->n_slots[i],
						 model_parent_columns(&p->model->tables[j]));
		while (plan_is_asked(p, t) &&
		       (k = catalog_next_key(p->catalog, k, 0, plan_oid(p, t))))
			p->n_slots[i] =
				add_slot(slots[i], p->n_slots[i], plan_asked_columns(p, t, k));
	}
}

/* The arrays of the subject's own rows that use t's become the parameters from $2 on. */
static char *others_own(const struct plan *p, const struct table *t, const struct table *x,
			const char *u, void *arg)
{
	struct collect *c = arg;
	const bool own = plan_is_own(p, x);
	const struct columns *columns = own ? x->key : x->by;
	struct source from;

	if (x == t)
		return t_printf(p, "%s%s",
				plan_among(p, x, u, x->by,
					   plan_kept_array(p, x, x->by, "$1",
							   plan_source(p, x, false).slot)),
				plan_within(p, x, u));
	if (!plan_goes_along(p, t, x) || (!own && (x->where || !plan_is_collected(p, x))))
		return NULL;
	c->others = t_grow(p, c->others, struct source, c->n_others + 1);
	from = plan_source(p, x, own);
	c->others[c->n_others++] = from;
	return plan_among(
		p, x, u, columns,
		plan_kept_array(p, x, columns, t_printf(p, "$%zu", c->n_others + 1), from.slot));
}

static const char lock_shared_sql[] =
	"SELECT count(*) AS n FROM (\n"
	"  SELECT FROM {table} AS t WHERE {selection} ORDER BY {key} FOR UPDATE) AS x";

/* Fills lock_sql and others of shared rows; returns the condition that nobody else uses them. */
static char *share(const struct plan *p, struct collect *c)
{
	const struct table *t = c->table;

	c->lock_sql = sql_fill(p, lock_shared_sql, {"table", plan_table(p, t)},
			       {"selection", plan_selection(p, t, "$1", false)},
			       {"key", plan_columns(p, "t", t->key->names, t->key->n)});
	return t_printf(p, "\n   AND %s", plan_unused(p, t, "t", others_own, c));
}

static const char collect_sql[] = "SELECT {arrays}, count(*) AS n FROM (SELECT {columns}\n"
				  "  FROM {table} AS t\n"
				  " WHERE {selection}{unused}{limit}{lock}) AS x";

/*
 * The rows are locked only where a foreign key acts silently, or where a table without a key is
 * deleted from by its parent's keys.  Elsewhere the locks on the contacts and their requests keep
 * things together: a row that a client attaches further down between this and the erasure makes the
 * foreign key refuse the batch, which then is run again (batch/worker.c).  Locking millions of rows
 * that are about to go costs as much as deleting them.
 */
static struct collect collect_of(const struct plan *p, const struct table *t)
{
	const bool subject = t == p->subject;
	/* A request that is the subject itself goes whatever its contacts do. */
	const bool shared = t->shared && !subject && p->opts.action != ACTION_EXPORT;
	const bool locks = !subject && !shared && plan_is_deleted(p, t) &&
			   (!t->key || catalog_attaches_silently(p->catalog, t));
	struct collect c = {
		.table = t, .from = plan_source(p, t, subject), .limited = plan_is_cut(p, t)};
	char *arrays = t_strdup(p, "");

	for (size_t s = 0; s < p->n_slots[t->index]; s++)
		t_list(&arrays, ", ", "%s AS c%zu", plan_slot_array(p, t, s, NULL), s);
	c.sql = sql_fill(
		p, collect_sql, {"arrays", arrays}, {"columns", plan_slot_columns(p, t)},
		{"table", plan_table(p, t)}, {"selection", plan_selection(p, t, "$1", subject)},
		{"unused", shared ? share(p, &c) : ""},
		{"limit",
		 c.limited ? t_printf(p, "%s LIMIT $2::bigint", plan_slice_order(p, t)) : ""},
		{"lock", locks ? " FOR UPDATE" : ""});
	return c;
}

/*
 * From the top down, so that a parent's arrays are there before a child asks for them; shared rows
 * after all that may use them.
 */
void plan_collects(struct plan *p)
{
	const struct model *m = p->model;

	p->collects = t_array(p, struct collect, m->n_tables);
	for (size_t round = 0; round < m->n_tables * m->n_tables; round++)
		for (size_t i = 0; i < m->n_tables; i++) {
			const struct table *t = &m->tables[i];

			if (plan_phase(t) != round / m->n_tables ||
			    model_depth(t) != round % m->n_tables || !model_is_under(t, p->subject))
				continue;
			/* The batch has the subject's keys: only further columns are collected. */
			if (t == p->subject ? p->n_slots[i] > 1 : plan_is_collected(p, t))
				p->collects[p->n_collects++] = collect_of(p, t);
		}
}
