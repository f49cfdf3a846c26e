/*
 * From the model to statements.  The order of the erasures is the catalog's: a table is deleted
 * from only after every table with a foreign key onto it has had its statement.
 */
#include "plan/builder.h"

#include "base/mem.h"
#include "plan/crossref.h"
#include "plan/due.h"
#include "plan/guard.h"
#include "plan/by_set.h"
#include "plan/shared.h"
#include "plan/slice.h"
#include "base/sql.h"

static void add_slot(struct builder *b, const struct table *t, const char *column)
{
	const size_t i = t->index;
	size_t s = 0;

	while (s < b->n_slots[i] && (!b->slots[i][s] || strcmp(b->slots[i][s], column) != 0))
		s++;
	if (s == b->n_slots[i])
		b->slots[i][b->n_slots[i]++] = column;
	if (b->n_slots[i] > b->plan->most_slots)
		b->plan->most_slots = b->n_slots[i];
}

/* Which columns of t do those that hang off it point at?  Slot 0 is the key. */
static void find_slots(struct builder *b)
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

/* Rows that are the subject's own and use t's: their arrays are gathered as parameters from $2 on. */
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
	if (!plan_goes_along(o->t, x, b->plan->subject, b->opts->action) ||
	    (!own && (x->where || !plan_is_collected(b, x))))
		return NULL;
	o->sources[o->n++] = plan_source(b, x, own);
	return t_printf(b->ctx, "%s = ANY (%s)", plan_column(b->ctx, u, column),
			plan_array(b, x, column, t_printf(b->ctx, "$%zu", o->n + 1)));
}

/* Shared rows: locked, and then only those that nobody else uses. */
static char *shared_condition(struct builder *b, const struct table *t, struct collect *out)
{
	/* Each use may ask for each name of the model; twice, where rows use others of their table. */
	struct others others = {.b = b, .t = t};

	others.sources =
		t_array(b->ctx, struct source,
			2 * (b->catalog->n_keys + b->model->n_tables) * b->model->n_tables);
	out->lock_sql = t_printf(
		b->ctx,
		"SELECT count(*) AS n FROM (SELECT FROM %s AS t WHERE %s ORDER BY %s FOR UPDATE) AS x",
		sql_table(b->ctx, t->schema, t->table), plan_selection(b, t, "$1", false),
		plan_column(b->ctx, "t", t->key));
	out->sql = plan_unused(b->ctx, b->model, b->catalog, t, "t", b->opts->action, others_own,
			       &others);
	out->others = others.sources;
	out->n_others = others.n;
	return t_printf(b->ctx, "\n   AND %s", out->sql);
}

/*
 * The rows are locked only where a foreign key acts without a word, or where a table without a key is
 * deleted from by its parent's keys.  Elsewhere the lock on the
 * contacts and their requests is what keeps things together, and a row that a client attaches further
 * down between this and the erasure makes the foreign key refuse the batch, which then is run again
 * (batch/worker.c).  Locking millions of rows that are about to go costs as much as deleting them.
 */
static void add_collect(struct builder *b, const struct table *t, struct collect *out)
{
	const bool subject = t == b->plan->subject;
	const bool deletes = !subject && disposition_of(t, b->opts->action, b->opts->archive) ==
						 DISPOSITION_DELETE;
	const bool shared = t->shared && b->opts->action != ACTION_EXPORT;
	const size_t n = b->n_slots[t->index];
	char *inner = t_strdup(b->ctx, "SELECT ");
	char *outer = t_strdup(b->ctx, "SELECT ");

	*out = (struct collect){
		.table = t,
		.from = plan_source(b, t, subject),
		.slots = b->slots[t->index],
		.n_slots = n,
	};
	for (size_t s = 0; s < n; s++) {
		const char *slot = b->slots[t->index][s]; /* NULL: no key */

		t_append(&inner, "%s%s AS c%zu", s ? ", " : "", plan_slot(b, t, slot), s);
		t_append(
			&outer,
			"coalesce(array_agg(x.c%zu) FILTER (WHERE x.c%zu IS NOT NULL), '{}')::text "
			"AS c%zu, ",
			s, s, s);
	}
	out->limited = plan_is_cut(b, t);
	t_append(
		&inner, "\n  FROM %s AS t\n WHERE %s%s%s%s", sql_table(b->ctx, t->schema, t->table),
		plan_selection(b, t, "$1", subject), shared ? shared_condition(b, t, out) : "",
		out->limited ? t_printf(b->ctx, "%s LIMIT $2::bigint", plan_slice_order(b, t)) : "",
		deletes && !shared && (!t->key || catalog_attaches_silently(b->catalog, t))
			? " FOR UPDATE"
			: "");
	out->sql = t_printf(b->ctx, "%scount(*) AS n FROM (%s) AS x", outer, inner);
}

