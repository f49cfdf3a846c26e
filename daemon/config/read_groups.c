/*
 * The settings at the top of a configuration, and its groups except model and policies.
 *
 * libpq is used for one thing: PQconninfoParse() finds a password in a connection string in any of its
 * forms.  It opens no connection, and another parser could overlook a form.
 */
#include "config/read.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <libpq-fe.h>
#include <string.h>

#define N_RECIPIENTS_MAX 20

#define CONFIG(member) offsetof(struct config, member)
#define RANGE(value_kind, member, least, most)                                                     \
	.kind = (value_kind), .offset = CONFIG(member), .min = (least), .max = (most)

static const struct setting_spec top_specs[] = {
	{.key = "database"}, {.key = "archives"},
	{.key = "limits"},   {.key = "metrics"},
	{.key = "backups"},  {.key = "model"},
	{.key = "policies"}, {.key = "four_eyes", .kind = VALUE_BOOL, .offset = CONFIG(four_eyes)},
	{.key = "replay"},
};
static const struct setting_spec database_specs[] = {
	{.key = "conninfo", .kind = VALUE_NAME, .offset = CONFIG(conninfo), .required = true},
	{.key = "timezone", .kind = VALUE_NAME, .offset = CONFIG(timezone), .required = true},
};
static const struct setting_spec archives_specs[] = {
	{.key = "directory", .kind = VALUE_NAME, .offset = CONFIG(directory), .required = true},
	{.key = "delimiter"},
	{.key = "bom", .kind = VALUE_BOOL, .offset = CONFIG(bom)},
	{.key = "recipients"},
	{.key = "keep", .kind = VALUE_PERIOD, .offset = CONFIG(keep), .given = CONFIG(has_keep)},
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
	{.key = "window",
	 .kind = VALUE_WINDOW,
	 .offset = CONFIG(window),
	 .given = CONFIG(has_window)},
	{.key = "max_share", .kind = VALUE_SHARE, .offset = CONFIG(max_share)},
	{.key = "integrity"},
	{.key = "courtesy", .kind = VALUE_BOOL, .offset = CONFIG(courtesy)},
	{.key = "vacuum", .kind = VALUE_BOOL, .offset = CONFIG(vacuum)},
};

static const struct setting_spec metrics_specs[] = {
	{.key = "textfile", .kind = VALUE_NAME, .offset = CONFIG(metrics_textfile)},
	{.key = "listen", .kind = VALUE_NAME, .offset = CONFIG(metrics_listen)},
	{.key = "interval",
	 RANGE(VALUE_DURATION, metrics_interval_ms, 10 * 1000, 24 * 3600 * 1000)},
};
static const struct setting_spec backups_specs[] = {
	{.key = "keep",
	 .kind = VALUE_PERIOD,
	 .offset = CONFIG(backups_keep),
	 .given = CONFIG(has_backups_keep),
	 .required = true},
};

/*
 * Refuses a password, because retentiond -t -v prints the file and people mail it to support.  Does
 * not repeat libpq's message about a string that it cannot read, because that can quote the password.
 */
static void check_conninfo(struct reader *r, const config_setting_t *s, const char *conninfo)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);

	if (!options)
		reader_complain(r, s,
				"database: conninfo is not a connection string: "
				"\"key=value key=value\" or a postgresql:// address");
	for (const PQconninfoOption *o = options; o && o->keyword; o++)
		if (strcmp(o->keyword, "password") == 0 && o->val)
			reader_complain(r, s,
					"database: conninfo holds a password: put it into "
					"~/.pgpass of the daemon's user, or a systemd "
					"credential with passfile=");
	PQconninfoFree(options);
}

static void read_delimiter(struct reader *r, const config_setting_t *s, char *ret)
{
	const char *text = config_setting_get_string(s);

	if (config_setting_type(s) == CONFIG_TYPE_STRING && text && strlen(text) == 1 &&
	    (*text == '\t' || (isascii(*text) && ispunct((unsigned char)*text))) &&
	    !strchr("\"\\", *text))
		*ret = *text;
	else
		reader_complain(r, s,
				"archives: delimiter must be one ASCII character, a tab or "
				"punctuation, and neither a double quote nor a backslash");
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

	for (size_t i = 0; i < sizeof(ssh) / sizeof(ssh[0]); i++)
		if (strncmp(text, ssh[i], strlen(ssh[i])) == 0)
			return true;
	return strncmp(text, "age1", 4) == 0 && strlen(text) == x25519_length &&
	       4 + strspn(text + 4, bech32) == x25519_length;
}

