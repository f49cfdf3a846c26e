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
#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"

const struct columns *plan_asked_columns(const void *ctx, const struct table *t,
					 const struct foreign_key *key)
{
	const struct columns all = {key->to_columns, key->n_columns};
	struct columns *asked;

	if (t->key && columns_are_among(t->key, &all))
		return t->key;
	asked = t_zero(ctx, struct columns);
	*asked = all;
	/* A row of a key of several columns has few values alike in one of them. */
	asked->n = t->key && t->key->n > 1 ? all.n : 1;
	return asked;
}

/*
 * One foreign key's question: {among} says that a row points at one of the deleted rows.  OFFSET 0 keeps the
 * planner from joining with the whole table: normally no row is found, and then nothing else is read.
 */
static const char orphan_sql[] =
	"SELECT {name} AS name WHERE EXISTS (\n"
	"  SELECT FROM {from_table} AS c WHERE {among}{not_null}{from_shards}\n"
	"     AND NOT EXISTS (SELECT FROM {to_table} AS p WHERE {match}{to_shards} OFFSET 0))";

static char *question(const struct plan *p, const struct table *t, const struct foreign_key *k,
		      const char *array)
{
	const struct columns *asked = plan_asked_columns(p, t, k);
	const char **from = t_array(p, const char *, asked->n);
	const struct columns pointing = {.names = from, .n = asked->n};
	char *not_null = t_strdup(p, "");

	for (size_t i = 0; i < k->n_columns; i++) {
		for (size_t j = 0; j < asked->n; j++)
			if (strcmp(k->to_columns[i], asked->names[j]) == 0)
				from[j] = k->from_columns[i];
		if (k->n_columns > 1)
			t_append(&not_null, " AND %s IS NOT NULL",
				 plan_column(p, "c", k->from_columns[i]));
	}
	return sql_fill(p, orphan_sql, {"name", plan_key_name(p, k)}, {"from_table", k->from_sql},
			{"among", plan_is_among(p, t, asked, plan_key(p, "c", &pointing),
						plan_kept_array(p, t, asked, array,
								plan_slot_of(p, t, asked)))},
			{"not_null", not_null}, {"to_table", plan_table(p, t)},
			{"match", plan_key_match(p, k, "c", "p")},
			{"from_shards", plan_key_in_shards(p, t, k, "c")},
			{"to_shards", plan_in_shards(p, t, "p")});
}

/* The only step that takes rows of the table: under a second name there may be others below. */
static const struct step *only_step(const struct plan *p, unsigned int oid)
{
	const struct step *found = NULL;

	for (size_t i = 0; i < p->n_steps; i++) {
		const struct step *s = &p->steps[i];

		if (plan_oid(p, s->table) != oid)
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
static bool is_settled(const struct plan *p, const struct foreign_key *k)
{
	const struct step *above = only_step(p, k->to_oid), *below = only_step(p, k->from_oid);

	return p->top_down && above && below && above != below &&
	       below->table->of == above->table && k->n_columns == below->table->by->n &&
	       catalog_link_covers(p->catalog, below->table, k) && !below->table->where &&
	       !below->table->match && !below->table->shared &&
	       (below->gather ||
		(!below->by_own && (below->linked || !plan_is_own(p, below->table))));
}

/*
 * Are rows found by their own table's columns alone, whatever is still there of the other tables?
 */
static bool may_go_top_down(const struct plan *p)
{
	if (p->opts.action != ACTION_DELETE_CONTACTS || p->defer)
		return false;
	for (size_t i = 0; i < p->n_steps; i++)
		if (p->steps[i].disposition != DISPOSITION_DELETE)
			return false;
	for (size_t i = 0; i < p->model->n_tables; i++)
		if (p->model->tables[i].shared ||
		    catalog_asks_other_rows(p->catalog, p->model->tables[i].where))
			return false;
	return true;
}

static void add_question(struct plan *p, struct question *q, const struct table *t,
			 const struct foreign_key *k)
{
	const struct columns *asked = plan_asked_columns(p, t, k);

	q->sources = t_grow(p, q->sources, struct source, q->n_sources + 1);
	q->sources[q->n_sources++] = (struct source){t->index, plan_slot_of(p, t, asked)};
	if (!q->sql)
		q->sql = t_strdup(p, "");
	t_list(&q->sql, "\nUNION ALL\n", "%s",
	       question(p, t, k, t_printf(p, "$%zu", q->n_sources)));
}

static char *gather_statement(const struct plan *p, const struct collect *c)
{
	const struct table *t = c->table;
	char *list = t_strdup(p, "");

	for (size_t i = 0; i < p->n_slots[t->index]; i++)
		t_append(&list, "%s AS c%zu, ", plan_slot_array(p, t, i, "count(*) <= $2::bigint"),
			 i);
	return t_printf(p,
			"WITH x AS (DELETE FROM %s AS t WHERE %s RETURNING %s)\n"
			"SELECT %scount(*) AS n FROM x WHERE " SQL_UNDER_PATH,
			plan_table(p, t), plan_selection(p, t, "$1", false),
			plan_slot_columns(p, t), list);
}

/*
 * Can the step's own DELETE return what is collected of its table?  Its rows alone then measure it.  Citus refuses a row's
 * cast to text in RETURNING.
 */
static bool may_gather(const struct plan *p, const struct collect *c)
{
	const struct step *s = plan_step_of(p, c->table);

	return p->top_down && s && s->linked && s->slice_sql && !s->archived && !s->outbox_sql &&
	       !s->verify && !(p->catalog->citus && c->table->key && c->table->key->n > 1);
}

/*
 * Among the collects that are gathered: is c's source there before its step, and its step before all
 * that need its keys?
 */
static bool is_in_time(const struct plan *p, const struct collect *c)
{
	const size_t table = c->table->index;
	const struct step *mine = plan_step_of(p, c->table);

	for (const struct collect *x = p->collects; x < p->collects + p->n_collects; x++) {
		if (x->from.table == table && x != c && !x->gather_sql)
			return false;
		if (x->table->index == mine->parent.table && x->gather_sql &&
		    plan_step_of(p, x->table) < mine)
			return false;
	}
	/* From the top down the later steps go before. */
	for (const struct step *s = mine + 1; s < p->steps + p->n_steps; s++)
		if (s->from.table == table || (s->linked && s->parent.table == table))
			return false;
	return true;
}

static void find_gathers(struct plan *p)
{
	bool changed = true;

	for (size_t i = 0; i < p->n_collects; i++)
		if (may_gather(p, &p->collects[i]))
			p->collects[i].gather_sql = gather_statement(p, &p->collects[i]);
	while (changed) {
		changed = false;
		for (size_t i = 0; i < p->n_collects; i++)
			if (p->collects[i].gather_sql && !is_in_time(p, &p->collects[i])) {
				p->collects[i].gather_sql = NULL;
				changed = true;
			}
	}
	for (size_t i = 0; i < p->n_collects; i++)
		if (p->collects[i].gather_sql)
			plan_step_of(p, p->collects[i].table)->gather = &p->collects[i];
}

void plan_by_set(struct plan *p)
{
	p->top_down = may_go_top_down(p);
	find_gathers(p);
	for (size_t i = 0; i < p->n_steps; i++) {
		const struct table *t = p->steps[i].table;
		const struct foreign_key *k = NULL;

		while (plan_is_deleted(p, t) &&
		       (k = catalog_next_key(p->catalog, k, 0, plan_oid(p, t)))) {
			add_question(p, &p->orphans, t, k);
			if (!is_settled(p, k))
				add_question(p, &p->loose, t, k);
		}
	}
}
