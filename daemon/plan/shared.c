/*
 * Rows that several can use (an address, a blob; a copy found by its value): does anybody else use
 * one?
 */
#include "plan/builder.h"

#include "base/mem.h"
#include "base/sql.h"

/* A question about t's row alias. */
struct shared {
	const struct builder *b;
	const struct table *t;
	const char *alias;
	plan_own_fn own;
	void *arg;
};

/* A row that has been anonymized under the name x holds nothing personal any longer. */
static char *not_anonymized(const struct builder *b, const struct table *x)
{
	const char *dirty = plan_dirty_row(b, x, "u", false);

	if (!x->where)
		return t_printf(b->ctx, " AND (%s)", dirty);
	return t_printf(b->ctx, " AND (%s OR NOT EXISTS (SELECT FROM %s AS o WHERE %s = %s))",
			dirty, plan_filtered(b->ctx, x, x->where, NULL),
			plan_column(b->ctx, "o", x->key), plan_column(b->ctx, "u", x->key));
}

/*
 * The row u of the table oid is not the subject's own, nor anonymized, under any name of the model.
 */
static char *not_own(const struct shared *s, unsigned int oid)
{
	const struct builder *b = s->b;
	const bool changes = plan_disposition(b, s->t) == DISPOSITION_UPDATE;
	char *sql = t_strdup(b->ctx, "");

	for (size_t i = 0; i < b->model->n_tables; i++) {
		const struct table *x = &b->model->tables[i];
		char *own = plan_relation(b, x)->oid == oid ? s->own(s->arg, x, "u") : NULL;

		if (own)
			t_append(&sql, " AND (%s) IS NOT TRUE", own);
		if (changes && x->key && plan_relation(b, x)->oid == oid &&
		    plan_disposition(b, x) == DISPOSITION_UPDATE)
			t_append(&sql, "%s", not_anonymized(b, x));
	}
	return sql;
}

static char *unused_by_key(const struct shared *s, const struct foreign_key *k)
{
	return t_printf(s->b->ctx, "NOT EXISTS (SELECT FROM %s AS u WHERE %s%s)", k->from_sql,
			plan_key_match(s->b->ctx, k, "u", s->alias), not_own(s, k->from_oid));
}

/*
 * link: a name of t's table that a column of its parent points at.  A contact or request that the
 * where of the model leaves out uses the row like any other.  Further down, where may say what the
 * column points at.  A copied value points at nothing: there a row that where leaves out counts,
 * because the copy may be of its value.
 */
static char *unused_by_link(const struct shared *s, const struct table *link)
{
	const struct builder *b = s->b;
	const struct table *x = link->of;
	const bool all = link->match || x == b->model->contact || x == b->model->request;

	return t_printf(b->ctx, "NOT EXISTS (SELECT FROM %s AS u WHERE %s%s)",
			plan_filtered(b->ctx, x, all ? NULL : x->where, NULL),
			plan_link(b->ctx, b->catalog, link, s->alias, "u"),
			not_own(s, plan_relation(b, x)->oid));
}

/* Is the link a foreign key too, about which unused_by_key() asks already? */
static bool is_key(const struct builder *b, const struct table *link)
{
	for (size_t i = 0; i < b->catalog->n_keys; i++) {
		const struct foreign_key *k = &b->catalog->keys[i];

		if (k->n_columns == 1 && k->from_oid == plan_relation(b, link->of)->oid &&
		    k->to_oid == plan_relation(b, link)->oid &&
		    strcmp(k->from_columns[0], link->from) == 0 &&
		    strcmp(k->to_columns[0], link->by) == 0)
			return true;
	}
	return false;
}

