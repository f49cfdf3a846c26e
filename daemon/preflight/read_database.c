/* Reads what the catalog has to know of the database as a whole: its functions, its code, its collations. */
#include "preflight/read_catalog.h"

static bool read_functions(struct db *db, void *ctx, struct catalog *catalog, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db,
		      "SELECT DISTINCT proname FROM pg_proc\n"
		      " WHERE provolatile <> 'i' AND pronamespace <> 'pg_catalog'::regnamespace",
		      0, NULL, &res, err))
		return false;
	catalog->n_functions = (size_t)PQntuples(res);
	catalog->functions = t_array(ctx, const char *, catalog->n_functions + 1);
	for (size_t i = 0; i < catalog->n_functions; i++)
		catalog->functions[i] = t_strdup(ctx, db_value(res, (int)i, "proname"));
	return true;
}

static bool read_code(struct db *db, struct catalog *catalog, struct error *err)
{
	static const char sql[] =
		"SELECT EXISTS (SELECT FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid\n"
		"                WHERE NOT t.tgisinternal AND c.relnamespace <> n.retention)\n"
		"    OR EXISTS (SELECT FROM pg_proc AS f JOIN pg_language AS l ON l.oid = f.prolang\n"
		"                WHERE l.lanname NOT IN ('internal', 'c') AND f.pronamespace NOT IN (n.retention,\n"
		"                      'pg_catalog'::regnamespace, 'information_schema'::regnamespace)) AS runs_code,\n"
		"       to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL AS citus\n"
		"  FROM (SELECT coalesce(to_regnamespace('retention')::oid, 0) AS retention) AS n";
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, sql, 0, NULL, &res, err))
		return false;
	catalog->runs_code = db_bool(res, 0, "runs_code");
	catalog->citus = db_bool(res, 0, "citus");
	return true;
}

/* The first of these that the server has.  The locale of a database can be C, which knows no é, or one of its own. */
static const char fold_sql[] =
	"SELECT l.name AS fold, d.datctype IN ('C', 'POSIX') AS ascii\n"
	"  FROM pg_database AS d LEFT JOIN LATERAL (\n"
	"       SELECT quote_ident(l.collname) AS name FROM pg_collation AS l\n"
	"         JOIN unnest('{und-x-icu,pg_c_utf8,C.utf8,C.UTF-8}'::name[]) WITH ORDINALITY AS u(name, n)\n"
	"           ON u.name = l.collname\n"
	"        WHERE l.collnamespace = 'pg_catalog'::regnamespace\n"
	"          AND l.collencoding IN (-1, d.encoding) AND d.encoding = pg_char_to_encoding('UTF8')\n"
	"        ORDER BY u.n LIMIT 1) AS l ON true\n"
	" WHERE d.datname = current_database()";

static bool read_fold(struct db *db, void *ctx, struct catalog *catalog, struct error *err)
{
	AUTO(result) PGresult *res = NULL;
	const char *name;

	if (!db_query(db, fold_sql, 0, NULL, &res, err))
		return false;
	name = db_text(res, 0, "fold");
	catalog->fold = name ? t_printf(ctx, " COLLATE pg_catalog.%s", name) : "";
	catalog->folds_ascii = !name && db_bool(res, 0, "ascii");
	return true;
}

bool read_database(struct db *db, void *ctx, struct catalog *catalog, struct error *err)
{
	return read_functions(db, ctx, catalog, err) && read_code(db, catalog, err) &&
	       read_fold(db, ctx, catalog, err);
}
