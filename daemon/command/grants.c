/*
 * grants: prints the rights that a role needs for the model on this database, as SQL for psql: the daemon's, or, to read
 * alone, those of an auditor or an operator.  Rights to write are granted column by column.  The right to read covers whole
 * tables of the model, because a full export, a preview and the data about a contact read every column.
 */
#include "command/grants_state.h"

#include "base/sql.h"
#include "base/text.h"
#include "model/catalog_sql.h"

/* Tables outside the model whose rows can use a shared row: the daemon reads the key's columns. */
static void print_users(const struct grants *g)
{
	const struct model *model = &g->cmd->config->model;
	const struct catalog *catalog = g->catalog;

	for (size_t k = 0; k < catalog->n_keys; k++) {
		const struct foreign_key *key = &catalog->keys[k];
		bool outside = true, use = false;

		for (size_t i = 0; i < model->n_tables; i++) {
			outside = outside && catalog->relations[i].oid != key->from_oid;
			use = use || (catalog->relations[i].oid == key->to_oid &&
				      catalog_key_is_use(model, catalog, &model->tables[i], key));
		}
		if (!outside || !use)
			continue;
		puts("");
		grants_comment("%s: read to find shared rows in use", key->from_name);
		printf("GRANT SELECT (%s) ON %s TO %s;\n", key->columns_sql, key->from_sql,
		       g->role);
	}
}

/* Rights that PUBLIC has by default and that were revoked here. */
static const char revoked_sql[] =
	"SELECT 'the database' AS what,\n"
	"       format('GRANT CONNECT ON DATABASE %I TO', current_database()) AS grants\n"
	" WHERE NOT has_database_privilege('public', current_database(), 'CONNECT')\n"
	" UNION ALL\n"
	"SELECT 'the types of columns that are written or looked for',\n"
	"       format('GRANT USAGE ON SCHEMA %I TO', n.nspname)\n"
	"  FROM unnest($1::oid[], $2::text[]) AS c(relation, name)\n"
	"  JOIN pg_attribute AS a ON a.attrelid = c.relation AND a.attname = c.name\n"
	"  JOIN pg_type AS t ON t.oid = a.atttypid\n" CATALOG_BASE
	"  JOIN pg_namespace AS n ON n.oid = b.typnamespace\n"
	" WHERE NOT has_schema_privilege('public', n.oid, 'USAGE')\n"
	"   AND n.nspname <> ALL ($3::text[])\n"
	" GROUP BY n.nspname\n";

/* Tables with row-level security. */
static const char secured_sql[] =
	"SELECT string_agg(DISTINCT c.oid::regclass::text, ', ') AS tables FROM pg_class AS c\n"
	" WHERE c.oid = ANY ($1::oid[]) AND c.relrowsecurity";

/* Everything that a predicate reads beside its own table: the dependencies of a view with it. */
static const char depends_sql[] =
	"WITH needed AS (\n"
	"	SELECT DISTINCT d.refclassid, d.refobjid, d.refobjsubid\n"
	"	  FROM pg_depend AS d JOIN pg_rewrite AS r\n"
	"	    ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid\n"
	"	 WHERE r.ev_class = 'pg_temp.retention_predicates'::regclass\n"
	"	   AND d.refobjid <> r.ev_class),\n"
	"functions AS (\n"
	"	SELECT p.oid, p.pronamespace FROM pg_proc AS p\n"
	"	 WHERE p.oid IN (SELECT n.refobjid FROM needed AS n WHERE n.refclassid = 'pg_proc'::regclass\n"
	"	                 UNION SELECT o.oprcode FROM needed AS n JOIN pg_operator AS o\n"
	"	                    ON n.refclassid = 'pg_operator'::regclass AND o.oid = n.refobjid)),\n"
	"schemas AS (\n"
	"	SELECT c.relnamespace AS oid FROM needed AS n JOIN pg_class AS c\n"
	"	    ON n.refclassid = 'pg_class'::regclass AND c.oid = n.refobjid\n"
	"	UNION SELECT f.pronamespace FROM functions AS f\n"
	"	UNION SELECT o.oprnamespace FROM needed AS n JOIN pg_operator AS o\n"
	"	    ON n.refclassid = 'pg_operator'::regclass AND o.oid = n.refobjid\n"
	"	UNION SELECT t.typnamespace FROM needed AS n JOIN pg_type AS t\n"
	"	    ON n.refclassid = 'pg_type'::regclass AND t.oid = n.refobjid)\n"
	"SELECT format('GRANT USAGE ON SCHEMA %I TO', n.nspname) AS grants\n"
	"  FROM schemas AS s JOIN pg_namespace AS n ON n.oid = s.oid\n"
	" WHERE NOT has_schema_privilege('public', n.oid, 'USAGE') AND n.nspname <> ALL ($2::text[])\n"
	" UNION ALL\n"
	"SELECT format('GRANT SELECT%s ON %I.%I TO',\n"
	"              coalesce(' (' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) || ')', ''),\n"
	"              s.nspname, c.relname)\n"
	"  FROM needed AS n JOIN pg_class AS c ON n.refclassid = 'pg_class'::regclass AND c.oid = n.refobjid\n"
	"  JOIN pg_namespace AS s ON s.oid = c.relnamespace\n"
	"  LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = n.refobjsubid AND a.attnum > 0\n"
	" WHERE c.oid <> ALL ($1::oid[]) AND c.relkind <> 'c' AND s.nspname <> 'pg_catalog'\n"
	" GROUP BY s.nspname, c.relname\n"
	" UNION ALL\n"
	"SELECT format('GRANT EXECUTE ON FUNCTION %s TO', f.oid::regprocedure) FROM functions AS f\n"
	" WHERE NOT has_function_privilege('public', f.oid, 'EXECUTE')\n"
	" ORDER BY grants";

