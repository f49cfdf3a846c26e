/* verify: checks that the journal is consistent, and that it has a hash that was noted elsewhere. */
#include "command/command.h"

static const char findings_sql[] =
	"SELECT f.finding, f.message, f.details\n"
	"  FROM retention.verify_chain(decode($1, 'hex')) AS f\n"
	" UNION ALL\n"
	"SELECT r.finding, r.message, r.details FROM retention.verify_rows() AS r\n"
	" UNION ALL\n"
	"SELECT a.finding, a.message, a.details FROM retention.verify_acts() AS a";

static const char summary_sql[] =
	"SELECT (SELECT count(*) FROM retention.journal_event) AS events,\n"
	"       (SELECT count(*) FROM retention.archive_journal) AS actions,\n"
	"       (SELECT encode(e.hash, 'hex') FROM retention.journal_event AS e\n"
	"         ORDER BY e.id DESC LIMIT 1) AS last_hash";

static void print_findings(void *ctx, const PGresult *findings, const PGresult *summary)
{
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

bool command_verify(struct command *cmd, struct error *err)
{
	const char *const noted = cmd->options.last_hash;
	AUTO(result) PGresult *findings = NULL;
	AUTO(result) PGresult *summary = NULL;
	int n;

	/* One snapshot for all. */
	if (!db_exec(cmd->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) ||
	    !db_query(cmd->db, findings_sql, 1, &noted, &findings, err) ||
	    !db_query(cmd->db, summary_sql, 0, NULL, &summary, err) ||
	    (cmd->options.json &&
	     !command_print_json(
		     cmd,
		     t_printf(
			     cmd->ctx,
			     "SELECT jsonb_pretty(to_jsonb(s) || jsonb_build_object('findings',\n"
			     "  (SELECT coalesce(jsonb_agg(f.finding), '[]') FROM (%s) AS f))) AS json\n"
			     "  FROM (%s) AS s",
			     findings_sql, summary_sql),
		     1, &noted, err)))
		return false;
	if (!cmd->options.json)
		print_findings(cmd->ctx, findings, summary);
	n = PQntuples(findings);
	return n == 0 || fail(err, ERR_CONFIG, _("the journal was changed: %d finding%s"), n,
			      n == 1 ? "" : "s");
}
