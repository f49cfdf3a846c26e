/*
 * migrate: creates or updates the schema retention, version by version.  Each migration is one
 * transaction that also records it with its checksum, so that a crash leaves a complete version.  The
 * first transaction also creates the schema and the table of versions, so that a missing right leaves
 * nothing behind.  A second migrate at the same time waits for a session lock, and finds nothing to do.  What an
 * upgrade will change is printed before the first of it is changed; with --dry-run, nothing is.
 */
#include "command/command.h"

#include "base/migrations.h"
#include "database/locks.h"

#define TEXT(number) DIGITS(number)
#define DIGITS(number) #number
#define MIGRATE_LOCK TEXT(LOCK_MIGRATE) ", " TEXT(LOCK_SCHEMA)

#define VERSIONS_SQL                                                                               \
	"CREATE TABLE retention.schema_version (\n"                                                \
	"  version int PRIMARY KEY,\n"                                                             \
	"  name text NOT NULL,\n"                                                                  \
	"  sha256 text NOT NULL,\n"                                                                \
	"  applied_at timestamptz NOT NULL DEFAULT now(),\n"                                       \
	"  applied_by text NOT NULL DEFAULT session_user);\n"                                      \
	"COMMENT ON TABLE retention.schema_version IS 'written by retentionctl migrate'"

static const char versions_sql[] = VERSIONS_SQL; /* for an empty schema of this role */
static const char schema_sql[] = "CREATE SCHEMA retention;\n" VERSIONS_SQL;

/*
 * Everything in the schema that another role could have prepared, and roles that may still add to it.  The first row
 * names a foreign one, if there is any.  The owner of an object stands in pg_shdepend, and is the server's first
 * superuser where it does not.
 */
static const char contents_sql[] =
	"SELECT o.identity, o.owner, o.owner <> current_user AS is_foreign, current_user AS me\n"
	"  FROM pg_namespace AS n, LATERAL (\n"
	"       SELECT 'schema retention' AS identity, pg_get_userbyid(n.nspowner) AS owner, 0 AS place\n"
	"        UNION ALL\n"
	"       SELECT (pg_identify_object(d.classid, d.objid, 0)).identity,\n"
	"              pg_get_userbyid(coalesce(s.refobjid, 10)), 1\n"
	"         FROM pg_depend AS d LEFT JOIN pg_shdepend AS s\n"
	"           ON s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())\n"
	"          AND (s.classid, s.objid, s.objsubid) = (d.classid, d.objid, 0) AND s.deptype = 'o'\n"
	"        WHERE (d.refclassid, d.refobjid) = ('pg_namespace'::regclass, n.oid)\n"
	"        UNION ALL\n"
	"       SELECT 'the right to create objects in schema retention',\n"
	"              CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END, 2\n"
	"         FROM aclexplode(n.nspacl) AS a\n"
	"        WHERE a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner) AS o\n"
	" WHERE n.nspname = 'retention' ORDER BY 3 DESC, o.place, 1";

static const char applied_sql[] =
	"SELECT v.version, v.name, v.sha256, max(v.version) OVER () AS newest\n"
	"  FROM retention.schema_version AS v ORDER BY v.version";

static const char digest_sql[] = "SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex') AS sha256";

