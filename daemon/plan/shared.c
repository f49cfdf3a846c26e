#include "plan/shared.h"

#include "base/mem.h"
#include "plan/due.h"
#include "plan/rule.h"
#include "base/sql.h"

struct shared {
	void *ctx;
	const struct model *model;
	const struct catalog *catalog;
	const struct table *t;
	const char *alias;
	enum action action;
	plan_own_fn own;
	void *arg;
};

static unsigned int oid_of(const struct catalog *catalog, const struct table *t)
{
	return catalog->relations[t->index].oid;
}

/* A row that has been anonymized under the name x says nothing of anybody any more. */
static char *not_anonymized(const struct shared *s, const struct table *x)
{
	const char *dirty = plan_dirty_row(s->ctx, s->catalog, x, "u", false);

	if (!x->where)
		return t_printf(s->ctx, " AND (%s)", dirty);
	return t_printf(s->ctx, " AND (%s OR NOT EXISTS (SELECT FROM %s AS o WHERE %s = %s))",
			dirty, plan_filtered(s->ctx, x, x->where, NULL),
			plan_column(s->ctx, "o", x->key), plan_column(s->ctx, "u", x->key));
}

/* The names of the model under which rows of the table oid may be the subject's own, or nobody's. */
static char *not_own(const struct shared *s, unsigned int oid)
{
	const bool changes = disposition_of(s->t, s->action, ARCHIVE_NONE) == DISPOSITION_UPDATE;
	char *sql = t_strdup(s->ctx, "");

	for (size_t i = 0; i < s->model->n_tables; i++) {
		const struct table *x = &s->model->tables[i];
		char *own = oid_of(s->catalog, x) == oid ? s->own(s->arg, x, "u") : NULL;

		if (own)
			t_append(&sql, " AND (%s) IS NOT TRUE", own);
		if (changes && x->key && oid_of(s->catalog, x) == oid &&
		    disposition_of(x, s->action, ARCHIVE_NONE) == DISPOSITION_UPDATE)
			t_append(&sql, "%s", not_anonymized(s, x));
	}
	return sql;
}

static char *unused_by_key(const struct shared *s, const struct foreign_key *k)
{
	char *join = t_strdup(s->ctx, "");

	for (size_t i = 0; i < k->n_columns; i++)
		t_append(&join, "%s%s = %s", i ? " AND " : "",
			 plan_column(s->ctx, "u", k->from_columns[i]),
			 plan_column(s->ctx, s->alias, k->to_columns[i]));
	return t_printf(s->ctx, "NOT EXISTS (SELECT FROM %s AS u WHERE %s%s)", k->from_sql, join,
			not_own(s, k->from_oid));
}

/*
 * link: a name of t's table that x's column points at.  A contact or request that its where leaves out is a
 * user like any other; further down, where may say what the column points at.
 */
static char *unused_by_link(const struct shared *s, const struct table *link)
{
	const struct table *x = link->of;
	const bool all = x == s->model->contact || x == s->model->request;

	return t_printf(s->ctx, "NOT EXISTS (SELECT FROM %s AS u WHERE %s%s)",
			plan_filtered(s->ctx, x, all ? NULL : x->where, NULL),
			plan_link(s->ctx, s->catalog, link, s->alias, "u"),
			not_own(s, oid_of(s->catalog, x)));
}

static bool key_says_it(const struct shared *s, const struct table *link)
{
	for (size_t i = 0; i < s->catalog->n_keys; i++) {
		const struct foreign_key *k = &s->catalog->keys[i];

		if (k->n_columns == 1 && k->from_oid == oid_of(s->catalog, link->of) &&
		    k->to_oid == oid_of(s->catalog, link) &&
		    strcmp(k->from_columns[0], link->from) == 0 &&
		    strcmp(k->to_columns[0], link->by) == 0)
			return true;
	}
	return false;
}

/* Unused by any row that is neither the subject's own nor one of t's that the subject reaches. */
static char *unused_by_others(const struct shared *s)
{
	const struct table *t = s->t;
	char *sql = t_strdup(s->ctx, "true");

	/* What matches a copied value is not what refers to the row that holds the copy. */
	for (size_t i = 0; !t->match && i < s->catalog->n_keys; i++)
		if (s->catalog->keys[i].to_oid == oid_of(s->catalog, t) &&
		    catalog_key_is_use(s->model, s->catalog, t, &s->catalog->keys[i]))
			t_append(&sql, "\n   AND %s", unused_by_key(s, &s->catalog->keys[i]));
	for (size_t i = 0; i < s->model->n_tables; i++) {
		const struct table *link = &s->model->tables[i];

		if (link->of && link->from && link->match == t->match &&
		    oid_of(s->catalog, link) == oid_of(s->catalog, t) &&
		    (!t->match || strcmp(link->by, t->by) == 0) && !key_says_it(s, link))
			t_append(&sql, "\n   AND %s", unused_by_link(s, link));
	}
	return sql;
}

