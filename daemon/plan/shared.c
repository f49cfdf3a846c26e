/*
 * Rows that several can use (an address, a blob; a copy found by its value): does anybody else use
 * one?
 */
#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"

/* A question about t's row alias. */
struct shared {
	const struct plan *p;
	const struct table *t;
	const char *alias;
	plan_own_fn own;
	void *arg;
};

/*
 * From the row u of x up to the row of top that it hangs off, by any of its parents, where nothing personal
 * is left on the way.  top's row is called o, or u where x is top.
 */
static char *way_up(const struct plan *p, const struct table *x, const struct table *top,
		    const char *result)
{
	char *from = t_strdup(p, ""), *links = t_strdup(p, plan_within(p, x, "u"));
	const char *below = "u";

	for (const struct table *t = x; t != top; t = t->of) {
		const char *name = t->of == top ? "o" : t_printf(p, "k%zu", t->of->index);

		if (plan_disposition(p, t) == DISPOSITION_UPDATE)
			t_append(&links, " AND (%s) IS NOT TRUE",
				 plan_dirty_row(p, t, below, false));
		t_list(&from, ", ", "%s AS %s", plan_filtered(p, t->of, t->of->where, NULL), name);
		t_append(&links, " AND %s", plan_link(p, t, below, name));
		below = name;
	}
	return t_printf(p, "SELECT %s%s%s WHERE true%s", result, x == top ? "" : " FROM ", from,
			links);
}

/*
 * The top of what x's rows belong to: the nearest shared table, or the subject.  NULL: they belong to nothing
 * that the action empties.  A row that a deletion would detach or keep only points at its parent, unless
 * the action changes it too.
 */
static const struct table *owner(const struct plan *p, const struct table *x)
{
	if (!model_is_under(x, p->subject))
		return NULL;
	for (;; x = x->of) {
		const bool updates = plan_disposition(p, x) == DISPOSITION_UPDATE;

		if (x == p->subject)
			return x;
		if (!updates && (plan_is_deleted(p, x) || x->on_delete != ON_DELETE_DELETE))
			return NULL;
		if (x->shared)
			return updates ? x : NULL;
	}
}

/*
 * Adds the conditions under which the row u of x is a use although the action leaves it: something personal
 * is left of what it belongs to, up to the subject's own row: one below that never held anything says
 * nothing about its subject.  subjects collects queries of those.
 */
static void add_not_anonymized(const struct plan *p, const struct table *x, char **sql,
			       char **subjects)
{
	const struct table *top = owner(p, x);

	if (!top || (x->where && !x->key))
		return;
	if (top == p->subject)
		t_list(subjects, " UNION ALL ", "%s",
		       way_up(p, x, top,
			      plan_columns(p, x == top ? "u" : "o", top->key->names, top->key->n)));
	else
		t_append(sql, "\n   AND NOT EXISTS (%s AND (%s) IS NOT TRUE)",
			 way_up(p, x, top, ""),
			 plan_dirty_row(p, top, x == top ? "u" : "o", false));
}

/*
 * The subjects are read first: a row has one, and the table may have millions.  Only where a subject's own row
 * holds nothing is all that hangs off it looked at, because that takes a condition for each table of the model.
 */
static const char not_anonymized_sql[] =
	"\n   AND NOT EXISTS (SELECT FROM (\n"
	"     {subjects}) AS x({names})\n"
	"     JOIN {table} AS s ON {key} = {subject} AND ({dirty}) IS NOT TRUE)";

/* "k, k_2", as many names as the key has columns. */
static char *name_list(const struct plan *p, const struct columns *key)
{
	return columns_text(p, plan_names(p, "k", key->n));
}

/*
 * The row u of the table oid is not the subject's own, nor one of a subject that has been anonymized,
 * under any name of the model.
 */
static char *not_own(const struct shared *s, unsigned int oid)
{
	const struct plan *p = s->p;
	const struct table *subject = p->subject;
	char *sql = t_strdup(p, ""), *subjects = t_strdup(p, "");

	for (size_t i = 0; i < p->model->n_tables; i++) {
		const struct table *x = &p->model->tables[i];
		const char *own;

		if (plan_oid(p, x) != oid)
			continue;
		own = s->own(p, s->t, x, "u", s->arg);
		if (own)
			t_append(&sql, " AND (%s) IS NOT TRUE", own);
		if (plan_disposition(p, s->t) == DISPOSITION_UPDATE)
			add_not_anonymized(p, x, &sql, &subjects);
	}
	if (*subjects)
		t_append(
			&sql, "%s",
			sql_fill(p, not_anonymized_sql,
				 {"table", plan_filtered(p, subject, subject->where, NULL)},
				 {"key", plan_key(p, "s", subject->key)}, {"subjects", subjects},
				 {"names", name_list(p, subject->key)},
				 {"subject", plan_key(p, "x", plan_names(p, "k", subject->key->n))},
				 {"dirty", plan_disposition(p, subject) == DISPOSITION_UPDATE
						   ? plan_dirty_self(p, subject, "s")
						   : plan_dirty_tree(p, subject, "s", NULL)}));
	return sql;
}

