/* grants: what the daemon's role needs beside the right to read. */
#include "command/grants_state.h"

#include "base/sql.h"
#include "base/text.h"
#include "model/disposition.h"
#include "preflight/trigger_rights.h"
#include "preflight/views.h"

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
				     t == model->through || t->file.column};
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
	for (size_t i = 0; need->detaches && i < t->on_detach.n; i++)
		if (t->on_detach.list[i].kind != RULE_KEEP)
			add_column(ctx, &list, t->on_detach.list[i].column);
	for (size_t i = 0; need->detaches && i < t->by->n; i++)
		if (catalog_is_detached(t, relation, t->by->names[i]))
			add_column(ctx, &list, t->by->names[i]);
	if (!*list && need->locks)
		add_column(ctx, &list, (t->key ? t->key : t->by)->names[0]);
	return list;
}

void grants_daemon_groups(const struct grants *g)
{
	const struct config *config = g->cmd->config;

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

	return grants_rows(g, sql, 2, values, err);
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
	return grants_rows(g, sql, 1, &relations, err) && print_maintain(g, relations, false, err);
}

bool grants_daemon_maintain(const struct grants *g, struct error *err)
{
	return print_vacuum(g, err) && print_refresh(g, err);
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

	grants_comment(
		"%s: only the owner of a large object may unlink it, and this grant gives all of the "
		"owner's rights.",
		column->name);
	return grants_rows(
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
		const struct column_rule *cleared = column_rules_find(&t->on_detach, column->name);

		if (!catalog_refers_to_objects(t, column) ||
		    !(need.deletes || (need.updates && rule && rule->kind != RULE_KEEP) ||
		      (need.detaches && cleared && cleared->kind != RULE_KEEP)))
			continue;
		if (!print_owners(g, t, column, err))
			return false;
	}
	return true;
}

bool grants_daemon_table(const struct grants *g, const struct table *t, struct error *err)
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
	return print_objects(g, t, err);
}

/* Rights that functions of triggers need, of tables that an action changes. */
bool grants_daemon_triggers(const struct grants *g, struct error *err)
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
		grants_comment("%s on %s: %s runs with the rights of the role",
			       db_value(res, row, "trigger_name"), db_value(res, row, "table_name"),
			       db_value(res, row, "function_name"));
		printf("%s %s;\n", db_value(res, row, "grants"), g->role);
	}
	return true;
}
