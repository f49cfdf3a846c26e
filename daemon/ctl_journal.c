/* journal, show, archive list, hold list, policies: what the schema retention says. */
#include "ctl.h"

#include "mem.h"
#include "output.h"

#include <getopt.h>
#include <time.h>

#define FOLLOW_TICK_MS 500

/* A listing: --json or nothing. */
static int list(struct ctl *ctl, int argc, char **argv, const char *sql, int n,
		const char *const values[])
{
	static const struct option longs[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
	AUTO(error) struct error err = {0};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c != 'j')
			return ctl_wrong_use(ctl, "only --json is known here");
		ctl->json = true;
	}
	if (optind != argc)
		return ctl_wrong_use(ctl, "\"%s\" is not expected", argv[optind]);
	return output_query(ctl->db, ctl->json, sql, n, values, &err) ? 0 : ctl_failed(&err);
}

int ctl_journal(struct ctl *ctl, int argc, char **argv)
{
	return list(
		ctl, argc, argv,
		"SELECT j.id, j.action, coalesce(j.policy, j.from_date || '..' || j.to_date) AS of,\n"
		"       j.status, date_trunc('second', j.requested_at) AS requested,\n"
		"       date_trunc('second', j.finished_at) AS finished, j.candidates AS due,\n"
		"       (j.counters->>'treated')::bigint AS erased,\n"
		"       coalesce(j.error, 'waits for ' || j.waiting) AS remark\n"
		"  FROM retention.archive_journal AS j ORDER BY j.id DESC",
		0, NULL);
}

int ctl_archive_list(struct ctl *ctl, int argc, char **argv)
{
	return list(ctl, argc, argv,
		    "SELECT a.id, a.type, date_trunc('second', a.date) AS date, a.status, a.mode,\n"
		    "       a.bytes, a.file\n"
		    "  FROM retention.archives AS a ORDER BY a.id DESC",
		    0, NULL);
}

int ctl_hold_list(struct ctl *ctl, int argc, char **argv)
{
	return list(ctl, argc, argv,
		    "SELECT h.contact_key AS contact, h.reason, h.placed_by,\n"
		    "       date_trunc('second', h.placed_at) AS placed, h.expires_at AS expires,\n"
		    "       h.review_date AS review, h.released_by,\n"
		    "       date_trunc('second', h.released_at) AS released\n"
		    "  FROM retention.hold AS h ORDER BY h.released_at IS NOT NULL, h.id DESC",
		    0, NULL);
}

static bool show_once(struct ctl *ctl, const char *id, struct error *err)
{
	AUTO(result) PGresult *row = NULL;

	if (!db_query(
		    ctl->db,
		    "SELECT j.id, j.action, j.mode, j.status, j.policy, j.occurrence, j.from_date,\n"
		    "       j.to_date, j.depth, j.cutoff, j.archive, j.requested_by, j.requested_at,\n"
		    "       j.candidates, j.candidates_sha256, j.frozen_at, j.validated_by,\n"
		    "       j.validated_at, j.started_at, j.finished_at, j.counters, j.archive_path,\n"
		    "       j.archive_bytes, j.waiting, j.error, j.host, j.archive_deleted_at,\n"
		    "       j.archive_deleted_by\n"
		    "  FROM retention.archive_journal AS j WHERE j.id = $1::int",
		    1, &id, &row, err))
		return false;
	if (PQntuples(row) == 0)
		return fail(err, ERR_CONFIG, "there is no action %s", id);
	output_record(row, 0);
	puts("");
	if (!output_query(
		    ctl->db, false,
		    "SELECT f.table_name AS \"table\", sum(f.rows)::bigint AS rows,\n"
		    "       sum(f.bytes)::bigint AS bytes\n"
		    "  FROM retention.archive_file AS f WHERE f.job = $1::int GROUP BY 1 ORDER BY 1",
		    1, &id, err))
		return false;
	puts("");
	return output_query(
		ctl->db, false,
		"SELECT e.id, date_trunc('second', e.at) AS at, e.kind, e.actor,\n"
		"       CASE WHEN e.kind IN ('dropped', 'failed_key', 'left')\n"
		"            THEN left(e.details::text, 200) END AS details\n"
		"  FROM retention.journal_event AS e WHERE e.job = $1::int ORDER BY e.id",
		1, &id, err);
}

static bool show_json(struct ctl *ctl, const char *id, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(
		    ctl->db,
		    "SELECT jsonb_pretty(to_jsonb(j) || jsonb_build_object(\n"
		    "  'tables', (SELECT coalesce(jsonb_agg(to_jsonb(f)), '[]')\n"
		    "     FROM (SELECT table_name, sum(rows) AS rows, sum(bytes) AS bytes\n"
		    "             FROM retention.archive_file WHERE job = j.id GROUP BY 1) AS f),\n"
		    "  'events', (SELECT coalesce(jsonb_agg(to_jsonb(e) ORDER BY e.id), '[]')\n"
		    "     FROM retention.journal_event AS e WHERE e.job = j.id))) AS json\n"
		    "  FROM retention.archive_journal AS j WHERE j.id = $1::int",
		    1, &id, &res, err))
		return false;
	if (PQntuples(res) == 0)
		return fail(err, ERR_CONFIG, "there is no action %s", id);
	puts(db_text(res, 0, "json"));
	return true;
}

