#include "preflight/integrity.h"

#include "base/mem.h"

/* The list of obstacles, as it is gathered. */
struct obstacles {
	void *ctx;
	const struct plan *plan;
	struct obstacle *list;
	size_t n;
};

static void add(struct obstacles *o, const struct place *place, const char *because,
		const char *complaint)
{
	o->list = t_grow(o->ctx, o->list, struct obstacle, o->n + 1);
	o->list[o->n++] = (struct obstacle){place, because, complaint};
}

static void check_right(struct obstacles *o, const struct integrity_facts *facts)
{
	if (facts->may_set)
		return;
	if (facts->grantable)
		add(o, NULL,
		    t_printf(o->ctx,
			     "role %s has no right to set session_replication_role "
			     "(retentionctl grants prints it)",
			     facts->role),
		    t_printf(o->ctx,
			     "limits: integrity = \"set\" needs the right to set "
			     "session_replication_role: GRANT SET ON PARAMETER "
			     "session_replication_role TO %s; or say \"triggers\"",
			     facts->role));
	else
		add(o, NULL,
		    t_printf(o->ctx,
			     "before PostgreSQL 15 it takes a superuser, which role %s is not",
			     facts->role),
		    t_printf(o->ctx,
			     "limits: integrity = \"set\" needs a superuser before PostgreSQL "
			     "15, which %s is not: say \"triggers\"",
			     facts->role));
}

static void check_triggers(struct obstacles *o, const struct table *t, const char *names)
{
	if (!names)
		return;
	add(o, &t->place,
	    t_printf(o->ctx, "%s.%s has triggers on DELETE (%s), which it does not fire", t->schema,
		     t->table, names),
	    t_printf(o->ctx,
		     "table \"%s\": limits.integrity = \"set\" deletes without firing triggers, "
		     "and %s.%s has some on DELETE (%s): say integrity = \"triggers\"",
		     t->name, t->schema, t->table, names));
}

/* ON DELETE CASCADE, SET NULL and SET DEFAULT do nothing for a replica: does the plan do it? */
static bool is_done_by_plan(const struct plan *plan, const struct foreign_key *key)
{
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct step *s = &plan->steps[i];

		if ((s->disposition == DISPOSITION_DELETE ||
		     s->disposition == DISPOSITION_DETACH) &&
		    !s->table->where && catalog_link_covers(plan->catalog, s->table, key))
			return true;
	}
	return !catalog_key_is_silent(key);
}

static void check_key(struct obstacles *o, const struct table *t, const struct foreign_key *key)
{
	const struct relation *r = &o->plan->catalog->relations[t->index];

	if (!is_done_by_plan(o->plan, key))
		add(o, &t->place,
		    t_printf(o->ctx,
			     "it does not do what constraint \"%s\" of %s does to rows that stay "
			     "(ON DELETE)",
			     key->name, key->from_name),
		    t_printf(o->ctx,
			     "table \"%s\": limits.integrity = \"set\" does not do what constraint "
			     "\"%s\" of %s does to rows that stay (ON DELETE): map them with "
			     "delete = \"detach\", or say integrity = \"triggers\"",
			     t->name, key->name, key->from_name));
	for (size_t j = 0; j < key->n_columns; j++)
		if (!catalog_column(r, key->to_columns[j])->plain)
			add(o, &t->place,
			    t_printf(o->ctx,
				     "it compares %s.%s.%s as bytes, which constraint \"%s\" of "
				     "%s does not",
				     t->schema, t->table, key->to_columns[j], key->name,
				     key->from_name),
			    t_printf(o->ctx,
				     "table \"%s\": limits.integrity = \"set\" compares \"%s\" as "
				     "bytes, which constraint \"%s\" of %s does not: say integrity "
				     "= \"triggers\"",
				     t->name, key->to_columns[j], key->name, key->from_name));
}

const struct obstacle *integrity_obstacles(void *ctx, const struct plan *plan,
					   const struct integrity_facts *facts, size_t *ret_n)
{
	struct obstacles o = {.ctx = ctx, .plan = plan};
	const struct catalog *catalog = plan->catalog;

	check_right(&o, facts);
	for (size_t i = 0; i < plan->n_steps; i++)
		check_triggers(&o, plan->steps[i].table, facts->triggers[i]);
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct table *t = plan->steps[i].table;

		for (size_t k = 0;
		     plan->steps[i].disposition == DISPOSITION_DELETE && k < catalog->n_keys; k++)
			if (catalog->keys[k].to_oid == catalog->relations[t->index].oid)
				check_key(&o, t, &catalog->keys[k]);
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
	if (n == 0 && deletes(plan)) {
		*ret_text = "set";
		return true;
	}
	*ret_text = !deletes(plan) ? "triggers, because the action deletes no rows"
				   : t_printf(ctx, "triggers, because %s", obstacles[0].because);
	if (n > 1 && deletes(plan))
		*ret_text = t_printf(ctx, "%s; and %zu more", *ret_text, n - 1);
	return false;
}