static size_t depth_of(const struct table *t)
{
	size_t depth = 0;

	for (; t->of; t = t->of)
		depth++;
	return depth;
}

/*
 * Top down: a parent's arrays are there before a child asks for them; and what is shared after all that may
 * use it.
 */
static struct collect *build_collects(struct builder *b)
{
	const struct model *m = b->model;
	struct collect *collects = t_array(b->ctx, struct collect, m->n_tables);
	size_t n = 0;

	for (size_t round = 0; round < m->n_tables * m->n_tables; round++)
		for (size_t i = 0; i < m->n_tables; i++) {
			const struct table *t = &m->tables[i];

			if (plan_phase(t) != round / m->n_tables ||
			    depth_of(t) != round % m->n_tables ||
			    !model_is_under(t, b->plan->subject))
				continue;
			/* The subject's keys are the batch's: only further columns are collected. */
			if (t == b->plan->subject ? b->n_slots[i] > 1 : plan_is_collected(b, t))
				add_collect(b, t, &collects[n++]);
		}
	b->plan->collects = collects;
	b->plan->n_collects = n;
	return collects;
}

static bool must_precede(const struct builder *b, const struct table *first,
			 const struct table *second, bool ignore_deferrable)
{
	const unsigned int from = plan_relation(b, first)->oid, to = plan_relation(b, second)->oid;

	if (from == to ||
	    disposition_of(second, b->opts->action, b->opts->archive) != DISPOSITION_DELETE)
		return false;
	for (size_t i = 0; i < b->catalog->n_keys; i++) {
		const struct foreign_key *k = &b->catalog->keys[i];

		if (k->from_oid == from && k->to_oid == to && !(ignore_deferrable && k->deferrable))
			return true;
	}
	return false;
}

static bool is_ready(const struct builder *b, const struct table *t, const bool *taken,
		     bool lenient)
{
	for (size_t i = 0; i < b->model->n_tables; i++)
		if (!taken[i] && plan_has_step(b, &b->model->tables[i]) &&
		    must_precede(b, &b->model->tables[i], t, lenient))
			return false;
	return true;
}

/*
 * Orders the tables that have a step: one whose referencing tables have all gone before, the
 * deepest first, so that triggers see what an application would show them.  false: a ring.
 */
static bool order_tables(const struct builder *b, const struct table **order, size_t *ret_n,
			 bool lenient, const struct table **ret_stuck)
{
	const struct model *m = b->model;
	AUTO(talloc) bool *taken = t_array(NULL, bool, m->n_tables);
	size_t todo = 0;

	*ret_n = 0;
	for (size_t i = 0; i < m->n_tables; i++)
		todo += plan_has_step(b, &m->tables[i]) ? 1 : 0;
	while (*ret_n < todo) {
		const struct table *best = NULL;

		for (size_t i = 0; i < m->n_tables; i++) {
			const struct table *t = &m->tables[i];

			if (taken[i] || !plan_has_step(b, t))
				continue;
			*ret_stuck = t;
			if (is_ready(b, t, taken, lenient) &&
			    (!best || depth_of(t) > depth_of(best)))
				best = t;
		}
		if (!best)
			return false;
		taken[best->index] = true;
		order[(*ret_n)++] = best;
	}
	return true;
}

static struct step *build_steps(struct builder *b, struct complaints *c)
{
	const struct table **order = t_array(b->ctx, const struct table *, b->model->n_tables);
	const struct table *stuck = b->plan->subject;
	struct step *steps;
	size_t n = 0, n_files = 0;

