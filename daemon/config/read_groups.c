/*
 * The settings at the top of a configuration, and its groups except model and policies.
 *
 * libpq is used for one thing: PQconninfoParse() finds a password in a connection string in any of its
 * forms.  It opens no connection, and another parser could overlook a form.
 */
#include "config/read.h"

#include "base/mem.h"
#include "base/text.h"
#include "config/page.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <sys/un.h>

#define CONFIG(member) .offset = offsetof(struct config, member)
#define GIVEN(member) .given = offsetof(struct config, member)
#define RANGE(value_kind, member, least, most)                                                     \
	.kind = (value_kind), CONFIG(member), .min = (least), .max = (most)

static const char *const replay_names[] = {"manual", "automatic"};
static const char *const policies_from_names[] = {"file", "file+page"};
static const char *const formulas_names[] = {"text", "keep"};
const char *const integrity_names[] = {
	[INTEGRITY_AUTO] = "auto",
	[INTEGRITY_SET] = "set",
	[INTEGRITY_TRIGGERS] = "triggers",
};

const char *const notice_names[] = {"failed",     "refused",  "waiting",
				    "incomplete", "restored", "done"};

const struct setting_spec top_specs[] = {
	{.key = "database"},
	{.key = "archives"},
	{.key = "limits"},
	{.key = "metrics"},
	{.key = "notify"},
	{.key = "backups"},
	{.key = "model"},
	{.key = "policies"},
	{.key = "page_policies"},
	{.key = "policies_from", WORD(policies_from_names), CONFIG(pages), .quiet = true},
	{.key = "four_eyes", .kind = VALUE_BOOL, CONFIG(four_eyes)},
	{.key = "replay", WORD(replay_names), CONFIG(replay_automatic), .quiet = true},
	{0},
};
static const struct setting_spec database_specs[] = {
	{.key = "conninfo", .kind = VALUE_NAME, CONFIG(conninfo), .required = true},
	{.key = "timezone", .kind = VALUE_NAME, CONFIG(timezone), .required = true},
	{0},
};
static const struct setting_spec archives_specs[] = {
	{.key = "directory", .kind = VALUE_PATH, CONFIG(directory), .required = true},
	{.key = "group_readable", .kind = VALUE_BOOL, CONFIG(group_readable), .quiet = true},
	{.key = "delimiter", .kind = VALUE_CHAR, CONFIG(delimiter)},
	{.key = "bom", .kind = VALUE_BOOL, CONFIG(bom)},
	{.key = "formulas", WORD(formulas_names), CONFIG(keeps_formulas)},
	{.key = "keep", .kind = VALUE_PERIOD, CONFIG(keep), GIVEN(has_keep)},
	{.key = "recipients",
	 STRINGS(struct config, recipients, 20),
	 .example = "[ \"age1...\", \"ssh-ed25519 ...\" ]; leave it out if archives are not to be "
		    "encrypted"},
	{.key = "web_socket", .kind = VALUE_PATH, CONFIG(web_socket)},
	{.key = "web_user", .kind = VALUE_NAME, CONFIG(web_user)},
	{0},
};
static const struct setting_spec limits_specs[] = {
	{.key = "workers", RANGE(VALUE_INT, workers, 1, CONFIG_WORKERS_MAX)},
	{.key = "batch_rows", RANGE(VALUE_INT, batch_rows, 1, 1000000)},
	{.key = "batch_time", RANGE(VALUE_DURATION, batch_time_ms, 10, 60 * 1000)},
	{.key = "rows_per_second", RANGE(VALUE_INT64, rows_per_second, 0, 1000000000)},
	{.key = "max_replica_lag", RANGE(VALUE_DURATION, max_replica_lag_ms, 0, 24 * 3600 * 1000)},
	{.key = "max_wal_backlog_mb", RANGE(VALUE_INT64, max_wal_backlog_mb, 0, 1000000000)},
	{.key = "max_snapshot_age",
	 RANGE(VALUE_DURATION, max_snapshot_age_ms, 0, 24 * 3600 * 1000)},
	{.key = "window", .kind = VALUE_WINDOW, CONFIG(window), GIVEN(has_window)},
	{.key = "max_share", .kind = VALUE_SHARE, CONFIG(max_share)},
	{.key = "integrity", CHOICE(integrity_names), CONFIG(integrity)},
	{.key = "vacuum", .kind = VALUE_BOOL, CONFIG(vacuum)},
	{.key = "courtesy", .kind = VALUE_BOOL, CONFIG(courtesy)},
	{0},
};
static const struct setting_spec metrics_specs[] = {
	{.key = "textfile", .kind = VALUE_NAME, CONFIG(metrics_textfile)},
	{.key = "listen", .kind = VALUE_NAME, CONFIG(metrics_listen)},
	{.key = "interval",
	 RANGE(VALUE_DURATION, metrics_interval_ms, 10 * 1000, 24 * 3600 * 1000)},
	{0},
};
static const struct setting_spec notify_specs[] = {
	{.key = "command",
	 STRINGS(struct config, notify_command, 32),
	 GIVEN(has_notify),
	 .required = true,
	 .example = "[ \"/usr/local/lib/retentiond/notify-mail\", \"dpo@example.org\" ]"},
	{.key = "on",
	 STRINGS(struct config, notify_on, NOTICE_COUNT),
	 .example = "[ \"failed\", \"refused\", \"waiting\" ]"},
	{.key = "timeout", RANGE(VALUE_DURATION, notify_timeout_ms, 1000, 5 * 60 * 1000)},
	{0},
};
static const struct setting_spec backups_specs[] = {
	{.key = "keep",
	 .kind = VALUE_PERIOD,
	 CONFIG(backups_keep),
	 GIVEN(has_backups_keep),
	 .required = true},
	{0},
};

