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
	"  SELECT {link} AS link, count(*) AS n FROM {requests} AS t WHERE {selection} GROUP BY 1),\n"
	"held AS MATERIALIZED (SELECT h.link, count(*) AS n FROM (\n"
	"  SELECT {link} AS link FROM {requests} AS t WHERE {selection} FOR UPDATE SKIP LOCKED) AS h\n"
	"  GROUP BY 1),\n"
	"busy AS MATERIALIZED (SELECT e.link FROM every AS e LEFT JOIN held AS h\n"
	"  ON h.link = e.link WHERE h.n IS DISTINCT FROM e.n)\n"
	"SELECT coalesce(array_agg({text}), '{}')::text AS keys, count(*) AS n\n"
	"  FROM (SELECT {key} FROM {contacts} AS c WHERE {among_keys}\n"
	"           AND NOT EXISTS (SELECT FROM busy WHERE busy.link = {linked})\n"
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

void plan_guards(struct plan *p)
{
	const enum action action = p->opts.action;
	const struct table *c = p->model->contact, *r = p->model->request;
	const char *contacts = plan_table(p, c), *link = link_value(p, "t", r->by);
	const char *among_keys =
		t_printf(p, "%s%s", plan_among(p, c, "c", c->key, plan_array(p, c, c->key, "$1")),
			 plan_in_shards(p, c, "c"));
	const char *linked = link_value(p, "c", model_parent_columns(r));
	const char *type = plan_key_type(p->catalog, r, r->by);
	const struct columns *names = plan_names(p, "k", c->key->n);
	const bool by_key = columns_equal(model_parent_columns(r), c->key);
	/* The values of the contacts $1 that requests point at. */
	const char *links = by_key ? t_printf(p, "$1::%s[]", type)
				   : t_printf(p, "ARRAY(SELECT %s::%s FROM %s AS c WHERE %s)",
					      linked, type, contacts, among_keys);
	const char *selection = t_printf(p, "%s%s%s", plan_among(p, r, "t", r->by, links),
					 plan_and(p, r->where), plan_in_shards(p, r, "t"));

	if (p->subject != r && action != ACTION_EXPORT)
		p->lock_requests_sql =
			sql_fill(p, lock_requests_sql, {"link", link},
				 {"requests", plan_table(p, r)}, {"selection", selection},
				 {"contacts", contacts}, {"key", plan_named(p, "c", c->key, "k")},
				 {"order", plan_columns(p, "c", c->key->names, c->key->n)},
				 {"text", plan_key_text(p, "x", names)}, {"among_keys", among_keys},
				 {"linked", t_printf(p, "%s::%s", linked, type)});
	if (action == ACTION_DELETE_CONTACTS)
		guard_kept(p, among_keys);
	/* Without a foreign key nothing keeps a client from attaching a request to a contact that goes. */
	if (action == ACTION_DELETE_CONTACTS && by_key && !plan_has_key_to_parent(p, r))
		p->strays_sql = t_printf(p, "SELECT count(*) AS n FROM %s AS t WHERE %s",
					 plan_table(p, r), selection);
}