/* Checks that the applied migrations are the first ones of this binary, unchanged. */
static bool check_applied(struct command *cmd, size_t *ret_n, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(cmd->db, applied_sql, 0, NULL, &res, err))
		return false;
	*ret_n = (size_t)PQntuples(res);
	if (*ret_n > 0 && db_int(res, 0, "newest") > (int64_t)migrations_count)
		return fail(
			err, ERR_CONFIG,
			_("this database has migration %lld, this retentionctl knows %zu: install "
			  "the newer retentiond"),
			(long long)db_int(res, 0, "newest"), migrations_count);
	for (size_t i = 0; i < *ret_n; i++) {
		const struct migration *m = &migrations[i];
		AUTO(result) PGresult *sum = NULL;

		if (db_int(res, (int)i, "version") != m->version)
			return fail(
				err, ERR_CONFIG,
				_("migration %d (%s) is not recorded in retention.schema_version, "
				  "while migration %lld is: a row was removed or never written; "
				  "nothing is changed"),
				m->version, m->name, (long long)db_int(res, (int)i, "version"));
		if (!db_query(cmd->db, digest_sql, 1, &m->text, &sum, err))
			return false;
		if (strcmp(db_value(sum, 0, "sha256"), db_text(res, (int)i, "sha256")) != 0)
			return fail(err, ERR_CONFIG,
				    _("migration %d (%s) was changed after it was applied: this "
				      "retentionctl and this database do not belong together"),
				    m->version, m->name);
	}
	return true;
}

/* bootstrap: SQL that comes before the first migration, or NULL. */
static bool apply(struct command *cmd, const struct migration *m, const char *bootstrap,
		  struct error *err)
{
	const char *const values[] = {t_printf(cmd->ctx, "%d", m->version), m->name, m->text};

	if (db_exec(cmd->db, "BEGIN", err) && (!bootstrap || db_exec(cmd->db, bootstrap, err)) &&
	    db_exec(cmd->db, m->text, err) &&
	    db_command(cmd->db,
		       "INSERT INTO retention.schema_version (version, name, sha256)\n"
		       "VALUES ($1::int, $2, encode(sha256(convert_to($3, 'UTF8')), 'hex'))",
		       3, values, NULL, err) &&
	    db_commit(cmd->db, err)) {
		printf(_("migration %d (%s) applied\n"), m->version, m->name);
		return true;
	}
	db_rollback(cmd->db);
	return false;
}

/*
 * Refuses a schema that another role owns, or in which it owns anything, because the migrations run what they find
 * there with this role's rights.  *ret_there: the schema exists.
 */
static bool check_owners(struct command *cmd, bool bootstrap, bool *ret_there, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(cmd->db, contents_sql, 0, NULL, &res, err))
		return false;
	*ret_there = PQntuples(res) > 0;
	if (*ret_there && db_bool(res, 0, "is_foreign"))
		return fail(err, ERR_CONFIG,
			    _("%s belongs to role %s, and migrate would run its code with the "
			      "rights of %s: drop what is foreign, or run migrate as the role that "
			      "ran it before; nothing is changed"),
			    db_text(res, 0, "identity"), db_text(res, 0, "owner"),
			    db_text(res, 0, "me"));
	return !bootstrap || PQntuples(res) <= 1 ||
	       fail(err, ERR_CONFIG,
		    _("the schema retention is there already and holds %s, which migrate has not "
		      "made: drop or rename that schema; nothing is changed"),
		    db_text(res, 1, "identity"));
}

/* A migration begins with a comment that says what it changes. */
static void print_change(const struct migration *m)
{
	printf(_("migration %d (%s):\n"), m->version, m->name);
	for (const char *line = m->text; strncmp(line, "-- ", 3) == 0;) {
		const size_t n = strcspn(line, "\n");

		printf("  %.*s\n", (int)n - 3, line + 3);
		line += n + (line[n] == '\n');
	}
}

/*
 * A daemon of the version before works on with what it has read of the schema.  Its jobs look at the version before they
 * begin, so that one that is under way is the only one to wait for.  A claim counts as in retention.claim_action().
 */
