/*
 * Tables that the extension citus spreads over several servers.  Each statement of the daemon has to reach one server
 * alone, because a lock with SKIP LOCKED, a subquery and a session's setting mean nothing across two of them.  So all tables of
 * the model have to be in one distributed schema, which is on one server, or all are distributed alike by their shard
 * (plan/shard.c): then the subjects of a batch are in one shard.  The rest is refused here.
 */
#include "preflight/check_model.h"

#include "base/mem.h"
#include "base/sql.h"
#include "model/shard.h"

#include <string.h>

/* Schemas are distributed since 12.0, which has the table pg_dist_schema. */
static const char database_sql[] =
	"SELECT to_regclass('pg_catalog.pg_dist_schema') IS NULL AS old,\n"
	"       (SELECT l.groupid <> 0 FROM pg_dist_local_group AS l) AS worker,\n"
	"       (SELECT min(p.logicalrelid::text) FROM pg_dist_partition AS p JOIN pg_class AS c ON c.oid = p.logicalrelid\n"
	"         WHERE c.relnamespace = to_regnamespace('retention')) AS own";

/* Citus has its letters: partmethod 'n' is no column, 'h' a hash; repmodel 't' is a copy on each node. */
static const char tables_sql[] =
	"SELECT u.i - 1 AS i, p.colocationid AS spread_with, CASE\n"
	"         WHEN p.partmethod <> 'n' THEN 'rows'\n"
	"         WHEN p.repmodel = 't' THEN 'everywhere'\n"
	"         WHEN EXISTS (SELECT FROM pg_dist_schema AS s WHERE s.colocationid = p.colocationid) THEN 'schema'\n"
	"         ELSE 'managed' END AS spread,\n"
	"       column_to_column_name(p.logicalrelid, p.partkey) AS spread_by\n"
	"  FROM unnest($1::oid[]) WITH ORDINALITY AS u(oid, i)\n"
	"  JOIN pg_dist_partition AS p ON p.logicalrelid = u.oid";

static enum spread spread_of(const char *word)
{
	return strcmp(word, "rows") == 0         ? SPREAD_ROWS
	       : strcmp(word, "everywhere") == 0 ? SPREAD_EVERYWHERE
	       : strcmp(word, "schema") == 0     ? SPREAD_SCHEMA
						 : SPREAD_MANAGED;
}

static bool read_tables(struct db *db, const struct model *model, void *ctx,
			struct catalog *catalog, struct error *err)
{
	const char *const oids = catalog_oids(ctx, model, catalog);
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, tables_sql, 1, &oids, &res, err))
		return false;
	for (int row = 0; row < PQntuples(res); row++) {
		struct relation *r = &catalog->relations[db_index(res, row, "i", model->n_tables)];

		r->spread = spread_of(db_value(res, row, "spread"));
		r->spread_with = (unsigned int)db_int(res, row, "spread_with");
		r->spread_by = db_text_copy(ctx, res, row, "spread_by");
	}
	return true;
}

bool check_citus_read(struct db *db, const struct model *model, void *ctx, struct catalog *catalog,
		      struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!catalog->citus)
		return true;
	if (!db_query(db, database_sql, 0, NULL, &res, err))
		return false;
	catalog->citus_old = db_bool(res, 0, "old");
	catalog->citus_worker = db_bool(res, 0, "worker");
	catalog->citus_own = db_text_copy(ctx, res, 0, "own");
	return catalog->citus_old || read_tables(db, model, ctx, catalog, err);
}

/* Where the rows are spread, each table has to say by which column, and all of them alike. */
static const char *rows_fault(void *ctx, const struct model *model, const struct catalog *catalog,
			      const struct table *t)
{
	const struct relation *r = &catalog->relations[t->index];
	const struct relation *contact = &catalog->relations[model->contact->index];
	const char *by = sql_ident(ctx, r->spread_by);

	if (r->spread_with != contact->spread_with)
		return t_printf(
			ctx,
			"is spread by Citus over other servers than the contacts, and rows of two "
			"servers cannot be locked and erased as one: alter_distributed_table('%s', "
			"colocate_with => '%s')",
			sql_table(ctx, t->schema, t->table),
			sql_table(ctx, model->contact->schema, model->contact->table));
	if (r->shard && strcmp(r->shard, r->spread_by) == 0)
		return NULL;
	if (r->shard || !model_shard(t) || strcmp(model_shard(t), r->spread_by) != 0)
		return t_printf(
			ctx,
			"is spread by Citus by the column %s, and so that each statement reaches one "
			"server the model has to name it: shard = \"%s\"",
			by, r->spread_by);
	return t_printf(ctx, "is spread by Citus by the column %s, and shard \"%s\" %s", by,
			r->spread_by, shard_fault(ctx, model, catalog, t, model_shard(t)));
}

