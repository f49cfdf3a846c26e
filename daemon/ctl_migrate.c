/*
 * migrate: the schema retention, version by version.  Each migration is one transaction that also
 * records it with its checksum, so a crash leaves a whole version or none; two that migrate at the
 * same time queue at a session lock, and the second finds nothing to do.
 */
#include "ctl.h"

#include "mem.h"
#include "migrations.h"

#include <getopt.h>

#define LOCK "1380275199, 1"

static const char bootstrap_sql[] = "CREATE SCHEMA IF NOT EXISTS retention;\n"
				    "CREATE TABLE IF NOT EXISTS retention.schema_version (\n"
				    "  version int PRIMARY KEY,\n"
				    "  name text NOT NULL,\n"
				    "  sha256 text NOT NULL,\n"
				    "  applied_at timestamptz NOT NULL DEFAULT now(),\n"
				    "  applied_by text NOT NULL DEFAULT session_user)";

static const struct migration *known(int64_t version)
{
	for (size_t i = 0; i < migrations_count; i++)
		if (migrations[i].version == version)
			return &migrations[i];
	return NULL;
}

/* What the database has must be what this binary has, as far as it goes. */
static bool check_applied(struct ctl *ctl, int64_t *ret_version, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(ctl->db,
		      "SELECT version, name, sha256 FROM retention.schema_version ORDER BY version",
		      0, NULL, &res, err))
		return false;
	*ret_version = 0;
	for (int row = 0; row < PQntuples(res); row++) {
		const int64_t version = db_int(res, row, "version");
		const struct migration *m = known(version);
		AUTO(result) PGresult *sum = NULL;

		if (!m)
			return fail(
				err, ERR_CONFIG,
				"this database has migration %lld (%s), this retentionctl knows "
				"only %zu: install the newer retentiond",
				(long long)version, db_text(res, row, "name"), migrations_count);
		if (version != *ret_version + 1)
			return fail(
				err, ERR_CONFIG,
				"migration %lld is missing from retention.schema_version, while %lld "
				"is there: somebody has removed it",
				(long long)*ret_version + 1, (long long)version);
		if (!db_query(ctl->db,
			      "SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex') AS sha256", 1,
			      &m->text, &sum, err))
			return false;
		if (strcmp(db_text(sum, 0, "sha256"), db_text(res, row, "sha256")) != 0)
			return fail(err, ERR_CONFIG,
				    "migration %lld (%s) was changed after it was applied: this "
				    "retentionctl and this database do not belong together",
				    (long long)version, m->name);
		*ret_version = version;
	}
	return true;
}

static bool apply(struct ctl *ctl, const struct migration *m, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *const values[] = {t_printf(ctx, "%d", m->version), m->name, m->text};

	if (db_exec(ctl->db, "BEGIN", err) && db_exec(ctl->db, m->text, err) &&
	    db_command(ctl->db,
		       "INSERT INTO retention.schema_version (version, name, sha256)\n"
		       "VALUES ($1::int, $2, encode(sha256(convert_to($3, 'UTF8')), 'hex'))",
		       3, values, NULL, err) &&
	    db_commit(ctl->db, err)) {
		printf("migration %d (%s) applied\n", m->version, m->name);
		return true;
	}
	db_rollback(ctl->db);
	return false;
}

/* A right that is missing is the usual cause: say which. */
static void explain(struct error *err)
{
	AUTO(char_p) char *text = err->text;

	if (strcmp(err->sqlstate, "42501") != 0) {
		err->text = text;
		text = NULL;
		return;
	}
	if (asprintf(&err->text,
		     "%s; run migrate as a role that may create a schema in this database (CREATE) "
		     "and roles (CREATEROLE)",
		     text) < 0)
		must_alloc(NULL);
}

static bool migrate(struct ctl *ctl, struct error *err)
{
	int64_t version = 0;

	/* Asked first, so that a role without rights still learns that there is nothing to do. */
	if (!db_exec(ctl->db, "SELECT pg_advisory_lock(" LOCK ")", err))
		return false;
	{
		AUTO(result) PGresult *res = NULL;

		if (!db_query(ctl->db,
			      "SELECT to_regclass('retention.schema_version') IS NULL AS missing",
			      0, NULL, &res, err))
			return false;
		if (db_bool(res, 0, "missing") && !db_exec(ctl->db, bootstrap_sql, err))
			return false;
	}
	if (!check_applied(ctl, &version, err))
		return false;
	if (version == (int64_t)migrations_count)
		printf("nothing to do: schema retention is at version %lld\n", (long long)version);
	for (size_t i = (size_t)version; i < migrations_count; i++)
		if (!apply(ctl, &migrations[i], err))
			return false;
	return true; /* the lock goes with the session */
}

int ctl_migrate(struct ctl *ctl, int argc, char **argv)
{
	AUTO(error) struct error err = {0};

	(void)argv;
	if (argc > 1)
		return ctl_wrong_use(ctl, "migrate takes no argument");
	if (migrate(ctl, &err))
		return 0;
	explain(&err);
	return ctl_failed(&err);
}
