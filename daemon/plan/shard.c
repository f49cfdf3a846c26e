/*
 * The shard column (model: shard): all rows of one contact hold the contact's value in it, which preflight has proved of
 * each table whose relation has one.  A batch holds subjects of one shard.  Each of its statements says so of each table,
 * in a constant: then the planner leaves out the partitions, or the servers, that hold no row of them.
 *
 * The condition changes no result.  So it is left out where nothing is proved, and of rows that may be another subject's.
 */
#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"

#include <string.h>

/* NULL instead of the values: they are not known. */
static const char in_shards_sql[] =
	" AND ({value} = ANY ({shards}) OR {value} = ({shards})[1] OR {shards} IS NULL)";

/*
 * " AND alias.column is among the batch's values", which have the type of t's shard column.
 *
 * The link may have an array for the same column.  With two arrays on one column of an index, a scan up to PostgreSQL 16
 * walks through all pairs of their elements: 1000 contacts would take seconds instead of milliseconds.  A condition with
 * OR is not one for an index, but finds the same partitions.  Citus wants it plain, and finds one server by it.
 */
static char *among_shards(const struct plan *p, const struct table *t, const char *alias,
			  const char *column)
{
	const struct relation *r = plan_relation(p, t);
	const char *type = catalog_column(r, r->shard)->type,
		   *value = plan_column(p, alias, column);

	if (r->spread == SPREAD_ROWS)
		return t_printf(p, " AND %s = ANY (%c::%s[])", value, PLAN_SHARDS, type);
	return sql_fill(p, in_shards_sql, {"value", value},
			{"shards", t_printf(p, "%c::%s[]", PLAN_SHARDS, type)});
}

const char *plan_in_shards(const struct plan *p, const struct table *t, const char *alias)
{
	const char *shard = plan_relation(p, t)->shard;

	return p->in_batch && shard ? among_shards(p, t, alias, shard) : "";
}

const char *plan_key_in_shards(const struct plan *p, const struct table *t,
			       const struct foreign_key *k, const char *alias)
{
	const char *shard = plan_relation(p, t)->shard;

	for (size_t i = 0; p->in_batch && shard && i < k->n_columns; i++)
		if (strcmp(k->to_columns[i], shard) == 0)
			return among_shards(p, t, alias, k->from_columns[i]);
	return "";
}

const char *plan_shard_link(const struct plan *p, const struct table *t, const char *alias,
			    const char *parent_alias)
{
	const char *shard = plan_relation(p, t)->shard;

	if (!shard || columns_have(t->by, shard))
		return "";
	return t_printf(p, " AND %s = %s", plan_column(p, alias, shard),
			plan_column(p, parent_alias, plan_relation(p, t->of)->shard));
}

const char *plan_shard(const struct plan *p)
{
	return plan_relation(p, p->subject)->shard;
}

const char *plan_listed_shard(const struct plan *p, const char *alias)
{
	const struct relation *r = plan_relation(p, p->subject);

	if (!p->listing || !r->shard)
		return "";
	return t_printf(p, ", %s AS shard%s", plan_column(p, alias, r->shard),
			r->shard_parts ? t_printf(p, ", %s.part", alias) : "");
}

const char *plan_listed_group(const struct plan *p, const char *alias)
{
	const struct relation *r = plan_relation(p, p->subject);

	if (!r->shard)
		return NULL;
	if (r->spread == SPREAD_ROWS)
		return t_printf(p, "get_shard_id_for_distribution_column(%s, %s.shard)",
				sql_literal(p, plan_table(p, p->subject)), alias);
	return t_printf(p, r->shard_parts ? "%s.part" : "%s.shard", alias);
}

/* Without a shard Citus would plan for no server, and refuse nothing. */
const char *plan_some_shard(const struct plan *p)
{
	const struct relation *r = plan_relation(p, p->subject);

	if (r->spread != SPREAD_ROWS || !r->shard)
		return "'{}'";
	return strcmp(catalog_column(r, r->shard)->base, "uuid") == 0
		       ? "'{00000000-0000-0000-0000-000000000000}'"
		       : "'{0}'";
}

char *plan_with_shards(const void *ctx, const char *sql, const char *literal)
{
	char *filled = t_strdup(ctx, "");
	const char mark[] = {PLAN_SHARDS, '\0'};

	while (*sql) {
		const size_t plain = strcspn(sql, mark);

		t_append(&filled, "%.*s%s", (int)plain, sql, sql[plain] ? literal : "");
		sql += plain + (sql[plain] ? 1 : 0);
	}
	return filled;
}
