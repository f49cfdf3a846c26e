/* show --configuration: prints what an action was done by, as the database has kept it. */
#include "command/command.h"

/*
 * The configurations under which jobs have listed or done action $1, in order, and when the daemon accepted each.  A row of
 * the journal has its configuration in each of its later events.
 */
#define USED                                                                                              \
	"SELECT u.sha256, to_char(f.at, 'YYYY-MM-DD HH24:MI:SS TZ') AS since, c.content,\n"               \
	"       to_char(a.at, 'YYYY-MM-DD HH24:MI:SS TZ') AS accepted, a.details->>'by' AS by,\n"         \
	"       a.details->>'host' AS host, a.details->>'file' AS file\n"                                 \
	"  FROM (SELECT e.details->>'configuration' AS sha256, min(e.id) AS id\n"                         \
	"          FROM retention.journal_event AS e\n"                                                   \
	"         WHERE e.job = $1::int AND e.details ? 'requested_by' AND e.details ? 'configuration'\n" \
	"         GROUP BY 1) AS u\n"                                                                     \
	"  JOIN retention.journal_event AS f ON f.id = u.id\n"                                            \
	"  LEFT JOIN retention.configuration AS c ON c.sha256 = u.sha256\n"                               \
	"  LEFT JOIN LATERAL (SELECT e.at, e.details FROM retention.journal_event AS e\n"                 \
	"                      WHERE e.kind = 'configuration' AND e.details->>'sha256' = u.sha256\n"      \
	"                        AND e.id <= u.id\n"                                                      \
	"                      ORDER BY e.details ? 'host' DESC, e.id DESC LIMIT 1) AS a ON true\n"       \
	" ORDER BY u.id"

static int nibble(char digit)
{
	return digit <= '9' ? digit - '0' : digit - 'a' + 10;
}

/* Prints the bytes that the hexadecimal digits of the server stand for, whatever the database's encoding is. */
static void print_bytes(const char *hex)
{
	for (; hex[0] && hex[1]; hex += 2)
		(void)putchar(nibble(hex[0]) * 16 + nibble(hex[1])); /* checked at the end */
}

/* Says who has put it in force.  A job of a restored database may be the only one to know it. */
static void print_origin(const PGresult *res, int row)
{
	const char *accepted = db_text(res, row, "accepted"), *by = db_text(res, row, "by");

	if (!accepted || !db_text(res, row, "host"))
		return;
	if (by)
		printf(_("# in force since %s on host %s: %s, reloaded by %s\n"), accepted,
		       db_text(res, row, "host"), db_text(res, row, "file"), by);
	else
		printf(_("# in force since %s on host %s: %s, read when the daemon started\n"),
		       accepted, db_text(res, row, "host"), db_text(res, row, "file"));
}

static bool print_text(struct command *cmd, struct error *err)
{
	static const char sql[] =
		"SELECT x.*, encode(x.content, 'hex') AS hex FROM (" USED ") AS x";
	AUTO(result) PGresult *res = NULL;

	if (!db_query(cmd->db, sql, 1, &cmd->argument, &res, err))
		return false;
	if (PQntuples(res) == 0)
		return fail(err, ERR_CONFIG, _("no job has worked on action %s yet"),
			    cmd->argument);
	for (int row = 0; row < PQntuples(res); row++) {
		const char *hex = db_text(res, row, "hex");

		printf(_("# configuration of action %s, from %s on\n# SHA-256 %s\n"), cmd->argument,
		       db_text(res, row, "since"), db_text(res, row, "sha256"));
		print_origin(res, row);
		if (!hex)
			return fail(err, ERR_CONFIG,
				    _("this configuration was removed: see retentionctl verify"));
		print_bytes(hex);
	}
	return true;
}

bool command_show_configuration(struct command *cmd, struct error *err)
{
	static const char json_sql[] =
		"SELECT coalesce(jsonb_pretty(jsonb_agg(jsonb_build_object('sha256', x.sha256,\n"
		"         'since', x.since, 'accepted', x.accepted, 'by', x.by, 'host', x.host,\n"
		"         'file', x.file, 'text', convert_from(x.content, 'UTF8')))), '[]') AS json\n"
		"  FROM (" USED ") AS x";

	return cmd->options.json ? command_print_json(cmd, json_sql, 1, &cmd->argument, err)
				 : print_text(cmd, err);
}
