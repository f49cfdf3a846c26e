/*
 * A contact is due when the date of its last request lies before the cutoff, all its requests
 * satisfy due_when (an open case keeps its contact), no hold covers it, and there is still something
 * to erase.  What is unknown keeps: a request without a date, a due_when that is NULL.
 *
 * Predicates of the model stand alone in a subquery over their own table, so that a name in them
 * can only mean a column of that table.
 */
#include "plan/due.h"

#include "base/mem.h"
#include "plan/rule.h"
#include "plan/shared.h"
#include "base/sql.h"

char *plan_column(void *ctx, const char *alias, const char *column)
{
	return t_printf(ctx, "%s.%s", alias, sql_ident(ctx, column));
}

const char *plan_type(const struct catalog *catalog, const struct table *t, const char *column)
{
	return catalog_column(&catalog->relations[t->index], column)->compared;
}

char *plan_filtered(void *ctx, const struct table *t, const char *a, const char *b)
{
	char *sql = t_printf(ctx, "(SELECT * FROM %s", sql_table(ctx, t->schema, t->table));

	/* The newline ends a comment that a predicate may end with. */
	if (a)
		t_append(&sql, " WHERE (%s\n)", a);
	if (b)
		t_append(&sql, " %s (%s\n)", a ? "AND" : "WHERE", b);
	t_append(&sql, ")");
	return sql;
}

char *plan_within(void *ctx, const struct table *t, const char *alias)
{
	return t->where ? t_printf(ctx, " AND %s IN (SELECT %s FROM %s AS w)",
				   plan_column(ctx, alias, t->key), plan_column(ctx, "w", t->key),
				   plan_filtered(ctx, t, t->where, NULL))
			: t_strdup(ctx, "");
}

char *plan_link(void *ctx, const struct catalog *catalog, const struct table *t, const char *alias,
		const char *parent_alias)
{
	const struct column *by = catalog_column(&catalog->relations[t->index], t->by);
	const struct column *parent =
		catalog_column(&catalog->relations[t->of->index], model_parent_column(t));
	const bool alike = by->category == parent->category;

	return t_printf(ctx, "%s = %s%s%s", plan_column(ctx, alias, t->by),
			plan_column(ctx, parent_alias, parent->name),
			alike ? "" : "::", alike ? "" : by->type);
}

struct dirty_own {
	void *ctx;
	const struct table *parent;
	const char *alias;
	const char *contact; /* alias of the contact; NULL: it is not at hand */
};

/* The row above, and the contact: who else is the subject's own is not known before its batch. */
static char *dirty_own(void *arg, const struct table *x, const char *u)
{
	const struct dirty_own *o = arg;
	const char *alias = x == o->parent ? o->alias : !x->of ? o->contact : NULL;

	return alias && x->key ? t_printf(o->ctx, "%s = %s", plan_column(o->ctx, u, x->key),
					  plan_column(o->ctx, alias, x->key))
			       : NULL;
}

/* Only where nobody else uses it, and of copies only those of a value. */
static char *dirty_shared(void *ctx, const struct model *model, const struct catalog *catalog,
			  const struct table *t, const char *name, const char *parent,
			  enum action action)
{
	struct dirty_own own = {.ctx = ctx,
				.parent = t->of,
				.alias = parent,
				.contact = action == ACTION_ANONYMIZE_CONTACTS ? "c" : NULL};

	return t->shared ? t_printf(ctx, " AND %s%s AND %s", plan_column(ctx, name, t->by),
				    t->match ? "::text <> ''" : " IS NOT NULL",
				    plan_unused(ctx, model, catalog, t, name, action, dirty_own,
						&own))
			 : t_strdup(ctx, "");
}

