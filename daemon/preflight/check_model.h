/*
 * The model held against the catalog: everything for which a model is refused.
 */
#pragma once

#include "database/db.h"
#include "plan/plan.h"

/* Complains about links, unclassified columns, rules that cannot be, foreign keys, missing indexes. */
void check_model(const struct model *model, const struct catalog *catalog, struct complaints *c);

/*
 * Its part in check_objects.c.  Complains about columns whose large objects would stay behind when rows
 * are deleted, or the column is written.
 */
void check_objects(const struct model *model, const struct catalog *catalog, struct complaints *c);

/* Complains where the session's role may not unlink what the plan's statements make a trigger unlink. */
bool check_object_owners(struct db *db, const struct plan *plan, struct complaints *c,
			 struct error *err);

/*
 * Its part in check_links.c.  Complains about keys that do not identify a row, links to a column of the
 * parent that several of its rows can have the same value in, and links whose type makes two values one.
 */
void check_links(const struct model *model, const struct catalog *catalog, struct complaints *c);

/* Its part in check_through.c.  Complains about a join table of requests that does not hold what it says. */
void check_through(const struct model *model, const struct catalog *catalog, struct complaints *c);

/*
 * Its part in check_staying.c.  Complains about rows that cannot be detached, or not cleared by on_delete.
 */
void check_staying(const struct table *t, const struct relation *r, struct complaints *c);

/*
 * Says what would be accepted where the foreign key, which is not covered, deletes rows that the model keeps.  false: it
 * deletes no such rows.
 */
bool check_kept(const struct model *model, const struct catalog *catalog,
		const struct foreign_key *k, struct complaints *c);

/*
 * Its part in check_shard.c.  Decides by which column the statements on each table are narrowed (relation.shard), and
 * complains about a shard that is written, and that the database does not prove.
 */
void check_shard(const struct model *model, struct catalog *catalog, struct complaints *c);

/* Reads by which columns the tables are partitioned.  Asks nothing where the model has no shard. */
bool check_shard_read(struct db *db, const struct model *model, void *ctx, struct catalog *catalog,
		      struct error *err);

/* Its part in check_dates.c.  Complains about dates whose column has another type than their date_unit says. */
void check_dates(const struct model *model, const struct catalog *catalog, struct complaints *c);

/*
 * Its part in check_citus.c.  Complains about tables that the extension citus spreads over several servers.
 */
void check_citus(const struct model *model, const struct catalog *catalog, struct complaints *c);

/* Complains about statements of a plan that Citus cannot run. */
bool check_citus_plan(const struct plan *plan, struct complaints *c);

/* Reads where the tables of the catalog are.  Asks nothing where the extension is not there. */
bool check_citus_read(struct db *db, const struct model *model, void *ctx, struct catalog *catalog,
		      struct error *err);