/* No row uses it that is neither the subject's own nor one of t's that the subject reaches. */
static char *unused_by_others(const struct shared *s)
{
	const struct builder *b = s->b;
	const struct table *t = s->t;
	const unsigned int oid = plan_relation(b, t)->oid;
	char *sql = t_strdup(b->ctx, "true");

	/* A row that matches a copied value does not refer to the row that holds the copy. */
	for (size_t i = 0; !t->match && i < b->catalog->n_keys; i++)
		if (b->catalog->keys[i].to_oid == oid &&
		    catalog_key_is_use(b->model, b->catalog, t, &b->catalog->keys[i]))
			t_append(&sql, "\n   AND %s", unused_by_key(s, &b->catalog->keys[i]));
	for (size_t i = 0; i < b->model->n_tables; i++) {
		const struct table *link = &b->model->tables[i];

		if (link->of && link->from && link->match == t->match &&
		    plan_relation(b, link)->oid == oid &&
		    (!t->match || strcmp(link->by, t->by) == 0) && !is_key(b, link))
			t_append(&sql, "\n   AND %s", unused_by_link(s, link));
	}
	return sql;
}

/*
 * "The row p points at the row n", by foreign keys from t's table onto itself; NULL: there are
 * none.
 */
static char *points_at(const struct builder *b, const struct table *t)
{
	const unsigned int oid = plan_relation(b, t)->oid;
	char *sql = NULL;

	for (size_t i = 0; i < b->catalog->n_keys; i++) {
		const struct foreign_key *k = &b->catalog->keys[i];

		if (k->from_oid != oid || k->to_oid != oid ||
		    !catalog_key_is_use(b->model, b->catalog, t, k))
			continue;
		sql = t_printf(b->ctx, "%s%s(%s)", sql ? sql : "", sql ? " OR " : "",
			       plan_key_match(b->ctx, k, "p", "n"));
	}
	return sql;
}

/*
 * Rows that the subject reaches and somebody else uses are kept.  So are the rows that a kept row
 * points at, and so on.
 */
static const char not_kept_sql[] =
	"\n   AND {key} NOT IN (\n"
	"  WITH RECURSIVE kept AS (\n"
	"    SELECT {first_key} AS k FROM {table} AS f WHERE {first_reached} AND NOT ({first_unused})\n"
	"    UNION\n"
	"    SELECT {next_key} FROM kept JOIN {table} AS p ON {pointing_key} = kept.k\n"
	"      JOIN {table} AS n ON ({points_at}) AND {next_reached})\n"
	"  SELECT kept.k FROM kept)";

static char *not_kept(const struct shared *s)
{
	const struct builder *b = s->b;
	struct shared first = *s;
	const char *link = points_at(b, s->t);
	const char *reached = link ? s->own(s->arg, s->t, "f") : NULL;

	if (!reached)
		return t_strdup(b->ctx, "");
	first.alias = "f";
	return sql_fill(b->ctx, not_kept_sql, {"key", plan_column(b->ctx, s->alias, s->t->key)},
			{"table", plan_table(b->ctx, s->t)},
			{"first_key", plan_column(b->ctx, "f", s->t->key)},
			{"first_reached", reached}, {"first_unused", unused_by_others(&first)},
			{"next_key", plan_column(b->ctx, "n", s->t->key)},
			{"pointing_key", plan_column(b->ctx, "p", s->t->key)}, {"points_at", link},
			{"next_reached", s->own(s->arg, s->t, "n")});
}

char *plan_unused(const struct builder *b, const struct table *t, const char *alias,
		  plan_own_fn own, void *arg)
{
	const struct shared s = {.b = b, .t = t, .alias = alias, .own = own, .arg = arg};
	const char *unused = unused_by_others(&s);

	return t_printf(b->ctx, "%s%s", unused, t->match ? "" : not_kept(&s));
}

bool plan_goes_along(const struct builder *b, const struct table *t, const struct table *x)
{
	if (!model_is_under(x, b->plan->subject) || plan_phase(x) >= plan_phase(t))
		return false;
	return t->match || plan_disposition(b, t) != DISPOSITION_DELETE ||
	       plan_disposition(b, x) == DISPOSITION_DELETE;
}
