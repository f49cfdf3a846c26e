/* hold add, remove, list: legal holds (GDPR art. 17(3)(e), art. 18). */
#include "command/command.h"

#include "base/mem.h"
#include "base/sql.h"

/*
 * A hold is in force until the end of the day on which it expires, in the daemon's time zone and not in
 * the caller's.  A hold that lasts too long does no harm; a hold that ends an hour too early does.
 */
static const char place_sql[] = "SELECT retention.place_hold($1, $2, ($3::date + 1)::timestamp\n"
				"         AT TIME ZONE retention.time_zone(), $4::date) AS id";

enum look { LOOK_THERE, LOOK_GONE, LOOK_NOT_ALLOWED, LOOK_NO_CONFIG, LOOK_FAILED };

/* Looks for the contact.  A text that is not a valid key counts as found: place_hold refuses it. */
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

/*
 * Places the hold.  A hold on a mistyped key protects nobody, so it is refused if the contact does not
 * exist.  If that cannot be checked, a message says so.
 */
static int place_hold(struct command *cmd, const char *const values[4], struct error *err)
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
		puts(_("your role may not read the contacts: it was not checked whether this one "
		       "exists"));
	if (look == LOOK_NO_CONFIG)
		puts(_("no configuration was read: it was not checked whether this contact "
		       "exists"));
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
		return command_wrong_use(cmd, _("give the key of one contact and --reason"));
	for (int i = 2; i <= 3; i++)
		if (values[i] && !date_parse(values[i], &year, &month, &day))
			return command_wrong_use(cmd, _("\"%s\" is not a date: use YYYY-MM-DD"),
						 values[i]);
	values[0] = argv[optind];
	if (!command_open(cmd))
		return 1;
	return place_hold(cmd, values, &err);
}

int command_hold_remove(struct command *cmd, int argc, char **argv)
{
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error err = {0};
	const char *key;

	if (command_option(cmd, argc, argv, command_no_options) != -1)
		return 2;
	if (argc - optind != 1)
		return command_wrong_use(cmd, _("give the key of one contact"));
	key = argv[optind];
	if (!command_open(cmd))
		return 1;
	if (!command_call(cmd, "SELECT retention.release_hold($1)", 1, &key, &res, &err))
		return command_failed(&err);
	printf(_("contact %s is no longer on hold\n"), key);
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
