/*
 * The keys that a batch reads before it erases.  It reads them from each table that has tables below
 * it, and from each table whose rows have to be known one by one.
 */
#include "plan/builder.h"

#include "base/mem.h"
#include "base/sql.h"

static void add_slot(struct builder *b, const struct table *t, const char *column)
{
	const size_t i = t->index;
	size_t s = 0;

	while (s < b->n_slots[i] && (!b->slots[i][s] || strcmp(b->slots[i][s], column) != 0))
		s++;
	if (s == b->n_slots[i])
		b->slots[i][b->n_slots[i]++] = column;
}

void plan_slots(struct builder *b)
{
	const size_t n = b->model->n_tables;

	b->slots = t_array(b->ctx, const char **, n);
	b->n_slots = t_array(b->ctx, size_t, n);
	for (size_t i = 0; i < n; i++) {
		const struct table *t = &b->model->tables[i];

		b->slots[i] = t_array(b->ctx, const char *, n + b->catalog->n_keys + 1);
		b->slots[i][0] = t->key;
		b->n_slots[i] = 1;
		for (size_t j = 0; j < n; j++)
			if (b->model->tables[j].of == t)
				add_slot(b, t, model_parent_column(&b->model->tables[j]));
		for (size_t k = 0; plan_is_asked(b, t) && k < b->catalog->n_keys; k++)
			if (b->catalog->keys[k].to_oid == plan_relation(b, t)->oid)
				add_slot(b, t, plan_asked_column(t, &b->catalog->keys[k]));
	}
}

/* The subject's own rows that use t's: their arrays become the parameters from $2 on. */
struct others {
	const struct builder *b;
	const struct table *t;
	struct source *sources;
	size_t n;
};

static char *others_own(void *arg, const struct table *x, const char *u)
{
	struct others *o = arg;
	const struct builder *b = o->b;
	const bool own = plan_is_own(b, x);
	const char *column = own ? x->key : x->by;

	if (x == o->t)
		return t_printf(b->ctx, "%s = ANY (%s)%s", plan_column(b->ctx, u, x->by),
				plan_array(b, x, x->by, "$1"), plan_within(b->ctx, x, u));
	if (!plan_goes_along(b, o->t, x) || (!own && (x->where || !plan_is_collected(b, x))))
		return NULL;
	o->sources[o->n++] = plan_source(b, x, own);
	return t_printf(b->ctx, "%s = ANY (%s)", plan_column(b->ctx, u, column),
			plan_array(b, x, column, t_printf(b->ctx, "$%zu", o->n + 1)));
}

/* Locks the shared rows.  After it, those that no other subject uses are collected. */
static const char lock_shared_sql[] =
	"SELECT count(*) AS n FROM (\n"
	"  SELECT FROM {table} AS t WHERE {selection} ORDER BY {key} FOR UPDATE) AS x";

/* Fills the lock of shared rows; returns the condition that nobody else uses them. */
static char *share(const struct builder *b, const struct table *t, struct collect *c)
{
	/*
	 * Each use may ask for each name of the model; twice, where rows use others of their table.
	 */
	const size_t most = 2 * (b->catalog->n_keys + b->model->n_tables) * b->model->n_tables;
	struct others others = {.b = b, .t = t, .sources = t_array(b->ctx, struct source, most)};
	const char *unused = plan_unused(b, t, "t", others_own, &others);

	c->lock_sql = sql_fill(b->ctx, lock_shared_sql, {"table", plan_table(b->ctx, t)},
			       {"selection", plan_selection(b, t, "$1", false)},
			       {"key", plan_column(b->ctx, "t", t->key)});
	c->others = others.sources;
	c->n_others = others.n;
	return t_printf(b->ctx, "\n   AND %s", unused);
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
static struct collect collect_of(const struct builder *b, const struct table *t)
{
	const bool subject = t == b->plan->subject;
	const bool shared = t->shared && b->opts->action != ACTION_EXPORT;
	const bool locks = !subject && !shared && plan_disposition(b, t) == DISPOSITION_DELETE &&
			   (!t->key || catalog_attaches_silently(b->catalog, t));
	struct collect c = {.table = t,
			    .from = plan_source(b, t, subject),
			    .slots = b->slots[t->index],
			    .n_slots = b->n_slots[t->index],
			    .limited = plan_is_cut(b, t)};
	char *columns = t_strdup(b->ctx, ""), *arrays = t_strdup(b->ctx, "");

	for (size_t s = 0; s < c.n_slots; s++) {
		t_append(&columns, "%s%s AS c%zu", s ? ", " : "", plan_slot(b, t, c.slots[s]), s);
		t_append(&arrays,
			 "%scoalesce(array_agg(x.c%zu) FILTER (WHERE x.c%zu IS NOT NULL), '{}')"
			 "::text AS c%zu",
			 s ? ", " : "", s, s, s);
	}
	c.sql = sql_fill(
		b->ctx, collect_sql, {"arrays", arrays}, {"columns", columns},
		{"table", plan_table(b->ctx, t)},
		{"selection", plan_selection(b, t, "$1", subject)},
		{"unused", shared ? share(b, t, &c) : ""},
		{"limit",
		 c.limited ? t_printf(b->ctx, "%s LIMIT $2::bigint", plan_slice_order(b, t)) : ""},
		{"lock", locks ? " FOR UPDATE" : ""});
	return c;
}

/*
 * From the top down, so that a parent's arrays are there before a child asks for them; shared rows
 * after all that may use them.
 */
void plan_collects(const struct builder *b, struct plan *plan)
{
	const struct model *m = b->model;

	plan->most_slots = 1;
	for (size_t i = 0; i < m->n_tables; i++)
		if (b->n_slots[i] > plan->most_slots)
			plan->most_slots = b->n_slots[i];
	plan->collects = t_array(b->ctx, struct collect, m->n_tables);
	for (size_t round = 0; round < m->n_tables * m->n_tables; round++)
		for (size_t i = 0; i < m->n_tables; i++) {
			const struct table *t = &m->tables[i];

			if (plan_phase(t) != round / m->n_tables ||
			    model_depth(t) != round % m->n_tables ||
			    !model_is_under(t, plan->subject))
				continue;
			/* The batch has the subject's keys: only further columns are collected. */
			if (t == plan->subject ? b->n_slots[i] > 1 : plan_is_collected(b, t))
				plan->collects[plan->n_collects++] = collect_of(b, t);
		}
}
