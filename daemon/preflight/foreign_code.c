#include "preflight/foreign_code.h"

/* What an INSERT runs besides: generated columns, domains of the columns, and triggers that are on. */
#define OF_INSERT                                                                                  \
	"    SELECT 'pg_attrdef'::regclass, b.oid FROM pg_attrdef AS b JOIN pg_attribute AS g\n"   \
	"       ON g.attrelid = b.adrelid AND g.attnum = b.adnum AND g.attgenerated <> ''\n"       \
	"     WHERE b.adrelid = m.oid UNION ALL\n"                                                 \
	"    SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint AS k\n"                    \
	"       JOIN pg_attribute AS g ON g.atttypid = k.contypid\n"                               \
	"     WHERE g.attrelid = m.oid UNION ALL\n"                                                \
	"    SELECT 'pg_trigger'::regclass, t.oid FROM pg_trigger AS t\n"                          \
	"     WHERE t.tgrelid = m.oid AND t.tgenabled <> 'D' AND $2::boolean UNION ALL\n"

static const char read_sql[] =
	"SELECT x.o::regclass::text AS table, x.f AS function\n"
	"  FROM (SELECT o, " FOREIGN_CODE("o", "") " AS f FROM unnest($1::oid[]) AS o) AS x\n"
						   " WHERE x.f IS NOT NULL LIMIT 1";

static const char put_sql[] = "SELECT x.o::regclass::text AS table, x.f AS function\n"
			      "  FROM (SELECT o, " FOREIGN_CODE(
				      "o", OF_INSERT) " AS f FROM unnest($1::oid[]) AS o) AS x\n"
						      " WHERE x.f IS NOT NULL LIMIT 1";

bool foreign_code_find(struct db *db, const char *tables, enum foreign_use use, void *ctx,
		       struct foreign_code *ret, struct error *err)
{
	const char *const values[] = {tables, use == FOREIGN_PUT_TRIGGERS ? "true" : "false"};
	const bool reads = use == FOREIGN_READ;
	AUTO(result) PGresult *res = NULL;

	*ret = (struct foreign_code){0};
	if (!db_query(db, reads ? read_sql : put_sql, reads ? 1 : 2, values, &res, err))
		return false;
	if (PQntuples(res) > 0)
		*ret = (struct foreign_code){.table = db_text_copy(ctx, res, 0, "table"),
					     .function = db_text_copy(ctx, res, 0, "function")};
	return true;
}
