/*
 * A round takes up to ROUND rows, in one transaction that locks them (SKIP LOCKED, so that two daemons share
 * the work).  What may die on each line, and what then:
 *
 *   claim     nothing has changed.
 *   ask       whether another row of the model still names the same file.  Such a file stays, and leaves
 *             the outbox; the other row's own erasure puts it there again.
 *   remove    file by file, and fsync of its folder before its row is deleted.  Process, server, network or
 *             disk dies: the row is still in the outbox.  A file that is missing then counts as removed, once its
 *             folder was synced.
 *   settle    deletes the rows of removed files; the others get their reason and wait longer each time.
 *   COMMIT    lost: the same rows are tried again.
 */
#include "job/outbox.h"

#include "base/failpoint.h"
#include "base/file.h"
#include "base/process.h"
#include "base/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ROUND 500
#define COMMAND_MS 60000

/* --- One file ------------------------------------------------------------------------------- */

/* location below root, without root's own path; NULL: it is absolute and lies elsewhere. */
static const char *below(const char *root, const char *location)
{
	size_t n = strlen(root);

	if (*location != '/')
		return location;
	while (n > 1 && root[n - 1] == '/')
		n--;
	if (strncmp(location, root, n) != 0 || location[n] != '/')
		return NULL;
	return location + n + 1;
}

static bool unlink_in(int folder, const char *name, struct error *err)
{
	struct stat st;

	const bool there = fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0;

	if (!there && errno != ENOENT)
		return fail_errno(err, ERR_DATA, "it cannot be looked at");
	if (there && S_ISDIR(st.st_mode))
		return fail(err, ERR_DATA, "it is a directory");
	if (there && unlinkat(folder, name, 0) < 0 && errno != ENOENT)
		return fail_errno(err, ERR_DATA, "it cannot be removed");
	/* A file that is missing may have been removed by a try whose fsync failed. */
	return fsync(folder) == 0 ||
	       fail_errno(err, ERR_DATA, "its folder cannot be written to disk");
}

/* Is the path written in the one plain way?  Another row that needs the file is found only by that. */
static bool is_plain(const char *path)
{
	while (*path) {
		const size_t n = strcspn(path, "/");

		if (n == 0 || (n <= 2 && strspn(path, ".") >= n))
			return false;
		path += n;
		if (*path && !*++path)
			return false;
	}
	return true;
}

/*
 * Removes one file below root: location is relative, or begins with root.  Reaches nothing outside root and
 * follows no link; a link itself is removed, not its target.  A missing file counts as removed.
 */
static bool remove_file(const char *root, const char *location, struct error *err)
{
	const char *path = below(root, location);
	const char *slash = path ? strrchr(path, '/') : NULL;
	AUTO(char_p)
	char *parent = slash ? xprintf("%.*s", (int)(slash - path), path) : xstrdup(".");
	AUTO(fd) int directory = -1, folder = -1;

	if (!path)
		return fail(err, ERR_DATA, "it does not lie below root");
	if (!*path)
		return fail(err, ERR_DATA, "it names no file");
	if (!is_plain(path))
		return fail(
			err, ERR_DATA,
			"its path has . or .., or a / too many: another row may name it otherwise");
	directory = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return fail_errno(err, ERR_DATA, "root cannot be opened");
	folder = file_open_beneath(directory, parent, O_RDONLY | O_DIRECTORY);
	if (folder < 0 && errno == ENOENT)
		return true; /* its folder is gone, and the file with it */
	if (folder < 0 && (errno == EXDEV || errno == ELOOP))
		return fail(err, ERR_DATA, "it leads out of root, or over a symbolic link");
	if (folder < 0)
		return fail_errno(err, ERR_DATA, "its folder cannot be opened");
	return unlink_in(folder, slash ? slash + 1 : path, err);
}

/* --- One command ---------------------------------------------------------------------------- */

