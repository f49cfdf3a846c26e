#include "plan_guard.h"

#include "mem.h"
#include "plan_due.h"
#include "sql.h"

struct guard {
	struct plan *plan; /* owns the text, too */
	const struct catalog *catalog;
};

static char *contact_keys(const struct guard *b)
{
	const struct table *c = b->plan->model->contact;

	return t_printf(b->plan, "$1::%s[]", plan_type(b->catalog, c, c->key));
}

/* The requests, as t, whose link is in an array of the link's type. */
static char *request_selection(const struct guard *b, const char *links)
{
	const struct table *r = b->plan->model->request;

	return t_printf(b->plan, "%s = ANY (%s)%s%s%s", plan_column(b->plan, "t", r->by), links,
			r->where ? " AND (" : "", r->where ? r->where : "", r->where ? "\n)" : "");
}

/* The contacts' values that requests point at: $1 itself, where that is the key. */
static char *request_links(const struct guard *b)
{
	const struct table *c = b->plan->model->contact, *r = b->plan->model->request;
	const char *column = model_parent_column(r);
	const char *type = plan_type(b->catalog, r, r->by);

	if (strcmp(column, c->key) == 0)
		return t_printf(b->plan, "$1::%s[]", type);
	return t_printf(b->plan, "ARRAY(SELECT %s::%s FROM %s AS c WHERE %s = ANY (%s))",
			plan_column(b->plan, "c", column), type,
			sql_table(b->plan, c->schema, c->table), plan_column(b->plan, "c", c->key),
			contact_keys(b));
}

/*
 * A request that somebody is changing right now may be reopened, redated or on its way to another
 * contact, and its lock says nothing to the contact's: so they are locked too, before the re-check.
 * A contact of which one cannot be had, or has just moved, is left for a later sweep.
 */
static char *lock_requests(const struct guard *b)
{
	const struct table *c = b->plan->model->contact, *r = b->plan->model->request;
	const char *by = plan_column(b->plan, "t", r->by);
	const char *rows =
		t_printf(b->plan, "%s AS t WHERE %s", sql_table(b->plan, r->schema, r->table),
			 request_selection(b, request_links(b)));

	return t_printf(
		b->plan,
		"WITH every AS MATERIALIZED (SELECT %s AS link, count(*) AS n FROM %s GROUP BY 1),\n"
		"held AS MATERIALIZED (SELECT h.link, count(*) AS n FROM (\n"
		"  SELECT %s AS link FROM %s FOR UPDATE SKIP LOCKED) AS h GROUP BY 1),\n"
		"busy AS MATERIALIZED (SELECT e.link FROM every AS e LEFT JOIN held AS h\n"
		"  ON h.link = e.link WHERE h.n IS DISTINCT FROM e.n)\n"
		"SELECT coalesce(array_agg(x.k::text), '{}')::text AS keys, count(*) AS n\n"
		"  FROM (SELECT %s AS k FROM %s AS c WHERE %s = ANY (%s)\n"
		"           AND NOT EXISTS (SELECT FROM busy WHERE busy.link = %s::%s)\n"
		"         ORDER BY 1) AS x",
		by, rows, by, rows, plan_column(b->plan, "c", c->key),
		sql_table(b->plan, c->schema, c->table), plan_column(b->plan, "c", c->key),
		contact_keys(b), plan_column(b->plan, "c", model_parent_column(r)),
		plan_type(b->catalog, r, r->by));
}

static bool request_has_foreign_key(const struct guard *b)
{
	const struct table *r = b->plan->model->request;

	for (size_t i = 0; i < b->catalog->n_keys; i++) {
		const struct foreign_key *k = &b->catalog->keys[i];

		if (k->from_oid == b->catalog->relations[r->index].oid &&
		    k->to_oid == b->catalog->relations[b->plan->model->contact->index].oid &&
		    strcmp(k->from_columns[0], r->by) == 0)
			return true;
	}
	return false;
}

/* The oids of the model's tables, as a list. */
static char *table_oids(const struct guard *b)
{
	char *oids = t_strdup(b->plan, "");

	for (size_t i = 0; i < b->plan->model->n_tables; i++)
		t_append(&oids, "%s%u", i ? "," : "", b->catalog->relations[i].oid);
	return oids;
}

