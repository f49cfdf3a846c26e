/*
 * What protects a batch in addition to the lock on its subjects.  It protects against clients that
 * change requests, or that add requests where no foreign key prevents it.
 */
#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"

/*
 * A request that a client is changing right now may be reopened, redated or on its way to another
 * contact, and its lock does not touch the contact's.  So the requests are locked too, before the
 * re-check.  A contact is left for a later sweep where one of its requests cannot be locked, or has
 * just moved.
 */
static const char lock_requests_sql[] =
	"WITH every AS MATERIALIZED (\n"
	"  SELECT {link} AS link, count(*) AS n FROM {rows} WHERE {selection} GROUP BY 1),\n"
	"held AS MATERIALIZED (SELECT h.link, count(*) AS n FROM (\n"
	"  SELECT {link} AS link FROM {rows} WHERE {selection} FOR UPDATE SKIP LOCKED) AS h\n"
	"  GROUP BY 1),\n"
	"busy AS MATERIALIZED (SELECT e.link FROM every AS e LEFT JOIN held AS h\n"
	"  ON h.link = e.link WHERE h.n IS DISTINCT FROM e.n)\n"
	"SELECT coalesce(array_agg({text}), '{}')::text AS keys, count(*) AS n\n"
	"  FROM (SELECT {key} FROM {contacts} AS c WHERE {among_keys}\n"
	"           AND NOT EXISTS (SELECT FROM {busy} = {linked})\n"
	"         ORDER BY {order}) AS x";

/* The value of a link in the row alias: the column, or the row's literal of several. */
static char *link_value(const struct plan *p, const char *alias, const struct columns *columns)
{
	return columns->n == 1 ? plan_key(p, alias, columns) : plan_key_text(p, alias, columns);
}

/*
 * A foreign key that would delete rows which the model keeps.  The contacts are locked, so that no such row can be
 * attached to one of them after this question.
 */
static const char kept_sql[] =
	"SELECT {name} AS name, count(*) AS n FROM {contacts} AS c\n"
	"  JOIN {table} AS t ON {match}{shards} WHERE {among_keys} HAVING count(*) > 0";

/* among_keys: the contacts c of the batch. */
static void guard_kept(struct plan *p, const char *among_keys)
{
	const struct table *contact = p->model->contact;
	char *sql = t_strdup(p, "");

	for (size_t i = 0; i < p->model->n_tables; i++) {
		const struct table *t = &p->model->tables[i];
		const struct foreign_key *k = NULL;

		while ((k = catalog_next_key(p->catalog, k, plan_oid(p, t),
					     plan_oid(p, contact)))) {
			if (!catalog_key_is_guarded(p->catalog, t, k))
				continue;
			p->kept_keys = t_grow(p, p->kept_keys, const struct foreign_key *,
					      p->n_kept_keys + 1);
			p->kept_keys[p->n_kept_keys++] = k;
			t_list(&sql, "\nUNION ALL\n", "%s",
			       sql_fill(p, kept_sql, {"name", plan_key_name(p, k)},
					{"contacts", plan_table(p, contact)},
					{"table", plan_table(p, t)},
					{"match", plan_key_match(p, k, "t", "c")},
					{"shards", plan_in_shards(p, t, "t")},
					{"among_keys", among_keys}));
		}
	}
	if (*sql)
		p->kept_sql = sql;
}

/* The row c is of a contact among $1. */
static char *contacts_among(const struct plan *p)
{
	const struct table *c = p->model->contact;

	return t_printf(p, "%s%s", plan_among(p, c, "c", c->key, plan_array(p, c, c->key, "$1")),
			plan_in_shards(p, c, "c"));
}

/* How the rows are locked of which a contact is made of, and how a contact is found by them. */
struct lock {
	const char *rows; /* an item of FROM */
	const char *selection;
	const char *link; /* what groups them */
	const char *busy; /* "busy WHERE <the value that a contact of a busy group holds>" */
};

