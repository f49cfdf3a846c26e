/*
 * Cross-references: subjects whose rows refer to rows of other subjects.  A foreign key lets such a
 * subject go only together with, or after, the subject that refers to it.
 *
 * The statement asks for them.  $1: text[] of keys in the list of the job $2, between its lines $4
 * and $5.  $3: how many other subjects of those lines may be added, which refer to the keys, or to
 * one that was added; 0: none.
 *
 *   kept, n_kept  keys of $1 to which a row refers that remains: of a kept subject, of one that is
 *                 not in the list, or, without $3, of one that is not in $1
 *   via           the foreign keys of those rows
 *   own, n_own    the other keys of $1 that are in the list
 *   together, n_together, weight, first_n, last_n  own, and the subjects that were added
 *   shards        of together
 *
 * The answer only says what is worth a try: the foreign keys decide.  It ignores keys where the
 * model does not say for certain what becomes of their rows.
 */
#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"

/* The names in the model of a table that the action deletes from. */
struct name_list {
	const struct table **names; /* n */
	size_t n;
	bool certain; /* all rows under these names are deleted, and no other row of the table */
	bool whole; /* one of them has no where: no row of the table is outside */
};

static struct name_list deleted_names(const struct plan *p, unsigned int oid)
{
	struct name_list list = {.names = t_array(p, const struct table *, p->n_steps + 1),
				 .certain = true};

	for (size_t i = 0; i < p->n_steps; i++) {
		const struct table *t = p->steps[i].table;

		if (!plan_is_deleted(p, t) || plan_oid(p, t) != oid)
			continue;
		list.names[list.n++] = t;
		list.certain = list.certain && !t->shared && !t->match;
		list.whole = list.whole || !t->where;
	}
	return list;
}

/* Says whether the step deletes or clears the rows that refer by the key to its subject's. */
static bool lets_go(const struct plan *p, const struct step *s, const struct foreign_key *k)
{
	return (s->disposition == DISPOSITION_DELETE || s->disposition == DISPOSITION_DETACH) &&
	       !s->table->shared && catalog_link_covers(p->catalog, s->table, k);
}

static bool is_plain(const struct plan *p, unsigned int oid, const char *column)
{
	for (size_t i = 0; i < p->model->n_tables; i++)
		if (p->catalog->relations[i].oid == oid)
			return catalog_column(&p->catalog->relations[i], column)->plain;
	return false;
}

/* Says whether the key can make a subject wait, and can be compared by PostgreSQL's own operators. */
static bool makes_wait(const struct plan *p, const struct foreign_key *k)
{
	if (catalog_key_is_silent(k))
		return false;
	for (size_t i = 0; i < p->n_steps; i++)
		if (lets_go(p, &p->steps[i], k) && !p->steps[i].table->where)
			return false;
	for (size_t i = 0; i < k->n_columns; i++)
		if (!is_plain(p, k->from_oid, k->from_columns[i]) ||
		    !is_plain(p, k->to_oid, k->to_columns[i]))
			return false;
	return true;
}

/*
 * Joins t's row, alias 0, with the rows above it up to its subject's, as far as the model's where lets them through:
 * " JOIN parent AS <alias>1 ON ... JOIN subject AS <alias>2 ON ...".  *ret_top is the subject's alias.
 */
static char *climb(const struct plan *p, const struct table *t, const char *alias, const char *join,
		   const char **ret_top)
{
	char *sql = t_strdup(p, "");
	const char *below = t_printf(p, "%s0", alias);

	for (size_t i = 1; t != p->subject; t = t->of, i++) {
		const char *above = t_printf(p, "%s%zu", alias, i);

		t_append(&sql, " %s %s AS %s ON %s", join,
			 plan_filtered(p, t->of, t->of->where, NULL), above,
			 plan_link(p, t, below, above));
		below = above;
	}
	*ret_top = below;
	return sql;
}

/*
 * A query for rows of the key's table (alias f0) that fulfil the condition and refer to rows of to that belong to the
 * subject w.key.  joins and key are about f0.
 */
static char *pointing(const struct plan *p, const struct foreign_key *k, const struct table *to,
		      const char *condition, const char *joins, const char *key)
{
	const char *top;
	const char *to_joins = climb(p, to, "t", "JOIN", &top);
	char *let_go = t_strdup(p, "");

	for (size_t i = 0; i < p->n_steps; i++)
		if (lets_go(p, &p->steps[i], k))
			t_append(&let_go, " AND (%s\n) IS NOT TRUE", p->steps[i].table->where);
	return t_printf(p,
			"SELECT %s AS k, %s AS via FROM %s AS t0%s\n"
			"    JOIN (SELECT * FROM %s WHERE %s%s) AS f0 ON %s%s WHERE %s",
			key, plan_key_name(p, k), plan_filtered(p, to, to->where, NULL), to_joins,
			k->from_sql, condition, let_go, plan_key_match(p, k, "f0", "t0"), joins,
			plan_is_key(p, p->catalog, p->subject, top, "w.key"));
}

/* The subject's key as text; NULL where there is no subject. */
static char *subject_key(const struct plan *p, const char *top)
{
	const struct columns *key = p->subject->key;
	const char *text = plan_key_text(p, top, key);

	return key->n == 1 ? t_strdup(p, text)
			   : t_printf(p, "CASE WHEN %s IS NOT NULL THEN %s END",
				      plan_key(p, top, key), text);
}

