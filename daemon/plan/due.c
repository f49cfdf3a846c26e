/*
 * A contact is due when the date of its last request lies before the cutoff, all its requests
 * satisfy due_when (an open case keeps its contact), no hold covers it, and there is still
 * something to erase.  What is unknown keeps the contact: a request without a date, a due_when that
 * is NULL.
 *
 * Predicates of the model stand alone in a subquery over their own table, so that a name in them
 * can only mean a column of that table.
 */
#include "plan/due.h"

#include "base/mem.h"
#include "base/sql.h"
#include "plan/builder.h"

#include <assert.h>

struct dirty_own {
	const struct builder *b;
	const struct table *parent;
	const char *alias;
	const char *contact; /* alias of the contact; NULL: it is not at hand */
};

/*
 * Knows the row above, and the contact.  Other rows of the subject are not known before its batch.
 */
static char *dirty_own(void *arg, const struct table *x, const char *u)
{
	const struct dirty_own *o = arg;
	const char *alias = x == o->parent ? o->alias : !x->of ? o->contact : NULL;

	return alias && x->key ? t_printf(o->b->ctx, "%s = %s", plan_column(o->b->ctx, u, x->key),
					  plan_column(o->b->ctx, alias, x->key))
			       : NULL;
}

/* A shared row counts only where nobody else uses it, and a copy only where it holds a value. */
static char *dirty_shared(const struct builder *b, const struct table *t, const char *name,
			  const char *parent)
{
	struct dirty_own own = {.b = b, .parent = t->of, .alias = parent};

	if (!t->shared)
		return t_strdup(b->ctx, "");
	if (b->opts->action == ACTION_ANONYMIZE_CONTACTS)
		own.contact = "c";
	return t_printf(b->ctx, " AND %s%s AND %s", plan_column(b->ctx, name, t->by),
			t->match ? "::text <> ''" : " IS NOT NULL",
			plan_unused(b, t, name, dirty_own, &own));
}

/*
 * Is there anything left that the anonymization would erase from this row of t, called alias, or
 * below it?  Clean rows are left out of lists and updates: a contact that was anonymized is not due
 * again, unless something personal has come to it since.
 */
static char *dirty(const struct builder *b, const struct table *t, const char *alias)
{
	const enum disposition disposition = plan_disposition(b, t);
	/*
	 * Nothing names a contact any longer that has been anonymized: what a text says of it
	 * counts only while the contact's own row is dirty.
	 */
	const bool redact = b->opts->action == ACTION_ANONYMIZE_REQUESTS;
	char *sql;

	if (disposition == DISPOSITION_DELETE)
		return t_strdup(b->ctx, "true");
	sql = disposition == DISPOSITION_UPDATE ? plan_dirty_row(b, t, alias, redact)
						: t_strdup(b->ctx, "false");
	for (size_t i = 0; i < b->model->n_tables; i++) {
		const struct table *child = &b->model->tables[i];
		const char *name;

		if (child->of != t ||
		    (!plan_has_step(b, child) &&
		     !disposition_is_inner(b->model, child, b->opts->action, b->opts->archive)))
			continue;
		name = t_printf(b->ctx, "t%zu", child->index);
		t_append(&sql, "\n OR EXISTS (SELECT FROM %s AS %s WHERE %s%s AND (%s))",
			 plan_filtered(b->ctx, child, child->where, NULL), name,
			 plan_link(b->ctx, b->catalog, child, name, alias),
			 dirty_shared(b, child, name, alias), dirty(b, child, name));
	}
	return sql;
}

/* A hold is in force for contact c. */
static char *held(const struct builder *b)
{
	return t_printf(b->ctx,
			"EXISTS (SELECT FROM retention.holds_in_force AS h\n"
			"   WHERE h.contact_key = %s::text)",
			plan_column(b->ctx, "c", b->model->contact->key));
}