static char *lock_statement(const struct plan *p, const struct lock *lock)
{
	const struct table *c = p->model->contact, *linked = model_linked(p->model);
	const struct columns *names = plan_names(p, "k", c->key->n);

	return sql_fill(
		p, lock_requests_sql, {"link", lock->link}, {"rows", lock->rows},
		{"selection", lock->selection}, {"busy", lock->busy},
		{"contacts", plan_table(p, c)}, {"key", plan_named(p, "c", c->key, "k")},
		{"order", plan_columns(p, "c", c->key->names, c->key->n)},
		{"text", plan_key_text(p, "x", names)}, {"among_keys", contacts_among(p)},
		{"linked", t_printf(p, "%s::%s", link_value(p, "c", model_parent_columns(linked)),
				    plan_key_type(p->catalog, linked, linked->by))});
}

/*
 * Whose a request is, its rows in the join table say.  The locks on the contacts and on the requests keep clients from
 * adding one: both foreign keys need KEY SHARE.  They do not keep one from being removed: its request would then
 * stay for a contact that is its contact no more.  So the rows are locked, those of other contacts as well, in a
 * statement that sees what came before the locks on the requests.
 */
static void lock_through(struct plan *p, const char *links)
{
	const struct table *r = p->model->request, *join = p->model->through;
	const char *table = plan_table(p, join), *by = link_value(p, "j", join->by);
	const char *mine = plan_among(p, join, "j", join->by, links);
	const struct lock requests = {
		.rows = t_printf(p, "%s AS j JOIN %s AS t ON %s", table, plan_table(p, r),
				 plan_link(p, r, "t", "j")),
		.selection = mine,
		.link = by,
		.busy = "busy WHERE busy.link",
	};
	const struct lock rows = {
		.rows = t_printf(p, "%s AS t", table),
		.selection = t_printf(
			p, "%s IN (SELECT %s FROM %s AS j WHERE %s)", plan_key(p, "t", r->from),
			plan_columns(p, "j", r->from->names, r->from->n), table, mine),
		.link = link_value(p, "t", r->from),
		.busy = t_printf(p, "busy JOIN %s AS j ON %s = busy.link WHERE %s", table,
				 link_value(p, "j", r->from), by),
	};

	p->lock_requests_sql = lock_statement(p, &requests);
	p->lock_links_sql = lock_statement(p, &rows);
}

void plan_guards(struct plan *p)
{
	const enum action action = p->opts.action;
	const struct table *c = p->model->contact, *r = p->model->request;
	const struct table *linked = model_linked(p->model);
	const char *type = plan_key_type(p->catalog, linked, linked->by);
	const bool by_key = columns_equal(model_parent_columns(linked), c->key);
	/* The values of the contacts $1 that requests point at. */
	const char *links = by_key ? t_printf(p, "$1::%s[]", type)
				   : t_printf(p, "ARRAY(SELECT %s::%s FROM %s AS c WHERE %s)",
					      link_value(p, "c", model_parent_columns(linked)),
					      type, plan_table(p, c), contacts_among(p));
	const struct lock requests = {
		.rows = t_printf(p, "%s AS t", plan_table(p, r)),
		.selection = t_printf(p, "%s%s%s", plan_among(p, linked, "t", linked->by, links),
				      plan_and(p, r->where), plan_in_shards(p, r, "t")),
		.link = link_value(p, "t", linked->by),
		.busy = "busy WHERE busy.link",
	};

	if (p->subject != r && action != ACTION_EXPORT && p->model->through)
		lock_through(p, links);
	else if (p->subject != r && action != ACTION_EXPORT)
		p->lock_requests_sql = lock_statement(p, &requests);
	if (action == ACTION_DELETE_CONTACTS)
		guard_kept(p, contacts_among(p));
	/* Without a foreign key nothing keeps a client from attaching a request to a contact that goes. */
	if (action == ACTION_DELETE_CONTACTS && by_key && linked == r &&
	    !plan_has_key_to_parent(p, r))
		p->strays_sql = t_printf(p, "SELECT count(*) AS n FROM %s WHERE %s", requests.rows,
					 requests.selection);
}