/*
 * Adds a query for each name of the rows that refer.  It returns their subject.  That is NULL for a
 * row without one, which remains, if only one name deletes from the table.  NULL is also returned
 * for each row that no name deletes.
 */
static void add_pointing(const struct plan *p, const struct foreign_key *k, const struct table *to,
			 const struct name_list *from, char **sql)
{
	char *others = t_strdup(p, "true");

	for (size_t i = 0; i < from->n; i++) {
		const char *top;
		const char *joins =
			climb(p, from->names[i], "f", from->n == 1 ? "LEFT JOIN" : "JOIN", &top);
		const char *where = from->names[i]->where;
		const char *condition = where ? t_printf(p, "(%s\n)", where) : "true";
		const char *key = subject_key(p, top);

		t_list(sql, "\n  UNION ALL\n  ", "%s", pointing(p, k, to, condition, joins, key));
		if (where)
			t_append(&others, " AND (%s\n) IS NOT TRUE", where);
	}
	if (!from->whole)
		t_list(sql, "\n  UNION ALL\n  ", "%s",
		       pointing(p, k, to, others, "", "NULL::text"));
}

/*
 * IS TRUE makes the planner filter by a hash.  It knows nothing of these sets, and would compare each
 * with each.
 */
static const char crossref_sql[] =
	"WITH RECURSIVE own AS MATERIALIZED (SELECT unnest($1::text[]) AS key),\n"
	"listed AS MATERIALIZED (\n"
	"  SELECT c.n, c.key, c.weight, c.shard FROM retention.candidate AS c\n"
	"   WHERE c.job = $2::int AND c.n BETWEEN $4::bigint AND $5::bigint\n"
	"     AND ($3::bigint > 0 OR (c.key IN (SELECT own.key FROM own)) IS TRUE)),\n"
	"added AS (\n"
	"  SELECT own.key FROM own WHERE (own.key IN (SELECT l.key FROM listed AS l)) IS TRUE\n"
	"  UNION\n"
	"  SELECT r.k FROM added AS w CROSS JOIN LATERAL (\n"
	"  {pointing}) AS r\n"
	"   WHERE $3::bigint > 0 AND (r.k IN (SELECT l.key FROM listed AS l)) IS TRUE),\n"
	"taken AS MATERIALIZED (\n"
	"  SELECT added.key FROM added LIMIT (SELECT count(*) FROM own) + $3::bigint),\n"
	"refers AS MATERIALIZED (\n"
	"  SELECT r.k AS from_key, w.key AS to_key, r.via FROM taken AS w CROSS JOIN LATERAL (\n"
	"  {pointing}) AS r WHERE r.k IS DISTINCT FROM w.key),\n"
	"kept AS (\n"
	"  SELECT r.to_key AS key FROM refers AS r\n"
	"   WHERE (r.from_key IN (SELECT l.key FROM listed AS l)) IS NOT TRUE\n"
	"  UNION\n"
	"  SELECT r.to_key FROM kept JOIN refers AS r ON r.from_key = kept.key)\n"
	"SELECT coalesce(array_agg(x.key ORDER BY x.n) FILTER (WHERE NOT x.kept), '{}')::text AS together,\n"
	"       count(*) FILTER (WHERE NOT x.kept) AS n_together,\n"
	"       coalesce(array_agg(DISTINCT x.shard) FILTER (WHERE NOT x.kept), '{}')::text AS shards,\n"
	"       coalesce(sum(x.weight) FILTER (WHERE NOT x.kept), 0)::bigint AS weight,\n"
	"       coalesce(min(x.n), 0) AS first_n, coalesce(max(x.n), 0) AS last_n,\n"
	"       coalesce(array_agg(x.key ORDER BY x.n) FILTER (WHERE x.own AND NOT x.kept), '{}')::text AS own,\n"
	"       count(*) FILTER (WHERE x.own AND NOT x.kept) AS n_own,\n"
	"       coalesce(array_agg(x.key ORDER BY x.n) FILTER (WHERE x.own AND x.kept), '{}')::text AS kept,\n"
	"       count(*) FILTER (WHERE x.own AND x.kept) AS n_kept,\n"
	"       (SELECT coalesce(string_agg(DISTINCT r.via, ', '), '') FROM refers AS r\n"
	"         WHERE (r.to_key IN (SELECT kept.key FROM kept)) IS TRUE) AS via\n"
	"  FROM (SELECT l.n, l.key, l.weight, l.shard, (l.key IN (SELECT kept.key FROM kept)) IS TRUE AS kept,\n"
	"               (l.key IN (SELECT own.key FROM own)) IS TRUE AS own\n"
	"          FROM listed AS l WHERE (l.key IN (SELECT t.key FROM taken AS t)) IS TRUE OFFSET 0) AS x";

char *plan_crossref(const struct plan *p)
{
	char *sql = t_strdup(p, "");

	for (size_t i = 0; i < p->catalog->n_keys; i++) {
		const struct foreign_key *k = &p->catalog->keys[i];
		const struct name_list from = deleted_names(p, k->from_oid);
		const struct name_list to = deleted_names(p, k->to_oid);

		if (from.n == 0 || !from.certain || !to.certain || !makes_wait(p, k))
			continue;
		for (size_t j = 0; j < to.n; j++)
			add_pointing(p, k, to.names[j], &from, &sql);
	}
	return *sql ? sql_fill(p, crossref_sql, {"pointing", sql}) : NULL;
}
