/*
 * Compares the file with the table by the number of lines of each job and their latest time.  Only where these
 * differ, reads the lines themselves into the database, which compares them.  Each comparison reads the whole file,
 * and so checks its whole chain, before a line of it can become a replay.
 *
 * What may die while the two are noted in each other, and what then:
 *
 *   line      the file gets the journal's last hash.  Killed behind it, the file has a line that says nothing more than
 *             the lines before it.
 *   sync      before the event, because a power cut must not take a line that the journal knows.
 *   event     the journal gets the file's last link.  Without it, an earlier event notes an earlier line: lines that are
 *             cut off behind that one are appended again from the table, and nobody is told.
 */
#include "journal/ledger_check.h"

#include "base/failpoint.h"
#include "base/mem.h"
#include "base/sql.h"

#include <inttypes.h>

#define UTC "AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
#define SAME_KEY "r.job = l.job AND r.key = l.key AND r.action = l.action AND "
#define SAME SAME_KEY "r.erased_at = l.erased_at"

/* How much the file holds of a job. */
struct count {
	int job;
	int64_t lines;
	char newest[32]; /* the latest time */
};

/* What one reading of the file has found; owned by ctx. */
struct look {
	struct ledger *ledger;
	void *ctx;
	const char *noted; /* the link of the last line that the journal has noted; NULL: none */
	const char *noted_event; /* the number of the event */
	bool has_noted; /* a line has this link */
	int64_t wrong; /* the line that does not follow; 0: none */
	int64_t lines;
	char last[FILE_HEX + 1]; /* the link of the last line */
	struct count *counts; /* n */
	size_t n, room, last_counted;
	char *hashes; /* of events, with the lines that hold them: JSON records */
};

struct load {
	struct ledger *ledger;
	int *jobs; /* n_jobs, of which file and table differ */
	size_t n_jobs;
	bool news; /* the file has lines that neither ledger nor replay knows */
	struct db *db;
};

static bool read_noted(struct db *db, struct look *look, struct error *err)
{
	static const char sql[] =
		"SELECT e.id, e.details->>'hash' AS hash FROM retention.journal_event AS e\n"
		" WHERE e.kind = 'ledger_noted' AND e.details->>'file' = $1\n"
		" ORDER BY e.id DESC LIMIT 1";
	const char *const number = ledger_number(look->ledger);
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, sql, 1, &number, &res, err))
		return false;
	if (PQntuples(res) == 0)
		return true;
	look->noted = db_text_copy(look->ctx, res, 0, "hash");
	look->noted_event = db_text_copy(look->ctx, res, 0, "id");
	return true;
}

/* Counts a line of a key.  The lines of a job stand mostly together, so the last one's job is looked at first. */
static void count_line(struct look *look, const struct ledger_reader *r)
{
	size_t i = look->last_counted;

	if (i >= look->n || look->counts[i].job != r->job)
		for (i = 0; i < look->n && look->counts[i].job != r->job;)
			i++;
	if (i == look->n) {
		if (look->n == look->room)
			look->counts = t_grow(look->ctx, look->counts, struct count,
					      look->room = look->room * 2 + 16);
		look->counts[look->n++] = (struct count){.job = r->job};
	}
	look->last_counted = i;
	look->lines++;
	look->counts[i].lines++;
	if (strcmp(r->time, look->counts[i].newest) > 0)
		memcpy(look->counts[i].newest, r->time, sizeof(r->time));
}

/* Reads the file to its end.  CONFIG: its chain does not hold, or it lacks the line that the journal has noted. */
static bool look_through(struct look *look, struct error *err)
{
	AUTO(ledger_reader) struct ledger_reader r = {.ledger = look->ledger};

	look->hashes = t_strdup(look->ctx, "");
	while (ledger_next(&r, err)) {
		if (r.job > 0)
			count_line(look, &r);
		if (*r.event)
			t_list(&look->hashes, ",", "{\"line\": %" PRId64 ", \"hash\": \"%s\"}",
			       r.number, r.event);
		look->has_noted =
			look->has_noted || (look->noted && strcmp(r.link, look->noted) == 0);
		memcpy(look->last, r.link, sizeof(r.link));
	}
	if (err->class != ERR_NONE) {
		look->wrong = r.number;
		return false;
	}
	return !look->noted || look->has_noted ||
	       fail(err, ERR_CONFIG,
		    "\"%s\" was cut, or is an older copy: it lacks the line that event %s of the journal "
		    "has noted: put the newest copy back; or move it away, so that it is written anew from "
		    "the database",
		    ledger_path(look->ledger), look->noted_event);
}