/* The parameter, cast to the type of the column, so that an index on the column can be used. */
static char *bound(const struct builder *b, const char *parameter, const struct column *column)
{
	assert(column); /* preflight has found each date that the model names */
	return t_printf(b->ctx, "%s::timestamptz::%s", parameter, column->base);
}

static char *between(const struct builder *b, const char *date, const struct column *column)
{
	return t_printf(b->ctx, "%s < %s AND ($1::timestamptz IS NULL OR %s >= %s)", date,
			bound(b, "$2", column), date, bound(b, "$1", column));
}

/* For an action on chosen keys: no date after $2, but perhaps none at all. */
static char *quiet_since(const struct builder *b, const char *date, const struct column *column)
{
	return t_printf(b->ctx, "(%s IS NULL OR %s)", date, between(b, date, column));
}

static char *among(const struct builder *b, const char *key, const char *keys)
{
	return keys ? t_printf(b->ctx, "%s = ANY (%s)", key, keys) : t_strdup(b->ctx, "true");
}

/*
 * The requests of each contact, or of contact c alone: how many, the last one's date, and how many
 * of them keep their contact whatever their date.
 */
static const char requests_sql[] =
	"SELECT {by} AS link, count(*) AS n, max({date}) AS last,\n"
	"        count(*) FILTER (WHERE {date} IS NULL OR ({due_when}\n) IS NOT TRUE) AS keeping\n"
	"   FROM {requests} AS q\n"
	"  WHERE {by} IS NOT NULL{where} AND {of_contact}\n"
	"  GROUP BY 1";

static char *requests(const struct builder *b, bool of_contact)
{
	const struct table *r = b->model->request;
	const char *by = plan_column(b->ctx, "q", r->by);

	return sql_fill(b->ctx, requests_sql, {"by", by},
			{"date", plan_column(b->ctx, "q", r->date)},
			{"due_when", r->due_when ? r->due_when : "true"},
			{"requests", plan_table(b->ctx, r)}, {"where", plan_and(b->ctx, r->where)},
			{"of_contact",
			 of_contact ? t_printf(b->ctx, "%s = %s::%s", by,
					       plan_column(b->ctx, "c", model_parent_column(r)),
					       plan_type(b->catalog, r, r->by))
				    : "true"});
}

/* By the dates of contact c and of its requests r. */
static char *old_enough(const struct builder *b)
{
	const struct table *c = b->model->contact, *r = b->model->request;
	const struct column *date = catalog_column(plan_relation(b, r), r->date);
	const struct column *created =
		c->created ? catalog_column(plan_relation(b, c), c->created) : NULL;
	const char *at = created ? plan_column(b->ctx, "c", c->created) : NULL;

	/*
	 * A number may have been given a second time since a backup was restored.  Where nothing
	 * says when the contact was created, one without requests may be another, so nothing is
	 * replayed upon it.
	 */
	if (b->opts->by_key && created)
		return t_printf(b->ctx, "%s AND %s", quiet_since(b, "r.last", date),
				quiet_since(b, at, created));
	if (b->opts->by_key)
		return t_printf(b->ctx,
				"%s AND (r.link IS NOT NULL OR $2::timestamptz = 'infinity')",
				quiet_since(b, "r.last", date));
	if (!b->opts->without_requests)
		return t_printf(b->ctx, "r.keeping = 0 AND %s", between(b, "r.last", date));
	return t_printf(b->ctx, "((r.keeping = 0 AND %s) OR (r.link IS NULL AND %s))",
			between(b, "r.last", date), between(b, at, created));
}

/*
 * The contacts that are due.  {requests} has a row for each contact with requests: LEFT JOIN keeps
 * a contact without any, for policies that treat those as well.
 *
 * Among chosen keys it is LATERAL: contact by contact, each by an index.  A join of both arrays'
 * rows is planned for arrays of ten, and then compares each key with each.
 */
