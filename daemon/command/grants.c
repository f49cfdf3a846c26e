/*
 * grants: what the daemon's role needs for the model on this database, as SQL for psql.  Column by column where
 * it writes; where it reads a table of the model it is the whole table, for a full export reads every column.
 */
#include "command/command.h"

#include "preflight/read_catalog.h"
#include "model/disposition.h"
#include "base/mem.h"
#include "base/sql.h"

/* What any action that this model can do does to t. */
struct need {
	bool deletes;
	bool detaches;
	bool updates; /* by rules */
	bool locks;
};

static struct need need_of(const struct model *model, const struct catalog *catalog,
			   const struct table *t)
{
	struct need need = {.locks = t == model->contact || t == model->request || t->shared ||
				     t->file.column};
	bool inner = false;

	for (size_t i = 0; i < model->n_tables; i++)
		inner = inner || model->tables[i].of == t;

	for (enum action a = ACTION_DELETE_CONTACTS; a < ACTION_COUNT; a++) {
		const enum disposition disposition = disposition_of(t, a, ARCHIVE_FULL);

		if (a != ACTION_DELETE_CONTACTS && !model_can_anonymize(model, a))
			continue;
		need.deletes |= disposition == DISPOSITION_DELETE;
		need.detaches |= disposition == DISPOSITION_DETACH;
		need.updates |= disposition == DISPOSITION_UPDATE;
		need.locks |= disposition == DISPOSITION_DELETE && inner &&
			      (!t->key || catalog_attaches_silently(catalog, t));
	}
	return need;
}

static void add_column(void *ctx, char **list, const char *column)
{
	const char *name = sql_ident(ctx, column);

	if (!strstr(*list, name))
		t_append(list, "%s%s", **list ? ", " : "", name);
}

/* The columns that are written; a lock takes the right to change one, whichever. */
static char *updated_columns(void *ctx, const struct table *t, const struct need *need)
{
	char *list = t_strdup(ctx, "");

	for (size_t i = 0; need->updates && i < t->n_rules; i++)
		if (t->rules[i].kind != RULE_KEEP)
			add_column(ctx, &list, t->rules[i].column);
	if (need->detaches)
		add_column(ctx, &list, t->by);
	if (!*list && need->locks)
		add_column(ctx, &list, t->key ? t->key : t->by);
	return list;
}

static void print_table(void *ctx, const struct model *model, const struct catalog *catalog,
			const struct table *t, const char *role)
{
	const struct need need = need_of(model, catalog, t);
	const char *table = sql_table(ctx, t->schema, t->table);
	const char *columns = updated_columns(ctx, t, &need);

	printf("\n-- %s: read%s%s%s%s\n", t->name, need.updates ? ", anonymized" : "",
	       need.detaches ? ", detached" : "", need.deletes ? ", deleted" : "",
	       need.locks ? "; its rows are locked" : "");
	printf("GRANT SELECT%s ON %s TO %s;\n", need.deletes ? ", DELETE" : "", table, role);
	if (*columns)
		printf("GRANT UPDATE (%s) ON %s TO %s;\n", columns, table, role);
}

/* Tables outside the model whose rows may use a shared one: they are asked, by the key's columns. */
static void print_users(const struct model *model, const struct catalog *catalog, const char *role)
{
	for (size_t k = 0; k < catalog->n_keys; k++) {
		const struct foreign_key *key = &catalog->keys[k];
		bool outside = true, use = false;

		for (size_t i = 0; i < model->n_tables; i++) {
			outside = outside && catalog->relations[i].oid != key->from_oid;
			use = use || (catalog->relations[i].oid == key->to_oid &&
				      catalog_key_is_use(model, catalog, &model->tables[i], key));
		}
		if (outside && use)
			printf("\n-- %s: asked for what it shares\nGRANT SELECT (%s) ON %s TO %s;\n",
			       key->from_name, key->columns_sql, key->from_sql, role);
	}
}

/* What PUBLIC may do by default, where it was taken away, and what row-level security would hide. */
static const char taken_away_sql[] =
	"SELECT 'the database' AS what,\n"
	"       format('GRANT CONNECT ON DATABASE %I TO', current_database()) AS grants\n"
	" WHERE NOT has_database_privilege('public', current_database(), 'CONNECT')\n"
	" UNION ALL\n"
	"SELECT 'the types of columns that are written or looked for',\n"
	"       format('GRANT USAGE ON SCHEMA %I TO', n.nspname)\n"
	"  FROM unnest($1::oid[], $2::text[]) AS c(relation, name)\n"
	"  JOIN pg_attribute AS a ON a.attrelid = c.relation AND a.attname = c.name\n"
	"  JOIN pg_type AS t ON t.oid = a.atttypid\n"
	"  JOIN pg_namespace AS n ON n.oid = t.typnamespace\n"
	" WHERE NOT has_schema_privilege('public', n.oid, 'USAGE')\n"
	"   AND n.nspname <> ALL ($3::text[])\n"
	" GROUP BY n.nspname\n";

