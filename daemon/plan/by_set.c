#include "plan/by_set.h"

#include "base/mem.h"
#include "plan/due.h"
#include "base/sql.h"

bool plan_is_referenced(const struct catalog *catalog, const struct table *t)
{
	for (size_t i = 0; i < catalog->n_keys; i++)
		if (catalog->keys[i].to_oid == catalog->relations[t->index].oid)
			return true;
	return false;
}

const char *plan_asked_column(const struct table *t, const struct foreign_key *key)
{
	for (size_t i = 0; t->key && i < key->n_columns; i++)
		if (strcmp(key->to_columns[i], t->key) == 0)
			return t->key;
	return key->to_columns[0];
}

static size_t slot_of(const struct builder *b, const struct table *t, const char *column)
{
	size_t slot = 0;

	while (!b->slots[t->index][slot] || strcmp(b->slots[t->index][slot], column) != 0)
		slot++; /* find_slots() has put it there */
	return slot;
}

/* One foreign key's question; $n: the values of the deleted rows that it asks for. */
static char *question(const struct builder *b, const struct table *t, const struct foreign_key *k,
		      size_t n)
{
	const char *asked = plan_asked_column(t, k), *from = NULL;
	char *join = t_strdup(b->ctx, ""), *set = t_strdup(b->ctx, "");

	for (size_t i = 0; i < k->n_columns; i++) {
		const char *column = plan_column(b->ctx, "c", k->from_columns[i]);

		if (strcmp(k->to_columns[i], asked) == 0)
			from = column;
		t_append(&join, "%s%s = %s", i ? " AND " : "",
			 plan_column(b->ctx, "p", k->to_columns[i]), column);
		if (k->n_columns > 1)
			t_append(&set, " AND %s IS NOT NULL", column);
	}
	return t_printf(b->ctx,
			"SELECT %s AS name WHERE EXISTS (\n"
			"  SELECT FROM %s AS c WHERE %s = ANY ($%zu::%s[])%s\n"
			"     AND NOT EXISTS (SELECT FROM %s AS p WHERE %s))",
			sql_literal(b->ctx, t_printf(b->ctx, "%s (%s)", k->from_name, k->name)),
			k->from_sql, from, n, plan_type(b->catalog, t, asked), set,
			sql_table(b->ctx, t->schema, t->table), join);
}

/* The only step that takes rows of the table: under a second name there may be others below. */
static const struct step *only_step(const struct builder *b, unsigned int oid)
{
	const struct step *found = NULL;

	for (size_t i = 0; i < b->plan->n_steps; i++) {
		const struct step *s = &b->plan->steps[i];

		if (plan_relation(b, s->table)->oid != oid)
			continue;
		if (found || s->disposition != DISPOSITION_DELETE)
			return NULL;
		found = s;
	}
	return found;
}

/*
 * From the top down: has every row that points through k at a deleted one gone?  Where the step below takes all that
 * its link finds, and nothing says which of them those were (by_own), or which else.
 */
static bool is_settled(const struct builder *b, const struct foreign_key *k)
{
	const struct step *above = only_step(b, k->to_oid), *below = only_step(b, k->from_oid);

	return b->plan->top_down && above && below && above != below &&
	       below->table->of == above->table && k->n_columns == 1 &&
	       catalog_link_covers(b->catalog, below->table, k) && !below->table->where &&
	       !below->table->match && !below->table->shared &&
	       (below->gather ||
		(!below->by_own && (below->linked || !plan_is_own(b, below->table))));
}

/* Rows are found by their own table's columns alone, whatever of the others is there still. */
static bool may_go_top_down(const struct builder *b)
{
	if (b->opts->action != ACTION_DELETE_CONTACTS || b->plan->defer)
		return false;
	for (size_t i = 0; i < b->plan->n_steps; i++)
		if (b->plan->steps[i].disposition != DISPOSITION_DELETE)
			return false;
	for (size_t i = 0; i < b->model->n_tables; i++)
		if (b->model->tables[i].shared ||
		    catalog_asks_other_rows(b->catalog, b->model->tables[i].where))
			return false;
	return true;
}

static void add_question(const struct builder *b, struct question *q, const struct table *t,
			 const struct foreign_key *k)
{
	const size_t most = b->plan->n_steps * (b->catalog->n_keys + 1);
	const char *one = question(b, t, k, q->n_sources + 1);

	if (!q->sources)
		q->sources = t_array(b->ctx, struct source, most);
	q->sources[q->n_sources++] = (struct source){
		.table = t->index,
		.slot = slot_of(b, t, plan_asked_column(t, k)),
	};
	q->sql = q->sql ? t_printf(b->ctx, "%s\nUNION ALL\n%s", q->sql, one) : one;
}