static const char due_contacts_sql[] = "SELECT {key} AS k, 1 + coalesce(r.n, 0) AS weight,\n"
				       "       {last} AS last\n"
				       "  FROM {contacts} AS c\n"
				       "  {join} ({requests}) AS r\n"
				       "    ON r.link = {link}\n"
				       " WHERE {old_enough}\n"
				       "   AND {not_held}\n"
				       "   AND {among_keys}\n"
				       "   AND ({dirty})";

static char *due_contacts(const struct builder *b, const char *keys)
{
	const struct table *c = b->model->contact, *r = b->model->request;
	const bool all = b->opts->without_requests || b->opts->by_key;
	const char *key = plan_column(b->ctx, "c", c->key);

	return sql_fill(
		b->ctx, due_contacts_sql, {"key", key},
		{"last",
		 all && c->created
			 ? t_printf(b->ctx, "coalesce(r.last::timestamptz, %s::timestamptz)",
				    plan_column(b->ctx, "c", c->created))
			 : "r.last::timestamptz"},
		{"contacts", plan_filtered(b->ctx, c, c->where, b->opts->scope)},
		{"join", t_printf(b->ctx, "%sJOIN%s", all ? "LEFT " : "", keys ? " LATERAL" : "")},
		{"requests", requests(b, keys != NULL)},
		{"link",
		 t_printf(b->ctx, "%s::%s", plan_column(b->ctx, "c", model_parent_column(r)),
			  plan_type(b->catalog, r, r->by))},
		{"old_enough", old_enough(b)},
		{"not_held", b->opts->despite_holds ? "true" : t_printf(b->ctx, "NOT %s", held(b))},
		{"among_keys", among(b, key, keys)},
		{"dirty",
		 b->opts->action == ACTION_ANONYMIZE_CONTACTS ? dirty(b, c, "c") : "true"});
}

/* The requests that are due, of contacts in scope that no hold covers. */
static const char due_requests_sql[] =
	"SELECT {key} AS k, 1 AS weight, {date}::timestamptz AS last\n"
	"  FROM {requests} AS r\n"
	" WHERE {old_enough}\n"
	"   AND {not_held}\n"
	"   AND {in_scope}\n"
	"   AND {among_keys}\n"
	"   AND ({dirty})";

static char *due_requests(const struct builder *b, const char *keys)
{
	const struct table *r = b->model->request, *c = b->model->contact;
	const struct column *date = catalog_column(plan_relation(b, r), r->date);
	const char *at = plan_column(b->ctx, "r", r->date);
	const char *key = plan_column(b->ctx, "r", r->key);
	const char *link = plan_link(b->ctx, b->catalog, r, "r", "c");

	return sql_fill(
		b->ctx, due_requests_sql, {"key", key}, {"date", at},
		{"requests",
		 plan_filtered(b->ctx, r, r->where, b->opts->by_key ? NULL : r->due_when)},
		{"old_enough", b->opts->by_key ? quiet_since(b, at, date) : between(b, at, date)},
		{"not_held",
		 b->opts->despite_holds
			 ? "true"
			 : t_printf(b->ctx, "NOT EXISTS (SELECT FROM %s AS c WHERE %s AND %s)",
				    plan_table(b->ctx, c), link, held(b))},
		{"in_scope",
		 b->opts->scope || c->where
			 ? t_printf(b->ctx, "EXISTS (SELECT FROM %s AS c WHERE %s)",
				    plan_filtered(b->ctx, c, c->where, b->opts->scope), link)
			 : "true"},
		{"among_keys", among(b, key, keys)}, {"dirty", dirty(b, r, "r")});
}

char *plan_due_query(void *ctx, const struct model *model, const struct catalog *catalog,
		     const struct plan_opts *opts, const char *keys)
{
	const struct builder b = {.ctx = ctx, .model = model, .catalog = catalog, .opts = opts};

	return opts->action == ACTION_ANONYMIZE_REQUESTS ? due_requests(&b, keys)
							 : due_contacts(&b, keys);
}