/* The counts as JSON records. */
static const char *print_counts(const struct look *look)
{
	char *json = t_strdup(look->ctx, "");

	for (size_t i = 0; i < look->n; i++)
		t_list(&json, ",", "{\"job\": %d, \"lines\": %" PRId64 ", \"newest\": \"%s\"}",
		       look->counts[i].job, look->counts[i].lines, look->counts[i].newest);
	return t_printf(look->ctx, "[%s]", json);
}

/* Finds for load the jobs of which file and table do not hold the same; *ret_array has them as an int[]. */
static bool find_different(struct load *load, const struct look *look, const char **ret_array,
			   struct error *err)
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
	const char *const counts = print_counts(look);
	char *array = t_strdup(look->ctx, "");
	AUTO(result) PGresult *res = NULL;

	if (!db_query(load->db, sql, 1, &counts, &res, err))
		return false;
	load->n_jobs = (size_t)PQntuples(res);
	load->jobs = t_array(look->ctx, int, load->n_jobs + 1);
	for (size_t i = 0; i < load->n_jobs; i++) {
		load->jobs[i] = (int)db_int(res, (int)i, "job");
		load->news = load->news || db_bool(res, (int)i, "news");
		t_list(&array, ",", "%d", load->jobs[i]);
	}
	*ret_array = t_printf(look->ctx, "{%s}", array);
	return true;
}

/*
 * Finds the last event whose hash the file holds and that the journal lacks.  It and those on lines before it are known
 * to be lost once an event "ledger_ahead" has its hash.  *ret_hash is NULL where none is.
 */
static bool find_lost(struct db *db, const struct look *look, const char **ret_hash,
		      const char **ret_line, struct error *err)
{
	static const char sql[] =
		"WITH x AS (SELECT f.line, f.hash FROM json_to_recordset($1::json) AS f(line bigint, hash text))\n"
		"SELECT x.line, x.hash FROM x\n"
		" WHERE NOT EXISTS (SELECT FROM retention.journal_event AS e\n"
		"                    WHERE e.hash = decode(x.hash, 'hex'))\n"
		"   AND x.line > coalesce((SELECT max(k.line) FROM x AS k WHERE k.hash IN (\n"
		"           SELECT a.details->>'hash' FROM retention.journal_event AS a\n"
		"            WHERE a.kind = 'ledger_ahead')), 0)\n"
		" ORDER BY x.line DESC LIMIT 1";
	const char *const hashes = t_printf(look->ctx, "[%s]", look->hashes);
	AUTO(result) PGresult *res = NULL;

	*ret_hash = *ret_line = NULL;
	if (!db_query(db, sql, 1, &hashes, &res, err))
		return false;
	if (PQntuples(res) == 0)
		return true;
	*ret_hash = db_text_copy(look->ctx, res, 0, "hash");
	*ret_line = db_text_copy(look->ctx, res, 0, "line");
	return true;
}

/* Reads on to the next line of a job of which file and table differ. */
static bool next_different(const struct load *load, struct ledger_reader *r, struct error *err)
{
	while (ledger_next(r, err))
		for (size_t i = 0; i < load->n_jobs; i++)
			if (load->jobs[i] == r->job)
				return true;
	return false;
}

static bool put_lines(void *arg, struct error *err)
{
	const struct load *load = arg;
	AUTO(ledger_reader) struct ledger_reader r = {.ledger = load->ledger};

	while (next_different(load, &r, err))
		if (!db_copy_put(load->db, r.line, r.n, err))
			return false;
	return err->class == ERR_NONE;
}