static const char secured_sql[] =
	"SELECT string_agg(DISTINCT c.oid::regclass::text, ', ') AS tables FROM pg_class AS c\n"
	" WHERE c.oid = ANY ($1::oid[]) AND c.relrowsecurity";

/* What the predicates speak of beside the table that each stands on: the server has noted it for a view. */
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

/* Arrays for the queries above: the model's tables, and the columns that are written, or looked for by value. */
struct arrays {
	char *tables; /* oid[] */
	char *owners; /* oid[], of each column */
	char *columns; /* text[] */
	char *schemas; /* text[]: granted already */
};

static void collect_arrays(void *ctx, const struct model *model, const struct catalog *catalog,
			   struct arrays *ret)
{
	const char **schemas = t_array(ctx, const char *, model->n_tables);
	const char **columns;
	size_t n = 0, most = model->n_tables;

	for (size_t i = 0; i < model->n_tables; i++)
		most += model->tables[i].n_rules + 1;
	columns = t_array(ctx, const char *, most);
	ret->tables = t_strdup(ctx, "{");
	ret->owners = t_strdup(ctx, "{");
	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *t = &model->tables[i];
		const unsigned int oid = catalog->relations[i].oid;

		schemas[i] = t->schema;
		t_append(&ret->tables, "%s%u", i ? "," : "", oid);
		for (size_t r = 0; r <= t->n_rules; r++) {
			const char *column = r < t->n_rules ? t->rules[r].column : t->key;

			if (!column || (r < t->n_rules && t->rules[r].kind == RULE_KEEP))
				continue;
			t_append(&ret->owners, "%s%u", n ? "," : "", oid);
			columns[n++] = column;
		}
	}
	t_append(&ret->tables, "}");
	t_append(&ret->owners, "}");
	ret->columns = sql_array(ctx, columns, n);
	ret->schemas = sql_array(ctx, schemas, model->n_tables);
}

/* Every row of sql is a line, but for the role. */
static bool print_rows(struct db *db, const char *sql, int n, const char *const values[],
		       const char *role, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, sql, n, values, &res, err))
		return false;
	for (int row = 0; row < PQntuples(res); row++) {
		if (PQfnumber(res, "what") >= 0)
			printf("-- PUBLIC has lost it: %s.\n", db_text(res, row, "what"));
		printf("%s %s;\n", db_text(res, row, "grants"), role);
	}
	return true;
}

static bool print_secured(struct db *db, const struct arrays *arrays, const char *role,
			  struct error *err)
{
	const char *const values[] = {arrays->tables};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, secured_sql, 1, values, &res, err))
		return false;
	if (db_text(res, 0, "tables"))
		printf("-- Row-level security (%s) would hide rows that are due.\n"
		       "ALTER ROLE %s BYPASSRLS;\n",
		       db_text(res, 0, "tables"), role);
	return true;
}

/* Before PostgreSQL 17 that is a part of owning a table, which is more than anybody should give unasked. */
static bool print_vacuum(struct db *db, const struct arrays *arrays, const char *role,
			 struct error *err)
{
	static const char sql[] =
		"SELECT DISTINCT CASE WHEN current_setting('server_version_num')::int >= 170000\n"
		"       THEN format('GRANT MAINTAIN ON TABLE %I.%I TO', n.nspname, c.relname)\n"
		"       ELSE format('-- GRANT %I TO', r.rolname) END AS grants\n"
		"  FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner\n"
		"  JOIN pg_namespace AS n ON n.oid = c.relnamespace\n"
		" WHERE c.oid IN (SELECT t.oid FROM unnest($1::oid[]) AS t(oid) UNION\n"
		"                 SELECT p.relid FROM unnest($1::oid[]) AS t(oid),\n"
		"                        pg_partition_tree(t.oid) AS p)\n"
		" ORDER BY 1";
	const char *const values[] = {arrays->tables};

	printf("-- limits.vacuum.\n");
	if (db_server_version(db) < 170000)
		printf("-- Only its owner may vacuum a table here, and who is granted the owner may all that\n"
		       "-- the owner may.  Without it the job leaves that to autovacuum, and says so.\n");
	return print_rows(db, sql, 1, values, role, err);
}

