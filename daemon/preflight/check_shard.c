/*
 * Settles by which column the statements on each table are narrowed: the shard that is written for it, or that of
 * contact.  One that is written and not proved is refused, because a person counts on it.  One that is only the
 * default is left out: the statements of the table, and of those below, are then correct and slower.
 */
#include "preflight/check_model.h"

#include "base/mem.h"
#include "model/shard.h"

#include <string.h>

/* A hash over several columns finds a partition only by all of them; a range by its first. */
static const char parts_sql[] =
	"SELECT u.i - 1 AS i, a.attname AS name, bool_or(p.relid = u.oid AND k.partnatts = 1) AS whole\n"
	"  FROM unnest($1::oid[]) WITH ORDINALITY AS u(oid, i)\n"
	"  JOIN LATERAL pg_partition_tree(u.oid) AS p ON NOT p.isleaf\n"
	"  JOIN pg_partitioned_table AS k ON k.partrelid = p.relid AND (k.partnatts = 1 OR k.partstrat = 'r')\n"
	"  JOIN pg_attribute AS a ON a.attrelid = p.relid AND a.attnum = k.partattrs[0]\n"
	" GROUP BY u.i, a.attname ORDER BY u.i, min(p.level), a.attname";

bool check_shard_read(struct db *db, const struct model *model, void *ctx, struct catalog *catalog,
		      struct error *err)
{
	const char *const oids = catalog_oids(ctx, model, catalog);
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, parts_sql, 1, &oids, &res, err))
		return false;
	for (int row = 0; row < PQntuples(res); row++) {
		const size_t i = db_index(res, row, "i", model->n_tables);
		struct relation *r = &catalog->relations[i];
		const char *name = t_strdup(ctx, db_value(res, row, "name"));
		const char **names = t_array(ctx, const char *, r->found_by.n + 1);

		if (r->found_by.n > 0)
			memcpy(names, r->found_by.names, r->found_by.n * sizeof(*names));
		names[r->found_by.n] = name;
		r->found_by = (struct columns){.names = names, .n = r->found_by.n + 1};
		if (db_bool(res, row, "whole"))
			r->partition_key = name;
	}
	return true;
}

static void settle(const struct model *model, struct catalog *catalog, const struct table *t,
		   struct complaints *c)
{
	struct relation *r = &catalog->relations[t->index];
	const char *name = model_shard(t);
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *fault = shard_fault(ctx, model, catalog, t, name);

	if (!fault) {
		r->shard = name;
		r->shard_parts = r->partition_key && strcmp(r->partition_key, name) == 0;
	} else if (t->shard &&
		   !(t->of && t->of->shard && !catalog->relations[t->of->index].shard)) {
		complain(c, &t->place, "table \"%s\": shard \"%s\" %s", t->name, name, fault);
	}
}

/* From the contact down, because a table rests on the proof of its parent. */
void check_shard(const struct model *model, struct catalog *catalog, struct complaints *c)
{
	bool more = model->contact->shard != NULL;

	for (size_t depth = 0; more; depth++) {
		more = false;
		for (size_t i = 0; i < model->n_tables; i++) {
			const size_t its = model_depth(&model->tables[i]);

			more = more || its > depth;
			if (its == depth)
				settle(model, catalog, &model->tables[i], c);
		}
	}
}
