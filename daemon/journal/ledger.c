/*
 * Compares the file with the table by the number of lines of each job and their latest time.  Only where these
 * differ, reads the lines themselves into the database, which compares them.
 */
#include "journal/ledger.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>

static const char head[] = "# retentiond ledger 1 ";

struct ledger {
	pthread_mutex_t mutex; /* among our threads; flock(2) is among processes */
	int fd; /* -1: ledger_let_go() */
	ino_t inode;
	char *path;
};

/* Cuts off what is behind the last newline: a line that a crash tore. */
static bool cut_torn_line(struct ledger *l, struct error *err)
{
	off_t size = lseek(l->fd, 0, SEEK_END);
	const off_t whole = size;
	char last = '\0';

	while (size > 0 && pread(l->fd, &last, 1, size - 1) == 1 && last != '\n')
		size--;
	if (size < 0 || (size > 0 && last != '\n'))
		return fail_errno(err, ERR_ENVIRONMENT, "cannot read \"%s\"", l->path);
	return size == whole || ftruncate(l->fd, size) == 0 ||
	       fail_errno(err, ERR_ENVIRONMENT, "cannot cut a torn line off \"%s\"", l->path);
}

/* After ledger_let_go().  It has to be the file that was checked when it was opened first. */
static bool open_again(struct ledger *l, struct error *err)
{
	AUTO(fd) int fd = open(l->path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	struct stat now;

	if (fd < 0 || fstat(fd, &now) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open \"%s\" again", l->path);
	if (now.st_ino != l->inode)
		return fail(err, ERR_ENVIRONMENT, "\"%s\" is another file now", l->path);
	l->fd = fd;
	fd = -1;
	return cut_torn_line(l, err);
}

/* Locks the file among processes.  On a file system without locks it goes on without, as the archives do. */
static bool lock(struct ledger *l, struct error *err)
{
	(void)pthread_mutex_lock(&l->mutex);
	if (l->fd < 0 && !open_again(l, err)) {
		(void)pthread_mutex_unlock(&l->mutex);
		return false;
	}
	while (flock(l->fd, LOCK_EX) != 0) {
		if (errno == EINTR)
			continue;
		if (errno == EOPNOTSUPP || errno == ENOLCK)
			return true;
		(void)fail_errno(err, ERR_ENVIRONMENT, "cannot lock \"%s\"", l->path);
		(void)pthread_mutex_unlock(&l->mutex);
		return false;
	}
	return true;
}

static void unlock(struct ledger *l)
{
	(void)flock(l->fd,
		    LOCK_UN); /* on a file system without locks there is nothing to release */
	(void)pthread_mutex_unlock(&l->mutex);
}

/* Writes all of it, or cuts the file back to what it was. */
static bool write_whole(struct ledger *l, const char *bytes, size_t n, struct error *err)
{
	const off_t before = lseek(l->fd, 0, SEEK_END);
	int64_t written = 0;

	if (file_write(l->fd, bytes, n, &written, l->path, err))
		return true;
	if (before >= 0 && ftruncate(l->fd, before) != 0)
		return false; /* the next open cuts the torn line */
	return false;
}

bool ledger_append(struct ledger *l, const char *lines, size_t n, struct error *err)
{
	bool ok;

	if (!lock(l, err))
		return false;
	ok = write_whole(l, lines, n, err);
	unlock(l);
	return ok;
}

/* fd -1: no descriptor was left. */
static bool sync_file(const struct ledger *l, int fd, struct error *err)
{
	return (fd >= 0 && fdatasync(fd) == 0) ||
	       fail_errno(err, ERR_ENVIRONMENT, "cannot sync \"%s\"", l->path);
}

bool ledger_sync(struct ledger *l, struct error *err)
{
	AUTO(fd) int fd = -1;
	bool there;

	(void)pthread_mutex_lock(&l->mutex);
	/* A descriptor of its own, so that nobody waits for the disk. */
	there = l->fd >= 0;
	fd = there ? fcntl(l->fd, F_DUPFD_CLOEXEC, 0) : -1;
	(void)pthread_mutex_unlock(&l->mutex);
	return !there || sync_file(l, fd, err);
}

void ledger_let_go(struct ledger *l)
{
	if (!l)
		return;
	(void)pthread_mutex_lock(&l->mutex);
	if (l->fd >= 0)
		(void)close(l->fd); /* ledger_check() adds what is lost */
	l->fd = -1;
	(void)pthread_mutex_unlock(&l->mutex);
}

static FILE *open_reader(const struct ledger *l, struct error *err)
{
	FILE *in = fopen(l->path, "re");

	if (!in)
		(void)fail_errno(err, ERR_ENVIRONMENT, "cannot read \"%s\"", l->path);
	return in;
}

/* Writes the first line of an empty file; checks that of any other. */
static bool check_head(struct ledger *l, const char *directory, const char *identity,
		       struct error *err)
{
	AUTO(char_p) char *wanted = NULL, *found = NULL;
	AUTO(file) FILE *in = open_reader(l, err);
	size_t room = 0;
	ssize_t n;

	if (!in)
		return false;
	wanted = xprintf("%s%s\n", head, identity);
	n = getline(&found, &room, in);
	if (n < 0)
		return write_whole(l, wanted, strlen(wanted), err) && sync_file(l, l->fd, err) &&
		       file_sync_folder(directory, err);
	if (strncmp(found, head, strlen(head)) != 0)
		return fail(err, ERR_CONFIG,
			    "\"%s\" is not a ledger of retentiond: move it away, or give archives "
			    "another directory",
			    l->path);
	if (strcmp(found, wanted) != 0)
		return fail(err, ERR_CONFIG,
			    "\"%s\" is the ledger of another database: each database needs an "
			    "archives directory of its own",
			    l->path);
	return true;
}

/* Opens DIRECTORY/ledger of the database with this identity. */
static bool open_file(const char *directory, const char *identity, bool create, struct ledger **ret,
		      struct error *err)
{
	AUTO(ledger) struct ledger *l = xcalloc(1, sizeof(*l));
	struct stat st;
	bool ok;

	(void)pthread_mutex_init(&l->mutex, NULL);
	l->path = xprintf("%s/%s", directory, LEDGER_FILE);
	l->fd = open(l->path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0),
		     0600);
	if (l->fd < 0 && (create || errno != ENOENT))
		return fail_errno(
			err,
			errno == EIO || errno == ENOSPC || errno == EDQUOT ? ERR_ENVIRONMENT
									   : ERR_CONFIG,
			"archives.directory \"%s\": cannot open \"" LEDGER_FILE "\" in it",
			directory);
	if (l->fd < 0) {
		*ret = NULL;
		return true;
	}
	if (!lock(l, err))
		return false;
	ok = cut_torn_line(l, err) && check_head(l, directory, identity, err);
	ok = ok && (fstat(l->fd, &st) == 0 ||
		    fail_errno(err, ERR_ENVIRONMENT, "cannot read \"%s\"", l->path));
	unlock(l);
	if (ok) {
		l->inode = st.st_ino;
		*ret = l;
		l = NULL;
	}
	return ok;
}

