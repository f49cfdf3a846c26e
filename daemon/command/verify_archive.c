/*
 * Checks an archive against the journal: finds the folder of the action, and compares the files and the sums; what the
 * manifest and the journal say is compared by journal/manifest_check.c.
 */
#include "command/verify_archive.h"

#include "command/output.h"
#include "journal/manifest_check.h"

static bool open_unknown(struct command *cmd, struct archive_reader **ret, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(cmd->db,
		      "SELECT u.sealed FROM retention.unknown_archive AS u WHERE u.name = $1", 1,
		      &cmd->argument, &res, err))
		return false;
	if (PQntuples(res) == 0)
		return fail(
			err, ERR_CONFIG,
			_("no archive \"%s\" is unknown to the journal: see retentionctl archive list"),
			cmd->argument);
	if (!db_bool(res, 0, "sealed"))
		return fail(
			err, ERR_CONFIG,
			_("archive \"%s\" was never finished: it has no sums to be checked against"),
			cmd->argument);
	return archive_reader_open(
		cmd->config->directory,
		t_printf(cmd->ctx, "%s/%s", cmd->config->directory, cmd->argument), cmd->ctx, ret,
		err);
}

bool verify_archive_open(struct command *cmd, struct archive_reader **ret, struct error *err)
{
	static const char sql[] =
		"SELECT j.status, j.archive_path, j.archive_deleted_at IS NOT NULL AS deleted,\n"
		"       j.status IN ('done', 'failed') AS ended\n"
		"  FROM retention.archive_journal AS j WHERE j.id = $1::int";
	AUTO(result) PGresult *res = NULL;

	if (!cmd->id)
		return open_unknown(cmd, ret, err);
	if (!db_query(cmd->db, sql, 1, &cmd->argument, &res, err))
		return false;
	if (PQntuples(res) == 0)
		return fail(err, ERR_CONFIG, _("there is no action %s"), cmd->argument);
	if (db_bool(res, 0, "deleted"))
		return fail(err, ERR_CONFIG, "the archive of action %d was deleted", cmd->id);
	if (!db_text(res, 0, "archive_path"))
		return fail(err, ERR_CONFIG, "action %d has no archive", cmd->id);
	if (!db_bool(res, 0, "ended"))
		return fail(err, ERR_CONFIG, "action %d is %s: its archive is not finished",
			    cmd->id, db_text(res, 0, "status"));
	return archive_reader_open(cmd->config->directory, db_text(res, 0, "archive_path"),
				   cmd->ctx, ret, err);
}

/* What was printed so far. */
struct findings {
	bool print_good;
	int bad;
};

static void print_finding(void *arg, const char *file, const char *fault)
{
	struct findings *findings = arg;

	if (fault)
		output_line(stdout, "%s: FAILED: %s", file, fault);
	else if (findings->print_good)
		output_line(stdout, "%s: OK", file);
	findings->bad += fault ? 1 : 0;
}

bool verify_archive(struct command *cmd, const struct archive_reader *s, bool print_good,
		    struct error *err)
{
	struct findings findings = {.print_good = print_good};
	const struct manifest_claim claim = {.job = cmd->id ? cmd->argument : NULL,
					     .name = cmd->id ? NULL : cmd->argument,
					     .manifest = s->manifest,
					     .sums = s->sums};
	int bad;

	if (!archive_reader_verify_files(s, print_finding, &findings, err) ||
	    !manifest_check(cmd->db, &claim, print_finding, &findings, err))
		return false;
	bad = findings.bad;
	return bad == 0 ||
	       fail(err, ERR_CONFIG, "the archive %s%s is not intact: %d finding%s",
		    cmd->id ? "of action " : "", cmd->argument, bad, bad == 1 ? "" : "s");
}
