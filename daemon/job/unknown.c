/*
 * A database that was restored from a backup has forgotten actions, and archives.directory has not forgotten their
 * folders.  The folders are looked at when the daemon connects (numbers), when a job starts (numbers), and when expired
 * archives are looked for (all).  Each statement is a transaction of its own and can be repeated, so that a process that
 * dies on any line leaves nothing that the next pass does not put right.  Nothing here removes a file: mode_expire does.
 */
#include "job/unknown.h"

#include "archive/reader.h"
#include "base/mem.h"
#include "base/sql.h"

#include <inttypes.h>

/* Only printable ASCII: another name is not an archive's, and may not even be UTF-8. */
static bool is_plain(const char *name)
{
	while (*name > ' ' && *name <= '~')
		name++;
	return !*name;
}

bool unknown_find(struct db *db, const char *directory, PGresult **ret, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char **names = archive_reader_list(directory, ctx, err);
	const char *array;
	size_t n = 0;

	if (!names)
		return false;
	for (const char **name = names; *name; name++)
		if (is_plain(*name))
			names[n++] = *name;
	array = sql_array(ctx, names, n);
	return db_query(db, "SELECT u.* FROM retention.unknown_archives($1::text[]) AS u", 1,
			&array, ret, err);
}

/* An erasure of before the action was asked for is another action's. */
static bool check_ledger(struct db *db, int id, struct error *err)
{
	static const char sql[] =
		"SELECT EXISTS (SELECT FROM retention.archive_journal AS j\n"
		"                 JOIN (SELECT job, erased_at FROM retention.ledger\n"
		"                       UNION ALL SELECT job, erased_at FROM retention.replay) AS l\n"
		"                   ON l.job = j.id AND l.erased_at < j.requested_at\n"
		"                WHERE j.id = $1::int)::int";
	AUTO(char_p) char *number = xprintf("%d", id);
	int64_t used = 0;

	return db_query_int(db, sql, 1, (const char *const[]){number}, &used, err) &&
	       (!used ||
		fail(err, ERR_CONFIG,
		     "the database was restored from a backup, and has given number %d again: the "
		     "ledger has erasures of an earlier action %d; cancel this action, and save it "
		     "anew",
		     id, id));
}

bool unknown_check_number(struct db *db, const struct job_opts *opts, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!check_ledger(db, opts->id, err) ||
	    !unknown_find(db, opts->config->directory, &res, err))
		return false;
	for (int row = 0; row < PQntuples(res); row++)
		if (db_int(res, row, "job") == opts->id)
			return fail(
				err, ERR_CONFIG,
				"the database was restored from a backup, and has given number %d "
				"again: \"%s/%s\" is the archive of an earlier action %d; cancel "
				"this action, and save it anew",
				opts->id, opts->config->directory, db_value(res, row, "entry"),
				opts->id);
	return true;
}

/* Is it what the removal of an archive leaves until the end of its pass (archive/remove.c)? */
static bool is_removed(const char *entry, const struct archive_survey *s)
{
	const char *end = strrchr(entry, '.');

	return s->bytes == 0 && end && strcmp(end, ".deleted") == 0;
}

static bool record_one(struct db *db, const struct job_opts *opts, const char *entry, void *ctx,
		       struct error *err)
{
	struct archive_survey s;
	bool found = false;

	if (!archive_reader_survey(opts->config->directory, entry, ctx, &s, &found, err))
		return false;
	return !found || is_removed(entry, &s) ||
	       db_command(
		       db,
		       "SELECT retention.record_unknown_archive($1, $2, $3, $4::bigint, $5::bigint,\n"
		       "                                        $6, $7, $8)",
		       8,
		       (const char *const[]){entry, opts->host, opts->config->directory,
					     t_printf(ctx, "%" PRId64, s.bytes),
					     t_printf(ctx, "%" PRId64, s.newest), s.sums_sha256,
					     s.manifest, s.manifest_sha256},
		       NULL, err);
}

bool unknown_record(struct db *db, const struct job_opts *opts, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result) PGresult *res = NULL;
	const char **names;
	int n;

	if (!unknown_find(db, opts->config->directory, &res, err))
		return false;
	n = PQntuples(res);
	names = t_array(ctx, const char *, n + 1);
	for (int row = 0; row < n; row++) {
		names[row] = db_value(res, row, "name");
		if (!record_one(db, opts, db_value(res, row, "entry"), ctx, err))
			return false;
	}
	/* Keeps what another host has seen within a day.  Not for longer, because a container has a new name each time. */
	return db_command(db,
			  "DELETE FROM retention.unknown_archive AS u\n"
			  " WHERE u.deleted_at IS NULL AND u.name <> ALL ($1::text[])\n"
			  "   AND (u.host = $2 OR u.seen_at < now() - interval '1 day')",
			  2, (const char *const[]){sql_array(ctx, names, (size_t)n), opts->host},
			  NULL, err);
}