bool ledger_open(struct db *db, const char *directory, bool create, struct ledger **ret,
		 struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, "SELECT i.id FROM retention.identity AS i", 0, NULL, &res, err))
		return false;
	if (PQntuples(res) != 1)
		return fail(
			err, ERR_CONFIG,
			"retention.identity has no row: put it back, with the id of the first line of "
			"\"%s/" LEDGER_FILE "\"",
			directory);
	return open_file(directory, db_text(res, 0, "id"), create, ret, err);
}

void ledger_close(struct ledger *l)
{
	if (!l)
		return;
	if (l->fd >= 0)
		(void)close(l->fd); /* ledger_sync() makes it durable */
	(void)pthread_mutex_destroy(&l->mutex);
	free(l->path);
	free(l);
}

/*
 * Parses job TAB action TAB archive mode TAB time TAB key.  Returns the job, and in *ret_time (32 bytes) the time;
 * 0: not such a line.
 */
static int parse_line(const char *line, char *ret_time)
{
	const char *action = strchr(line, '\t');
	const char *archive = action ? strchr(action + 1, '\t') : NULL;
	const char *at = archive ? strchr(archive + 1, '\t') : NULL;
	const char *key = at ? strchr(at + 1, '\t') : NULL;
	char *end = NULL;
	long job;

	if (!key || key - at > 31)
		return 0;
	job = strtol(line, &end, 10);
	if (end != action || job < 1 || job > INT32_MAX)
		return 0;
	(void)snprintf(ret_time, 32, "%.*s", (int)(key - at - 1), at + 1); /* measured above */
	return (int)job;
}

/* The lines of the file, read one by one. */
struct reader {
	const struct ledger *ledger;
	FILE *in;
	int64_t number;
	char *line; /* the last one, n bytes with its newline */
	ssize_t n;
	size_t room;
	int job;
	char time[32];
};

static void auto_reader(struct reader *r)
{
	auto_file(&r->in);
	free(r->line);
}

