/* What makes the statements of an action slow, and what a person can do: indexes, and the shard. */
#include "command/model_check_state.h"

#include "base/sql.h"
#include "model/path.h"
#include "model/shard.h"

#include <string.h>

static bool key_has_hint(const struct model_check *m, const struct table *t)
{
	const unsigned int oid = m->catalog->relations[t->index].oid;

	for (const struct foreign_key *k = NULL; (k = catalog_next_key(m->catalog, k, oid, 0));)
		if (!k->indexed && catalog_link_covers(m->catalog, t, k))
			return true;
	return false;
}

/* The index that is missing, as a cure. */
static const char *index_cure(const struct model_check *m, const char *table, const char *columns,
			      bool partitioned)
{
	const char *sql = sql_create_index(m->ctx, table, columns, partitioned);

	/* The same as SQL_INDEX_LOCKS, for the catalogue of translations. */
	return partitioned
		       ? t_printf(m->ctx, "%s (%s)", sql,
				  model_check_word(
					  m, N_("it locks out writes while it runs: to avoid that, "
						"create it ON ONLY the table, then CONCURRENTLY "
						"on each partition, and attach these")))
		       : sql;
}

/* An index that a small table lacks is only counted: a line for each would hide what must be looked at. */
static void find_indexes(struct model_check *m)
{
	size_t n_small = 0;

	for (size_t i = 0; i < m->model->n_tables; i++) {
		const struct table *t = &m->model->tables[i];
		const struct relation *r = &m->catalog->relations[i];

		if (!t->by || r->by_indexed || key_has_hint(m, t))
			continue;
		if (r->rows < CATALOG_LARGE_ROWS)
			n_small++;
		else
			HINT(m, N_("table \"%s\": its link has no index: %s"), t->name,
			     index_cure(m, sql_table(m->ctx, t->schema, t->table),
					path_idents(m->ctx, t->by), r->partitioned));
	}
	for (size_t i = 0; i < m->catalog->n_keys; i++) {
		const struct foreign_key *k = &m->catalog->keys[i];

		if (!k->indexed && k->from_rows < CATALOG_LARGE_ROWS)
			n_small++;
		else if (!k->indexed)
			HINT(m, N_("foreign key \"%s\" has no index: %s"), k->name,
			     index_cure(m, k->from_sql, k->columns_sql, k->partitioned));
	}
	if (n_small > 0)
		HINT(m,
		     N_("links of tables with fewer than %d rows that have no index, and need none "
			"yet: %zu"),
		     CATALOG_LARGE_ROWS, n_small);
}

/*
 * Returns the column of contact that would narrow more tables than the model's shard does, and adds a hint on it; false:
 * there is none.
 */
static bool find_better_shard(struct model_check *m)
{
	const char *now = m->model->contact->shard, *name;
	struct catalog trial = *m->catalog;
	size_t n;

	trial.relations = t_array(m->ctx, struct relation, m->model->n_tables);
	memcpy(trial.relations, m->catalog->relations,
	       m->model->n_tables * sizeof(*trial.relations));
	name = shard_propose(m->model, &trial);
	n = shard_count(m->model, &trial);
	if (!name || (now && strcmp(name, now) == 0) || n <= shard_count(m->model, m->catalog))
		return false;
	if (n == 1)
		HINT(m,
		     N_("1 table has partitions or shards of Citus by the contact's \"%s\", and each of its "
			"statements asks all of them: say shard = \"%s\" on contact"),
		     name, name);
	else
		HINT(m,
		     N_("%zu tables have partitions or shards of Citus by the contact's \"%s\", and each of "
			"their statements asks all of them: say shard = \"%s\" on contact"),
		     n, name, name);
	return true;
}

/* Adds a hint on a table that is split, and on which no statement reaches its part alone. */
static void find_unnarrowed(struct model_check *m, const struct table *t)
{
	const struct relation *r = &m->catalog->relations[t->index];
	const char *name = shard_expected(m->catalog, t), *better = NULL;

	if (!(r->partitioned || r->spread == SPREAD_ROWS) || shard_narrows(r))
		return;
	if (t->of && !r->shard)
		better = shard_proved(m->model, m->catalog, t);
	if (r->shard)
		HINT(m,
		     N_("table \"%s\": each of its statements asks all its partitions, because "
			"they are not made by its shard \"%s\""),
		     t->name, r->shard);
	else if (better)
		HINT(m,
		     N_("table \"%s\": each of its statements asks all its partitions, because "
			"no shard narrows them: say shard = \"%s\""),
		     t->name, better);
	else
		HINT(m,
		     N_("table \"%s\": each of its statements asks all its partitions, because "
			"shard \"%s\" %s"),
		     t->name, name, shard_fault(m->ctx, m->model, m->catalog, t, name));
}

/*
 * A better shard of contact goes before what could be done for the other one, which can be against the data: to forbid
 * NULL in a column that is no tenant's.  A shard that is refused has been told of.
 */
static void find_shard(struct model_check *m)
{
	if (find_better_shard(m) || !m->catalog->relations[m->model->contact->index].shard)
		return;
	for (size_t i = 0; i < m->model->n_tables; i++)
		if (!m->model->tables[i].shard || m->catalog->relations[i].shard)
			find_unnarrowed(m, &m->model->tables[i]);
}

void model_check_speed(struct model_check *m)
{
	find_indexes(m);
	find_shard(m);
}
