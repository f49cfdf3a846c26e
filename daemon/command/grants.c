/*
 * grants: prints the rights that the daemon's role needs for the model on this database, as SQL for
 * psql.  Rights to write are granted column by column.  The right to read covers whole tables of the
 * model, because a full export reads every column.
 */
#include "command/command.h"

#include "model/catalog_sql.h"
#include "model/disposition.h"
#include "preflight/views.h"
#include "preflight/trigger_rights.h"
#include "base/sql.h"
#include "base/text.h"

/* State of the command; the arrays are parameters of the queries below. */
struct grants {
	struct command *cmd;
	void *ctx;
	struct catalog *catalog;
	const char *name; /* of the role */
	const char *role; /* the same, quoted */
	char *tables; /* oid[]: of the model */
	char *columns; /* text[]: columns that are written, or found by value */
	char *owners; /* oid[]: the table of each of the columns */
	char *schemas; /* text[]: of the model's tables; USAGE is granted on each */
};

/* Effects on a table's rows of all actions that the model allows. */
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
		t_list(list, ", ", "%s", name);
}

/* The columns to grant UPDATE on: those that are written, or any one column if rows are only locked. */
static char *updated_columns(void *ctx, const struct table *t, const struct relation *relation,
			     const struct need *need)
{
	char *list = t_strdup(ctx, "");

	for (size_t i = 0; need->updates && i < t->n_rules; i++)
		if (t->rules[i].kind != RULE_KEEP)
			add_column(ctx, &list, t->rules[i].column);
	for (size_t i = 0; need->detaches && i < t->by->n; i++)
		if (catalog_is_detached(t, relation, t->by->names[i]))
			add_column(ctx, &list, t->by->names[i]);
	if (!*list && need->locks)
		add_column(ctx, &list, (t->key ? t->key : t->by)->names[0]);
	return list;
}

/* Prints a comment.  On one line, because a name of the catalog must not become a statement for psql. */
static void __attribute__((format(printf, 1, 2))) print_comment(const char *fmt, ...)
{
	AUTO(char_p) char *text = NULL;
	va_list args;

	va_start(args, fmt);
	text = xvprintf(fmt, args);
	va_end(args);
	printf("-- %s\n", text_one_line(text));
}

static void print_table(const struct grants *g, const struct table *t)
{
	const struct need need = need_of(&g->cmd->config->model, g->catalog, t);
	const char *table = sql_table(g->ctx, t->schema, t->table);
	const char *columns = updated_columns(g->ctx, t, &g->catalog->relations[t->index], &need);

	printf("\n-- %s: read%s%s%s%s\n", t->name, need.updates ? ", anonymized" : "",
	       need.detaches ? ", detached" : "", need.deletes ? ", deleted" : "",
	       need.locks ? "; its rows are locked" : "");
	printf("GRANT SELECT%s ON %s TO %s;\n", need.deletes ? ", DELETE" : "", table, g->role);
	if (*columns)
		printf("GRANT UPDATE (%s) ON %s TO %s;\n", columns, table, g->role);
}

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
		print_comment("%s: read to find shared rows in use", key->from_name);
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

		columns = t_grow(g->ctx, columns, const char *, n + t->n_rules + n_key + 1);
		schemas[i] = t->schema;
		t_append(&g->tables, "%s%u", i ? "," : "", oid);
		for (size_t r = 0; r < t->n_rules; r++)
			if (t->rules[r].kind != RULE_KEEP)
				columns[n++] = t->rules[r].column;
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

/* Prints a line for each row of the query, and adds the role. */
static bool print_rows(const struct grants *g, const char *sql, int n, const char *const values[],
		       struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(g->cmd->db, sql, n, values, &res, err))
		return false;
	for (int row = 0; row < PQntuples(res); row++) {
		const char *grants = db_text(res, row, "grants");

		if (PQfnumber(res, "what") >= 0)
			print_comment("Revoked from PUBLIC: %s.", db_text(res, row, "what"));
		if (strncmp(grants, "-- ", 3) == 0)
			print_comment("%s %s;", grants + 3, g->role);
		else
			printf("%s %s;\n", grants, g->role);
	}
	return true;
}

static bool print_secured(const struct grants *g, struct error *err)
{
	const char *const values[] = {g->tables};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(g->cmd->db, secured_sql, 1, values, &res, err))
		return false;
	if (!db_text(res, 0, "tables"))
		return true;
	print_comment("Row-level security (%s) would hide rows that are due.",
		      db_text(res, 0, "tables"));
	printf("ALTER ROLE %s BYPASSRLS;\n", g->role);
	return true;
}

/*
 * Prints the right to maintain relations (regclass[]), as a comment where the job only makes use of it.  Before
 * PostgreSQL 17 only the owner has it.  That grant gives more than this program may ask for, so that it is a comment.
 */