/* Reads the next line.  false: the end, or a failure with err. */
static bool next_line(struct reader *r, struct error *err)
{
	if (!r->in) {
		r->in = open_reader(r->ledger, err);
		if (!r->in)
			return false;
	}
	/* Skips the head, and a line that is being written. */
	do {
		r->n = getline(&r->line, &r->room, r->in);
		r->number++;
	} while (r->n > 0 && (r->number == 1 || r->line[r->n - 1] != '\n'));
	if (r->n <= 0)
		return ferror(r->in) &&
		       fail_errno(err, ERR_ENVIRONMENT, "cannot read \"%s\"", r->ledger->path);
	r->job = parse_line(r->line, r->time);
	return r->job > 0 ||
	       fail(err, ERR_CONFIG,
		    "%s:%" PRId64 ": not a line of a ledger: put the file back from its backup",
		    r->ledger->path, r->number);
}

#define UTC "AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
#define SAME_KEY "r.job = l.job AND r.key = l.key AND r.action = l.action AND "
#define SAME SAME_KEY "r.erased_at = l.erased_at"

/* How much the file holds of a job. */
struct count {
	int job;
	int64_t lines;
	char newest[32]; /* the latest time */
};

/* Counts the lines of all jobs of the file: JSON records like struct count, owned by ctx; NULL with err. */
static const char *count_lines(const struct ledger *l, void *ctx, struct error *err)
{
	AUTO(reader) struct reader r = {.ledger = l};
	struct count *counts = NULL;
	char *json = t_strdup(ctx, "[");
	size_t n = 0, room = 0, i = 0;

	while (next_line(&r, err)) {
		/* The lines of a job stand mostly together, so look first where the last one was counted. */
		if (i >= n || counts[i].job != r.job)
			for (i = 0; i < n && counts[i].job != r.job;)
				i++;
		if (i == n) {
			if (n == room)
				counts = t_grow(ctx, counts, struct count, room = room * 2 + 16);
			counts[n++] = (struct count){.job = r.job};
		}
		counts[i].lines++;
		if (strcmp(r.time, counts[i].newest) > 0)
			memcpy(counts[i].newest, r.time, sizeof(r.time));
	}
	if (err->class != ERR_NONE)
		return NULL;
	for (i = 0; i < n; i++)
		t_append(&json, "%s{\"job\": %d, \"lines\": %" PRId64 ", \"newest\": \"%s\"}",
			 i ? "," : "", counts[i].job, counts[i].lines, counts[i].newest);
	return t_printf(ctx, "%s]", json);
}

struct load {
	struct ledger *ledger;
	int *jobs; /* n_jobs, of which file and table differ */
	size_t n_jobs;
	bool news; /* the file has lines that neither ledger nor replay knows */
	struct db *db;
};

/* Finds for load the jobs of which file and table do not hold the same; *ret_array has them as an int[]. */
static bool find_different(struct load *load, void *ctx, const char **ret_array, struct error *err)
{
	static const char sql[] =
		"SELECT coalesce(f.job, t.job) AS job,\n"
		"       coalesce(f.lines > coalesce(t.lines, 0) + (SELECT count(*)\n"
		"         FROM retention.replay AS r WHERE r.job = f.job), false) AS news\n"
		"  FROM json_to_recordset($1::json) AS f(job int, lines bigint, newest text)\n"
		"  FULL JOIN (SELECT job, count(*) AS lines, to_char(max(erased_at) " UTC
		" AS newest\n"
		"               FROM retention.ledger GROUP BY job) AS t ON f.job = t.job\n"
		" WHERE (f.lines, f.newest) IS DISTINCT FROM (t.lines, t.newest)";
	const char *const values[] = {count_lines(load->ledger, ctx, err)};
	char *array = t_strdup(ctx, "{");
	AUTO(result) PGresult *res = NULL;

	if (!values[0] || !db_query(load->db, sql, 1, values, &res, err))
		return false;
	load->n_jobs = (size_t)PQntuples(res);
	load->jobs = t_array(ctx, int, load->n_jobs + 1);
	for (size_t i = 0; i < load->n_jobs; i++) {
		load->jobs[i] = (int)db_int(res, (int)i, "job");
		load->news = load->news || db_bool(res, (int)i, "news");
		t_append(&array, "%s%d", i ? "," : "", load->jobs[i]);
	}
	*ret_array = t_printf(ctx, "%s}", array);
	return true;
}

static bool put_lines(void *arg, struct error *err)
{
	const struct load *load = arg;
	AUTO(reader) struct reader r = {.ledger = load->ledger};

	while (next_line(&r, err))
		for (size_t i = 0; i < load->n_jobs; i++)
			if (load->jobs[i] == r.job &&
			    !db_copy_put(load->db, r.line, (size_t)r.n, err))
				return false;
	return err->class == ERR_NONE;
}

static bool to_file(void *arg, const char *bytes, size_t n, struct error *err)
{
	return ledger_append(arg, bytes, n, err);
}

