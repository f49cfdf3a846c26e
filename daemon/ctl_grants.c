/*
 * grants: what the daemon's role needs for the model on this database, as SQL for psql.  Column by column where
 * it writes; where it reads it is the whole table, for a full export reads every column.
 */
#include "ctl.h"

#include "catalog.h"
#include "fate.h"
#include "mem.h"
#include "sql.h"

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
	struct need need = {.locks = t == model->contact || t == model->request};
	bool inner = false;

	for (size_t i = 0; i < model->n_tables; i++)
		inner = inner || model->tables[i].of == t;

	for (enum action a = ACTION_DELETE_CONTACTS; a < ACTION_COUNT; a++) {
		const enum fate fate = fate_of(t, a, ARCHIVE_FULL);

		if (a != ACTION_DELETE_CONTACTS && !model_can_anonymize(model, a))
			continue;
		need.deletes |= fate == FATE_DELETE;
		need.detaches |= fate == FATE_DETACH;
		need.updates |= fate == FATE_UPDATE;
		need.locks |= fate == FATE_DELETE && inner && catalog_attaches_silently(catalog, t);
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

static void print_grants(const struct config *config, const struct catalog *catalog,
			 const char *name)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const struct model *model = &config->model;
	const char *role = sql_ident(ctx, name);

	printf("-- What %s needs to work on the model of %s.\n"
	       "-- The schema retention: its journal, lists and functions.\n"
	       "GRANT retention_daemon TO %s;\n",
	       name, config->path, role);
	if (config->max_replica_lag_ms > 0)
		printf("-- limits.max_replica_lag: how far the standbys are.\n"
		       "GRANT pg_monitor TO %s;\n",
		       role);
	for (size_t i = 0; i < model->n_tables; i++) {
		bool told = false;

		for (size_t j = 0; j < i; j++)
			told = told ||
			       strcmp(model->tables[j].schema, model->tables[i].schema) == 0;
		if (!told)
			printf("GRANT USAGE ON SCHEMA %s TO %s;\n",
			       sql_ident(ctx, model->tables[i].schema), role);
	}
	for (size_t i = 0; i < model->n_tables; i++)
		print_table(ctx, model, catalog, &model->tables[i], role);
}

int ctl_grants(struct ctl *ctl, int argc, char **argv)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(error) struct error err = {0};
	struct catalog *catalog = NULL;

	if (ctl_option(ctl, argc, argv, ctl_no_options) != -1)
		return 2;
	if (argc - optind > 1)
		return ctl_wrong_use(ctl, _("one role at most"));
	if (!ctl_open(ctl))
		return 1;
	if (!ctl_model(ctl, ACTION_EXPORT, ctx, &catalog, &err))
		return ctl_failed(&err);
	print_grants(ctl->config, catalog, argc > optind ? argv[optind] : "retentiond");
	return 0;
}
