#include "preflight/trigger_rights.h"

/* Behind the name: regexp_replace() makes it a part of a regular expression. */
#define LITERAL ", '(\\W)', '\\\\\\1', 'g')"

/*
 * fired: the triggers' functions, and the functions that they call with their own rights.  body: the sources, without
 * comments.  named: what they name.  A name without its schema means a table in the schema of the function, in that of
 * the trigger's table, or in public.  position() comes before each regular expression, which is slow.
 */
static const char sql[] =
	"WITH RECURSIVE fired AS (\n"
	"  SELECT w.place, t.tgname, t.tgrelid, t.tgfoid, t.tgfoid AS oid\n"
	"    FROM unnest($1::oid[], $2::int[]) WITH ORDINALITY AS w(oid, events, place)\n"
	"    JOIN pg_trigger AS t ON t.tgrelid IN (SELECT w.oid UNION SELECT relid FROM pg_partition_tree(w.oid))\n"
	"   WHERE NOT t.tgisinternal AND t.tgtype::int & w.events <> 0\n"
	"     AND CASE $4::text WHEN 'origin' THEN t.tgenabled IN ('O', 'A') WHEN 'replica' THEN t.tgenabled IN ('R', 'A')\n"
	"              ELSE t.tgenabled <> 'D' END\n"
	"  UNION\n"
	"  SELECT f.place, f.tgname, f.tgrelid, f.tgfoid, g.oid\n"
	"    FROM fired AS f JOIN pg_proc AS p ON p.oid = f.oid AND NOT p.prosecdef\n"
	"    JOIN pg_proc AS g ON position(lower(g.proname) IN lower(p.prosrc)) > 0\n"
	"     AND g.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)\n"
	"     AND p.prosrc ~* ('\\m' || regexp_replace(g.proname" LITERAL " || '\"?\\s*\\(')\n"
	"), body AS (\n"
	"  SELECT f.*, p.pronamespace, c.relnamespace,\n"
	"         regexp_replace(p.prosrc, '--[^\\n]*|/\\*([^*]|\\*+[^*/])*\\*+/', ' ', 'g') AS source\n"
	"    FROM fired AS f JOIN pg_proc AS p ON p.oid = f.oid AND NOT p.prosecdef\n"
	"    JOIN pg_language AS l ON l.oid = p.prolang AND l.lanname NOT IN ('c', 'internal')\n"
	"    JOIN pg_class AS c ON c.oid = f.tgrelid\n"
	"), named AS (\n"
	"  SELECT b.place, b.tgname, b.tgrelid, b.tgfoid, c.oid, n.oid AS schema, k.privilege\n"
	"    FROM body AS b JOIN pg_class AS c ON c.relkind IN ('r', 'p', 'v', 'm', 'f')\n"
	"     AND position(lower(c.relname) IN lower(b.source)) > 0\n"
	"    JOIN pg_namespace AS n ON n.oid = c.relnamespace\n"
	"     AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'retention')\n"
	"   CROSS JOIN (VALUES ('INSERT', 'insert\\s+into'), ('UPDATE', 'update(\\s+only)?'),\n"
	"                      ('DELETE', 'delete\\s+from(\\s+only)?'), ('SELECT', '(update|from|join)(\\s+only)?'))\n"
	"         AS k(privilege, words)\n"
	"   WHERE b.source ~* ('\\m' || k.words || '\\s+(\"?' || regexp_replace(n.nspname" LITERAL
	" || '\"?\\s*\\.\\s*)'\n"
	"         || CASE WHEN n.oid IN (b.pronamespace, b.relnamespace) OR n.nspname = 'public' THEN '?' ELSE '' END\n"
	"         || '\"?' || regexp_replace(c.relname" LITERAL " || '(?![\\w\"]*\\w)')\n"
	"), needed AS (\n"
	"  SELECT n.place, n.tgname, n.tgrelid, n.tgfoid, format('GRANT %s ON %s TO', n.privilege, n.oid::regclass) AS grants\n"
	"    FROM named AS n\n"
	"   WHERE $3::text IS NULL OR NOT CASE n.privilege WHEN 'DELETE' THEN has_table_privilege($3, n.oid, 'DELETE')\n"
	"                                  ELSE has_any_column_privilege($3, n.oid, n.privilege) END\n"
	"  UNION\n"
	"  SELECT n.place, n.tgname, n.tgrelid, n.tgfoid, format('GRANT USAGE ON SCHEMA %I TO', s.nspname)\n"
	"    FROM named AS n JOIN pg_namespace AS s ON s.oid = n.schema\n"
	"   WHERE NOT has_schema_privilege(coalesce($3, 'public'), s.oid, 'USAGE')\n"
	"  UNION\n"
	"  SELECT n.place, n.tgname, n.tgrelid, n.tgfoid, format('GRANT USAGE ON SEQUENCE %s TO', d.objid::regclass)\n"
	"    FROM named AS n JOIN pg_depend AS d ON d.refobjid = n.oid AND d.refclassid = 'pg_class'::regclass\n"
	"     AND d.classid = 'pg_class'::regclass AND d.deptype = 'a'\n"
	"    JOIN pg_class AS q ON q.oid = d.objid\n"
	"   WHERE n.privilege = 'INSERT'\n"
	"     AND CASE WHEN q.relkind <> 'S' THEN false WHEN $3::text IS NULL THEN true\n"
	"              ELSE NOT has_sequence_privilege($3, d.objid, 'USAGE') END)\n"
	"SELECT n.place - 1 AS place, n.tgname AS trigger_name, n.tgrelid::regclass AS table_name,\n"
	"       n.tgfoid::regproc AS function_name, n.grants\n"
	"  FROM needed AS n ORDER BY n.place, n.tgname, n.grants";

bool trigger_rights_read(struct db *db, const struct trigger_question *question, PGresult **ret_res,
			 struct error *err)
{
	const char *const values[] = {question->tables, question->events, question->role,
				      question->session};

	return db_query(db, sql, 4, values, ret_res, err);
}