/* What Citus does with the table alone, which is not what it does with the contacts'; {by} is a column. */
static const char *const kinds[] = {
	[SPREAD_NONE] = NULL,
	[SPREAD_SCHEMA] = NULL,
	[SPREAD_ROWS] =
		"has its rows on several servers, spread by Citus by the column {by}, and the contacts "
		"have not: undistribute_table(), or distribute them as well",
	[SPREAD_EVERYWHERE] =
		"is a reference table of Citus, a copy on each server, and its rows cannot be "
		"erased together with those of the contact: undistribute_table(), and "
		"distribute it as the contacts are",
	[SPREAD_MANAGED] =
		"is a local table that Citus manages, because a foreign key connects it with "
		"distributed ones: undistribute_table(), and distribute it as the contacts are",
};

static const char *fault(void *ctx, const struct model *model, const struct catalog *catalog,
			 const struct table *t)
{
	const struct relation *r = &catalog->relations[t->index];
	const struct relation *contact = &catalog->relations[model->contact->index];
	const char *text = NULL;

	if (r->spread == SPREAD_NONE && contact->spread == SPREAD_NONE)
		return NULL;
	if (r->spread == SPREAD_ROWS && contact->spread == SPREAD_ROWS)
		text = rows_fault(ctx, model, catalog, t);
	else if (kinds[r->spread])
		text = sql_fill(ctx, kinds[r->spread],
				{"by", r->spread_by ? sql_ident(ctx, r->spread_by) : ""});
	else if (contact->spread == SPREAD_ROWS)
		text = "is not spread by Citus as the contacts are, and rows of two servers cannot be locked "
		       "and erased as one: create_distributed_table(), by the column that holds the contact's "
		       "shard";
	else if (r->spread != contact->spread || r->spread_with != contact->spread_with)
		text = "is not in the same distributed schema of Citus as the contacts, and rows of two "
		       "servers cannot be locked and erased as one: all tables of the model belong in one "
		       "schema (ALTER TABLE ... SET SCHEMA), or none of them is distributed";
	if (!text && (r->delete_triggers || r->update_triggers))
		text = "is distributed by Citus and has triggers, which run on another server, where nobody "
		       "sees what they do: drop them, or undistribute the table";
	return text;
}

void check_citus(const struct model *model, const struct catalog *catalog, struct complaints *c)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));

	if (!catalog->citus)
		return;
	if (catalog->citus_worker)
		complain(
			c, &model->place,
			"model: this server is a worker of Citus, and what it does is unknown to the others: "
			"database.conninfo has to name the coordinator");
	if (catalog->citus_old)
		complain(
			c, &model->place,
			"model: this release of Citus cannot distribute schemas: 12.0 or later is needed");
	if (catalog->citus_own)
		complain(
			c, &model->place,
			"model: Citus distributes %s, and the schema retention has to be on the coordinator alone: "
			"undistribute_table(), or citus_schema_undistribute('retention')",
			catalog->citus_own);
	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *t = &model->tables[i];
		const char *text = fault(ctx, model, catalog, t);

		if (text)
			complain(c, &t->place, "table \"%s\": %s.%s %s", t->name, t->schema,
				 t->table, text);
	}
}

/* A statement that changes rows finds them by values of another column than the parent's key. */
static bool changes_by_value(const struct step *s)
{
	return s->disposition > DISPOSITION_COPY &&
	       (s->from.slot > 0 || (s->linked && s->parent.slot > 0));
}

/*
 * Such values are in a setting of the other server, which has read them (plan/table.c).  A statement that changes rows
 * takes a setting of this one: there is none, and its text would have the values.
 */
bool check_citus_plan(const struct plan *plan, struct complaints *c)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const size_t before = c->n;

	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct step *s = &plan->steps[i];
		const struct table *t = s->table;

		if (plan->catalog->relations[t->index].spread != SPREAD_NONE && changes_by_value(s))
			complain(
				c, &t->place,
				"table \"%s\": Citus cannot change rows of %s.%s that are found by \"%s\" "
				"of their parent, which is not its key: link them by the key, or "
				"citus_schema_undistribute()",
				t->name, t->schema, t->table,
				columns_text(ctx, model_parent_columns(t)));
	}
	return c->n == before;
}
