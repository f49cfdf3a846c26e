/* The key of a contact as a person has typed it. */
#include "command/command.h"

#include "preflight/check_plan.h"

/* "(1,1,42)": a whole number for each column, because that is what most keys are of. */
static const char *example(void *ctx, size_t n)
{
	char *list = t_strdup(ctx, "");

	for (size_t i = 0; i < n; i++)
		t_list(&list, ",", "%d", i + 1 < n ? 1 : 42);
	return t_printf(ctx, "(%s)", list);
}

bool command_refuse_key(struct command *cmd, const struct table *contact, struct error *err)
{
	return fail(err, ERR_CONFIG, _("\"%s\" is not a valid contact key: write it like '%s': %s"),
		    cmd->argument, example(cmd->ctx, contact->key->n),
		    columns_text(cmd->ctx, contact->key));
}

bool command_contact_key(struct command *cmd, const struct catalog *catalog, const char **ret_key,
			 struct error *err)
{
	static const char sql[] = "SELECT retention.canonical_key($1, k.type) AS key, k.type\n"
				  "  FROM (SELECT retention.key_type($2) AS type) AS k";
	const struct table *contact = cmd->config->model.contact;
	const char *const values[] = {
		cmd->argument,
		check_key_types(cmd->ctx, contact, &catalog->relations[contact->index])};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(cmd->db, sql, 2, values, &res, err))
		return false;
	*ret_key = db_text_copy(cmd->ctx, res, 0, "key");
	if (*ret_key)
		return true;
	return contact->key->n > 1 ? command_refuse_key(cmd, contact, err)
				   : fail(err, ERR_CONFIG,
					  _("\"%s\" is not a valid contact key: it should be a %s"),
					  cmd->argument, db_text(res, 0, "type"));
}
