/* subject export, anonymize, delete: requests of one data subject (GDPR art. 15, 17 and 20). */
#include "command/command.h"

#include "command/output.h"
#include "preflight/check_plan.h"
#include "plan/preview.h"

/* Prints one document of all rows that the model reaches from the contact. */
bool command_subject_export(struct command *cmd, struct error *err)
{
	const struct table *contact = cmd->config->model.contact;
	const struct plan_opts opts = check_opts(cmd->config, NULL, ACTION_EXPORT, ARCHIVE_FULL);
	struct catalog *catalog = NULL;
	AUTO(result) PGresult *res = NULL;
	struct plan *plan;
	const char *due, *sql, *key;

	/* Reads only, so that no function of the CRM's owner that runs here can write with the rights of this person. */
	if (!db_exec(cmd->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) ||
	    !command_plan(cmd, &opts, &catalog, &plan, err) ||
	    !command_contact_key(cmd, catalog, &key, err))
		return false;
	due = plan_contact_query(cmd->ctx, catalog, contact, "$1::text");
	sql = t_printf(cmd->ctx,
		       "SELECT jsonb_pretty(x.document) AS json,\n"
		       "       jsonb_array_length(x.document->'contact') AS n FROM (%s) AS x",
		       plan_document_sql(plan, due));
	if (!db_query(cmd->db, sql, 1, &key, &res, err))
		return false;
	if (db_int(res, 0, "n") == 0)
		return fail(err, ERR_CONFIG, _("there is no contact %s"), cmd->argument);
	/* Undoes what such a function has set.  An export that cannot be recorded prints nothing. */
	db_rollback(cmd->db);
	if (!command_call(cmd, "SELECT retention.record_subject_export($1)", 1, &cmd->argument,
			  NULL, err))
		return false;
	output_json(db_text(res, 0, "json"));
	return true;
}

static bool save(struct command *cmd, const char *action, struct error *err)
{
	const char *const values[] = {action, cmd->argument, cmd->options.note};
	AUTO(result) PGresult *res = NULL;

	return command_call(cmd, "SELECT retention.save_subject($1, $2, $3) AS id", 3, values, &res,
			    err) &&
	       command_saved(cmd, db_text(res, 0, "id"), cmd->argument, err);
}

bool command_subject_anonymize(struct command *cmd, struct error *err)
{
	return save(cmd, "anonymize_contacts", err);
}

bool command_subject_delete(struct command *cmd, struct error *err)
{
	return save(cmd, "delete_contacts", err);
}