/* One predicate, on its table, as a view: what it depends on is in pg_depend until the rollback. */
static bool print_predicate(struct db *db, void *ctx, const struct table *t, const char *predicate,
			    const struct arrays *arrays, const char *role, struct error *err)
{
	const char *const values[] = {arrays->tables, arrays->schemas};
	const char *sql = t_printf(ctx,
				   "CREATE TEMPORARY VIEW retention_predicates AS\n"
				   "SELECT 1 AS one FROM %s WHERE (%s\n)",
				   sql_table(ctx, t->schema, t->table), predicate);
	AUTO(result) PGresult *res = NULL;
	bool ok;

	/* db_query() takes one statement only, so that nothing else can hide in a predicate. */
	ok = db_exec(db, "BEGIN", err) && db_query(db, sql, 0, NULL, &res, err) &&
	     print_rows(db, depends_sql, 2, values, role, err);
	db_rollback(db);
	return ok;
}

static bool print_predicates(struct command *cmd, void *ctx, const struct arrays *arrays,
			     const char *role, struct error *err)
{
	const struct config *config = cmd->config;
	bool ok = true;

	printf("\n-- What the predicates need beside these tables.\n");
	for (size_t i = 0; ok && i < config->model.n_tables; i++) {
		const struct table *t = &config->model.tables[i];

		ok = (!t->where || print_predicate(cmd->db, ctx, t, t->where, arrays, role, err)) &&
		     (!t->due_when ||
		      print_predicate(cmd->db, ctx, t, t->due_when, arrays, role, err));
	}
	for (size_t i = 0; ok && i < config->n_policies; i++)
		ok = !config->policies[i].scope ||
		     print_predicate(cmd->db, ctx, config->model.contact, config->policies[i].scope,
				     arrays, role, err);
	return ok;
}

/* Beside the tables: membership, the schemas, and what a default would have given. */
static bool print_surroundings(struct command *cmd, const char *name, const struct arrays *arrays,
			       const char *role, struct error *err)
{
	const char *const values[] = {arrays->owners, arrays->columns, arrays->schemas};
	const struct model *model = &cmd->config->model;

	printf("-- What %s needs to work on the model of %s.\n"
	       "-- The schema retention: its journal, lists and functions.\n"
	       "GRANT retention_daemon TO %s;\n",
	       name, cmd->config->path, role);
	if (cmd->config->max_replica_lag_ms > 0 || cmd->config->max_snapshot_age_ms > 0)
		printf("-- limits.max_replica_lag, max_snapshot_age: how far the standbys are, and how\n"
		       "-- old others' transactions.\n"
		       "GRANT pg_read_all_stats TO %s;\n",
		       role);
	if (cmd->config->integrity_set && db_server_version(cmd->db) >= 150000)
		printf("-- limits.integrity = \"set\".\n"
		       "GRANT SET ON PARAMETER session_replication_role TO %s;\n",
		       role);
	for (size_t i = 0; i < model->n_tables; i++) {
		bool told = false;

		for (size_t j = 0; j < i; j++)
			told = told ||
			       strcmp(model->tables[j].schema, model->tables[i].schema) == 0;
		if (!told)
			printf("GRANT USAGE ON SCHEMA %s TO %s;\n",
			       sql_ident(arrays->tables, model->tables[i].schema), role);
	}
	return print_rows(cmd->db, taken_away_sql, 3, values, role, err) &&
	       print_secured(cmd->db, arrays, role, err) &&
	       (!cmd->config->vacuum || print_vacuum(cmd->db, arrays, role, err));
}

int command_grants(struct command *cmd, int argc, char **argv)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(error) struct error err = {0};
	struct catalog *catalog = NULL;
	struct arrays arrays = {0};
	const char *name, *role;

	if (command_option(cmd, argc, argv, command_no_options) != -1)
		return 2;
	if (argc - optind > 1)
		return command_wrong_use(cmd, _("one role at most"));
	name = argc > optind ? argv[optind] : "retentiond";
	if (!*name || strchr(name, '\n'))
		return command_wrong_use(cmd, _("\"%s\" is no role's name"), name);
	if (!command_open(cmd))
		return 1;
	if (!command_model(cmd, ACTION_EXPORT, ctx, &catalog, &err))
		return command_failed(&err);
	role = sql_ident(ctx, name);
	collect_arrays(ctx, &cmd->config->model, catalog, &arrays);
	if (!print_surroundings(cmd, name, &arrays, role, &err))
		return command_failed(&err);
	for (size_t i = 0; i < cmd->config->model.n_tables; i++)
		print_table(ctx, &cmd->config->model, catalog, &cmd->config->model.tables[i], role);
	print_users(&cmd->config->model, catalog, role);
	return print_predicates(cmd, ctx, &arrays, role, &err) ? 0 : command_failed(&err);
}