static const struct setting_spec page_specs[] = {
	{.key = "shortest",
	 .kind = VALUE_PERIOD,
	 CONFIG(page_shortest),
	 GIVEN(has_page_policies),
	 .required = true},
	{.key = "actions",
	 STRINGS(struct config, page_actions, ACTION_COUNT),
	 .required = true,
	 .example = "[ \"delete_contacts\", \"anonymize_contacts\" ]"},
	{.key = "archives",
	 STRINGS(struct config, page_archives, ARCHIVE_MODE_COUNT),
	 .example = "[ \"listed\", \"full\" ]"},
	{.key = "most", RANGE(VALUE_INT, page_most, 1, PAGE_MOST)},
	{0},
};

/*
 * Refuses a password, that of the key of a client's certificate, too, because retentiond -t -v prints the file and people mail it to support.  Does
 * not repeat libpq's message about a string that it cannot read, because that can quote the password.
 */
static void check_database(const struct reader *r, struct config *config)
{
	const config_setting_t *s = reader_key(r, "conninfo");
	PQconninfoOption *options = NULL;

	if (config->conninfo) {
		options = PQconninfoParse(config->conninfo, NULL);
		if (!options)
			complain_at(r, s,
				    "conninfo is not a connection string: \"key=value key=value\" "
				    "or a postgresql:// address");
	}
	for (const PQconninfoOption *o = options; o && o->keyword; o++)
		if (o->dispchar[0] == '*' && o->val) /* libpq hides its value */
			complain_at(r, s,
				    strcmp(o->keyword, "password") == 0
					    ? "conninfo holds a password: put it into ~/.pgpass of "
					      "the daemon's user, or a systemd credential with "
					      "passfile="
					    : "conninfo holds a password (%s): give a key without "
					      "one that only the daemon's user can read",
				    o->keyword);
	PQconninfoFree(options);
	if (config->timezone && !schedule_timezone_exists(config->timezone))
		complain_at(r, reader_key(r, "timezone"),
			    "timezone \"%s\" is not in this system's time zone database; an "
			    "example is \"Europe/Paris\"",
			    config->timezone);
}

/*
 * Checks the form only, to find typos; the check of the model tries whether age accepts the key.
 * Refuses keys of plugins (age1NAME1...), because age would run another program for them.
 */