static bool print_maintain(const struct grants *g, const char *relations, bool comment,
			   struct error *err)
{
	static const char sql[] =
		"SELECT DISTINCT CASE WHEN $2::boolean THEN '-- ' ELSE '' END || CASE WHEN current_setting('server_version_num')::int >= 170000\n"
		"       THEN format('GRANT MAINTAIN ON TABLE %I.%I TO', n.nspname, c.relname)\n"
		"       ELSE format('%sGRANT %I TO', CASE WHEN $2::boolean THEN '' ELSE '-- ' END, r.rolname)\n"
		"       END AS grants\n"
		"  FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner\n"
		"  JOIN pg_namespace AS n ON n.oid = c.relnamespace\n"
		" WHERE c.oid IN (SELECT t.oid FROM unnest($1::regclass[]) AS t(oid) UNION\n"
		"                 SELECT p.relid FROM unnest($1::regclass[]) AS t(oid),\n"
		"                        pg_partition_tree(t.oid) AS p)\n"
		" ORDER BY 1";

	const char *const values[] = {relations, comment ? "true" : "false"};

	return print_rows(g, sql, 2, values, err);
}

static bool print_vacuum(const struct grants *g, struct error *err)
{
	if (!g->cmd->config->vacuum) {
		printf("-- ANALYZE after a job: otherwise the planner's statistics keep values of erased rows until\n"
		       "-- autovacuum analyzes the table.  Only its owner may, or from PostgreSQL 17 on MAINTAIN.\n");
		return print_maintain(g, g->tables, true, err);
	}
	printf("-- limits.vacuum.\n");
	if (db_server_version(g->cmd->db) < 170000)
		printf("-- Before PostgreSQL 17 only the owner of a table may vacuum it, and this grant gives all\n"
		       "-- of the owner's rights.  Without it the job leaves the table to autovacuum, and logs it.\n");
	return print_maintain(g, g->tables, false, err);
}

/* The materialized views that jobs refresh. */
static bool print_refresh(const struct grants *g, struct error *err)
{
	static const char sql[] =
		"SELECT DISTINCT format('GRANT USAGE ON SCHEMA %I TO', n.nspname) AS grants\n"
		"  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace\n"
		" WHERE c.oid = ANY ($1::regclass[]) ORDER BY 1";
	const char **names, *relations;
	struct view *views;
	size_t n, refreshed = 0;

	if (!views_read(g->cmd->db, &g->cmd->config->model, g->ctx, &views, &n, err))
		return false;
	names = t_array(g->ctx, const char *, n + 1);
	for (size_t i = 0; i < n; i++)
		if (views[i].refreshed)
			names[refreshed++] = views[i].name;
	if (refreshed == 0)
		return true;
	printf("-- refresh = true: materialized views.\n");
	if (db_server_version(g->cmd->db) < 170000)
		printf("-- Before PostgreSQL 17 only the owner of a view may refresh it, and this grant gives all\n"
		       "-- of the owner's rights.  Without it the view keeps what is erased.\n");
	relations = sql_array(g->ctx, names, refreshed);
	return print_rows(g, sql, 1, &relations, err) && print_maintain(g, relations, false, err);
}

/*
 * Only its owner may unlink a large object, and the trigger lo_manage has the rights of the role that
 * deletes the row.  That grant is a comment for the same reason.
 */
static bool print_owners(const struct grants *g, const struct table *t, const struct column *column,
			 struct error *err)
{
	static const char sql[] =
		"SELECT DISTINCT format('-- GRANT %I TO', r.rolname) AS grants\n"
		"  FROM pg_largeobject_metadata AS m JOIN pg_roles AS r ON r.oid = m.lomowner\n"
		" WHERE r.rolname <> $1 AND EXISTS (SELECT FROM {table} AS t WHERE {column} = m.oid)\n"
		" ORDER BY 1";

	print_comment(
		"%s: only the owner of a large object may unlink it, and this grant gives all of the "
		"owner's rights.",
		column->name);
	return print_rows(
		g,
		sql_fill(g->ctx, sql, {"table", sql_table(g->ctx, t->schema, t->table)},
			 {"column", t_printf(g->ctx, "t.%s", sql_ident(g->ctx, column->name))}),
		1, &g->name, err);
}

static bool print_objects(const struct grants *g, const struct table *t, struct error *err)
{
	const struct need need = need_of(&g->cmd->config->model, g->catalog, t);
	const struct relation *r = &g->catalog->relations[t->index];

	for (size_t i = 0; i < r->n_columns; i++) {
		const struct column *column = &r->columns[i];
		const struct column_rule *rule = model_rule(t, column->name);

		if (!catalog_refers_to_objects(t, column) ||
		    !(need.deletes || (need.updates && rule && rule->kind != RULE_KEEP)))
			continue;
		if (!print_owners(g, t, column, err))
			return false;
	}
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
	     print_rows(g, depends_sql, 2, values, err);
	db_rollback(g->cmd->db);
	return ok;
}

