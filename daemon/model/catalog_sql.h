/*
 * SQL on pg_catalog that several files share.  The aliases in it: "c" is the pg_class, "x" the
 * pg_index, "a" the pg_attribute of the same table, and "b" the pg_type of the column, with all
 * domains resolved.
 */
#pragma once

/*
 * The index makes the column identify a row: it is valid, unique, and over this column alone.  It may
 * leave out NULL, which no link finds.  An index over the column and the partition key says nothing,
 * because another partition can hold the same value.  Nor does an index on each partition.
 */
#define CATALOG_IDENTIFIES                                                                         \
	"x.indisunique AND x.indisvalid AND x.indnkeyatts = 1 AND x.indkey[0] = a.attnum\n"        \
	"         AND (x.indpred IS NULL OR pg_get_expr(x.indpred, x.indrelid)\n"                  \
	"              = format('(%I IS NOT NULL)', a.attname))"

/* The same of an index over several columns, which are indkey. */
#define CATALOG_IDENTIFIES_TOGETHER                                                                \
	"x.indisunique AND x.indisvalid AND x.indnkeyatts > 1 AND x.indpred IS NULL\n"             \
	"      AND x.indexprs IS NULL"

/*
 * "h" are the tables that inherit from those whose oid is the condition's: inhrelid, and pending, if DETACH
 * CONCURRENTLY has begun to take the partition away.  Queries do without it then, although the row stays until the
 * command ends.  Before PostgreSQL 14 there is no inhdetachpending, and the name means the one of "older".
 */
#define CATALOG_CHILDREN(condition)                                                                \
	"(SELECT false AS inhdetachpending) AS older, LATERAL (\n"                                 \
	"          SELECT inhrelid, inhdetachpending AS pending FROM pg_inherits\n"                \
	"           WHERE inhparent " condition ") AS h"

/* PostgreSQL's own type, and equal means the same bytes. */
#define CATALOG_PLAIN                                                                              \
	"b.typnamespace = 'pg_catalog'::regnamespace AND NOT EXISTS (\n"                           \
	"         SELECT FROM pg_collation l WHERE l.oid = a.attcollation\n"                       \
	"            AND NOT l.collisdeterministic)"

/* Texts are ordered by their bytes: the collation is C itself, or that of a database which has it. */
#define CATALOG_BYTEWISE                                                                           \
	"EXISTS (SELECT FROM pg_collation l, pg_database d WHERE l.oid = a.attcollation\n"         \
	"           AND d.datname = current_database() AND (l.collname IN ('C', 'POSIX')\n"        \
	"             AND l.collnamespace = 'pg_catalog'::regnamespace OR l.oid = 100\n"           \
	"             AND d.datcollate IN ('C', 'POSIX')\n"                                        \
	"             AND coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') = 'c'))"

/* The table has no NULL in the column.  PostgreSQL 18 knows a NOT NULL that nothing has checked in older rows. */
#define CATALOG_NO_NULLS                                                                           \
	"a.attnotnull AND NOT EXISTS (SELECT FROM pg_constraint n WHERE n.conrelid = a.attrelid\n" \
	"         AND n.contype = 'n' AND n.conkey[1] = a.attnum AND NOT n.convalidated)"

/*
 * Why the foreign key "con" does not hold in each row of its table, and what mends that; NULL: it does.  Triggers
 * keep it, and each partition has its own.
 */
#define CATALOG_DOUBT                                                                                            \
	"CASE WHEN (to_jsonb(con) ->> 'conenforced')::bool IS FALSE\n"                                           \
	"            THEN format('is NOT ENFORCED: ALTER TABLE %s ALTER CONSTRAINT %I ENFORCED',\n"              \
	"                        con.conrelid::regclass, con.conname)\n"                                         \
	"            WHEN NOT con.convalidated\n"                                                                \
	"            THEN format('is NOT VALID: ALTER TABLE %s VALIDATE CONSTRAINT %I',\n"                       \
	"                        con.conrelid::regclass, con.conname)\n"                                         \
	"            WHEN pg_partition_root(con.conrelid) <> con.conrelid\n"                                     \
	"            THEN format('is one of partition %s alone: add it to the whole table',\n"                   \
	"                        con.conrelid::regclass)\n"                                                      \
	"            WHEN EXISTS (SELECT FROM pg_trigger g WHERE g.tgconstraint <> 0\n"                          \
	"                            AND g.tgenabled NOT IN ('O', 'A'))\n"                                       \
	"            THEN (SELECT format('has triggers that are disabled: ALTER TABLE %s ENABLE TRIGGER ALL',\n" \
	"                                min(g.tgrelid::regclass::text))\n"                                      \
	"                    FROM pg_trigger g JOIN pg_constraint k ON k.oid = g.tgconstraint\n"                 \
	"                   WHERE g.tgenabled NOT IN ('O', 'A') AND k.contype = 'f'\n"                           \
	"                     AND coalesce(pg_partition_root(k.conrelid), k.conrelid) = con.conrelid\n"          \
	"                     AND coalesce(pg_partition_root(k.confrelid), k.confrelid)\n"                       \
	"                         = coalesce(pg_partition_root(con.confrelid), con.confrelid)\n"                 \
	"                  HAVING count(*) > 0)\n"                                                               \
	"       END"

