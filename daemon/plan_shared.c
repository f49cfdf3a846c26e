#include "plan_shared.h"

#include "mem.h"
#include "plan_due.h"
#include "plan_rules.h"
#include "sql.h"

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
	const bool changes = fate_of(s->t, s->action, ARCHIVE_NONE) == FATE_UPDATE;
	char *sql = t_strdup(s->ctx, "");

	for (size_t i = 0; i < s->model->n_tables; i++) {
		const struct table *x = &s->model->tables[i];
		char *own = oid_of(s->catalog, x) == oid ? s->own(s->arg, x, "u") : NULL;

		if (own)
			t_append(&sql, " AND (%s) IS NOT TRUE", own);
		if (changes && x->key && oid_of(s->catalog, x) == oid &&
		    fate_of(x, s->action, ARCHIVE_NONE) == FATE_UPDATE)
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

/* link: a name of t's table that x's column points at. */
static char *unused_by_link(const struct shared *s, const struct table *link)
{
	const struct table *x = link->of;

	return t_printf(s->ctx, "NOT EXISTS (SELECT FROM %s AS u WHERE %s%s)",
			plan_filtered(s->ctx, x, x->where, NULL),
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

char *plan_unused(void *ctx, const struct model *model, const struct catalog *catalog,
		  const struct table *t, const char *alias, enum action action, plan_own_fn own,
		  void *arg)
{
	const struct shared s = {ctx, model, catalog, t, alias, action, own, arg};
	char *sql = t_strdup(ctx, "true");

	/* What matches a copied value is not what refers to the row that holds the copy. */
	for (size_t i = 0; !t->match && i < catalog->n_keys; i++)
		if (catalog->keys[i].to_oid == oid_of(catalog, t) &&
		    catalog_key_is_use(model, catalog, t, &catalog->keys[i]))
			t_append(&sql, "\n   AND %s", unused_by_key(&s, &catalog->keys[i]));
	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *link = &model->tables[i];

		if (link->of && link->from && link->match == t->match &&
		    oid_of(catalog, link) == oid_of(catalog, t) &&
		    (!t->match || strcmp(link->by, t->by) == 0) && !key_says_it(&s, link))
			t_append(&sql, "\n   AND %s", unused_by_link(&s, link));
	}
	return sql;
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
	return t->match || fate_of(t, action, ARCHIVE_NONE) != FATE_DELETE ||
	       fate_of(x, action, ARCHIVE_NONE) == FATE_DELETE;
}

size_t plan_phase(const struct table *t)
{
	size_t n = 0;

	for (; t; t = t->of)
		n += t->shared ? 1 : 0;
	return n;
}