/* As its collect, of the rows that go: no key is told where there are more than $2. */
static char *gather_statement(const struct builder *b, const struct collect *c)
{
	const struct table *t = c->table;
	char *list = t_strdup(b->ctx, ""), *returning = t_strdup(b->ctx, "");

	for (size_t i = 0; i < c->n_slots; i++) {
		t_append(
			&list,
			"CASE WHEN count(*) <= $2::bigint\n"
			"     THEN coalesce(array_agg(x.c%zu) FILTER (WHERE x.c%zu IS NOT NULL), '{}')::text\n"
			"     ELSE '{}' END AS c%zu, ",
			i, i, i);
		t_append(&returning, "%s%s AS c%zu", i ? ", " : "", plan_slot(b, t, c->slots[i]),
			 i);
	}
	return t_printf(b->ctx,
			"WITH x AS (DELETE FROM %s AS t WHERE %s RETURNING %s)\n"
			"SELECT %scount(*) AS n FROM x",
			sql_table(b->ctx, t->schema, t->table), plan_selection(b, t, "$1", false),
			returning, list);
}

static size_t step_of(const struct plan *plan, size_t table)
{
	size_t i = 0;

	while (i < plan->n_steps && plan->steps[i].table->index != table)
		i++;
	return i; /* n_steps: it has none */
}

/* Can the step's own DELETE say what is collected of its table?  It is measured by its rows alone then. */
static bool may_gather(const struct plan *plan, const struct collect *c)
{
	const size_t i = step_of(plan, c->table->index);
	const struct step *s = i < plan->n_steps ? &plan->steps[i] : NULL;

	return plan->top_down && s && s->linked && s->slice_sql && !s->archived && !s->outbox_sql &&
	       !s->verify;
}

/* Of those marked: is c's source there before its step, and that before all who ask for what it returns? */
static bool is_in_time(const struct plan *plan, const struct collect *collects, const bool *marked,
		       size_t c)
{
	const size_t table = collects[c].table->index;
	const size_t mine = step_of(plan, table);

	for (size_t i = 0; i < plan->n_collects; i++) {
		if (collects[i].from.table == table && i != c && !marked[i])
			return false;
		if (collects[i].table->index == plan->steps[mine].parent.table && marked[i] &&
		    step_of(plan, collects[i].table->index) < mine)
			return false;
	}
	for (size_t i = mine + 1; i < plan->n_steps; i++) /* from the top down: they go before */
		if (plan->steps[i].from.table == table ||
		    (plan->steps[i].linked && plan->steps[i].parent.table == table))
			return false;
	return true;
}

static void find_gathers(const struct builder *b, struct step *steps, struct collect *collects)
{
	const struct plan *plan = b->plan;
	bool *marked = t_array(b->ctx, bool, plan->n_collects + 1);
	bool changed = true;

	for (size_t i = 0; i < plan->n_collects; i++)
		marked[i] = may_gather(plan, &collects[i]);
	while (changed) {
		changed = false;
		for (size_t i = 0; i < plan->n_collects; i++)
			if (marked[i] && !is_in_time(plan, collects, marked, i)) {
				marked[i] = false;
				changed = true;
			}
	}
	for (size_t i = 0; i < plan->n_collects; i++)
		if (marked[i]) {
			collects[i].gather_sql = gather_statement(b, &collects[i]);
			steps[step_of(plan, collects[i].table->index)].gather = &collects[i];
		}
}

void plan_by_set(struct builder *b, struct step *steps, struct collect *collects)
{
	b->plan->top_down = may_go_top_down(b);
	find_gathers(b, steps, collects);
	for (size_t i = 0; i < b->plan->n_steps; i++) {
		const struct table *t = b->plan->steps[i].table;

		if (b->plan->steps[i].disposition != DISPOSITION_DELETE)
			continue;
		for (size_t k = 0; k < b->catalog->n_keys; k++) {
			const struct foreign_key *key = &b->catalog->keys[k];

			if (key->to_oid != plan_relation(b, t)->oid)
				continue;
			add_question(b, &b->plan->orphans, t, key);
			if (!is_settled(b, key))
				add_question(b, &b->plan->loose, t, key);
		}
	}
}