char *plan_dirty(void *ctx, const struct model *model, const struct catalog *catalog,
		 const struct table *t, const char *alias, enum action action)
{
	const enum disposition disposition = disposition_of(t, action, ARCHIVE_NONE);
	/* An anonymized contact is known by nothing any more: what a text says of it shows while it is dirty itself. */
	const bool redact = action == ACTION_ANONYMIZE_REQUESTS;
	char *sql;

	if (disposition == DISPOSITION_DELETE)
		return t_strdup(ctx, "true");
	sql = disposition == DISPOSITION_UPDATE ? plan_dirty_row(ctx, catalog, t, alias, redact)
						: t_strdup(ctx, "false");
	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *child = &model->tables[i];
		const char *name;

		if (child->of != t || (!disposition_has_step(child, action, ARCHIVE_NONE) &&
				       !disposition_is_inner(model, child, action, ARCHIVE_NONE)))
			continue;
		name = t_printf(ctx, "t%zu", child->index);
		t_append(&sql, "\n OR EXISTS (SELECT FROM %s AS %s WHERE %s%s AND (%s))",
			 plan_filtered(ctx, child, child->where, NULL), name,
			 plan_link(ctx, catalog, child, name, alias),
			 dirty_shared(ctx, model, catalog, child, name, alias, action),
			 plan_dirty(ctx, model, catalog, child, name, action));
	}
	return sql;
}

/* Whether a hold is in force for contact c. */
static char *held_condition(void *ctx, const struct model *model)
{
	return t_printf(ctx,
			"EXISTS (SELECT FROM retention.holds_in_force AS h\n"
			"   WHERE h.contact_key = %s::text)",
			plan_column(ctx, "c", model->contact->key));
}

/* $2::timestamptz as the column has its dates, so that an index on the column serves. */
static char *bound(void *ctx, const char *parameter, const struct column *column)
{
	return t_printf(ctx, "%s::timestamptz::%s", parameter, column->base);
}

static char *between(void *ctx, const char *expression, const struct column *column)
{
	return t_printf(ctx, "%s < %s AND ($1::timestamptz IS NULL OR %s >= %s)", expression,
			bound(ctx, "$2", column), expression, bound(ctx, "$1", column));
}

/*
 * The requests of each contact, or of contact c alone, counted: n of them, the last one's date, and how many keep
 * their contact whatever their date.
 */
static char *requests_query(void *ctx, const struct model *model, const struct catalog *catalog,
			    bool of_c)
{
	const struct table *r = model->request;
	const char *by = plan_column(ctx, "q", r->by);
	const char *date = plan_column(ctx, "q", r->date);
	char *sql = t_printf(ctx,
			     "SELECT %s AS link, count(*) AS n, max(%s) AS last,\n"
			     "        count(*) FILTER (WHERE %s IS NULL%s%s%s) AS keeping\n"
			     "   FROM %s AS q\n"
			     "  WHERE %s IS NOT NULL%s%s%s",
			     by, date, date, r->due_when ? " OR (" : "",
			     r->due_when ? r->due_when : "", r->due_when ? "\n) IS NOT TRUE" : "",
			     sql_table(ctx, r->schema, r->table), by, r->where ? " AND (" : "",
			     r->where ? r->where : "", r->where ? "\n)" : "");

	if (of_c)
		t_append(&sql, " AND %s = %s::%s", by,
			 plan_column(ctx, "c", model_parent_column(r)),
			 plan_type(catalog, r, r->by));
	t_append(&sql, " GROUP BY 1");
	return sql;
}

/* The two keys of a contact's life, where the action goes by keys: nothing of it is after $2. */
static char *quiet_since(void *ctx, const char *expression, const struct column *column)
{
	return t_printf(ctx, "(%s IS NULL OR %s)", expression, between(ctx, expression, column));
}

/* Which contacts c with their requests r the action is for, but for holds. */
static char *contact_condition(void *ctx, const struct model *model, const struct catalog *catalog,
			       const struct plan_opts *opts)
{
	const struct table *c = model->contact, *r = model->request;
	const struct column *date = catalog_column(&catalog->relations[r->index], r->date);
	const struct column *created =
		c->created ? catalog_column(&catalog->relations[c->index], c->created) : NULL;
	const char *at = created ? plan_column(ctx, "c", c->created) : NULL;

	/*
	 * A number may have been given a second time since a backup was restored: where nothing says when
	 * the contact was made, one without requests may be another, and is replayed upon nothing.
	 */
	if (opts->by_key && created)
		return t_printf(ctx, "%s AND %s", quiet_since(ctx, "r.last", date),
				quiet_since(ctx, at, created));
	if (opts->by_key)
		return t_printf(ctx, "%s AND (r.link IS NOT NULL OR $2::timestamptz = 'infinity')",
				quiet_since(ctx, "r.last", date));
	if (!opts->without_requests)
		return t_printf(ctx, "r.keeping = 0 AND %s", between(ctx, "r.last", date));
	return t_printf(ctx, "((r.keeping = 0 AND %s) OR (r.link IS NULL AND %s))",
			between(ctx, "r.last", date), between(ctx, at, created));
}

