#include "preflight/check_by_set.h"

#include "base/mem.h"

#define FIRST_GRANTABLE 150000 /* GRANT SET ON PARAMETER */

static const char granted_sql[] =
	"SELECT has_parameter_privilege('session_replication_role', 'SET') AS may,\n"
	"       quote_ident(current_user) AS name";

static const char superuser_sql[] =
	"SELECT rolsuper AS may, quote_ident(rolname) AS name FROM pg_roles\n"
	" WHERE rolname = current_user";

/* The user triggers on DELETE of each table of $1, in its order, partitions included. */
static const char triggers_sql[] =
	"SELECT (SELECT string_agg(DISTINCT quote_ident(t.tgname), ', ') FROM pg_trigger AS t\n"
	"         WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 8 <> 0\n"
	"           AND t.tgrelid IN (SELECT w.oid UNION\n"
	"                             SELECT relid FROM pg_partition_tree(w.oid))) AS names\n"
	"  FROM unnest($1::oid[]) WITH ORDINALITY AS w(oid, i) ORDER BY w.i";

bool check_by_set_read(struct db *db, const struct plan *plan, void *ctx,
		       struct integrity_facts *ret, struct error *err)
{
	const bool grantable = db_server_version(db) >= FIRST_GRANTABLE;
	const char **triggers = t_array(ctx, const char *, plan->n_steps + 1);
	char *oids = t_strdup(ctx, "");
	AUTO(result) PGresult *right = NULL;
	AUTO(result) PGresult *names = NULL;

	for (size_t i = 0; i < plan->n_steps; i++)
		t_append(&oids, "%s%u", i ? "," : "",
			 plan->catalog->relations[plan->steps[i].table->index].oid);
	if (!db_query(db, grantable ? granted_sql : superuser_sql, 0, NULL, &right, err) ||
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
		.role = t_strdup(ctx, db_text(right, 0, "name")),
		.triggers = triggers,
	};
	return true;
}
