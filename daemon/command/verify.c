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

/*
 * May this role tell the journal that it has verified it?  An auditor may, and so may every person's role.  A standby
 * takes no event.
 */
static const char may_record_sql[] =
	"SELECT (has_function_privilege('retention.verify_journal(bytea, bigint)', 'EXECUTE') AND\n"
	"        NOT pg_is_in_recovery())::int";

static const char verify_sql[] =
	"SELECT v.events, v.actions, v.last_hash, v.findings, v.event IS NULL AS untold\n"
	"  FROM retention.verify_journal(decode($1, 'hex'), $2::bigint) AS v";

static const char look_sql[] =
	"SELECT l.events, l.actions, l.last_hash, l.findings, false AS untold\n"
	"  FROM retention.look_at_journal(decode($1, 'hex'), $2::bigint) AS l";

/* $1: the findings of the journal, $2: that of the ledger's file. */
static const char findings_sql[] =
	"SELECT f.finding, f.message, f.details\n"
	"  FROM jsonb_to_recordset($1::jsonb) AS f(finding text, message text, details text)\n"
	" UNION ALL\n"
	"SELECT l.finding, l.message, l.details FROM retention.finding($2::text[]) AS l\n"
	" WHERE $2 IS NOT NULL";

static const char json_sql[] =
	"SELECT jsonb_pretty(jsonb_build_object('events', $3::bigint, 'actions', $4::bigint,\n"
	"  'last_hash', $5::text, 'ledger_lines', $6::bigint, 'findings',\n"
	"  (SELECT coalesce(jsonb_agg(f.finding), '[]') FROM ({findings}) AS f))) AS json";

/* What was seen of the ledger's file. */
struct seen {
	const char *finding; /* for retention.finding(); NULL: none */
	const char *note; /* what is said where all is well */
	const char *lines; /* of erased keys in a good file; else NULL */
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
	if (db_bool(summary, 0, "untold"))
		puts(_("the journal does not say that you have verified it: another session keeps it "
		       "locked, or its triggers are disabled"));
	if (PQntuples(findings) > 0)
		return;
	printf(_("the journal is intact: %s events, %s actions\n"), db_text(summary, 0, "events"),
	       db_text(summary, 0, "actions"));
	if (hash)
		printf(_("last hash: %s:%s\n"
			 "note it elsewhere: verify --last-hash finds out later if the journal was "
			 "shortened or rewritten\n"),
		       db_text(summary, 0, "events"), hash);
	if (*ledger->note)
		puts(ledger->note);
}

/* Verifies the journal by one statement, which sees one moment. */
static bool verify(struct command *cmd, PGresult **ret_summary, struct error *err)
{
	const char *noted = cmd->options.last_hash;
	const char *colon = noted ? strchr(noted, ':') : NULL; /* behind the number of the event */
	const char *const values[] = {
		colon ? colon + 1 : noted,
		colon ? t_printf(cmd->ctx, "%.*s", (int)(colon - noted), noted) : NULL};
	int64_t may = 0;

	return db_query_int(cmd->db, may_record_sql, 0, NULL, &may, err) &&
	       db_query(cmd->db, may ? verify_sql : look_sql, 2, values, ret_summary, err);
}

static bool print_json(struct command *cmd, const struct seen *ledger, const PGresult *summary,
		       struct error *err)
{
	const char *const values[] = {
		db_text(summary, 0, "findings"),  ledger->finding,
		db_text(summary, 0, "events"),    db_text(summary, 0, "actions"),
		db_text(summary, 0, "last_hash"), ledger->lines,
	};

	return command_print_json(cmd, sql_fill(cmd->ctx, json_sql, {"findings", findings_sql}),
				  LENGTH(values), values, err);
}

bool command_verify(struct command *cmd, struct error *err)
{
	struct seen ledger = {.note = ""};
	AUTO(result) PGresult *findings = NULL;
	AUTO(result) PGresult *summary = NULL;
	const char *values[2];
	int n;

	if (!look_at_ledger(cmd, &ledger, err) || !verify(cmd, &summary, err))
		return false;
	values[0] = db_text(summary, 0, "findings");
	values[1] = ledger.finding;
	if (!db_query(cmd->db, findings_sql, 2, values, &findings, err))
		return false;
	if (!cmd->options.json)
		print_findings(cmd->ctx, &ledger, findings, summary);
	else if (!print_json(cmd, &ledger, summary, err))
		return false;
	n = PQntuples(findings);
	if (n == 0 && ledger.refusal)
		return fail(err, ERR_CONFIG, "%s", ledger.refusal);
	if (n == 1 && ledger.finding)
		return fail(err, ERR_CONFIG, "%s",
			    _("the ledger's file and the journal do not agree"));
	return n == 0 || fail(err, ERR_CONFIG, _("the journal was changed: %d finding%s"), n,
			      n == 1 ? "" : "s");
}
