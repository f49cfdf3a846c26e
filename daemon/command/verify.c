/*
 * verify: checks that the journal is consistent, and that it has a hash that was noted elsewhere.  The ledger's file,
 * which only the daemon's user can read, is checked where this is the daemon's host and its role.
 */
#include "command/command.h"

#include "base/sql.h"
#include "journal/ledger_check.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>

static const char findings_sql[] =
	"SELECT f.finding, f.message, f.details\n"
	"  FROM retention.verify_chain(decode($1, 'hex')) AS f\n"
	" UNION ALL\n"
	"SELECT r.finding, r.message, r.details FROM retention.verify_rows() AS r\n"
	" UNION ALL\n"
	"SELECT a.finding, a.message, a.details FROM retention.verify_acts() AS a\n"
	" UNION ALL\n"
	"SELECT l.finding, l.message, l.details FROM retention.finding($2::text[]) AS l\n"
	" WHERE $2 IS NOT NULL";

static const char summary_sql[] =
	"SELECT (SELECT count(*) FROM retention.journal_event) AS events,\n"
	"       (SELECT count(*) FROM retention.archive_journal) AS actions,\n"
	"       (SELECT encode(e.hash, 'hex') FROM retention.journal_event AS e\n"
	"         ORDER BY e.id DESC LIMIT 1) AS last_hash";

/* What was seen of the ledger's file. */
struct seen {
	const char *finding; /* for retention.finding(); NULL: none */
	const char *note; /* what is said where all is well */
	const char *lines; /* of erased keys in a good file; else null */
	const char *refusal; /* why this cannot be the file; NULL: it can */
};

/* A file that is not there was never made here, or is gone. */
static bool look_for_missing(struct command *cmd, const char *path, struct seen *ret,
			     struct error *err)
{
	char host[HOST_NAME_MAX + 1] = "";
	bool known = false;

	if (gethostname(host, sizeof(host) - 1) < 0 ||
	    !ledger_check_known(cmd->db, host, &known, err))
		return err->class == ERR_NONE;
	if (known)
		ret->finding = sql_array(
			cmd->ctx, (const char *const[]){"retention.ledger_missing", path}, 2);
	return true;
}

/* Compares the ledger's file with journal and table, where the caller may read it. */
static bool look_at_ledger(struct command *cmd, struct seen *ret, struct error *err)
{
	static const char may_sql[] =
		"SELECT has_table_privilege('retention.ledger_secret', 'SELECT')::int";
	AUTO(ledger) struct ledger *ledger = NULL;
	struct ledger_found found = {0};
	const char *path;
	int64_t may = 0;

	ret->note =
		_("the ledger's file was not checked: call this as the daemon's user, on its host");
	if (!cmd->config || !db_query_int(cmd->db, may_sql, 0, NULL, &may, err) || may == 0)
		return err->class == ERR_NONE;
	path = t_printf(cmd->ctx, "%s/" LEDGER_FILE, cmd->config->directory);
	if (access(path, R_OK) != 0)
		return errno != ENOENT || look_for_missing(cmd, path, ret, err);
	if (!ledger_open(cmd->db, cmd->config->directory, LEDGER_READ, &ledger, err)) {
		if (err->class != ERR_CONFIG)
			return false;
		/* The journal is verified nevertheless. */
		ret->refusal = t_strdup(cmd->ctx, err->text);
		ret->note = "";
		error_clear(err);
		return true;
	}
	if (!ledger)
		return look_for_missing(cmd, path, ret, err);
	ret->note = "";
	if (!ledger_check_verify(cmd->db, ledger, cmd->ctx, &found, &ret->finding, err))
		return false;
	if (!ret->finding)
		ret->lines = t_printf(cmd->ctx, "%" PRId64, found.lines);
	ret->note = t_printf(cmd->ctx, _("the ledger's file is intact: %s lines"), ret->lines);
	return true;
}

static void print_findings(void *ctx, const struct seen *ledger, const PGresult *findings,
			   const PGresult *summary)
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
	if (*ledger->note)
		puts(ledger->note);
}

bool command_verify(struct command *cmd, struct error *err)
{
	struct seen ledger = {.note = "", .lines = "null"};
	const char *values[] = {cmd->options.last_hash, NULL};
	AUTO(result) PGresult *findings = NULL;
	AUTO(result) PGresult *summary = NULL;
	int n;

	if (!look_at_ledger(cmd, &ledger, err))
		return false;
	values[1] = ledger.finding;
	/* One snapshot for all. */
	if (!db_exec(cmd->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) ||
	    !db_query(cmd->db, findings_sql, 2, values, &findings, err) ||
	    !db_query(cmd->db, summary_sql, 0, NULL, &summary, err) ||
	    (cmd->options.json &&
	     !command_print_json(
		     cmd,
		     t_printf(
			     cmd->ctx,
			     "SELECT jsonb_pretty(to_jsonb(s) || jsonb_build_object('ledger_lines', %s, 'findings',\n"
			     "  (SELECT coalesce(jsonb_agg(f.finding), '[]') FROM (%s) AS f))) AS json\n"
			     "  FROM (%s) AS s",
			     ledger.lines, findings_sql, summary_sql),
		     2, values, err)))
		return false;
	if (!cmd->options.json)
		print_findings(cmd->ctx, &ledger, findings, summary);
	n = PQntuples(findings);
	if (n == 0 && ledger.refusal)
		return fail(err, ERR_CONFIG, "%s", ledger.refusal);
	if (n == 1 && ledger.finding)
		return fail(err, ERR_CONFIG, "%s",
			    _("the ledger's file and the journal do not agree"));
	return n == 0 || fail(err, ERR_CONFIG, _("the journal was changed: %d finding%s"), n,
			      n == 1 ? "" : "s");
}
