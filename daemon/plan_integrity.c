#include "plan_integrity.h"

#include "mem.h"
#include "plan_due.h"
#include "sql.h"

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

void plan_integrity(struct builder *b)
{
	const struct plan *plan = b->plan;
	struct source *sources =
		t_array(b->ctx, struct source, plan->n_steps * (b->catalog->n_keys + 1));
	char *sql = NULL;
	size_t n = 0;

	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct table *t = plan->steps[i].table;

		if (plan->steps[i].fate != FATE_DELETE)
			continue;
		for (size_t k = 0; k < b->catalog->n_keys; k++) {
			const struct foreign_key *key = &b->catalog->keys[k];
			const char *one;

			if (key->to_oid != plan_relation(b, t)->oid)
				continue;
			sources[n] = (struct source){
				.table = t->index,
				.slot = slot_of(b, t, plan_asked_column(t, key)),
			};
			one = question(b, t, key, ++n);
			sql = sql ? t_printf(b->ctx, "%s\nUNION ALL\n%s", sql, one)
				  : t_printf(b->ctx, "%s", one);
		}
	}
	b->plan->orphans_sql = sql;
	b->plan->orphans = sources;
	b->plan->n_orphans = n;
}