static bool to_file(void *arg, const char *bytes, size_t n, struct error *err)
{
	return ledger_append(arg, bytes, n, NULL, err);
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
		"COPY (SELECT l.job, l.action, l.archive, to_char(l.erased_at " UTC ", l.key,\n"
		"       " LEDGER_EVENT_SQL "\n"
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
 * transaction that finds it, because the replay removes the traces.  hash: of the last event that the journal has lost.
 */
static const char record_ahead_sql[] =
	"SELECT retention.skip_numbers(max(r.job)) FROM retention.replay AS r;\n"
	"INSERT INTO retention.journal_event (kind, details)\n"
	"SELECT 'ledger_ahead', x.details\n"
	"  FROM (SELECT jsonb_strip_nulls(jsonb_build_object('lines', count(*), 'since', min(erased_at),\n"
	"               'until', max(erased_at), 'hash', {hash}::text)) AS details\n"
	"          FROM retention.replay) AS x\n"
	" WHERE {hash}::text IS NOT NULL OR x.details IS DISTINCT FROM (\n"
	"       SELECT e.details - 'hash' FROM retention.journal_event AS e\n"
	"        WHERE e.kind = 'ledger_ahead' ORDER BY e.id DESC LIMIT 1);\n"
	"SELECT retention.mark_restored(NULL)";

bool ledger_check_ahead(struct db *db, struct ledger_found *ret, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(
		    db,
		    "SELECT (SELECT count(*) FROM retention.replay) AS n,\n"
		    "       EXISTS (SELECT FROM retention.archive_journal AS j WHERE j.replay\n"
		    "                  AND j.status IN ('saved', 'validated', 'running')) AS busy",
		    0, NULL, &res, err))
		return false;
	ret->ahead = db_int(res, 0, "n");
	ret->under_way = db_bool(res, 0, "busy");
	return true;
}

static bool check(struct db *db, struct ledger *ledger, void *ctx, struct ledger_found *ret,
		  struct error *err)
{
	static const char lock_sql[] = "LOCK TABLE retention.ledger_lock IN EXCLUSIVE MODE";
	struct load load = {.ledger = ledger, .db = db};
	struct look look = {.ledger = ledger, .ctx = ctx};
	const char *array = NULL, *hash = NULL, *line = NULL;

	if (!db_exec(db, lock_sql, err) || !ledger_check_ahead(db, ret, err) ||
	    !read_noted(db, &look, err) || !look_through(&look, err) ||
	    !find_different(&load, &look, &array, err) || !find_lost(db, &look, &hash, &line, err))
		return false;
	ret->lines = look.lines;
	ret->lost_events = hash != NULL;
	ret->noted = look.noted && strcmp(look.last, look.noted) == 0;
	/* A backup may also be of a moment in a replay: then that replay has forgotten what it did. */
	if ((ret->under_way && !load.news) || (load.n_jobs == 0 && ret->ahead == 0 && !hash))
		return true;
	if (!exchange(&load, ctx, array, err) || !ledger_check_ahead(db, ret, err))
		return false;
	return (ret->ahead == 0 && !hash) ||
	       db_exec(db,
		       sql_fill(ctx, record_ahead_sql,
				{"hash", hash ? sql_literal(ctx, hash) : "NULL"}),
		       err);
}

bool ledger_check(struct db *db, struct ledger *ledger, struct ledger_found *ret, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));

	if (!ledger_take_up(ledger, err))
		return false;
	if (db_exec(db, "BEGIN", err) && check(db, ledger, ctx, ret, err) && db_commit(db, err))
		return ledger_sync(ledger, err);
	db_rollback(db);
	return false;
}

bool ledger_check_note(struct db *db, struct ledger *ledger, const char *host, struct error *err)
{
	static const char line_sql[] =
		"SELECT concat_ws(E'\\t', 0, 'journal', '', to_char(clock_timestamp() " UTC
		", '', " LEDGER_EVENT_SQL ") AS line";
	static const char event_sql[] =
		"INSERT INTO retention.journal_event (kind, details)\n"
		"VALUES ('ledger_noted', jsonb_build_object('file', $1::text, 'host', $2::text, 'hash', $3::text))";
	char link[FILE_HEX + 1] = "";
	const char *const values[] = {ledger_number(ledger), host, link};
	AUTO(result) PGresult *res = NULL;
	AUTO(char_p) char *line = NULL;

	if (!db_query(db, line_sql, 0, NULL, &res, err))
		return false;
	line = xprintf("%s\n", db_value(res, 0, "line"));
	if (!ledger_append(ledger, line, strlen(line), link, err) || !ledger_sync(ledger, err))
		return false;
	failpoint("ledger-after-line");
	return db_command(db, event_sql, 3, values, NULL, err);
}