	if (!order_tables(b, order, &n, false, &stuck)) {
		b->plan->defer = true;
		if (!order_tables(b, order, &n, true, &stuck)) {
			complain(c, &stuck->place,
				 "table \"%s\": foreign keys form a ring through %s.%s, so that no "
				 "order "
				 "of deletion satisfies them: make one of them DEFERRABLE, or use "
				 "delete = \"detach\"",
				 stuck->name, stuck->schema, stuck->table);
			return NULL;
		}
	}
	steps = t_array(b->ctx, struct step, n);
	for (size_t i = 0; i < n; i++) {
		plan_step(b, order[i], &steps[i]);
		steps[i].file_number = n_files;
		n_files += steps[i].archived ? 1 : 0;
		if (steps[i].archived && steps[i].disposition == DISPOSITION_DETACH &&
		    !order[i]->key)
			complain(c, &order[i]->place,
				 "table \"%s\": an archive of detached rows needs the table's key",
				 order[i]->name);
	}
	b->plan->steps = steps;
	b->plan->n_steps = n;
	b->plan->may_slice = plan_may_slice(b);
	plan_slices(b, steps);
	return c->n == 0 ? steps : NULL;
}

/* The statements on the subject: list, lock, re-check and the questions about keys. */
static void build_subject(struct builder *b)
{
	const struct table *t = b->plan->subject, *c = b->model->contact;
	const char *table = sql_table(b->ctx, t->schema, t->table);
	const char *key = plan_column(b->ctx, "t", t->key);
	/* Each key as text by itself: a char(8) in an array would bring its padding along. */
	const char *of_array = "coalesce(array_agg(x.k::text), '{}')::text AS keys, count(*) AS n";

	b->plan->list_sql = t_printf(
		b->ctx,
		"INSERT INTO retention.candidate (job, n, key, weight)\n"
		"SELECT $3::int, row_number() OVER (ORDER BY due.k), due.k::text, due.weight\n"
		"  FROM (%s) AS due",
		plan_due_query(
			b->ctx, b->model, b->catalog, b->opts,
			b->opts->by_key
				? t_printf(b->ctx,
					   "ARRAY(SELECT s.key::%s FROM retention.selection AS s"
					   " WHERE s.job = $3::int)",
					   plan_type(b->catalog, t, t->key))
				: NULL));
	b->plan->recheck_sql = t_printf(b->ctx, "SELECT %s FROM (%s) AS x", of_array,
					plan_due_query(b->ctx, b->model, b->catalog, b->opts,
						       plan_array(b, t, t->key, "$3")));
	b->plan->present_sql =
		t_printf(b->ctx, "SELECT %s FROM (SELECT %s AS k FROM %s AS t WHERE %s) AS x",
			 of_array, key, table, plan_selection(b, t, "$1", true));
	/* SKIP LOCKED: a row that somebody works on is left for a later sweep, never waited for. */
	b->plan->lock_sql =
		b->opts->action == ACTION_EXPORT
			? b->plan->present_sql
			: t_printf(b->ctx,
				   "SELECT %s FROM (SELECT %s AS k FROM %s AS t WHERE %s\n"
				   " ORDER BY 1 FOR UPDATE SKIP LOCKED) AS x",
				   of_array, key, table, plan_selection(b, t, "$1", true));
	b->plan->held_sql = t_printf(
		b->ctx,
		"SELECT %s FROM (SELECT %s AS k FROM %s AS t%s\n"
		"  JOIN retention.holds_in_force AS h ON h.contact_key = %s::text\n"
		" WHERE %s) AS x",
		of_array, key, table,
		t == c ? ""
		       : t_printf(b->ctx, " JOIN %s AS c ON %s",
				  sql_table(b->ctx, c->schema, c->table),
				  plan_link(b->ctx, b->catalog, t, "t", "c")),
		plan_column(b->ctx, t == c ? "t" : "c", c->key), plan_selection(b, t, "$1", true));
	b->plan->total_sql = t_printf(b->ctx, "SELECT count(*) AS n FROM %s AS t", table);
}

struct plan *plan_build(void *ctx, const struct model *model, const struct catalog *catalog,
			const struct plan_opts *opts, struct complaints *c)
{
	struct plan *plan = t_zero(ctx, struct plan);
	struct builder b = {
		.ctx = plan, .model = model, .catalog = catalog, .opts = opts, .plan = plan};
	struct collect *collects;
	struct step *steps;

	plan->action = opts->action;
	plan->most_slots = 1;
	plan->archive = opts->archive;
	plan->model = model;
	plan->subject = disposition_subject(model, opts->action);
	find_slots(&b);
	steps = build_steps(&b, c);
	if (!steps) {
		talloc_free(plan);
		return NULL;
	}
	collects = build_collects(&b);
	build_subject(&b);
	if (opts->by_set)
		plan_by_set(&b, steps, collects);
	plan->crossref_sql = plan_crossref(&b);
	plan_guards(plan, catalog, opts);
	return plan;
}

