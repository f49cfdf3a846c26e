/*
 * subject export, anonymize, delete: what one person may ask for (GDPR art. 15, 17 and 20).
 */
#include "command/command.h"

#include "preflight/check_plan.h"
#include "base/mem.h"
#include "plan/due.h"
#include "plan/preview.h"

/* One document of everything that the model reaches from the contact. */
static bool export_document(struct ctl *ctl, const char *key, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(complaints) struct complaints c = {0};
	const struct table *contact = ctl->config->model.contact;
	const struct plan_opts opts = check_opts(ctl->config, NULL, ACTION_EXPORT, ARCHIVE_FULL);
	struct catalog *catalog = NULL;
	AUTO(result) PGresult *res = NULL;
	AUTO(result) PGresult *told = NULL;
	struct plan *plan;
	const char *sql;

	if (!ctl_model(ctl, ACTION_EXPORT, ctx, &catalog, err))
		return false;
	plan = plan_build(ctx, &ctl->config->model, catalog, &opts, &c);
	if (!plan)
		return fail(err, ERR_CONFIG, "%s", c.lines[0]);
	sql = plan_document_sql(ctx, plan, catalog,
				t_printf(ctx, "SELECT $1::text::%s AS k",
					 plan_type(catalog, contact, contact->key)));
	sql = t_printf(ctx,
		       "SELECT jsonb_pretty(x.document) AS json,\n"
		       "       jsonb_array_length(x.document->'contact') AS n FROM (%s) AS x",
		       sql);
	/* The event first: who could not be recorded gets nothing. */
	if (!db_exec(ctl->db, "BEGIN ISOLATION LEVEL REPEATABLE READ", err) ||
	    !ctl_call(ctl, "SELECT retention.record_subject_export($1)", 1, &key, &told, err) ||
	    !db_query(ctl->db, sql, 1, &key, &res, err))
		return false;
	if (db_int(res, 0, "n") == 0)
		return fail(err, ERR_CONFIG, _("there is no contact %s"), key);
	if (!db_commit(ctl->db, err))
		return false;
	puts(db_text(res, 0, "json"));
	return true;
}

/* The one argument; NULL after having said what is wrong. */
static const char *one_key(struct ctl *ctl, int argc, char **argv)
{
	static const struct option longs[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
	int c;

	while ((c = ctl_option(ctl, argc, argv, longs)) != -1)
		if (c == '?')
			return NULL;
	if (argc - optind == 1)
		return argv[optind];
	(void)ctl_wrong_use(ctl, _("one contact's key is needed")); /* the caller returns 2 */
	return NULL;
}

int ctl_subject_export(struct ctl *ctl, int argc, char **argv)
{
	const char *key = one_key(ctl, argc, argv);
	AUTO(error) struct error err = {0};

	if (!key)
		return 2;
	if (!ctl_open(ctl))
		return 1;
	return export_document(ctl, key, &err) ? 0 : ctl_failed(&err);
}

static int save(struct ctl *ctl, int argc, char **argv, const char *action)
{
	const char *values[] = {action, one_key(ctl, argc, argv)};
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error err = {0};

	if (!values[1])
		return 2;
	if (!ctl_open(ctl))
		return 1;
	if (!ctl_call(ctl, "SELECT retention.save_subject($1, $2) AS id", 2, values, &res, &err))
		return ctl_failed(&err);
	return ctl_saved(ctl, db_text(res, 0, "id"), values[1]);
}

int ctl_subject_anonymize(struct ctl *ctl, int argc, char **argv)
{
	return save(ctl, argc, argv, "anonymize_contacts");
}

int ctl_subject_delete(struct ctl *ctl, int argc, char **argv)
{
	return save(ctl, argc, argv, "delete_contacts");
}
