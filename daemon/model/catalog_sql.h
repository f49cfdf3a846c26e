/*
 * Conditions on pg_catalog that preflight/read_catalog.c and discover/schema.c share.  In them x is
 * a pg_index, a a pg_attribute of the same table, and b the pg_type of the column below all
 * domains.
 */
#ifndef RETENTION_MODEL_CATALOG_SQL_H
#define RETENTION_MODEL_CATALOG_SQL_H

/* The unique index is valid for every row. */
#define CATALOG_UNIQUE "x.indisunique AND x.indisvalid AND x.indpred IS NULL"

/*
 * The index is over the column alone.  On a partitioned table, where a unique index has to hold the
 * partition key too, it is over the column and the partition key.
 */
#define CATALOG_ALONE                                                                              \
	"a.attnum = ANY (x.indkey[0:x.indnkeyatts - 1]) AND NOT EXISTS (\n"                        \
	"         SELECT FROM unnest(x.indkey[0:x.indnkeyatts - 1]) AS k(n)\n"                     \
	"          WHERE k.n <> a.attnum AND k.n <> ALL (coalesce(\n"                              \
	"            (SELECT p.partattrs::int2[] FROM pg_partitioned_table p\n"                    \
	"              WHERE p.partrelid = x.indrelid), '{}')))"

/* PostgreSQL's own type, and equal means the same bytes. */
#define CATALOG_PLAIN                                                                              \
	"b.typnamespace = 'pg_catalog'::regnamespace AND NOT EXISTS (\n"                           \
	"         SELECT FROM pg_collation l WHERE l.oid = a.attcollation\n"                       \
	"            AND NOT l.collisdeterministic)"

#endif