static void read_recipients(struct reader *r, const config_setting_t *s, struct config *config)
{
	const bool is_many = config_setting_is_array(s) || config_setting_is_list(s);
	const int n = is_many ? config_setting_length(s) : -1;
	const char **recipients;

	if (n < 1 || n > N_RECIPIENTS_MAX) {
		reader_complain(r, s,
				"archives: recipients must be an array of 1 to %d strings: "
				"[ \"age1...\", \"ssh-ed25519 ...\" ]; leave it out if archives "
				"are not to be encrypted",
				N_RECIPIENTS_MAX);
		return;
	}
	recipients = t_array(config, const char *, n);
	for (int i = 0; i < n; i++) {
		const config_setting_t *one = config_setting_get_elem(s, (unsigned int)i);

		recipients[i] = setting_string(r, one, "archives", "recipients", VALUE_NAME);
		if (recipients[i] && !is_recipient(recipients[i]))
			reader_complain(
				r, one,
				"archives: recipients: \"%s\" is not a public key of age "
				"(age1..., as age-keygen prints it) or SSH (ssh-ed25519, "
				"ssh-rsa)",
				/* Keeps a private key, pasted by mistake, out of the log. */
				strncasecmp(recipients[i], "AGE-SECRET", 10) == 0 ? "AGE-SECRET-..."
										  : recipients[i]);
	}
	config->recipients = recipients;
	config->n_recipients = (size_t)n;
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

static void read_metrics(struct reader *r, const config_setting_t *group, struct config *config)
{
	const char *file, *dot;

	settings_read(r, group, "metrics", SETTING_SPECS(metrics_specs), config);
	file = config->metrics_textfile;
	dot = file ? strrchr(file, '.') : NULL;
	if (file && (file[0] != '/' || !dot || strcmp(dot, ".prom") != 0))
		reader_complain(r, config_setting_get_member(group, "textfile"),
				"metrics: textfile \"%s\" must begin with / and end in .prom, "
				"because node_exporter reads only such files",
				file);
	if (config->metrics_listen && !is_loopback(config->metrics_listen))
		reader_complain(r, config_setting_get_member(group, "listen"),
				"metrics: listen \"%s\" is not a loopback address with a port: "
				"\"127.0.0.1:9187\" or \"[::1]:9187\"",
				config->metrics_listen);
}

static void read_backups(struct reader *r, const config_setting_t *group, struct config *config)
{
	settings_read(r, group, "backups", SETTING_SPECS(backups_specs), config);
}

static void read_database(struct reader *r, const config_setting_t *group, struct config *config)
{
	settings_read(r, group, "database", SETTING_SPECS(database_specs), config);
	if (config->conninfo)
		check_conninfo(r, config_setting_get_member(group, "conninfo"), config->conninfo);
	if (config->timezone && !schedule_timezone_exists(config->timezone))
		reader_complain(r, config_setting_get_member(group, "timezone"),
				"database: timezone \"%s\" is not in this system's time zone "
				"database; an example is \"Europe/Paris\"",
				config->timezone);
}

static void complain_not_absolute(struct reader *r, const config_setting_t *group, const char *what,
				  const char *key, const char *path)
{
	if (path && path[0] != '/')
		reader_complain(r, config_setting_get_member(group, key),
				"%s: %s \"%s\" does not begin with /", what, key, path);
}

static void read_archives(struct reader *r, const config_setting_t *group, struct config *config)
{
	const config_setting_t *s;

	settings_read(r, group, "archives", SETTING_SPECS(archives_specs), config);
	s = config_setting_get_member(group, "delimiter");
	if (s)
		read_delimiter(r, s, &config->delimiter);
	s = config_setting_get_member(group, "recipients");
	if (s)
		read_recipients(r, s, config);
	complain_not_absolute(r, group, "archives", "directory", config->directory);
}

const char *integrity_name(enum integrity integrity)
{
	static const char *const names[] = {
		[INTEGRITY_AUTO] = "auto",
		[INTEGRITY_SET] = "set",
		[INTEGRITY_TRIGGERS] = "triggers",
	};

	return names[integrity];
}

static void read_limits(struct reader *r, const config_setting_t *group, struct config *config)
{
	const config_setting_t *s = config_setting_get_member(group, "integrity");
	const char *names[INTEGRITY_COUNT];

	settings_read(r, group, "limits", SETTING_SPECS(limits_specs), config);
	if (!s)
		return;
	config->integrity_place = reader_place(r, s);
	for (enum integrity i = 0; i < INTEGRITY_COUNT; i++)
		names[i] = integrity_name(i);
	config->integrity =
		(enum integrity)setting_choice(r, s, "limits", "integrity", names, INTEGRITY_COUNT);
}

/* A group at the top; NULL if it is missing, or after a complaint that it is not a group. */
static const config_setting_t *top_group(struct reader *r, const config_setting_t *root,
					 const char *key)
{
	const config_setting_t *s = config_setting_get_member(root, key);

	if (s && !config_setting_is_group(s)) {
		reader_complain(r, s, "%s must be a group: %s: { ... };", key, key);
		return NULL;
	}
	return s;
}

void groups_read(struct reader *r, const config_setting_t *root, struct config *config)
{
	static const char *const replays[] = {"manual", "automatic"};
	static const struct {
		const char *key;
		void (*read)(struct reader *r, const config_setting_t *group,
			     struct config *config);
	} groups[] = {
		{"database", read_database}, {"archives", read_archives}, {"limits", read_limits},
		{"metrics", read_metrics},   {"backups", read_backups},
	};
	const config_setting_t *s = config_setting_get_member(root, "replay");

	settings_read(r, root, NULL, SETTING_SPECS(top_specs), config);
	if (s)
		config->replay_automatic = setting_choice(r, s, NULL, "replay", replays, 2) == 1;
	config->database_place = reader_place(r, config_setting_get_member(root, "database"));
	config->archives_place = reader_place(r, config_setting_get_member(root, "archives"));
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		s = top_group(r, root, groups[i].key);
		if (s)
			groups[i].read(r, s, config);
	}
}
