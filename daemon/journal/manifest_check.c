#include "journal/manifest_check.h"

/*
 * For an archive that the journal does not know, $1 is NULL and $4 its name: its manifest has to have the number in the
 * name, and its digests are those with which the daemon found it.
 *
 * Finds differences between the manifest's number of the action, its files, the sums and the journal's
 * counts.  The server reads the JSON.  A table that is not archived has rows in the journal but no
 * bytes.  A table that is archived and never had a row has a file and no row in the journal.
 */
static const char manifest_sql[] =
	"WITH manifest AS (SELECT $2::text::jsonb AS j),\n"
	"listed AS (\n"
	"  SELECT f.name, f.rows, f.sha256\n"
	"    FROM manifest AS m, jsonb_to_recordset(m.j->'files')\n"
	"         AS f(name text, rows bigint, sha256 text)),\n"
	"summed AS (\n"
	"  SELECT substr(line, 67) AS name, left(line, 64) AS sha256\n"
	"    FROM regexp_split_to_table($3, E'\\n') AS line WHERE line <> ''),\n"
	"journal AS (\n"
	"  SELECT a.table_name || '.csv' AS name, sum(a.rows) AS rows, sum(a.bytes) AS bytes\n"
	"    FROM retention.archive_file AS a WHERE a.job = $1::int GROUP BY 1),\n"
	"findings AS (\n"
	"  SELECT coalesce(l.name, s.name, a.name) AS name,\n"
	"         CASE WHEN l.name IS NULL AND s.name IS NULL AND a.bytes > 0\n"
	"              THEN 'is in the journal, but not in the archive'\n"
	"              WHEN l.name IS NULL AND s.name IS NOT NULL\n"
	"              THEN 'is in SHA256SUMS, but not in manifest.json'\n"
	"              WHEN l.name IS NOT NULL AND s.name IS NULL\n"
	"              THEN 'is in manifest.json, but not in SHA256SUMS'\n"
	"              WHEN l.sha256 IS DISTINCT FROM s.sha256\n"
	"              THEN 'has one sum in SHA256SUMS and another in manifest.json'\n"
	"              WHEN $1 IS NOT NULL AND l.name IS NOT NULL\n"
	"               AND l.rows IS DISTINCT FROM coalesce(a.rows, 0)\n"
	"              THEN format('has %s rows by manifest.json, %s by the journal',\n"
	"                          coalesce(l.rows::text, 'no'), coalesce(a.rows, 0)) END AS finding\n"
	"    FROM listed AS l FULL JOIN summed AS s USING (name)\n"
	"    FULL JOIN journal AS a\n"
	"      ON a.name = regexp_replace(coalesce(l.name, s.name), '\\.age$', ''))\n"
	"SELECT f.name, f.finding FROM findings AS f WHERE f.finding IS NOT NULL\n"
	" UNION ALL\n"
	"SELECT 'manifest.json', 'belongs to another action' FROM manifest AS m\n"
	" WHERE m.j->>'job' IS DISTINCT FROM\n"
	"       coalesce(($1::int)::text, substring($4::text FROM '[0-9]+$'))\n"
	" UNION ALL\n"
	"SELECT x.name, CASE WHEN $1 IS NULL THEN 'was changed since the daemon found the archive'\n"
	"                    ELSE 'is not the one whose digest the journal has' END\n"
	"  FROM (SELECT j.counters->>'sums_sha256' AS sums, j.counters->>'manifest_sha256' AS manifest\n"
	"          FROM retention.archive_journal AS j WHERE j.id = $1::int\n"
	"         UNION ALL\n"
	"        SELECT u.sums_sha256, u.manifest_sha256 FROM retention.unknown_archive AS u\n"
	"         WHERE u.name = $4) AS had,\n"
	"       LATERAL (VALUES ('SHA256SUMS', had.sums, $3), ('manifest.json', had.manifest, $2))\n"
	"               AS x(name, digest, found)\n"
	" WHERE x.digest IS DISTINCT FROM encode(sha256(convert_to(x.found, 'UTF8')), 'hex')";

bool manifest_check(struct db *db, const struct manifest_claim *claim,
		    void (*tell)(void *arg, const char *file, const char *fault), void *arg,
		    struct error *err)
{
	const char *const values[] = {claim->job, claim->manifest, claim->sums, claim->name};
	AUTO(error) struct error cause = {0};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, manifest_sql, 4, values, &res, &cause)) {
		/* Class 22: the server cannot read the text, so that the file is wrong and nothing else. */
		if (strncmp(cause.sqlstate, "22", 2) == 0)
			return fail(err, ERR_CONFIG, "manifest.json is not what retentiond wrote");
		(void)memcpy(err->sqlstate, cause.sqlstate, sizeof(err->sqlstate));
		return fail(err, cause.class, "%s", cause.text);
	}
	for (int row = 0; row < PQntuples(res); row++) {
		AUTO(talloc)
		char *fault = t_printf(NULL, "it %s", db_value(res, row, "finding"));

		tell(arg, db_value(res, row, "name"), fault);
	}
	return true;
}