static bool is_recipient(const char *text)
{
	static const char *const ssh[] = {"ssh-ed25519 AAAA", "ssh-rsa AAAA"};
	static const char bech32[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
	static const size_t x25519_length = 62;

	for (size_t i = 0; i < LENGTH(ssh); i++)
		if (strncmp(text, ssh[i], strlen(ssh[i])) == 0)
			return true;
	return strncmp(text, "age1", 4) == 0 && strlen(text) == x25519_length &&
	       4 + strspn(text + 4, bech32) == x25519_length;
}

static void check_archives(const struct reader *r, struct config *config)
{
	const config_setting_t *s = reader_key(r, "recipients");

	for (size_t i = 0; i < config->n_recipients; i++)
		if (!is_recipient(config->recipients[i]))
			complain_at(r, config_setting_get_elem(s, (unsigned int)i),
				    "recipients: \"%s\" is not a public key of age (age1..., as "
				    "age-keygen prints it) or SSH (ssh-ed25519, ssh-rsa)",
				    /* Keeps a private key, pasted by mistake, out of the log. */
				    strncasecmp(config->recipients[i], "AGE-SECRET", 10) == 0
					    ? "AGE-SECRET-..."
					    : config->recipients[i]);
	if (config->web_socket &&
	    strlen(config->web_socket) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		complain_at(
			r, reader_key(r, "web_socket"),
			"web_socket \"%s\" is longer than the path of a socket may be, 107 bytes",
			config->web_socket);
}

/* Is it an address with a port that only this host can reach?  Metrics are not for others. */
static bool is_loopback(const char *listen)
{
	const char *colon = strrchr(listen, ':');
	AUTO(char_p) char *host = colon ? strndup(listen, (size_t)(colon - listen)) : NULL;
	const size_t n = host ? strlen(host) : 0;
	struct in6_addr six;
	struct in_addr four;
	int64_t port;

	if (!host || !number_parse(colon + 1, 1, 65535, &port))
		return false;
	if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		return inet_pton(AF_INET6, host + 1, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
	}
	return inet_pton(AF_INET, host, &four) == 1 && ntohl(four.s_addr) >> 24 == 127;
}

static void check_metrics(const struct reader *r, struct config *config)
{
	const char *file = config->metrics_textfile, *dot = file ? strrchr(file, '.') : NULL;

	if (file && (file[0] != '/' || !dot || strcmp(dot, ".prom") != 0))
		complain_at(r, reader_key(r, "textfile"),
			    "textfile \"%s\" must begin with / and end in .prom, because "
			    "node_exporter reads only such files",
			    file);
	if (config->metrics_listen && !is_loopback(config->metrics_listen))
		complain_at(r, reader_key(r, "listen"),
			    "listen \"%s\" is not a loopback address with a port: "
			    "\"127.0.0.1:9187\" or \"[::1]:9187\"",
			    config->metrics_listen);
}

static void check_limits(const struct reader *r, struct config *config)
{
	config->integrity_place = reader_place(r, reader_key(r, "integrity"));
}

/* Whether the program is there is for the daemon's user to say, who runs it: job/mode_check.c. */
static void check_notify(const struct reader *r, struct config *config)
{
	config->notify_place = reader_place(r, reader_key(r, "command"));
	if (config->n_notify_command > 0 && config->notify_command[0][0] != '/')
		complain_at(r, reader_key(r, "command"),
			    "command: \"%s\" must begin with /: the program is looked for nowhere, "
			    "and no shell runs it",
			    config->notify_command[0]);
	for (size_t i = 0; i < config->n_notify_on; i++)
		if (text_index(config->notify_on[i], notice_names, NOTICE_COUNT) == NOTICE_COUNT)
			complain_at(r, reader_key(r, "on"), "on: \"%s\" is not an event%s",
				    config->notify_on[i],
				    nearest_name_hint(r->ctx, config->notify_on[i], notice_names,
						      NOTICE_COUNT));
}

static void check_page(const struct reader *r, struct config *config)
{
	for (size_t i = 0; i < config->n_page_actions; i++)
		if (action_parse(config->page_actions[i]) == ACTION_COUNT)
			complain_at(r, reader_key(r, "actions"),
				    "actions: \"%s\" is not an action%s", config->page_actions[i],
				    nearest_name_hint(r->ctx, config->page_actions[i], action_names,
						      ACTION_COUNT));
	for (size_t i = 0; i < config->n_page_archives; i++)
		if (archive_mode_parse(config->page_archives[i]) == ARCHIVE_MODE_COUNT)
			complain_at(r, reader_key(r, "archives"),
				    "archives: \"%s\" is not none, listed or full",
				    config->page_archives[i]);
	if (config->page_shortest.count > 0 && page_months(&config->page_shortest) == 0)
		complain_at(
			r, reader_key(r, "shortest"),
			"shortest must be months or years, at most 100 years: by days a depth of "
			"the page, which is in months, cannot be compared");
}

const struct config_group config_groups[] = {
	{"database", database_specs, check_database}, {"archives", archives_specs, check_archives},
	{"limits", limits_specs, check_limits},       {"metrics", metrics_specs, check_metrics},
	{"notify", notify_specs, check_notify},       {"backups", backups_specs, NULL},
	{"page_policies", page_specs, check_page},    {0},
};

void groups_read(const struct reader *r, struct config *config)
{
	settings_read(r, top_specs, config);
	config->database_place = reader_place(r, reader_key(r, "database"));
	config->archives_place = reader_place(r, reader_key(r, "archives"));
	for (const struct config_group *g = config_groups; g->key; g++) {
		const config_setting_t *s = reader_key(r, g->key);
		const struct reader inner = reader_in(r, s, g->key);

		if (s && !config_setting_is_group(s)) {
			complain_at(r, s, "%s must be a group: %s: { ... };", g->key, g->key);
		} else if (s) {
			settings_read(&inner, g->specs, config);
			if (g->check)
				g->check(&inner, config);
		}
	}
	if (config->pages && !reader_key(r, "page_policies"))
		complain_at(r, reader_key(r, "policies_from"),
			    "policies_from \"file+page\" needs the group page_policies: it says "
			    "which policies the page may make");
}
