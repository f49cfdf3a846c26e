#include "plan_along.h"

#include "mem.h"
#include "plan_due.h"
#include "sql.h"

/*
 * From t's row up to its subject's: " JOIN parent AS <alias>1 ON ... JOIN subject AS <alias>2 ON ..."; *ret_top is the
 * subject's alias.
 */
static char *climb(const struct builder *b, const struct table *t, const char *alias,
		   const char **ret_top)
{
	char *sql = t_strdup(b->ctx, "");
	const char *below = t_printf(b->ctx, "%s0", alias);

	for (size_t i = 1; t != b->plan->subject; t = t->of, i++) {
		const char *above = t_printf(b->ctx, "%s%zu", alias, i);

		t_append(&sql, " JOIN %s AS %s ON %s",
			 sql_table(b->ctx, t->of->schema, t->of->table), above,
			 plan_link(b->ctx, b->catalog, t, below, above));
		below = above;
	}
	*ret_top = below;
	return sql;
}

/* Does a link of the model let go of every row that points by the key at one of its subject's own? */
static bool is_let_go(const struct builder *b, const struct foreign_key *k)
{
	for (size_t i = 0; i < b->plan->n_steps; i++) {
		const struct step *s = &b->plan->steps[i];

		if ((s->fate == FATE_DELETE || s->fate == FATE_DETACH) && !s->table->where &&
		    !s->table->shared && catalog_link_covers(b->catalog, s->table, k))
			return true;
	}
	return false;
}

/* The subjects (k) of from's rows that point by the key at rows of to that are those of the subject w.key. */
static char *referring(const struct builder *b, const struct foreign_key *k,
		       const struct table *from, const struct table *to)
{
	const struct table *subject = b->plan->subject;
	const char *from_top, *to_top;
	char *from_climb = climb(b, from, "f", &from_top), *to_climb = climb(b, to, "t", &to_top);
	char *join = t_strdup(b->ctx, "");

	for (size_t i = 0; i < k->n_columns; i++)
		t_append(&join, "%s%s = %s", i ? " AND " : "",
			 plan_column(b->ctx, "f0", k->from_columns[i]),
			 plan_column(b->ctx, "t0", k->to_columns[i]));
	return t_printf(
		b->ctx,
		"SELECT %s::text AS k\n    FROM %s AS t0%s JOIN %s AS f0 ON %s%s WHERE %s = w.key::%s",
		plan_column(b->ctx, from_top, subject->key),
		sql_table(b->ctx, to->schema, to->table), to_climb,
		sql_table(b->ctx, from->schema, from->table), join, from_climb,
		plan_column(b->ctx, to_top, subject->key),
		plan_type(b->catalog, subject, subject->key));
}

/* Is t deleted from, as the subject's own, so that the key k onto it or from it can make a subject wait? */
static bool is_own(const struct builder *b, const struct step *s, unsigned int oid)
{
	return s->fate == FATE_DELETE && !s->table->shared &&
	       plan_relation(b, s->table)->oid == oid;
}

static char *all_referring(const struct builder *b)
{
	const struct plan *plan = b->plan;
	char *sql = NULL;

	for (size_t i = 0; i < b->catalog->n_keys; i++) {
		const struct foreign_key *k = &b->catalog->keys[i];

		if (catalog_key_is_silent(k) || is_let_go(b, k))
			continue;
		for (size_t from = 0; from < plan->n_steps; from++)
			for (size_t to = 0; to < plan->n_steps; to++) {
				const char *one;

				if (!is_own(b, &plan->steps[from], k->from_oid) ||
				    !is_own(b, &plan->steps[to], k->to_oid))
					continue;
				one = referring(b, k, plan->steps[from].table,
						plan->steps[to].table);
				sql = sql ? t_printf(b->ctx, "%s\n  UNION ALL\n  %s", sql, one)
					  : t_strdup(b->ctx, one);
			}
	}
	return sql;
}

char *plan_along(const struct builder *b)
{
	const char *referring_sql = all_referring(b);

	if (!referring_sql)
		return NULL;
	/* IS TRUE: a filter over a hash.  The planner knows nothing of these sets, and would compare each with each. */
	return t_printf(
		b->ctx,
		"WITH RECURSIVE own AS MATERIALIZED (SELECT unnest($1::text[]) AS key),\n"
		"listed AS MATERIALIZED (\n"
		"  SELECT c.n, c.key, c.weight FROM retention.candidate AS c\n"
		"   WHERE c.job = $2::int AND c.n BETWEEN $4::bigint AND $5::bigint),\n"
		"along AS (\n"
		"  SELECT own.key FROM own WHERE (own.key IN (SELECT l.key FROM listed AS l)) IS TRUE\n"
		"  UNION\n"
		"  SELECT r.k FROM along AS w CROSS JOIN LATERAL (\n"
		"  %s) AS r\n"
		"   WHERE $3::bigint > 0 AND (r.k IN (SELECT l.key FROM listed AS l)) IS TRUE),\n"
		"taken AS MATERIALIZED (\n"
		"  SELECT along.key FROM along LIMIT (SELECT count(*) FROM own) + $3::bigint),\n"
		"refers AS MATERIALIZED (\n"
		"  SELECT r.k AS who, w.key AS whom FROM taken AS w CROSS JOIN LATERAL (\n"
		"  %s) AS r WHERE r.k <> w.key),\n"
		"kept AS (\n"
		"  SELECT r.whom AS key FROM refers AS r\n"
		"   WHERE (r.who IN (SELECT t.key FROM taken AS t)) IS NOT TRUE\n"
		"  UNION\n"
		"  SELECT r.whom FROM kept JOIN refers AS r ON r.who = kept.key)\n"
		"SELECT coalesce(array_agg(x.key ORDER BY x.n) FILTER (WHERE NOT x.kept), '{}')::text AS free,\n"
		"       count(*) FILTER (WHERE NOT x.kept) AS n_free,\n"
		"       coalesce(sum(x.weight) FILTER (WHERE NOT x.kept), 0)::bigint AS weight,\n"
		"       coalesce(min(x.n), 0) AS first_n, coalesce(max(x.n), 0) AS last_n,\n"
		"       coalesce(array_agg(x.key ORDER BY x.n) FILTER (WHERE x.kept AND x.own), '{}')::text AS kept,\n"
		"       count(*) FILTER (WHERE x.kept AND x.own) AS n_kept, count(*) FILTER (WHERE x.own) AS n_own\n"
		"  FROM (SELECT l.n, l.key, l.weight, (l.key IN (SELECT kept.key FROM kept)) IS TRUE AS kept,\n"
		"               (l.key IN (SELECT own.key FROM own)) IS TRUE AS own\n"
		"          FROM listed AS l WHERE (l.key IN (SELECT t.key FROM taken AS t)) IS TRUE OFFSET 0) AS x",
		referring_sql, referring_sql);
}