bool ledger_check_known(struct db *db, const char *host, bool *ret, struct error *err)
{
	static const char sql[] =
		"SELECT EXISTS (SELECT FROM retention.journal_event AS e\n"
		"                WHERE e.kind = 'ledger_noted' AND e.details->>'host' = $1\n"
		"                  AND e.id > coalesce((SELECT max(a.id) FROM retention.journal_event AS a\n"
		"                    WHERE a.kind = 'adopted' AND a.details->>'replaces' = 'false'), 0))::int";
	int64_t n = 0;

	if (!db_query_int(db, sql, 1, &host, &n, err))
		return false;
	*ret = n > 0;
	return true;
}

/* Counts the lines of the jobs of load that the database does not know. */
static bool count_news(const struct load *load, void *ctx, const char *array, int64_t *ret,
		       struct error *err)
{
	static const char sql[] =
		"SELECT count(DISTINCT u.line) FROM unnest($1::text[]) AS u(line)\n"
		" WHERE NOT EXISTS (SELECT FROM (SELECT job, action, archive, erased_at, key FROM retention.ledger\n"
		"        UNION ALL SELECT job, action, archive, erased_at, key FROM retention.replay) AS x\n"
		"        WHERE x.job = ANY ($2::int[]) AND u.line = concat_ws(E'\\t', x.job, x.action, x.archive,\n"
		"              to_char(x.erased_at " UTC
		", replace(replace(replace(replace(x.key, '\\', '\\\\'), E'\\t', '\\t'), E'\\n', '\\n'),\n"
		"              E'\\r', '\\r')))";
	AUTO(ledger_reader) struct ledger_reader r = {.ledger = load->ledger};
	const char **lines = NULL, *values[2] = {NULL, array};
	size_t n = 0, room = 0;

	while (next_different(load, &r, err)) {
		if (n == room)
			lines = t_grow(ctx, lines, const char *, room = room * 2 + 64);
		lines[n++] = t_printf(ctx, "%.*s", (int)r.n - 1, r.line);
	}
	values[0] = sql_array(ctx, lines, n);
	return err->class == ERR_NONE && db_query_int(load->db, sql, 2, values, ret, err);
}

static const char *finding(void *ctx, const char *id, const char *first, const char *second)
{
	return sql_array(ctx, (const char *const[]){id, first, second}, 3);
}

bool ledger_check_verify(struct db *db, struct ledger *ledger, void *ctx, struct ledger_found *ret,
			 const char **ret_finding, struct error *err)
{
	struct load load = {.ledger = ledger, .db = db};
	struct look look = {.ledger = ledger, .ctx = ctx};
	const char *const path = ledger_path(ledger);
	const char *array = NULL, *hash = NULL, *line = NULL;
	int64_t news = 0;

	*ret_finding = NULL;
	if (!read_noted(db, &look, err))
		return false;
	if (!look_through(&look, err)) {
		if (err->class != ERR_CONFIG)
			return false;
		error_clear(err);
		*ret_finding = look.wrong > 0 ? finding(ctx, "retention.ledger_changed", path,
							t_printf(ctx, "%" PRId64, look.wrong))
					      : finding(ctx, "retention.ledger_cut", path,
							look.noted_event);
		return true;
	}
	ret->lines = look.lines;
	if (!find_different(&load, &look, &array, err) ||
	    (load.news && !count_news(&load, ctx, array, &news, err)) ||
	    !ledger_check_ahead(db, ret, err) || !find_lost(db, &look, &hash, &line, err))
		return false;
	ret->ahead += news;
	if (ret->ahead > 0)
		*ret_finding = finding(ctx, "retention.ledger_ahead", path,
				       t_printf(ctx, "%" PRId64, ret->ahead));
	else if (hash)
		*ret_finding = finding(ctx, "retention.events_lost", path, line);
	return true;
}