/*
 * link: a name of t's table that a column of its parent points at.  A contact or request that the
 * where of the model leaves out uses the row like any other.  Further down, where may say what the
 * column points at.  A copied value points at nothing: there a row that where leaves out counts,
 * because the copy may be of its value.
 */
static char *unused_by_link(const struct shared *s, const struct table *link)
{
	const struct plan *p = s->p;
	const struct table *x = link->of;
	const bool all = link->match || x == p->model->contact || x == p->model->request;

	return t_printf(p, "NOT EXISTS (SELECT FROM %s AS u WHERE %s%s)",
			plan_filtered(p, x, all ? NULL : x->where, NULL),
			plan_link(p, link, s->alias, "u"), not_own(s, plan_oid(p, x)));
}

/* Is the link a foreign key too, about which unused_by_others() asks already? */
static bool is_key(const struct plan *p, const struct table *link)
{
	const unsigned int from = plan_oid(p, link->of), to = plan_oid(p, link);

	for (const struct foreign_key *k = NULL; (k = catalog_next_key(p->catalog, k, from, to));)
		if (k->n_columns == link->by->n && catalog_key_pairs(k, link->from, link->by))
			return true;
	return false;
}

/* No row uses it that is neither the subject's own nor one of t's that the subject reaches. */
static char *unused_by_others(const struct shared *s)
{
	const struct plan *p = s->p;
	const struct table *t = s->t;
	const struct foreign_key *k = NULL;
	const unsigned int oid = plan_oid(p, t);
	char *sql = t_strdup(p, "true");

	/* A row that matches a copied value does not refer to the row that holds the copy. */
	while (!t->match && (k = catalog_next_key(p->catalog, k, 0, oid)))
		if (catalog_key_is_use(p->model, p->catalog, t, k))
			t_append(&sql, "\n   AND NOT EXISTS (SELECT FROM %s AS u WHERE %s%s%s)",
				 k->from_sql, plan_key_match(p, k, "u", s->alias),
				 plan_key_in_shards(p, t, k, "u"), not_own(s, k->from_oid));
	for (size_t i = 0; i < p->model->n_tables; i++) {
		const struct table *link = &p->model->tables[i];

		if (link->of && link->from && link->match == t->match && plan_oid(p, link) == oid &&
		    (!t->match || columns_equal(link->by, t->by)) && !is_key(p, link))
			t_append(&sql, "\n   AND %s", unused_by_link(s, link));
	}
	return sql;
}

/* "The row p points at the row n", by foreign keys from t's table onto itself; "": there are none. */
static char *points_at(const struct plan *p, const struct table *t)
{
	const unsigned int oid = plan_oid(p, t);
	char *sql = t_strdup(p, "");

	for (const struct foreign_key *k = NULL; (k = catalog_next_key(p->catalog, k, oid, oid));)
		if (catalog_key_is_use(p->model, p->catalog, t, k))
			t_list(&sql, " OR ", "(%s)", plan_key_match(p, k, "p", "n"));
	return sql;
}

/*
 * Rows that the subject reaches and somebody else uses are kept.  So are the rows that a kept row
 * points at, and so on.
 */
static const char not_kept_sql[] =
	"\n   AND {key} NOT IN (\n"
	"  WITH RECURSIVE kept AS (\n"
	"    SELECT {first_key} FROM {table} AS f WHERE {first_reached} AND NOT ({first_unused})\n"
	"    UNION\n"
	"    SELECT {next_key} FROM kept JOIN {table} AS p ON {pointing_key} = {kept_key}\n"
	"      JOIN {table} AS n ON ({points_at}) AND {next_reached})\n"
	"  SELECT * FROM kept)";

static const char *not_kept(const struct shared *s)
{
	const struct plan *p = s->p;
	const struct shared first = {.p = p, .t = s->t, .alias = "f", .own = s->own, .arg = s->arg};
	const char *link = points_at(p, s->t);
	const char *reached = *link ? s->own(p, s->t, s->t, "f", s->arg) : NULL;

	if (!reached)
		return "";
	return sql_fill(p, not_kept_sql, {"key", plan_key(p, s->alias, s->t->key)},
			{"table", plan_table(p, s->t)},
			{"first_key", plan_named(p, "f", s->t->key, "k")},
			{"first_reached", reached}, {"first_unused", unused_by_others(&first)},
			{"next_key", plan_columns(p, "n", s->t->key->names, s->t->key->n)},
			{"kept_key", plan_key(p, "kept", plan_names(p, "k", s->t->key->n))},
			{"pointing_key", plan_key(p, "p", s->t->key)}, {"points_at", link},
			{"next_reached", s->own(p, s->t, s->t, "n", s->arg)});
}

char *plan_unused(const struct plan *p, const struct table *t, const char *alias, plan_own_fn own,
		  void *arg)
{
	const struct shared s = {.p = p, .t = t, .alias = alias, .own = own, .arg = arg};
	const char *unused = unused_by_others(&s);

	return t_printf(p, "%s%s", unused, t->match ? "" : not_kept(&s));
}

bool plan_goes_along(const struct plan *p, const struct table *t, const struct table *x)
{
	return model_is_under(x, p->subject) && plan_phase(x) < plan_phase(t) &&
	       (t->match || !plan_is_deleted(p, t) || plan_is_deleted(p, x));
}