/*
 * Puts the file's lines into retention.replay, and lines that only the table has into the file.  A line that the
 * action itself has repeated since needs no replay: a server that lost its last transactions came back under the
 * job, which erased those keys again.
 */
static bool exchange(struct load *load, void *ctx, const char *array, struct error *err)
{
	const char *only_there = t_printf(
		ctx,
		"COPY (SELECT l.job, l.action, l.archive, to_char(l.erased_at " UTC ", l.key\n"
		"  FROM retention.ledger AS l WHERE l.job = ANY (%s::int[]) AND NOT EXISTS (\n"
		"       SELECT FROM retention.replay AS r WHERE " SAME ")) TO STDOUT",
		sql_literal(ctx, array));
	int64_t rows;

	return db_exec(load->db, "DELETE FROM retention.replay", err) &&
	       db_copy_in(load->db,
			  "COPY retention.replay (job, action, archive, erased_at, key) FROM STDIN",
			  put_lines, load, &rows, err) &&
	       db_copy_out(load->db, only_there, to_file, load->ledger, &rows, err) &&
	       db_exec(load->db,
		       "DELETE FROM retention.replay AS r USING retention.ledger AS l WHERE " SAME
		       ";\n"
		       "WITH repeated AS (DELETE FROM retention.replay AS r\n"
		       "  USING retention.ledger AS l WHERE " SAME_KEY "r.erased_at < l.erased_at\n"
		       "  RETURNING r.job, r.action, r.archive, r.erased_at, r.key)\n"
		       "INSERT INTO retention.ledger (job, action, archive, erased_at, key)\n"
		       "SELECT x.job, x.action, x.archive, x.erased_at, x.key FROM repeated AS x",
		       err);
}

/*
 * Sees to it that the numbers of forgotten jobs are not given again, so that lines and archives keep their
 * meaning, tells the journal once what was found, and ends early what runs and is older than its archive: in the
 * transaction that finds it, because the replay removes the traces.
 */
static const char record_ahead_sql[] =
	"SELECT retention.skip_numbers(max(r.job)) FROM retention.replay AS r;\n"
	"INSERT INTO retention.journal_event (kind, details)\n"
	"SELECT 'ledger_ahead', x.details\n"
	"  FROM (SELECT jsonb_build_object('lines', count(*), 'since', min(erased_at),\n"
	"               'until', max(erased_at)) AS details FROM retention.replay) AS x\n"
	" WHERE x.details IS DISTINCT FROM (\n"
	"       SELECT e.details FROM retention.journal_event AS e\n"
	"        WHERE e.kind = 'ledger_ahead' ORDER BY e.id DESC LIMIT 1);\n"
	"SELECT retention.mark_restored(NULL)";

bool ledger_ahead(struct db *db, int64_t *ret, bool *ret_under_way, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(
		    db,
		    "SELECT (SELECT count(*) FROM retention.replay) AS n,\n"
		    "       EXISTS (SELECT FROM retention.archive_journal AS j WHERE j.replay\n"
		    "                  AND j.status IN ('saved', 'validated', 'running')) AS busy",
		    0, NULL, &res, err))
		return false;
	*ret = db_int(res, 0, "n");
	if (ret_under_way)
		*ret_under_way = db_bool(res, 0, "busy");
	return true;
}

static bool check(struct db *db, struct ledger *ledger, void *ctx, int64_t *ret_ahead,
		  struct error *err)
{
	static const char lock_sql[] = "LOCK TABLE retention.ledger_lock IN EXCLUSIVE MODE";
	struct load load = {.ledger = ledger, .db = db};
	const char *array = NULL;
	bool under_way = false;

	if (!db_exec(db, lock_sql, err) || !ledger_ahead(db, ret_ahead, &under_way, err) ||
	    !find_different(&load, ctx, &array, err))
		return false;
	/* A backup may also be of a moment in a replay: then that replay has forgotten what it did. */
	if ((under_way && !load.news) || (load.n_jobs == 0 && *ret_ahead == 0))
		return true;
	if (!exchange(&load, ctx, array, err) || !ledger_ahead(db, ret_ahead, &under_way, err))
		return false;
	return *ret_ahead == 0 || db_exec(db, record_ahead_sql, err);
}

bool ledger_check(struct db *db, struct ledger *ledger, int64_t *ret_ahead, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));

	if (!lock(ledger, err)) /* opens it again */
		return false;
	unlock(ledger);
	if (db_exec(db, "BEGIN", err) && check(db, ledger, ctx, ret_ahead, err) &&
	    db_commit(db, err))
		return ledger_sync(ledger, err);
	db_rollback(db);
	return false;
}
