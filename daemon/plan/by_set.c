/*
 * limits.integrity = "set": rows are deleted with session_replication_role = replica, so that the
 * server fires no foreign-key trigger for each of them.  Instead each foreign key onto a table that
 * loses rows is asked once a batch, by these statements, in a snapshot taken after the deletions:
 * does a row still point at one that is gone?  Then the batch does not commit.
 *
 * No orphaned row can result.  A session that adds a row that points at one of ours first locks our
 * row FOR KEY SHARE: the foreign-key trigger still fires in that session.  If that session has the
 * lock before our DELETE, the DELETE waits until it commits, and then the question sees its row.
 * If it comes later, it waits for our COMMIT and is refused.  The server's own trigger relies on
 * the same locks (ri_triggers.c, RI_FKey_noaction_del).
 *
 * Subjects that go whole go from the top down: a parent's row first, then the rows that hang off
 * it, found by the very column of the foreign key.  That statement's snapshot is taken after the
 * parent's DELETE.  By the same reasoning it sees, and deletes, every row that will ever point
 * there.  So no question is needed, and each index is searched once instead of twice.  For the same
 * reason a table's keys need not be known before its own DELETE.  The DELETE returns the keys for
 * the tables below (collect.gather_sql).  They are the keys of the rows that went, even if a client
 * has put other rows in their place.
 *
 * Keys that no link of the model covers are asked as before.  All keys are asked in two kinds of
 * batches: in measured batches, which have to know the rows before they erase, and in slices, which
 * go from the bottom up because the parents still exist between two slices.
 */
#include "plan/builder.h"

#include "base/mem.h"
#include "base/sql.h"

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
		slot++; /* plan_slots() has put it there */
	return slot;
}

/* One foreign key's question: {array} holds the values of the deleted rows that it asks for. */
static const char orphan_sql[] =
	"SELECT {name} AS name WHERE EXISTS (\n"
	"  SELECT FROM {from_table} AS c WHERE {from_column} = ANY ({array}){not_null}\n"
	"     AND NOT EXISTS (SELECT FROM {to_table} AS p WHERE {match}))";

static char *question(const struct builder *b, const struct table *t, const struct foreign_key *k,
		      const char *array)
{
	const char *asked = plan_asked_column(t, k), *from = NULL;
	char *not_null = t_strdup(b->ctx, "");

	for (size_t i = 0; i < k->n_columns; i++) {
		const char *column = plan_column(b->ctx, "c", k->from_columns[i]);

		if (strcmp(k->to_columns[i], asked) == 0)
			from = column;
		if (k->n_columns > 1)
			t_append(&not_null, " AND %s IS NOT NULL", column);
	}
	return sql_fill(
		b->ctx, orphan_sql,
		{"name", sql_literal(b->ctx, t_printf(b->ctx, "%s (%s)", k->from_name, k->name))},
		{"from_table", k->from_sql}, {"from_column", from},
		{"array", plan_array(b, t, asked, array)}, {"not_null", not_null},
		{"to_table", plan_table(b->ctx, t)},
		{"match", plan_key_match(b->ctx, k, "c", "p")});
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
 * From the top down: has every row that points through k at a deleted one gone?  It has where the
 * step below takes all rows that its link finds: nothing says which of them those were (by_own),
 * nor which others there are.
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

/*
 * Are rows found by their own table's columns alone, whatever is still there of the other tables?
 */
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
	const char *one = question(b, t, k, t_printf(b->ctx, "$%zu", q->n_sources + 1));

	if (!q->sources)
		q->sources = t_array(b->ctx, struct source, most);
	q->sources[q->n_sources++] = (struct source){
		.table = t->index,
		.slot = slot_of(b, t, plan_asked_column(t, k)),
	};
	q->sql = q->sql ? t_printf(b->ctx, "%s\nUNION ALL\n%s", q->sql, one) : one;
}

/*
 * The DELETE returns what its collect does.  It returns no key where there are more than $2 rows.
 */
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
			plan_table(b->ctx, t), plan_selection(b, t, "$1", false), returning, list);
}

static size_t step_of(const struct plan *plan, size_t table)
{
	size_t i = 0;

	while (i < plan->n_steps && plan->steps[i].table->index != table)
		i++;
	return i; /* n_steps: it has none */
}

/*
 * Can the step's own DELETE return what is collected of its table?  Its rows alone then measure it.
 */
static bool may_gather(const struct plan *plan, const struct collect *c)
{
	const size_t i = step_of(plan, c->table->index);
	const struct step *s = i < plan->n_steps ? &plan->steps[i] : NULL;

	return plan->top_down && s && s->linked && s->slice_sql && !s->archived && !s->outbox_sql &&
	       !s->verify;
}

/*
 * Among the marked collects: is c's source there before its step, and its step before all that need
 * its keys?
 */
static bool is_in_time(const struct plan *plan, const bool *marked, size_t c)
{
	const struct collect *collects = plan->collects;
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

static void find_gathers(const struct builder *b, struct plan *plan)
{
	bool *marked = t_array(b->ctx, bool, plan->n_collects + 1);
	bool changed = true;

	for (size_t i = 0; i < plan->n_collects; i++)
		marked[i] = may_gather(plan, &plan->collects[i]);
	while (changed) {
		changed = false;
		for (size_t i = 0; i < plan->n_collects; i++)
			if (marked[i] && !is_in_time(plan, marked, i)) {
				marked[i] = false;
				changed = true;
			}
	}
	for (size_t i = 0; i < plan->n_collects; i++) {
		struct collect *c = &plan->collects[i];

		if (!marked[i])
			continue;
		c->gather_sql = gather_statement(b, c);
		plan->steps[step_of(plan, c->table->index)].gather = c;
	}
}

void plan_by_set(const struct builder *b, struct plan *plan)
{
	plan->top_down = may_go_top_down(b);
	find_gathers(b, plan);
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct table *t = plan->steps[i].table;

		if (plan->steps[i].disposition != DISPOSITION_DELETE)
			continue;
		for (size_t k = 0; k < b->catalog->n_keys; k++) {
			const struct foreign_key *key = &b->catalog->keys[k];

			if (key->to_oid != plan_relation(b, t)->oid)
				continue;
			add_question(b, &plan->orphans, t, key);
			if (!is_settled(b, key))
				add_question(b, &plan->loose, t, key);
		}
	}
}