/* "The row p points at the row n", by foreign keys from t's table onto itself; NULL: there are none. */
static char *points_at(const struct shared *s)
{
	const unsigned int oid = oid_of(s->catalog, s->t);
	char *sql = NULL;

	for (size_t i = 0; i < s->catalog->n_keys; i++) {
		const struct foreign_key *k = &s->catalog->keys[i];

		if (k->from_oid != oid || k->to_oid != oid ||
		    !catalog_key_is_use(s->model, s->catalog, s->t, k))
			continue;
		sql = sql ? t_printf(s->ctx, "%s OR (", sql) : t_strdup(s->ctx, "(");
		for (size_t c = 0; c < k->n_columns; c++)
			t_append(&sql, "%s%s = %s", c ? " AND " : "",
				 plan_column(s->ctx, "p", k->from_columns[c]),
				 plan_column(s->ctx, "n", k->to_columns[c]));
		t_append(&sql, ")");
	}
	return sql;
}

/*
 * Of the rows that the subject reaches, those that somebody else uses stay; and what these point at, and so
 * on, stays with them.
 */
static char *not_kept(const struct shared *s)
{
	const struct shared first = {.ctx = s->ctx,
				     .model = s->model,
				     .catalog = s->catalog,
				     .t = s->t,
				     .alias = "f",
				     .action = s->action,
				     .own = s->own,
				     .arg = s->arg};
	const char *table = sql_table(s->ctx, s->t->schema, s->t->table);
	char *link = points_at(s);
	char *reached = link ? s->own(s->arg, s->t, "f") : NULL;

	if (!reached)
		return t_strdup(s->ctx, "");
	return t_printf(
		s->ctx,
		"\n   AND %s NOT IN (\n"
		"  WITH RECURSIVE kept AS (\n"
		"    SELECT %s AS k FROM %s AS f WHERE %s AND NOT (%s)\n"
		"    UNION\n"
		"    SELECT %s FROM kept JOIN %s AS p ON %s = kept.k JOIN %s AS n ON (%s) AND %s)\n"
		"  SELECT kept.k FROM kept)",
		plan_column(s->ctx, s->alias, s->t->key), plan_column(s->ctx, "f", s->t->key),
		table, reached, unused_by_others(&first), plan_column(s->ctx, "n", s->t->key),
		table, plan_column(s->ctx, "p", s->t->key), table, link, s->own(s->arg, s->t, "n"));
}

char *plan_unused(void *ctx, const struct model *model, const struct catalog *catalog,
		  const struct table *t, const char *alias, enum action action, plan_own_fn own,
		  void *arg)
{
	const struct shared s = {ctx, model, catalog, t, alias, action, own, arg};

	return t_printf(ctx, "%s%s", unused_by_others(&s), t->match ? "" : not_kept(&s));
}

bool plan_is_user(const struct model *model, const struct catalog *catalog, const struct table *x)
{
	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *t = &model->tables[i];

		if (!t->shared)
			continue;
		if (oid_of(catalog, t->of) == oid_of(catalog, x))
			return true;
		for (size_t k = 0; k < catalog->n_keys; k++)
			if (catalog->keys[k].to_oid == oid_of(catalog, t) &&
			    catalog->keys[k].from_oid == oid_of(catalog, x))
				return true;
	}
	return false;
}

bool plan_goes_along(const struct table *t, const struct table *x, const struct table *subject,
		     enum action action)
{
	if (!model_is_under(x, subject) || plan_phase(x) >= plan_phase(t))
		return false;
	return t->match || disposition_of(t, action, ARCHIVE_NONE) != DISPOSITION_DELETE ||
	       disposition_of(x, action, ARCHIVE_NONE) == DISPOSITION_DELETE;
}

size_t plan_phase(const struct table *t)
{
	size_t n = 0;

	for (; t; t = t->of)
		n += t->shared ? 1 : 0;
	return n;
}