/*
 * Two members of a WITH RECURSIVE: foreign_cast has the types with a cast whose function's owner is no superuser, and
 * foreign_type also the arrays, composite types and domains that contain one.  A cast of theirs runs that function
 * with the rights of the session.  Types below 16384 are PostgreSQL's own.
 */
#define CATALOG_FOREIGN                                                                                   \
	"foreign_cast AS MATERIALIZED (\n"                                                                \
	"  SELECT u.type, k.castcontext = 'i' AS implicit,\n"                                             \
	"         format('function %s of role %s', f.oid::regprocedure, o.rolname) AS by\n"               \
	"    FROM pg_cast k JOIN pg_proc f ON f.oid = k.castfunc JOIN pg_roles o ON o.oid = f.proowner\n" \
	"    JOIN LATERAL (VALUES (k.castsource), (k.casttarget)) u(type) ON u.type >= 16384\n"           \
	"   WHERE NOT o.rolsuper),\n"                                                                     \
	"foreign_type AS (\n"                                                                             \
	"  SELECT c.type, c.implicit, c.by FROM foreign_cast c UNION\n"                                   \
	"  SELECT p.whole, f.implicit, f.by FROM foreign_type f JOIN (\n"                                 \
	"    SELECT t.oid, t.typelem FROM pg_type t WHERE t.typelem >= 16384 UNION ALL\n"                 \
	"    SELECT t.oid, t.typbasetype FROM pg_type t WHERE t.typbasetype >= 16384 UNION ALL\n"         \
	"    SELECT c.reltype, a.atttypid FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid\n"    \
	"     WHERE c.reltype <> 0 AND a.atttypid >= 16384) p(whole, part) ON p.part = f.type)\n"

/* Joins "b" behind "t", the type of the column. */
#define CATALOG_BASE                                                                               \
	"  JOIN LATERAL (\n"                                                                       \
	"    WITH RECURSIVE below AS (\n"                                                          \
	"      SELECT t.oid, t.typbasetype, t.typtypmod, -1 AS typmod UNION ALL\n"                 \
	"      SELECT u.oid, u.typbasetype, u.typtypmod, below.typtypmod\n"                        \
	"        FROM below JOIN pg_type u ON u.oid = below.typbasetype)\n"                        \
	"    SELECT oid, typmod FROM below WHERE typbasetype = 0) bottom ON true\n"                \
	"  JOIN pg_type b ON b.oid = bottom.oid\n"

/*
 * A part of WITH RECURSIVE, behind touched (root): reader (root, oid, depth) are these relations,
 * their partitions, and the views and materialized views that read them, also through one another.
 * Depth grows from a view to each view that reads it.  A view that reads a table within a function
 * is not found.
 */
#define CATALOG_READERS                                                                            \
	"reader (root, oid, depth) AS (\n"                                                         \
	"  SELECT r.root, p.oid, 0 FROM touched AS r, LATERAL (SELECT r.root UNION\n"              \
	"         SELECT t.relid FROM pg_partition_tree(r.root) AS t) AS p(oid)\n"                 \
	"  UNION SELECT b.root, u.ev_class, b.depth + 1 FROM reader AS b\n"                        \
	"    JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = b.oid\n"  \
	"     AND d.classid = 'pg_rewrite'::regclass\n"                                            \
	"    JOIN pg_rewrite AS u ON u.oid = d.objid AND u.ev_type = '1' AND u.ev_class <> b.oid)"

/* This session may VACUUM, ANALYZE or REFRESH it. */
#define CATALOG_MAY_MAINTAIN                                                                       \
	"(pg_has_role(c.relowner, 'USAGE') OR\n"                                                   \
	"       CASE WHEN current_setting('server_version_num')::int >= 170000\n"                  \
	"            THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END)"