/* Runs the command with location as its last word, for at most timeout_ms; exit status 0: done. */
static bool run_command(const char *const *command, size_t n, const char *location, int timeout_ms,
			struct error *err)
{
	AUTO(talloc) const char **argv = t_array(NULL, const char *, n + 2);
	AUTO(fd) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	AUTO(process) struct process process = {0};
	AUTO(error) struct error cause = {0};
	struct process_result end;

	if (*location == '-' && strcmp(command[n - 1], "--") != 0)
		return fail(
			err, ERR_DATA,
			"it begins with \"-\", so that the command could take it for an option: "
			"let command end with \"--\", if the program knows that word");
	memcpy(argv, command, n * sizeof(*argv));
	argv[n] = location;
	if (null < 0)
		return fail_errno(err, ERR_DATA, "cannot open /dev/null");
	if (!process_start(
		    &(struct process_opts){
			    .argv = argv, .in = null, .out = null, .catches_errors = true},
		    &process, &cause))
		return fail(err, ERR_DATA, "%s", cause.text);
	process_end(&process, timeout_ms, &end);
	if (end.too_long)
		return fail(err, ERR_DATA, "the command took too long, and was ended");
	if (WIFSIGNALED(end.status))
		return fail(err, ERR_DATA, "the command was ended by signal %d",
			    WTERMSIG(end.status));
	if (WEXITSTATUS(end.status) != 0)
		return fail(err, ERR_DATA, "the command has failed with status %d%s%s",
			    WEXITSTATUS(end.status), *end.complaint ? ": " : "", end.complaint);
	return true;
}

/* --- A round -------------------------------------------------------------------------------- */

struct round {
	struct db *db;
	const struct job_opts *opts;
	void *ctx; /* of the round; its parent is the caller's */
	const PGresult *rows; /* id, table_name, location */
	const PGresult *used; /* of each of these */
	/* n, of the rows that were tried; an error of "": nothing is left to do. */
	const char *ids[ROUND], *errors[ROUND], *kept[ROUND];
	size_t n;
	struct outbox_result *result;
};

static bool same_place(const struct outside *a, const struct outside *b)
{
	if (a->root || b->root)
		return a->root && b->root && strcmp(a->root, b->root) == 0;
	return a->command && b->command && strcmp(a->command[0], b->command[0]) == 0;
}

/* SQL: does the column name what o.location names?  Below root, as a relative path or an absolute one. */
static char *names_it(const struct round *r, const struct table *t)
{
	const char *column = t_printf(r->ctx, "u.%s", sql_ident(r->ctx, t->file.column));
	const char *root = t->file.root;
	size_t n;

	if (!root)
		return t_printf(r->ctx, "%s = o.location", column);
	for (n = strlen(root); n > 0 && root[n - 1] == '/'; n--)
		;
	root = sql_literal(r->ctx, t_printf(r->ctx, "%.*s/", (int)n, root));
	return t_printf(
		r->ctx,
		"%s IN (o.location, CASE WHEN starts_with(o.location, %s)\n"
		"        THEN substr(o.location, length(%s) + 1) ELSE %s || o.location END)",
		column, root, root, root);
}

/* SQL: does a row of a table of the model whose files lie in the same place name the file? */
static char *used_condition(const struct round *r)
{
	const struct model *m = &r->opts->config->model;
	char *sql = t_strdup(r->ctx, "false");

	for (size_t i = 0; i < m->n_tables; i++) {
		const struct table *t = &m->tables[i];
		char *names = t_strdup(r->ctx, "");

		if (!t->file.column)
			continue;
		for (size_t j = 0; j < m->n_tables; j++) {
			const struct outside *other = &m->tables[j].file;

			if (other->column && same_place(&t->file, other))
				t_append(&names, "%s%s", *names ? ", " : "",
					 sql_literal(r->ctx, m->tables[j].name));
		}
		t_append(&sql,
			 "\n OR (o.table_name IN (%s) AND EXISTS (SELECT FROM %s AS u WHERE %s))",
			 names, sql_table(r->ctx, t->schema, t->table), names_it(r, t));
	}
	return sql;
}