static void add_probe(void *ctx, struct probe *probes, size_t *n, const struct place *place,
		      const char *what, const char *sql)
{
	if (sql)
		probes[(*n)++] =
			(struct probe){.place = place, .what = t_strdup(ctx, what), .sql = sql};
}

/*
 * A predicate alone on its table: no other table's columns can lend it a name.  In two kinds of
 * brackets, so that "a) OR (b" is refused: within a statement it would reach every row.
 */
static char *predicate_probe(void *ctx, const struct table *t, const char *predicate)
{
	return predicate ? t_printf(ctx, "SELECT FROM %s WHERE (%s\n) ORDER BY (ARRAY[%s\n])[1]",
				    sql_table(ctx, t->schema, t->table), predicate, predicate)
			 : NULL;
}

const struct probe *plan_probes(void *ctx, const struct plan *plan, const struct place *scope_place,
				const char *scope, size_t *ret_n)
{
	const struct model *m = plan->model;
	struct probe *probes = t_array(
		ctx, struct probe, 2 * m->n_tables + 3 * plan->n_collects + 4 * plan->n_steps + 9);
	const struct place *at = &plan->subject->place;
	size_t n = 0;

	for (size_t i = 0; i < m->n_tables; i++) {
		const struct table *t = &m->tables[i];

		add_probe(ctx, probes, &n, &t->place, t_printf(ctx, "table \"%s\": where", t->name),
			  predicate_probe(ctx, t, t->where));
		add_probe(ctx, probes, &n, &t->place,
			  t_printf(ctx, "table \"%s\": due_when", t->name),
			  predicate_probe(ctx, t, t->due_when));
	}
	add_probe(ctx, probes, &n, scope_place, "scope", predicate_probe(ctx, m->contact, scope));
	add_probe(ctx, probes, &n, at, "the list of those due", plan->list_sql);
	add_probe(ctx, probes, &n, at, "the re-check of those due", plan->recheck_sql);
	add_probe(ctx, probes, &n, at, "the lock of a batch", plan->lock_sql);
	add_probe(ctx, probes, &n, at, "the lock of a batch's requests", plan->lock_requests_sql);
	add_probe(ctx, probes, &n, at, "the holds of a batch", plan->held_sql);
	for (size_t i = 0; i < plan->n_collects; i++) {
		const struct collect *one = &plan->collects[i];

		add_probe(ctx, probes, &n, &one->table->place,
			  t_printf(ctx, "table \"%s\": its keys", one->table->name), one->sql);
		add_probe(ctx, probes, &n, &one->table->place,
			  t_printf(ctx, "table \"%s\": its lock", one->table->name), one->lock_sql);
		add_probe(ctx, probes, &n, &one->table->place,
			  t_printf(ctx, "table \"%s\": its keys with the rows", one->table->name),
			  one->gather_sql);
	}
	add_probe(ctx, probes, &n, at, "the question for orphans", plan->orphans.sql);
	for (size_t i = 0; i < plan->n_steps; i++)
		add_probe(ctx, probes, &n, &plan->steps[i].table->place,
			  t_printf(ctx, "table \"%s\": its files", plan->steps[i].table->name),
			  plan->steps[i].outbox_sql);
	for (size_t i = 0; i < plan->n_steps; i++)
		add_probe(ctx, probes, &n, &plan->steps[i].table->place,
			  t_printf(ctx, "table \"%s\": %s", plan->steps[i].table->name,
				   action_name(plan->action)),
			  plan->steps[i].sql);
	for (size_t i = 0; i < plan->n_steps; i++)
		add_probe(ctx, probes, &n, &plan->steps[i].table->place,
			  t_printf(ctx, "table \"%s\": its slices", plan->steps[i].table->name),
			  plan->steps[i].slice_sql);
	add_probe(ctx, probes, &n, at, "the sizes of a batch", plan->sizes_sql);
	*ret_n = n;
	return probes;
}
