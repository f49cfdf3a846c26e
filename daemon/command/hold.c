/* hold add, remove, list: legal holds (GDPR art. 17(3)(e), art. 18). */
#include "command/command.h"

#include "base/sql.h"

/*
 * A hold is in force until the end of the day on which it expires, in the daemon's time zone and not in
 * the caller's.  A hold that lasts too long does no harm; a hold that ends an hour too early does.
 */
static const char place_sql[] = "SELECT retention.place_hold($1, $2, ($3::date + 1)::timestamp\n"
				"         AT TIME ZONE retention.time_zone(), $4::date) AS id";

/* Asks for the contact, each column of its key in the column's own type. */
static bool find_contact(struct command *cmd, const struct table *contact, PGresult **ret,
			 struct error *err)
{
	const size_t n = contact->key->n;
	const char **values = t_array(cmd->ctx, const char *, n);
	char *where = t_strdup(cmd->ctx, "");
	AUTO(result) PGresult *fields = NULL;

	values[0] = cmd->argument;
	if (n > 1 && !db_query(cmd->db, "SELECT unnest(retention.key_fields($1)) AS field", 1,
			       &cmd->argument, &fields, err))
		return false;
	if (n > 1 && (size_t)PQntuples(fields) != n)
		return command_refuse_key(cmd, contact, err);
	for (size_t i = 0; i < n; i++) {
		if (n > 1)
			values[i] = db_text(fields, (int)i, "field");
		t_list(&where, " AND ", "c.%s = $%zu", sql_ident(cmd->ctx, contact->key->names[i]),
		       i + 1);
	}
	return db_query(cmd->db,
			t_printf(cmd->ctx, "SELECT FROM %s AS c WHERE %s",
				 sql_table(cmd->ctx, contact->schema, contact->table), where),
			(int)n, values, ret, err);
}

/*
 * A hold on a mistyped key protects nobody, so it is refused if the contact does not exist.  *ret_note is
 * NULL, or why that could not be checked.  A text that is not a valid key of one column passes: place_hold refuses it.
 */
static bool check_contact(struct command *cmd, const char **ret_note, struct error *err)
{
	const struct table *contact = cmd->config ? cmd->config->model.contact : NULL;
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error cause = {0};

	*ret_note = NULL;
	if (!contact)
		*ret_note = _("no configuration was read: it was not checked whether this contact "
			      "exists");
	else if (find_contact(cmd, contact, &res, &cause))
		return PQntuples(res) > 0 ||
		       fail(err, ERR_CONFIG, _("there is no contact %s: no hold was placed"),
			    cmd->argument);
	else if (strcmp(cause.sqlstate, "42501") == 0)
		*ret_note = _("your role may not read the contacts: it was not checked whether "
			      "this one exists");
	else if (strncmp(cause.sqlstate, "22", 2) != 0)
		return fail(err, cause.class, "%s", cause.text);
	else if (contact->key->n > 1)
		return command_refuse_key(cmd, contact, err);
	return true;
}

bool command_hold_add(struct command *cmd, struct error *err)
{
	const char *const values[] = {cmd->argument, cmd->options.reason, cmd->options.expires,
				      cmd->options.review};
	AUTO(result) PGresult *res = NULL;
	const char *note;

	if (!check_contact(cmd, &note, err) || !command_call(cmd, place_sql, 4, values, &res, err))
		return false;
	printf(_("hold %s placed on contact %s\n"), db_text(res, 0, "id"), cmd->argument);
	if (note)
		puts(note);
	return true;
}

bool command_hold_remove(struct command *cmd, struct error *err)
{
	if (!command_call(cmd, "SELECT retention.release_hold($1)", 1, &cmd->argument, NULL, err))
		return false;
	printf(_("contact %s is no longer on hold\n"), cmd->argument);
	return true;
}

/* The state of each hold, and the newest first. */
#define STATE                                                                                      \
	"CASE WHEN h.released_at IS NOT NULL THEN 'released'\n"                                    \
	"     WHEN f.id IS NULL THEN 'expired' ELSE 'active' END AS state"
#define FROM_HOLDS                                                                                 \
	"  FROM retention.hold AS h LEFT JOIN retention.holds_in_force AS f ON f.id = h.id\n"      \
	" ORDER BY h.released_at IS NOT NULL, h.id DESC"

bool command_hold_list(struct command *cmd, struct error *err)
{
	static const struct command_listing listing = {
		.sql = "SELECT h.id, h.contact_key AS contact, " STATE ", h.reason,\n"
		       "       h.placed_by AS by, to_char(h.placed_at, 'YYYY-MM-DD HH24:MI') AS placed,\n"
		       "       to_char(h.expires_at, 'YYYY-MM-DD HH24:MI') AS expires,\n"
		       "       h.review_date AS review, h.released_by,\n"
		       "       to_char(h.released_at, 'YYYY-MM-DD HH24:MI') AS released\n" FROM_HOLDS,
		.json_sql = "SELECT h.*, " STATE "\n" FROM_HOLDS,
	};

	return command_list(cmd, &listing, err);
}
