/*
 * Checks an archive against the journal: finds the folder of the action, and compares the files and the sums; what the
 * manifest and the journal say is compared by journal/manifest_check.c.
 */
#include "command/verify_archive.h"

#include "base/sql.h"
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
		return fail(err, ERR_CONFIG, _("the archive of action %d was deleted"), cmd->id);
	if (!db_text(res, 0, "archive_path"))
		return fail(err, ERR_CONFIG, _("action %d has no archive"), cmd->id);
	if (!db_bool(res, 0, "ended"))
		return fail(err, ERR_CONFIG, _("action %d is %s: its archive is not finished"),
			    cmd->id, language_cell("status", db_text(res, 0, "status")));
	return archive_reader_open(cmd->config->directory, db_text(res, 0, "archive_path"),
				   cmd->ctx, ret, err);
}

/* What was found so far, printed already or, for programs, kept. */
struct findings {
	bool print_good;
	bool json;
	int bad;
	void *ctx;
	const char **files, **faults; /* bad of them, with json */
};

static void print_finding(void *arg, const char *file, const char *fault)
{
	struct findings *findings = arg;

	if (fault && findings->json) {
		findings->files = t_grow(findings->ctx, findings->files, const char *,
					 (size_t)findings->bad + 1);
		findings->faults = t_grow(findings->ctx, findings->faults, const char *,
					  (size_t)findings->bad + 1);
		findings->files[findings->bad] = t_strdup(findings->ctx, file);
		findings->faults[findings->bad] = t_strdup(findings->ctx, fault);
	} else if (findings->json)
		return;
	else if (fault)
		output_line(stdout, "%s: FAILED: %s", file, fault);
	else if (findings->print_good)
		output_line(stdout, "%s: OK", file);
	findings->bad += fault ? 1 : 0;
}

static bool print_json(struct command *cmd, const struct findings *findings, struct error *err)
{
	static const char sql[] =
		"SELECT jsonb_pretty(jsonb_build_object('archive', $1::text, 'intact', count(*) = 0, 'faults',\n"
		"         coalesce(jsonb_agg(jsonb_build_object('file', f.file, 'fault', f.fault)), '[]'))) AS json\n"
		"  FROM unnest($2::text[], $3::text[]) AS f(file, fault)";
	const size_t n = (size_t)findings->bad;
	const char *const values[] = {cmd->argument, sql_array(cmd->ctx, findings->files, n),
				      sql_array(cmd->ctx, findings->faults, n)};

	return command_print_json(cmd, sql, LENGTH(values), values, err);
}

bool verify_archive(struct command *cmd, const struct archive_reader *s, bool print_good,
		    struct error *err)
{
	/* Restore, which has no such option, prints for people. */
	struct findings findings = {
		.print_good = print_good, .json = cmd->options.json, .ctx = cmd->ctx};
	const struct manifest_claim claim = {.job = cmd->id ? cmd->argument : NULL,
					     .name = cmd->id ? NULL : cmd->argument,
					     .manifest = s->manifest,
					     .sums = s->sums};
	int bad;

	if (!archive_reader_verify_files(s, print_finding, &findings, err) ||
	    !manifest_check(cmd->db, &claim, print_finding, &findings, err) ||
	    (findings.json && !print_json(cmd, &findings, err)))
		return false;
	bad = findings.bad;
	return bad == 0 ||
	       fail(err, ERR_CONFIG,
		    cmd->id    ? bad == 1 ? _("the archive of action %s is not intact: %d finding")
					  : _("the archive of action %s is not intact: %d findings")
		       : bad == 1 ? _("the archive %s is not intact: %d finding")
			       : _("the archive %s is not intact: %d findings"),
		    cmd->argument, bad);
}