static void collect_arrays(struct grants *g)
{
	const struct model *model = &g->cmd->config->model;
	const char **schemas = t_array(g->ctx, const char *, model->n_tables);
	const char **columns = NULL;
	size_t n = 0, owned = 0;

	g->tables = t_strdup(g->ctx, "{");
	g->owners = t_strdup(g->ctx, "{");
	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *t = &model->tables[i];
		const unsigned int oid = g->catalog->relations[i].oid;
		const size_t n_key = t->key ? t->key->n : 0;

		columns = t_grow(g->ctx, columns, const char *,
				 n + t->n_rules + t->on_detach.n + n_key + 1);
		schemas[i] = t->schema;
		t_append(&g->tables, "%s%u", i ? "," : "", oid);
		for (size_t r = 0; r < t->n_rules; r++)
			if (t->rules[r].kind != RULE_KEEP)
				columns[n++] = t->rules[r].column;
		for (size_t r = 0; r < t->on_detach.n; r++)
			if (t->on_detach.list[r].kind != RULE_KEEP)
				columns[n++] = t->on_detach.list[r].column;
		for (size_t k = 0; k < n_key; k++)
			columns[n++] = t->key->names[k];
		for (; owned < n; owned++)
			t_append(&g->owners, "%s%u", owned ? "," : "", oid);
	}
	t_append(&g->tables, "}");
	t_append(&g->owners, "}");
	g->columns = sql_array(g->ctx, columns, n);
	g->schemas = sql_array(g->ctx, schemas, model->n_tables);
}

static bool print_secured(const struct grants *g, struct error *err)
{
	const char *const values[] = {g->tables};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(g->cmd->db, secured_sql, 1, values, &res, err))
		return false;
	if (!db_text(res, 0, "tables"))
		return true;
	if (g->grantee != GRANTEE_DAEMON) {
		grants_comment(
			"Row-level security (%s) hides rows from the role, unless a policy of the "
			"tables names it.",
			db_text(res, 0, "tables"));
		return true;
	}
	grants_comment("Row-level security (%s) would hide rows that are due.",
		       db_text(res, 0, "tables"));
	printf("ALTER ROLE %s BYPASSRLS;\n", g->role);
	return true;
}

/* Creates a view with the predicate, and reads its dependencies from pg_depend before the rollback. */
static bool print_predicate(const struct grants *g, const struct table *t, const char *predicate,
			    struct error *err)
{
	const char *const values[] = {g->tables, g->schemas};
	const char *sql = t_printf(g->ctx,
				   "CREATE TEMPORARY VIEW retention_predicates AS\n"
				   "SELECT 1 AS one FROM %s WHERE (%s\n)",
				   sql_table(g->ctx, t->schema, t->table), predicate);
	AUTO(result) PGresult *res = NULL;
	bool ok;

	/* db_query() accepts one statement only, so that a predicate cannot hide another one. */
	ok = db_exec(g->cmd->db, "BEGIN", err) && db_query(g->cmd->db, sql, 0, NULL, &res, err) &&
	     grants_rows(g, depends_sql, 2, values, err);
	db_rollback(g->cmd->db);
	return ok;
}