/* A file that failed waits longer each time: 2, 4, 8 minutes, up to a day. */
static const char claim_sql[] =
	"SELECT o.id, o.table_name, o.location\n"
	"  FROM (SELECT f.* FROM retention.file_outbox AS f\n"
	"         WHERE ($1::int = 0 OR f.job = $1::int) AND f.id > $3::bigint\n"
	"           AND (f.host = $2 OR f.table_name = ANY ($4::text[]))\n"
	"           AND (f.tried_at IS NULL OR f.tried_at < now() -\n"
	"                least(interval '1 minute' * 2 ^ least(f.attempts, 12), interval '1 day'))\n"
	"         ORDER BY f.id LIMIT $5::int FOR UPDATE SKIP LOCKED) AS o ORDER BY o.id";

/* Apart, because it reads the CRM's tables.  The rows are locked.  A location is no parameter, because it may hold a name. */
static const char used_sql[] = "SELECT o.id, (%s) AS used FROM retention.file_outbox AS o\n"
			       " WHERE o.id = ANY ($1::bigint[]) ORDER BY o.id";

static bool ask_used(struct round *r, PGresult **ret, struct error *err)
{
	const int n = PQntuples(r->rows);
	const char **ids = t_array(r->ctx, const char *, n);
	const char *values[1];

	for (int row = 0; row < n; row++)
		ids[row] = db_text(r->rows, row, "id");
	values[0] = sql_array(r->ctx, ids, (size_t)n);
	if (!db_query_apart(r->db, t_printf(r->ctx, used_sql, used_condition(r)), 1, values, ret,
			    err))
		return false;
	r->used = *ret;
	return PQntuples(*ret) == n ||
	       fail(err, ERR_ENVIRONMENT, "rows of the outbox are gone that were locked");
}

static char *by_command(const struct round *r)
{
	const struct model *m = &r->opts->config->model;
	const char **names = t_array(r->ctx, const char *, m->n_tables + 1);
	size_t n = 0;

	for (size_t i = 0; i < m->n_tables; i++)
		if (m->tables[i].file.command)
			names[n++] = m->tables[i].name;
	return sql_array(r->ctx, names, n);
}

static const struct outside *outside_of(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->model.n_tables; i++)
		if (strcmp(config->model.tables[i].name, name) == 0 &&
		    config->model.tables[i].file.column)
			return &config->model.tables[i].file;
	return NULL;
}

static bool remove_one(const struct round *r, int row, struct error *err)
{
	const char *name = db_text(r->rows, row, "table_name");
	const char *location = db_text(r->rows, row, "location");
	const struct outside *o = outside_of(r->opts->config, name);

	if (!o)
		return fail(err, ERR_DATA, "table \"%s\" of the model names no files now", name);
	return o->root ? remove_file(o->root, location, err)
		       : run_command(o->command, o->n_command, location, COMMAND_MS, err);
}

static void note_failed(struct outbox_result *result, void *ctx, const char *why)
{
	result->failed++;
	/* This goes to the log: leave out what a command says behind the colon, because it may name the file. */
	if (!result->why)
		result->why = t_printf(ctx, "%.*s", (int)strcspn(why, ":"), why);
}

static void remove_all(struct round *r)
{
	for (int row = 0; row < PQntuples(r->rows) && !stop_asked(r->opts->stop); row++) {
		AUTO(error) struct error one = {0};
		const bool used = db_bool(r->used, row, "used");

		if (used || remove_one(r, row, &one)) {
			failpoint("outbox-after-remove");
			*(used ? &r->result->kept : &r->result->removed) += 1;
		} else {
			note_failed(r->result, talloc_parent(r->ctx), one.text);
		}
		r->ids[r->n] = db_text(r->rows, row, "id");
		r->kept[r->n] = used ? "true" : "false";
		r->errors[r->n++] = t_strdup(r->ctx, one.text ? one.text : "");
	}
}