/* Until the action has ended: a bar on a terminal, nothing in between elsewhere. */
static bool follow(struct ctl *ctl, const char *id, struct error *err)
{
	static const struct timespec tick = {.tv_nsec = FOLLOW_TICK_MS * 1000000L};
	const bool terminal = isatty(STDOUT_FILENO);
	const time_t begun = time(NULL);
	int64_t first = -1;

	for (;;) {
		AUTO(result) PGresult *res = NULL;
		int64_t due, done;

		if (!db_query(
			    ctl->db,
			    "SELECT j.status IN ('validated', 'running') AS open, j.candidates AS due,\n"
			    "       j.candidates - (SELECT count(*) FROM retention.candidate AS c\n"
			    "                        WHERE c.job = j.id) AS done\n"
			    "  FROM retention.archive_journal AS j WHERE j.id = $1::int",
			    1, &id, &res, err))
			return false;
		if (PQntuples(res) == 0 || !db_bool(res, 0, "open"))
			break;
		due = db_int(res, 0, "due");
		done = db_int(res, 0, "done");
		first = first < 0 ? done : first;
		if (terminal)
			output_progress(done, due,
					done > first ? (due - done) * (time(NULL) - begun) /
							       (done - first)
						     : -1);
		(void)nanosleep(&tick, NULL); /* early is fine */
	}
	if (terminal && first >= 0)
		puts("");
	return true;
}

int ctl_show(struct ctl *ctl, int argc, char **argv)
{
	static const struct option longs[] = {{"json", no_argument, NULL, 'j'},
					      {"follow", no_argument, NULL, 'f'},
					      {NULL, 0, NULL, 0}};
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(error) struct error err = {0};
	bool wait = false;
	const char *text;
	int c, id;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == '?')
			return ctl_wrong_use(ctl, "show does not know that option");
		wait = wait || c == 'f';
		ctl->json = ctl->json || c == 'j';
	}
	id = ctl_action_id(ctl, argc, argv);
	if (id == 0)
		return 2;
	text = t_printf(ctx, "%d", id);
	if (wait && !follow(ctl, text, &err))
		return ctl_failed(&err);
	if (!(ctl->json ? show_json(ctl, text, &err) : show_once(ctl, text, &err)))
		return ctl_failed(&err);
	return 0;
}

/* The policies as rows: one array a column, so that the server can join them with their state. */
static void policy_arrays(const struct config *config, void *ctx, const char *values[7])
{
	char *arrays[6];
	const char *const no[] = {"{", "{", "{", "{", "{", "{"};

	for (int i = 0; i < 6; i++)
		arrays[i] = t_strdup(ctx, no[i]);
	for (size_t i = 0; i < config->n_policies; i++) {
		const struct policy *p = &config->policies[i];
		const char *comma = i ? "," : "";
		char depth[32];
		int64_t next = 0;
		const bool has = p->enabled && schedule_next(&p->schedule, time(NULL), &next);

		period_print(&p->depth, depth, sizeof(depth));
		t_append(&arrays[0], "%s\"%s\"", comma, p->name);
		t_append(&arrays[1], "%s\"%s\"", comma, action_name(p->action));
		t_append(&arrays[2], "%s\"%s\"", comma, depth);
		t_append(&arrays[3], "%s\"%s\"", comma, p->enabled ? p->schedule_text : "disabled");
		t_append(&arrays[4], has ? "%s%lld" : "%sNULL", comma, (long long)next);
		t_append(&arrays[5], "%s\"%s\"", comma, archive_mode_name(p->archive));
	}
	for (int i = 0; i < 6; i++) {
		t_append(&arrays[i], "}");
		values[i] = arrays[i];
	}
	values[6] = config->timezone;
}

int ctl_policies(struct ctl *ctl, int argc, char **argv)
{
	static const char sql[] =
		"SELECT p.name AS policy, p.action, p.depth, p.schedule, p.archive,\n"
		"       date_trunc('second', s.last_occurrence) AS last,\n"
		"       to_timestamp(p.next) AS next,\n"
		"       (date_trunc('day', now() AT TIME ZONE $7) - p.depth::interval)\n"
		"         AT TIME ZONE $7 AS cutoff\n"
		"  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[])\n"
		"         AS p(name, action, depth, schedule, next, archive)\n"
		"  LEFT JOIN retention.policy_state AS s ON s.policy = p.name";
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *values[7];

	policy_arrays(ctl->config, ctx, values);
	return list(ctl, argc, argv, sql, 7, values);
}