static bool print_predicates(struct grants *g, struct error *err)
{
	const struct config *config = g->cmd->config;
	const char *heading = "What the predicates need beside these tables.";
	bool ok = true;

	g->heading = &heading;
	for (size_t i = 0; ok && i < config->model.n_tables; i++) {
		const struct table *t = &config->model.tables[i];

		ok = (!t->where || print_predicate(g, t, t->where, err)) &&
		     (!t->due_when || print_predicate(g, t, t->due_when, err));
	}
	for (size_t i = 0; ok && i < config->n_policies; i++)
		ok = !config->policies[i].scope ||
		     print_predicate(g, config->model.contact, config->policies[i].scope, err);
	g->heading = NULL;
	return ok;
}

/* The group of a person, whose rights on the schema retention are those of the group. */
static void print_group(const struct grants *g)
{
	if (g->grantee == GRANTEE_AUDITOR)
		printf("-- The schema retention: reads its journal.\n"
		       "GRANT retention_auditor TO %s;\n",
		       g->role);
	else
		printf("-- The schema retention: saves, cancels and places holds.\n"
		       "GRANT retention_operator TO %s;\n",
		       g->role);
}

/* Prints the rights beside those on tables: membership, settings, schemas, revoked defaults. */
static bool print_surroundings(const struct grants *g, struct error *err)
{
	const char *const values[] = {g->owners, g->columns, g->schemas};
	const struct config *config = g->cmd->config;
	const struct model *model = &config->model;

	grants_comment("What %s needs to %s the model of %s.", g->name,
		       g->grantee == GRANTEE_DAEMON ? "work on" : "read", config->path);
	if (g->grantee == GRANTEE_DAEMON)
		grants_daemon_groups(g);
	else
		print_group(g);
	for (size_t i = 0; i < model->n_tables; i++) {
		bool printed = false;

		for (size_t j = 0; j < i; j++)
			printed = printed ||
				  strcmp(model->tables[j].schema, model->tables[i].schema) == 0;
		if (!printed)
			printf("GRANT USAGE ON SCHEMA %s TO %s;\n",
			       sql_ident(g->ctx, model->tables[i].schema), g->role);
	}
	return grants_rows(g, revoked_sql, 3, values, err) && print_secured(g, err) &&
	       (g->grantee != GRANTEE_DAEMON || grants_daemon_maintain(g, err));
}

static bool print_table(const struct grants *g, const struct table *t, struct error *err)
{
	if (g->grantee == GRANTEE_DAEMON)
		return grants_daemon_table(g, t, err);
	printf("\n-- %s: read\nGRANT SELECT ON %s TO %s;\n", t->name,
	       sql_table(g->ctx, t->schema, t->table), g->role);
	return true;
}

bool command_check_grants(struct command *cmd, struct error *err)
{
	const char *name = cmd->argument;

	if (cmd->options.auditor && cmd->options.operator)
		return fail(err, ERR_USAGE, "%s", _("give --auditor or --operator, not both"));
	return !name || (*name && !name[strcspn(name, "\r\n")]) ||
	       fail(err, ERR_USAGE, _("\"%s\" is not the name of a role"), name);
}

/* Refuses what each line of the output would otherwise be refused for. */
static bool check_role(const struct command *cmd, struct error *err)
{
	int64_t there = 0;

	return db_query_int(cmd->db, "SELECT count(*) FROM pg_catalog.pg_roles WHERE rolname = $1",
			    1, (const char *const[]){cmd->argument}, &there, err) &&
	       (there > 0 ||
		fail(err, ERR_CONFIG,
		     _("role \"%s\" does not exist: make it first, as with CREATE ROLE %s LOGIN"),
		     cmd->argument, sql_ident(cmd->ctx, cmd->argument)));
}

bool command_grants(struct command *cmd, struct error *err)
{
	static const char *const names[] = {
		[GRANTEE_DAEMON] = "retentiond",
		[GRANTEE_AUDITOR] = "auditor",
		[GRANTEE_OPERATOR] = "operator",
	};
	const struct model *model = &cmd->config->model;
	struct grants g = {.cmd = cmd,
			   .ctx = cmd->ctx,
			   .grantee = cmd->options.auditor   ? GRANTEE_AUDITOR
				      : cmd->options.operator? GRANTEE_OPERATOR
							     : GRANTEE_DAEMON };

	g.name = cmd->argument ? cmd->argument : names[g.grantee];
	g.role = sql_ident(g.ctx, g.name);
	if (cmd->argument && !check_role(cmd, err))
		return false;
	if (!command_model(cmd, ACTION_EXPORT, &g.catalog, err))
		return false;
	collect_arrays(&g);
	if (!print_surroundings(&g, err))
		return false;
	for (size_t i = 0; i < model->n_tables; i++)
		if (!print_table(&g, &model->tables[i], err))
			return false;
	print_users(&g);
	return (g.grantee != GRANTEE_DAEMON || grants_daemon_triggers(&g, err)) &&
	       print_predicates(&g, err);
}
