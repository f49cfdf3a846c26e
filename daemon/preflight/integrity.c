#include "preflight/integrity.h"

#define FIRST_GRANTABLE 150000 /* GRANT SET ON PARAMETER */

static const char right_sql[] = "SELECT %s AS may, quote_ident(current_user) AS name";
static const char granted[] = "has_parameter_privilege('session_replication_role', 'SET')";
static const char superuser[] = "(SELECT rolsuper FROM pg_roles WHERE rolname = current_user)";

/* The user triggers on DELETE of each table of $1, in its order, partitions included. */
static const char triggers_sql[] =
	"SELECT (SELECT string_agg(DISTINCT quote_ident(t.tgname), ', ') FROM pg_trigger AS t\n"
	"         WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 8 <> 0\n"
	"           AND t.tgrelid IN (SELECT w.oid UNION\n"
	"                             SELECT relid FROM pg_partition_tree(w.oid))) AS names\n"
	"  FROM unnest($1::oid[]) WITH ORDINALITY AS w(oid, i) ORDER BY w.i";

bool integrity_read(struct db *db, const struct plan *plan, void *ctx, struct integrity_facts *ret,
		    struct error *err)
{
	const bool grantable = db_server_version(db) >= FIRST_GRANTABLE;
	const char **triggers = t_array(ctx, const char *, plan->n_steps + 1);
	char *oids = t_strdup(ctx, "");
	AUTO(result) PGresult *right = NULL;
	AUTO(result) PGresult *names = NULL;

	for (size_t i = 0; i < plan->n_steps; i++)
		t_append(&oids, "%s%u", i ? "," : "",
			 plan->catalog->relations[plan->steps[i].table->index].oid);
	if (!db_query(db, t_printf(ctx, right_sql, grantable ? granted : superuser), 0, NULL,
		      &right, err) ||
	    !db_query(db, triggers_sql, 1, (const char *const[]){t_printf(ctx, "{%s}", oids)},
		      &names, err))
		return false;
	for (size_t i = 0; i < plan->n_steps; i++) {
		const char *found = db_text(names, (int)i, "names");

		if (found && plan->steps[i].disposition == DISPOSITION_DELETE)
			triggers[i] = t_strdup(ctx, found);
	}
	*ret = (struct integrity_facts){
		.grantable = grantable,
		.may_set = db_bool(right, 0, "may"),
		.role = t_strdup(ctx, db_value(right, 0, "name")),
		.triggers = triggers,
	};
	return true;
}

/* The list of obstacles, as it is gathered. */
struct obstacles {
	void *ctx;
	const struct plan *plan;
	struct obstacle *list;
	size_t n;
};

__attribute__((format(printf, 4, 5))) static void add(struct obstacles *o,
						      const struct place *place, const char *cure,
						      const char *because, ...)
{
	va_list args;

	va_start(args, because);
	o->list = t_grow(o->ctx, o->list, struct obstacle, o->n + 1);
	o->list[o->n++] =
		(struct obstacle){place, must_alloc(talloc_vasprintf(o->ctx, because, args)), cure};
	va_end(args);
}

static void check_right(struct obstacles *o, const struct integrity_facts *facts)
{
	if (facts->may_set)
		return;
	if (facts->grantable)
		add(o, NULL,
		    t_printf(o->ctx, "GRANT SET ON PARAMETER session_replication_role TO %s, or ",
			     facts->role),
		    "role %s has no right to set session_replication_role "
		    "(retentionctl grants prints it)",
		    facts->role);
	else
		add(o, NULL, "", "before PostgreSQL 15 it takes a superuser, which role %s is not",
		    facts->role);
}

/* ON DELETE CASCADE, SET NULL and SET DEFAULT do nothing for a replica: does the plan do it? */
static bool is_done_by_plan(const struct plan *plan, const struct table *t,
			    const struct foreign_key *key)
{
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct step *s = &plan->steps[i];

		if ((s->disposition == DISPOSITION_DELETE ||
		     s->disposition == DISPOSITION_DETACH) &&
		    !s->table->where && catalog_link_covers(plan->catalog, s->table, key))
			return true;
	}
	/* Or is there nothing to do, because the batch fails where such rows are? */
	for (size_t i = 0; i < plan->n_kept_keys; i++)
		if (plan->kept_keys[i] == key)
			return true;
	/* No row of the join table that stays points at a request that goes. */
	return !catalog_key_is_silent(key) ||
	       (t->shared && t == plan->model->request &&
		catalog_key_is_use(plan->model, plan->catalog, t, key));
}

static void check_key(struct obstacles *o, const struct table *t, const struct foreign_key *key)
{
	const struct relation *r = &o->plan->catalog->relations[t->index];

	if (!is_done_by_plan(o->plan, t, key))
		add(o, &t->place, "map them with delete = \"detach\", or ",
		    "it does not do what constraint \"%s\" of %s does to rows that stay (ON DELETE)",
		    key->name, key->from_name);
	for (size_t j = 0; j < key->n_columns; j++)
		if (!catalog_column(r, key->to_columns[j])->plain)
			add(o, &t->place, "",
			    "it compares %s.%s.%s as bytes, which constraint \"%s\" of %s does not",
			    t->schema, t->table, key->to_columns[j], key->name, key->from_name);
}

const struct obstacle *integrity_obstacles(void *ctx, const struct plan *plan,
					   const struct integrity_facts *facts, size_t *ret_n)
{
	struct obstacles o = {.ctx = ctx, .plan = plan};
	const struct catalog *catalog = plan->catalog;

	check_right(&o, facts);
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct table *t = plan->steps[i].table;

		if (facts->triggers[i])
			add(&o, &t->place, "",
			    "%s.%s has triggers on DELETE (%s), which it does not fire", t->schema,
			    t->table, facts->triggers[i]);
	}
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct table *t = plan->steps[i].table;
		const unsigned int oid = catalog->relations[t->index].oid;
		const struct foreign_key *k = NULL;

		while (plan->steps[i].disposition == DISPOSITION_DELETE &&
		       (k = catalog_next_key(catalog, k, 0, oid)))
			check_key(&o, t, k);
	}
	*ret_n = o.n;
	return o.list;
}

static bool deletes(const struct plan *plan)
{
	for (size_t i = 0; i < plan->n_steps; i++)
		if (plan->steps[i].disposition == DISPOSITION_DELETE)
			return true;
	return false;
}

bool integrity_by_set(void *ctx, const struct plan *plan, const struct obstacle *obstacles,
		      size_t n, const char **ret_text)
{
	const bool by_set = n == 0 && deletes(plan);

	if (by_set)
		*ret_text = "set";
	else if (!deletes(plan))
		*ret_text = "triggers, because the action deletes no rows";
	else
		*ret_text = t_printf(ctx, "triggers, because %s%s", obstacles[0].because,
				     n > 1 ? t_printf(ctx, "; and %zu more", n - 1) : "");
	return by_set;
}