/* In the order of their oids, as catalog.c reads them. */
static char *silent_keys(const struct guard *b, bool all)
{
	char *keys = t_strdup(b->plan, "");

	for (size_t i = 0; i < b->catalog->n_keys; i++)
		if (all || catalog_key_is_silent(&b->catalog->keys[i]))
			t_append(&keys, "%s%lld", *keys ? "," : "",
				 (long long)b->catalog->keys[i].oid);
	return keys;
}

/* integrity = "set": triggers that a DELETE would skip; integrity_check() has found none. */
static char *skipped_triggers(const struct guard *b)
{
	char *oids = t_strdup(b->plan, "0");

	for (size_t i = 0; i < b->plan->n_steps; i++)
		if (b->plan->steps[i].fate == FATE_DELETE)
			t_append(&oids, ",%u",
				 b->catalog->relations[b->plan->steps[i].table->index].oid);
	return t_printf(
		b->plan,
		"\n UNION ALL SELECT g.oid FROM pg_trigger AS g\n"
		" WHERE NOT g.tgisinternal AND g.tgenabled <> 'D' AND g.tgtype & 8 <> 0\n"
		"   AND (g.tgrelid IN (%s) OR EXISTS (\n"
		"       SELECT FROM pg_partition_ancestors(g.tgrelid) AS p WHERE p.relid IN (%s)))",
		oids, oids);
}

/*
 * Does a table that the plan touches have other columns than it was made for?  A new one would be archived by no COPY
 * and cleared by no rule.
 */
static char *same_columns(const struct guard *b)
{
	char *oids = t_strdup(b->plan, ""), *names = t_strdup(b->plan, "");

	for (size_t i = 0; i < b->plan->n_steps; i++) {
		const struct relation *r = &b->catalog->relations[b->plan->steps[i].table->index];

		t_append(&oids, "%s%u", i ? "," : "", r->oid);
		for (size_t c = 0; c < r->n_columns; c++)
			t_append(&names, "%zu %s\n", i + 1, r->columns[c].name);
	}
	return t_printf(
		b->plan,
		"(SELECT string_agg(s.i || ' ' || a.attname || chr(10), '' ORDER BY s.i, a.attnum)\n"
		"    FROM unnest('{%s}'::oid[]) WITH ORDINALITY AS s(oid, i)\n"
		"    JOIN pg_attribute AS a ON a.attrelid = s.oid\n"
		"     AND a.attnum > 0 AND NOT a.attisdropped) IS NOT DISTINCT FROM %s",
		oids, sql_literal(b->plan, names));
}

void plan_guards(struct plan *plan, const struct catalog *catalog, const struct plan_opts *opts)
{
	const enum action action = opts->action;
	const struct guard b = {.plan = plan, .catalog = catalog};
	const struct table *r = plan->model->request;
	const bool by_key = strcmp(model_parent_column(r), plan->model->contact->key) == 0;
	const char *oids = table_oids(&b);

	if (plan->subject != r && action != ACTION_EXPORT)
		plan->lock_requests_sql = lock_requests(&b);
	/* No foreign key: nothing keeps a client from attaching a request to a contact that goes. */
	if (action == ACTION_DELETE_CONTACTS && by_key && !request_has_foreign_key(&b))
		plan->strays_sql = t_printf(plan, "SELECT count(*) AS n FROM %s AS t WHERE %s",
					    sql_table(plan, r->schema, r->table),
					    request_selection(&b, request_links(&b)));
	plan->silent_keys = silent_keys(&b, opts->by_set);
	plan->changes_sql = t_printf(
		plan,
		"SELECT coalesce(string_agg(k.oid::text, ',' ORDER BY k.oid), '') AS keys,\n"
		"       %s AS same_columns\n"
		"  FROM (SELECT k.oid FROM pg_constraint AS k WHERE k.contype = 'f' AND k.conparentid = 0\n"
		"   %s AND (k.confrelid IN (%s) OR EXISTS (\n"
		"       SELECT FROM pg_partition_ancestors(k.confrelid) AS p WHERE p.relid IN (%s)))%s) AS k",
		same_columns(&b), opts->by_set ? "" : "AND k.confdeltype NOT IN ('a', 'r')", oids,
		oids, opts->by_set ? skipped_triggers(&b) : "");
}