static bool settle(struct round *r, struct error *err)
{
	static const char sql[] =
		"WITH tried AS (\n"
		"  SELECT * FROM unnest($1::bigint[], $2::text[], $3::boolean[]) AS u(id, error, kept)),\n"
		"gone AS (\n"
		"  DELETE FROM retention.file_outbox AS f USING tried AS u\n"
		"   WHERE f.id = u.id AND u.error = '' RETURNING f.job, u.kept),\n"
		"failed AS (\n"
		"  UPDATE retention.file_outbox AS f\n"
		"     SET tried_at = now(), attempts = f.attempts + 1, error = u.error\n"
		"    FROM tried AS u WHERE f.id = u.id AND u.error <> '')\n"
		"INSERT INTO retention.journal_event (job, kind, details)\n"
		"SELECT g.job, 'files_removed', jsonb_build_object('files', count(*))\n"
		"  FROM gone AS g WHERE NOT g.kept GROUP BY g.job";
	const char *const values[] = {sql_array(r->ctx, r->ids, r->n),
				      sql_array(r->ctx, r->errors, r->n),
				      sql_array(r->ctx, r->kept, r->n)};

	failpoint("outbox-before-settle");
	return db_command(r->db, sql, 3, values, NULL, err) && db_commit(r->db, err);
}

static bool work_round(struct round *r, int job, int64_t *last_id, bool *ret_more,
		       struct error *err)
{
	const char *const values[] = {t_printf(r->ctx, "%d", job), r->opts->host,
				      t_printf(r->ctx, "%lld", (long long)*last_id), by_command(r),
				      t_printf(r->ctx, "%d", ROUND)};
	AUTO(result) PGresult *res = NULL;
	AUTO(result) PGresult *used = NULL;
	int n;

	if (!db_exec(r->db, "BEGIN", err) || !db_query(r->db, claim_sql, 5, values, &res, err))
		return false;
	n = PQntuples(res);
	r->rows = res;
	*ret_more = n == ROUND;
	if (n == 0)
		return db_commit(r->db, err);
	*last_id = db_int(res, n - 1, "id");
	if (!ask_used(r, &used, err))
		return false;
	remove_all(r);
	return settle(r, err);
}

bool outbox_work(struct db *db, const struct job_opts *opts, int job, void *ctx,
		 struct outbox_result *ret, struct error *err)
{
	int64_t last_id = 0;
	bool more = true;

	*ret = (struct outbox_result){0};
	while (more) {
		AUTO(talloc) void *scratch = must_alloc(talloc_new(ctx));
		struct round r = {.db = db, .opts = opts, .ctx = scratch, .result = ret};

		if (stop_asked(opts->stop))
			return fail(err, ERR_STOPPED, "asked to stop");
		if (!work_round(&r, job, &last_id, &more, err)) {
			db_rollback(db);
			return false;
		}
	}
	return true;
}

/* --- At the start --------------------------------------------------------------------------- */

static void check_root(const struct table *t, struct complaints *c)
{
	AUTO(fd) int fd = open(t->file.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(fd) int self = fd < 0 ? -1 : file_open_beneath(fd, ".", O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		complain(c, &t->file.place, "table \"%s\": file: root \"%s\" cannot be opened: %s",
			 t->name, t->file.root, strerror(errno));
	else if (self < 0)
		complain(
			c, &t->file.place,
			"table \"%s\": file: this system cannot look below root \"%s\" and nowhere else "
			"(%s): use a command",
			t->name, t->file.root, strerror(errno));
}

bool outbox_check(const struct config *config, struct complaints *c)
{
	const size_t before = c->n;

	for (size_t i = 0; i < config->model.n_tables; i++) {
		const struct table *t = &config->model.tables[i];

		if (t->file.root)
			check_root(t, c);
		else if (t->file.command && access(t->file.command[0], X_OK) < 0)
			complain(c, &t->file.place,
				 "table \"%s\": file: command \"%s\" cannot be run: %s", t->name,
				 t->file.command[0], strerror(errno));
	}
	return c->n == before;
}