/*
 * Of certain keys: contact by contact, each by an index.  A join of both arrays' rows is planned for arrays of ten, and
 * then compares each key with each.
 */
static char *due_contacts(void *ctx, const struct model *model, const struct catalog *catalog,
			  const struct plan_opts *opts, const char *keys)
{
	const struct table *c = model->contact;
	const bool all = opts->without_requests || opts->by_key; /* those without requests too */
	char *sql = t_printf(ctx,
			     "SELECT %s AS k, 1 + coalesce(r.n, 0) AS weight,\n"
			     "       %sr.last::timestamptz%s%s%s AS last\n"
			     "  FROM %s AS c\n"
			     "  %s (%s) AS r\n"
			     "    ON r.link = %s::%s\n"
			     " WHERE %s",
			     plan_column(ctx, "c", c->key), all && c->created ? "coalesce(" : "",
			     all && c->created ? ", " : "",
			     all && c->created ? plan_column(ctx, "c", c->created) : "",
			     all && c->created ? "::timestamptz)" : "",
			     plan_filtered(ctx, c, c->where, opts->scope),
			     t_printf(ctx, "%sJOIN%s", all ? "LEFT " : "", keys ? " LATERAL" : ""),
			     requests_query(ctx, model, catalog, keys != NULL),
			     plan_column(ctx, "c", model_parent_column(model->request)),
			     plan_type(catalog, model->request, model->request->by),
			     contact_condition(ctx, model, catalog, opts));

	if (!opts->despite_holds)
		t_append(&sql, "\n   AND NOT %s", held_condition(ctx, model));
	if (keys)
		t_append(&sql, "\n   AND %s = ANY (%s)", plan_column(ctx, "c", c->key), keys);
	if (opts->action == ACTION_ANONYMIZE_CONTACTS)
		t_append(&sql, "\n   AND (%s)",
			 plan_dirty(ctx, model, catalog, c, "c", opts->action));
	return sql;
}

static char *due_requests(void *ctx, const struct model *model, const struct catalog *catalog,
			  const struct plan_opts *opts, const char *keys)
{
	const struct table *r = model->request, *c = model->contact;
	const struct column *date = catalog_column(&catalog->relations[r->index], r->date);
	const char *at = plan_column(ctx, "r", r->date);
	char *sql = t_printf(ctx,
			     "SELECT %s AS k, 1 AS weight, %s::timestamptz AS last\n"
			     "  FROM %s AS r\n"
			     " WHERE %s",
			     plan_column(ctx, "r", r->key), at,
			     plan_filtered(ctx, r, r->where, opts->by_key ? NULL : r->due_when),
			     opts->by_key ? quiet_since(ctx, at, date) : between(ctx, at, date));

	if (!opts->despite_holds)
		t_append(&sql, "\n   AND NOT EXISTS (SELECT FROM %s AS c WHERE %s AND %s)",
			 sql_table(ctx, c->schema, c->table), plan_link(ctx, catalog, r, "r", "c"),
			 held_condition(ctx, model));
	if (opts->scope || c->where)
		t_append(&sql, "\n   AND EXISTS (SELECT FROM %s AS c WHERE %s)",
			 plan_filtered(ctx, c, c->where, opts->scope),
			 plan_link(ctx, catalog, r, "r", "c"));
	if (keys)
		t_append(&sql, "\n   AND %s = ANY (%s)", plan_column(ctx, "r", r->key), keys);
	t_append(&sql, "\n   AND (%s)", plan_dirty(ctx, model, catalog, r, "r", opts->action));
	return sql;
}

char *plan_due_query(void *ctx, const struct model *model, const struct catalog *catalog,
		     const struct plan_opts *opts, const char *keys)
{
	return opts->action == ACTION_ANONYMIZE_REQUESTS
		       ? due_requests(ctx, model, catalog, opts, keys)
		       : due_contacts(ctx, model, catalog, opts, keys);
}