static bool check_idle(struct command *cmd, struct error *err)
{
	static const char sql[] =
		"SELECT c.job FROM retention.claimed AS c JOIN pg_stat_activity AS a ON a.pid = c.pid\n"
		" WHERE c.job > 0 AND a.datname = current_database()\n"
		"   AND (a.backend_start = c.started OR a.backend_start IS NULL) ORDER BY 1 LIMIT 1";
	AUTO(result) PGresult *there = NULL;
	AUTO(result) PGresult *res = NULL;

	if (!db_query(cmd->db, "SELECT to_regclass('retention.claimed') IS NOT NULL AS there", 0,
		      NULL, &there, err) ||
	    (db_bool(there, 0, "there") && !db_query(cmd->db, sql, 0, NULL, &res, err)))
		return false;
	return PQntuples(res) == 0 ||
	       fail(err, ERR_CONFIG,
		    _("action %s is under way: stop the daemon (systemctl stop retentiond), run migrate, "
		      "and start it again; nothing is changed"),
		    db_text(res, 0, "job"));
}

static bool migrate(struct command *cmd, struct error *err)
{
	AUTO(result) PGresult *res = NULL;
	const bool is_dry = cmd->options.dry_run != NULL;
	size_t n = 0;
	bool bootstrap, there;

	if (!db_query(cmd->db, "SELECT to_regclass('retention.schema_version') IS NULL AS missing",
		      0, NULL, &res, err))
		return false;
	bootstrap = db_bool(res, 0, "missing");
	if (!check_owners(cmd, bootstrap, &there, err) ||
	    (!bootstrap && !check_applied(cmd, &n, err)))
		return false;
	if (n == migrations_count)
		printf(_("nothing to do: the schema retention is at version %zu\n"), n);
	/* The changes of a new schema surprise nobody. */
	for (size_t i = n; i < migrations_count && (n > 0 || is_dry); i++)
		print_change(&migrations[i]);
	if (is_dry)
		return true;
	if (n > 0 && n < migrations_count && !check_idle(cmd, err))
		return false;
	for (size_t i = n; i < migrations_count; i++)
		if (!apply(cmd, &migrations[i],
			   !bootstrap || i > 0 ? NULL
			   : there             ? versions_sql
					       : schema_sql,
			   err))
			return false;
	return true;
}

/* Takes the lock; if another migrate has it, prints that and waits. */
static bool lock(struct command *cmd, struct error *err)
{
	static const char holder_sql[] =
		"SELECT coalesce(max(l.pid), 0) AS pid, coalesce(max(a.usename::text), '') AS role\n"
		"  FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid\n"
		" WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()\n"
		"   AND (l.classid, l.objid) = (" MIGRATE_LOCK ")";
	AUTO(result) PGresult *res = NULL;
	int64_t ours = 0;

	if (!db_query_int(cmd->db, "SELECT pg_try_advisory_lock(" MIGRATE_LOCK ")::int", 0, NULL,
			  &ours, err))
		return false;
	if (ours)
		return true;
	if (!db_query(cmd->db, holder_sql, 0, NULL, &res, err))
		return false;
	fprintf(stderr,
		_("retentionctl: another migration of this database is running (process %s, role %s): "
		  "waiting\n"),
		db_value(res, 0, "pid"), db_value(res, 0, "role"));
	return db_exec(cmd->db, "SELECT pg_advisory_lock(" MIGRATE_LOCK ")", err);
}

/* Migrates while no other migrate does. */
static bool migrate_alone(struct command *cmd, struct error *err)
{
	AUTO(error) struct error ignored = {0};
	const bool ok = lock(cmd, err) && migrate(cmd, err);

	(void)db_exec(cmd->db, "SELECT pg_advisory_unlock(" MIGRATE_LOCK ")",
		      &ignored); /* else the end of the session does it */
	return ok;
}

bool command_migrate(struct command *cmd, struct error *err)
{
	/* A dry run waits for nobody. */
	const bool ok = cmd->options.dry_run ? migrate(cmd, err) : migrate_alone(cmd, err);

	if (strcmp(err->sqlstate, "42501") == 0)
		command_explain(err, "hint: run migrate as a role that may create a schema in this "
				     "database (CREATE) and roles (CREATEROLE), or as the one that "
				     "ran it before");
	return ok;
}
