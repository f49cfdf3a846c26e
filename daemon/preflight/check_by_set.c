#include "preflight/check_by_set.h"

#include "base/mem.h"
#include "base/sql.h"

#define FIRST_GRANTABLE 150000 /* GRANT SET ON PARAMETER */

static bool check_right(struct db *db, const struct config *config, struct complaints *c,
			struct error *err)
{
	const bool grantable = db_server_version(db) >= FIRST_GRANTABLE;
	AUTO(result) PGresult *res = NULL;

	if (!db_query(
		    db,
		    grantable
			    ? "SELECT has_parameter_privilege('session_replication_role', 'SET') AS may,\n"
			      "       quote_ident(current_user) AS name"
			    : "SELECT rolsuper AS may, quote_ident(rolname) AS name FROM pg_roles\n"
			      " WHERE rolname = current_user",
		    0, NULL, &res, err))
		return false;
	if (!db_bool(res, 0, "may"))
		complain(
			c, &config->integrity_place,
			grantable
				? "limits: integrity = \"set\" needs the right to set "
				  "session_replication_role: GRANT SET ON PARAMETER "
				  "session_replication_role TO %s; or say \"triggers\""
				: "limits: integrity = \"set\" needs a superuser before PostgreSQL "
				  "15, and %s is none: say \"triggers\"",
			db_text(res, 0, "name"));
	return true;
}

/* Those that a DELETE as a replica leaves out, or those that it alone would fire. */
static bool check_triggers(struct db *db, const struct plan *plan, const struct catalog *catalog,
			   struct complaints *c, struct error *err)
{
	static const char sql[] =
		"SELECT string_agg(DISTINCT quote_ident(t.tgname), ', ') AS names\n"
		"  FROM pg_trigger AS t\n"
		" WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 8 <> 0\n"
		"   AND t.tgrelid IN (SELECT $1::oid UNION SELECT relid FROM pg_partition_tree($1::oid))";
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));

	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct table *t = plan->steps[i].table;
		const char *const values[] = {
			t_printf(ctx, "%u", catalog->relations[t->index].oid)};
		AUTO(result) PGresult *res = NULL;

		if (plan->steps[i].disposition != DISPOSITION_DELETE)
			continue;
		if (!db_query(db, sql, 1, values, &res, err))
			return false;
		if (db_text(res, 0, "names"))
			complain(c, &t->place,
				 "table \"%s\": limits.integrity = \"set\" deletes without firing "
				 "triggers, and %s.%s has some on DELETE (%s): say integrity = "
				 "\"triggers\"",
				 t->name, t->schema, t->table, db_text(res, 0, "names"));
	}
	return true;
}

/* ON DELETE CASCADE, SET NULL, SET DEFAULT do nothing for a replica: the plan must do it, or nobody does. */
static bool is_done_by_plan(const struct plan *plan, const struct catalog *catalog,
			    const struct foreign_key *key)
{
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct step *s = &plan->steps[i];

		if ((s->disposition == DISPOSITION_DELETE ||
		     s->disposition == DISPOSITION_DETACH) &&
		    !s->table->where && catalog_link_covers(catalog, s->table, key))
			return true;
	}
	return !catalog_key_is_silent(key);
}

static void check_key(const struct plan *plan, const struct catalog *catalog, const struct table *t,
		      const struct foreign_key *key, struct complaints *c)
{
	const struct relation *r = &catalog->relations[t->index];

	if (!is_done_by_plan(plan, catalog, key))
		complain(c, &t->place,
			 "table \"%s\": limits.integrity = \"set\" does not do what constraint "
			 "\"%s\" of %s does to rows that stay (ON DELETE): map them with delete = "
			 "\"detach\", or say integrity = \"triggers\"",
			 t->name, key->name, key->from_name);
	for (size_t j = 0; j < key->n_columns; j++)
		if (!catalog_column(r, key->to_columns[j])->plain)
			complain(c, &t->place,
				 "table \"%s\": limits.integrity = \"set\" compares \"%s\" as "
				 "bytes, which constraint \"%s\" of %s does not: say integrity = "
				 "\"triggers\"",
				 t->name, key->to_columns[j], key->name, key->from_name);
}

static void check_keys(const struct plan *plan, const struct catalog *catalog, struct complaints *c)
{
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct table *t = plan->steps[i].table;

		for (size_t k = 0;
		     plan->steps[i].disposition == DISPOSITION_DELETE && k < catalog->n_keys; k++)
			if (catalog->keys[k].to_oid == catalog->relations[t->index].oid)
				check_key(plan, catalog, t, &catalog->keys[k], c);
	}
}

bool check_by_set(struct db *db, const struct config *config, const struct plan *plan,
		  const struct catalog *catalog, struct complaints *c, struct error *err)
{
	const size_t before = c->n;

	if (!check_right(db, config, c, err) || !check_triggers(db, plan, catalog, c, err))
		return false;
	check_keys(plan, catalog, c);
	return c->n == before;
}
