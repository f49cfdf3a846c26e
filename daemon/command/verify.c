/* verify: checks that the journal is consistent, and that it has a hash that was noted elsewhere. */
#include "command/command.h"

#include "base/mem.h"

#include <ctype.h>

static const char findings_sql[] =
	"SELECT f.finding, f.message, f.details\n"
	"  FROM retention.verify_chain(decode($1, 'hex')) AS f\n"
	" UNION ALL\n"
	"SELECT r.finding, r.message, r.details FROM retention.verify_rows() AS r";

static const char summary_sql[] =
	"SELECT (SELECT count(*) FROM retention.journal_event) AS events,\n"
	"       (SELECT count(*) FROM retention.archive_journal) AS actions,\n"
	"       (SELECT encode(e.hash, 'hex') FROM retention.journal_event AS e\n"
	"         ORDER BY e.id DESC LIMIT 1) AS last_hash";

/* Reads findings and summary in one snapshot. */
static bool read_findings(struct command *cmd, const char *noted, PGresult **ret_findings,
			  PGresult **ret_summary, struct error *err)
{
	return db_exec(cmd->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) &&
	       db_query(cmd->db, findings_sql, 1, &noted, ret_findings, err) &&
	       db_query(cmd->db, summary_sql, 0, NULL, ret_summary, err) && db_commit(cmd->db, err);
}

static bool print_json(struct command *cmd, const char *noted, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result) PGresult *res = NULL;
	const char *sql = t_printf(
		ctx,
		"SELECT jsonb_pretty(to_jsonb(s) || jsonb_build_object('findings',\n"
		"  (SELECT coalesce(jsonb_agg(f.finding), '[]') FROM (%s) AS f))) AS json\n"
		"  FROM (%s) AS s",
		findings_sql, summary_sql);

	if (!db_query(cmd->db, sql, 1, &noted, &res, err))
		return false;
	puts(db_text(res, 0, "json"));
	return true;
}

static void print_findings(const PGresult *findings, const PGresult *summary)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *hash = db_text(summary, 0, "last_hash");

	for (int row = 0; row < PQntuples(findings); row++)
		puts(language_refusal(ctx, db_text(findings, row, "message"),
				      db_text(findings, row, "details"),
				      db_text(findings, row, "finding")));
	if (PQntuples(findings) > 0)
		return;
	printf(_("the journal is intact: %s events, %s actions\n"), db_text(summary, 0, "events"),
	       db_text(summary, 0, "actions"));
	if (hash)
		printf(_("last hash: %s\n"
			 "note it elsewhere: verify --last-hash finds out later if the journal was "
			 "shortened or rewritten\n"),
		       hash);
}

static bool is_hash(const char *text)
{
	size_t n = 0;

	while (isxdigit((unsigned char)text[n]))
		n++;
	return n == 64 && !text[n];
}

int command_verify(struct command *cmd, int argc, char **argv)
{
	static const struct option longs[] = {{"json", no_argument, NULL, 'j'},
					      {"last-hash", required_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	AUTO(error) struct error err = {0};
	AUTO(result) PGresult *findings = NULL;
	AUTO(result) PGresult *summary = NULL;
	const char *noted = NULL;
	int c, n;

	while ((c = command_option(cmd, argc, argv, longs)) != -1) {
		if (c == '?')
			return 2;
		cmd->json = cmd->json || c == 'j';
		noted = c == 'h' ? optarg : noted;
	}
	if (optind != argc)
		return command_wrong_use(cmd, _("unexpected argument \"%s\""), argv[optind]);
	if (noted && !is_hash(noted))
		return command_wrong_use(cmd, _("\"%s\" is not a hash of 64 hexadecimal digits"),
					 noted);
	if (!command_open(cmd))
		return 1;
	if (!read_findings(cmd, noted, &findings, &summary, &err) ||
	    (cmd->json && !print_json(cmd, noted, &err)))
		return command_failed(&err);
	if (!cmd->json)
		print_findings(findings, summary);
	n = PQntuples(findings);
	if (n == 0)
		return 0;
	(void)fail(&err, ERR_CONFIG, _("the journal was changed: %d finding%s"), n,
		   n == 1 ? "" : "s");
	(void)fflush(stdout); /* the findings come first; errors are checked at the end */
	return command_failed(&err);
}
