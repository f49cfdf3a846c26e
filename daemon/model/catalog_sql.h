/*
 * Conditions on pg_catalog that preflight/read_catalog.c and discover/schema.c share.  The aliases
 * in them: "x" is the pg_index, "a" the pg_attribute of the same table, and "b" the pg_type of the
 * column, with all domains resolved.
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

/* PostgreSQL's own type, and equal means the same bytes. */
#define CATALOG_PLAIN                                                                              \
	"b.typnamespace = 'pg_catalog'::regnamespace AND NOT EXISTS (\n"                           \
	"         SELECT FROM pg_collation l WHERE l.oid = a.attcollation\n"                       \
	"            AND NOT l.collisdeterministic)"

/* Joins "b" behind "t", the type of the column. */
#define CATALOG_BASE                                                                                  \
	"  JOIN LATERAL (\n"                                                                          \
	"    WITH RECURSIVE below AS (\n"                                                             \
	"      SELECT t.oid, t.typbasetype UNION ALL\n"                                               \
	"      SELECT u.oid, u.typbasetype FROM below JOIN pg_type u ON u.oid = below.typbasetype)\n" \
	"    SELECT oid FROM below WHERE typbasetype = 0) bottom ON true\n"                           \
	"  JOIN pg_type b ON b.oid = bottom.oid\n"
