/* hold add, remove, list: legal holds (GDPR art. 17(3)(e), art. 18). */
#include "command/command.h"

#include "base/mem.h"
#include "base/sql.h"

/*
 * A hold that expires on a day holds on that day still, in the daemon's time zone whatever the
 * caller's is: a day too long is harmless, an hour too short is not.
 */
static const char place_sql[] = "SELECT retention.place_hold($1, $2, ($3::date + 1)::timestamp\n"
				"         AT TIME ZONE retention.time_zone(), $4::date) AS id";

enum look { LOOK_THERE, LOOK_GONE, LOOK_NOT_ALLOWED, LOOK_NO_CONFIG, LOOK_FAILED };

/* Whether the contact is there; what is no key at all is for place_hold to say. */
static enum look look_for(struct command *cmd, const char *key, struct error *err)
{
	const struct table *contact = cmd->config ? cmd->config->model.contact : NULL;
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error cause = {0};

	if (!contact)
		return LOOK_NO_CONFIG;
	if (db_query(cmd->db,
		     t_printf(ctx, "SELECT FROM %s AS c WHERE c.%s = $1",
			      sql_table(ctx, contact->schema, contact->table),
			      sql_ident(ctx, contact->key)),
		     1, &key, &res, &cause))
		return PQntuples(res) > 0 ? LOOK_THERE : LOOK_GONE;
	if (strcmp(cause.sqlstate, "42501") == 0)
		return LOOK_NOT_ALLOWED;
	if (strncmp(cause.sqlstate, "22", 2) == 0)
		return LOOK_THERE;
	(void)fail(err, cause.class, "%s", cause.text);
	return LOOK_FAILED;
}

/* A key with a slip protects nobody: refused where it can be seen, said where nobody could look. */
static int place(struct command *cmd, const char *const values[4], struct error *err)
{
	AUTO(result) PGresult *res = NULL;
	const enum look look = look_for(cmd, values[0], err);

	if (look == LOOK_GONE)
		(void)fail(err, ERR_CONFIG, _("there is no contact %s: no hold was placed"),
			   values[0]);
	if (look == LOOK_GONE || look == LOOK_FAILED ||
	    !command_call(cmd, place_sql, 4, values, &res, err))
		return command_failed(err);
	printf(_("hold %s placed on contact %s\n"), db_text(res, 0, "id"), values[0]);
	if (look == LOOK_NOT_ALLOWED)
		puts(_("you may not read the contacts: whether this one is there was not looked "
		       "at"));
	if (look == LOOK_NO_CONFIG)
		puts(_("no configuration was read: whether there is such a contact was not looked "
		       "at"));
	return 0;
}

int command_hold_add(struct command *cmd, int argc, char **argv)
{
	static const struct option longs[] = {{"reason", required_argument, NULL, 'r'},
					      {"expires", required_argument, NULL, 'e'},
					      {"review", required_argument, NULL, 'v'},
					      {NULL, 0, NULL, 0}};
	const char *values[4] = {NULL};
	AUTO(error) struct error err = {0};
	int c, year, month, day;

	while ((c = command_option(cmd, argc, argv, longs)) != -1) {
		if (c == '?')
			return 2;
		values[c == 'r' ? 1 : c == 'e' ? 2 : 3] = optarg;
	}
	if (argc - optind != 1 || !values[1])
		return command_wrong_use(cmd, _("one contact's key and --reason are needed"));
	for (int i = 2; i <= 3; i++)
		if (values[i] && !date_parse(values[i], &year, &month, &day))
			return command_wrong_use(cmd, _("\"%s\" is no date: YYYY-MM-DD"),
						 values[i]);
	values[0] = argv[optind];
	if (!command_open(cmd))
		return 1;
	return place(cmd, values, &err);
}

int command_hold_remove(struct command *cmd, int argc, char **argv)
{
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error err = {0};
	const char *key;

	if (command_option(cmd, argc, argv, command_no_options) != -1)
		return 2;
	if (argc - optind != 1)
		return command_wrong_use(cmd, _("one contact's key is needed"));
	key = argv[optind];
	if (!command_open(cmd))
		return 1;
	if (!command_call(cmd, "SELECT retention.release_hold($1)", 1, &key, &res, &err))
		return command_failed(&err);
	printf(_("contact %s is not on hold any more\n"), key);
	return 0;
}

/* The state of each hold, and the newest first. */
#define STATE                                                                                      \
	"CASE WHEN h.released_at IS NOT NULL THEN 'released'\n"                                    \
	"     WHEN f.id IS NULL THEN 'expired' ELSE 'active' END AS state"
#define FROM_HOLDS                                                                                 \
	"  FROM retention.hold AS h LEFT JOIN retention.holds_in_force AS f ON f.id = h.id\n"      \
	" ORDER BY h.released_at IS NOT NULL, h.id DESC"

int command_hold_list(struct command *cmd, int argc, char **argv)
{
	static const struct command_listing listing = {
		.sql = "SELECT h.id, h.contact_key AS contact, " STATE ", h.reason,\n"
		       "       h.placed_by AS by, to_char(h.placed_at, 'YYYY-MM-DD HH24:MI') AS placed,\n"
		       "       to_char(h.expires_at, 'YYYY-MM-DD HH24:MI') AS expires,\n"
		       "       h.review_date AS review, h.released_by,\n"
		       "       to_char(h.released_at, 'YYYY-MM-DD HH24:MI') AS released\n" FROM_HOLDS,
		.json_sql = "SELECT h.*, " STATE "\n" FROM_HOLDS,
	};

	return command_list_command(cmd, argc, argv, &listing);
}
