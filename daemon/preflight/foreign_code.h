/*
 * Functions of roles that are no superusers, in a superuser's session.  The planner of a query runs functions of
 * constants that stand in a table's indexes, constraints and statistics.  An INSERT runs all functions of these, of
 * generated columns, of domains and of triggers.  With the rights of a superuser whoever wrote them could do anything,
 * on the server's host, too.
 */
#pragma once

#include "base/error.h"
#include "model/catalog.h"
#include "database/db.h"

/*
 * SQL, a scalar: the name of the first such function of table oid, an expression, of the tables that inherit from it and
 * of its partitions; NULL: none, or no superuser asks.  more: further rows of part(class, oid), objects whose functions
 * count.
 */
#define FOREIGN_CODE(oid, more)                                                                    \
	"(WITH RECURSIVE m(oid) AS (SELECT " oid                                                   \
	" UNION SELECT i.inhrelid FROM pg_inherits AS i\n"                                         \
	"   JOIN m ON i.inhparent = m.oid)\n"                                                      \
	" SELECT min(f.oid::regprocedure::text || ' of role ' || quote_ident(o.rolname))\n"        \
	"   FROM m CROSS JOIN LATERAL (\n"                                                         \
	"    SELECT 'pg_class'::regclass, m.oid UNION ALL\n"                                       \
	"    SELECT 'pg_class'::regclass, x.indexrelid FROM pg_index AS x\n"                       \
	"     WHERE x.indrelid = m.oid UNION ALL\n"                                                \
	"    SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint AS k\n"                    \
	"     WHERE k.conrelid = m.oid UNION ALL\n"                                                \
	"    SELECT 'pg_attrdef'::regclass, b.oid FROM pg_attrdef AS b JOIN pg_attribute AS g\n"   \
	"       ON g.attrelid = b.adrelid AND g.attnum = b.adnum AND g.attgenerated = 'v'\n"       \
	"     WHERE b.adrelid = m.oid UNION ALL\n" more                                            \
	"    SELECT 'pg_statistic_ext'::regclass, s.oid FROM pg_statistic_ext AS s\n"              \
	"     WHERE s.stxrelid = m.oid) AS part(class, oid)\n"                                     \
	"   JOIN pg_depend AS d ON d.classid = part.class AND d.objid = part.oid\n"                \
	"   LEFT JOIN pg_operator AS op ON d.refclassid = 'pg_operator'::regclass\n"               \
	"    AND op.oid = d.refobjid\n"                                                            \
	"   JOIN pg_proc AS f ON f.oid = coalesce(op.oprcode::oid,\n"                              \
	"     CASE WHEN d.refclassid = 'pg_proc'::regclass THEN d.refobjid END)\n"                 \
	"   JOIN pg_roles AS o ON o.oid = f.proowner AND NOT o.rolsuper\n"                         \
	"  WHERE current_setting('is_superuser') = 'on')"

/* What is done with the tables. */
enum foreign_use {
	FOREIGN_READ,
	FOREIGN_PUT, /* rows are inserted, with the triggers disabled */
	FOREIGN_PUT_TRIGGERS,
};

/* The first table with such a function, and the function, owned by ctx; NULL: none. */
struct foreign_code {
	const char *table;
	const char *function;
};

/* Looks at tables, the text of an oid[]. */
bool foreign_code_find(struct db *db, const char *tables, enum foreign_use use, void *ctx,
		       struct foreign_code *ret, struct error *err);
