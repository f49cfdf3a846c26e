/* subject export, anonymize, delete: requests of one data subject (GDPR art. 15, 17 and 20). */
#include "command/command.h"

#include "preflight/check_plan.h"
#include "base/mem.h"
#include "plan/expression.h"
#include "plan/preview.h"

/* Prints one document of all rows that the model reaches from the contact. */
static bool export_document(struct command *cmd, const char *key, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(complaints) struct complaints c = {0};
	const struct table *contact = cmd->config->model.contact;
	const struct plan_opts opts = check_opts(cmd->config, NULL, ACTION_EXPORT, ARCHIVE_FULL);
	struct catalog *catalog = NULL;
	AUTO(result) PGresult *res = NULL;
	AUTO(result) PGresult *recorded = NULL;
	struct plan *plan;
	const char *sql;

	if (!command_model(cmd, ACTION_EXPORT, ctx, &catalog, err))
		return false;
	plan = plan_build(ctx, &cmd->config->model, catalog, &opts, &c);
	if (!plan)
		return fail(err, ERR_CONFIG, "%s", c.lines[0]);
	sql = plan_document_sql(plan, t_printf(ctx, "SELECT $1::text::%s AS k",
					       plan_type(catalog, contact, contact->key)));
	sql = t_printf(ctx,
		       "SELECT jsonb_pretty(x.document) AS json,\n"
		       "       jsonb_array_length(x.document->'contact') AS n FROM (%s) AS x",
		       sql);
	/* Records the event first: an export that cannot be recorded prints nothing. */
	if (!db_exec(cmd->db, "BEGIN ISOLATION LEVEL REPEATABLE READ", err) ||
	    !command_call(cmd, "SELECT retention.record_subject_export($1)", 1, &key, &recorded,
			  err) ||
	    !db_query(cmd->db, sql, 1, &key, &res, err))
		return false;
	if (db_int(res, 0, "n") == 0)
		return fail(err, ERR_CONFIG, _("there is no contact %s"), key);
	if (!db_commit(cmd->db, err))
		return false;
	puts(db_text(res, 0, "json"));
	return true;
}

/* Reads the options, and returns the only argument; NULL after a message. */
static const char *one_key(struct command *cmd, int argc, char **argv, const struct option *longs)
{
	int c;

	while ((c = command_option(cmd, argc, argv, longs)) != -1)
		if (c == '?')
			return NULL;
	if (argc - optind == 1)
		return argv[optind];
	(void)command_wrong_use(cmd, _("give the key of one contact")); /* the caller returns 2 */
	return NULL;
}

int command_subject_export(struct command *cmd, int argc, char **argv)
{
	/* The document is JSON in any case. */
	static const struct option longs[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
	const char *key = one_key(cmd, argc, argv, longs);
	AUTO(error) struct error err = {0};

	if (!key)
		return 2;
	if (!command_open(cmd))
		return 1;
	return export_document(cmd, key, &err) ? 0 : command_failed(&err);
}

static int save(struct command *cmd, int argc, char **argv, const char *action)
{
	const char *values[] = {action, one_key(cmd, argc, argv, command_no_options)};
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error err = {0};

	if (!values[1])
		return 2;
	if (!command_open(cmd))
		return 1;
	if (!command_call(cmd, "SELECT retention.save_subject($1, $2) AS id", 2, values, &res,
			  &err))
		return command_failed(&err);
	return command_saved(cmd, db_text(res, 0, "id"), values[1]);
}

int command_subject_anonymize(struct command *cmd, int argc, char **argv)
{
	return save(cmd, argc, argv, "anonymize_contacts");
}

int command_subject_delete(struct command *cmd, int argc, char **argv)
{
	return save(cmd, argc, argv, "delete_contacts");
}