static bool print_predicates(const struct grants *g, struct error *err)
{
	const struct config *config = g->cmd->config;
	bool ok = true;

	printf("\n-- What the predicates need beside these tables.\n");
	for (size_t i = 0; ok && i < config->model.n_tables; i++) {
		const struct table *t = &config->model.tables[i];

		ok = (!t->where || print_predicate(g, t, t->where, err)) &&
		     (!t->due_when || print_predicate(g, t, t->due_when, err));
	}
	for (size_t i = 0; ok && i < config->n_policies; i++)
		ok = !config->policies[i].scope ||
		     print_predicate(g, config->model.contact, config->policies[i].scope, err);
	return ok;
}

/* Prints the rights beside those on tables: membership, settings, schemas, revoked defaults. */
static bool print_surroundings(const struct grants *g, struct error *err)
{
	const char *const values[] = {g->owners, g->columns, g->schemas};
	const struct config *config = g->cmd->config;
	const struct model *model = &config->model;

	print_comment("What %s needs to work on the model of %s.", g->name, config->path);
	printf("-- The schema retention: its journal, lists and functions.\n"
	       "GRANT retention_daemon TO %s;\n",
	       g->role);
	if (config->max_replica_lag_ms > 0 || config->max_snapshot_age_ms > 0)
		printf("-- limits.max_replica_lag, max_snapshot_age: reads the lag of the standbys and the\n"
		       "-- age of other transactions.\n"
		       "GRANT pg_read_all_stats TO %s;\n",
		       g->role);
	if (config->integrity != INTEGRITY_TRIGGERS && db_server_version(g->cmd->db) >= 150000)
		printf("-- limits.integrity = \"%s\"%s.\n"
		       "GRANT SET ON PARAMETER session_replication_role TO %s;\n",
		       integrity_names[config->integrity],
		       config->integrity == INTEGRITY_AUTO
			       ? ": lets jobs use \"set\" where nothing forbids it; without it\n"
				 "-- they use \"triggers\""
			       : "",
		       g->role);
	for (size_t i = 0; i < model->n_tables; i++) {
		bool printed = false;

		for (size_t j = 0; j < i; j++)
			printed = printed ||
				  strcmp(model->tables[j].schema, model->tables[i].schema) == 0;
		if (!printed)
			printf("GRANT USAGE ON SCHEMA %s TO %s;\n",
			       sql_ident(g->ctx, model->tables[i].schema), g->role);
	}
	return print_rows(g, revoked_sql, 3, values, err) && print_secured(g, err) &&
	       print_vacuum(g, err) && print_refresh(g, err);
}

/* Rights that functions of triggers need, of tables that an action changes. */
static bool print_triggers(const struct grants *g, struct error *err)
{
	const struct model *model = &g->cmd->config->model;
	char *events = t_strdup(g->ctx, "");
	AUTO(result) PGresult *res = NULL;

	for (size_t i = 0; i < model->n_tables; i++) {
		const struct need need = need_of(model, g->catalog, &model->tables[i]);

		t_list(&events, ",", "%d",
		       (need.deletes ? TRIGGER_ON_DELETE : 0) |
			       (need.updates || need.detaches ? TRIGGER_ON_UPDATE : 0));
	}
	if (!trigger_rights_read(
		    g->cmd->db,
		    &(struct trigger_question){.tables = g->tables,
					       .events = t_printf(g->ctx, "{%s}", events)},
		    &res, err))
		return false;
	for (int row = 0; row < PQntuples(res); row++) {
		print_comment("%s on %s: %s runs with the rights of the role",
			      db_value(res, row, "trigger_name"), db_value(res, row, "table_name"),
			      db_value(res, row, "function_name"));
		printf("%s %s;\n", db_value(res, row, "grants"), g->role);
	}
	return true;
}

bool command_check_grants(struct command *cmd, struct error *err)
{
	const char *name = cmd->argument;

	return !name || (*name && !name[strcspn(name, "\r\n")]) ||
	       fail(err, ERR_USAGE, _("\"%s\" is not the name of a role"), name);
}

bool command_grants(struct command *cmd, struct error *err)
{
	const struct model *model = &cmd->config->model;
	struct grants g = {
		.cmd = cmd, .ctx = cmd->ctx, .name = cmd->argument ? cmd->argument : "retentiond"};

	g.role = sql_ident(g.ctx, g.name);
	if (!command_model(cmd, ACTION_EXPORT, &g.catalog, err))
		return false;
	collect_arrays(&g);
	if (!print_surroundings(&g, err))
		return false;
	for (size_t i = 0; i < model->n_tables; i++) {
		print_table(&g, &model->tables[i]);
		if (!print_objects(&g, &model->tables[i], err))
			return false;
	}
	print_users(&g);
	return print_triggers(&g, err) && print_predicates(&g, err);
}
