/*
 * A generation: expand the files to one text (config/source.c), let libconfig parse it, read the tree
 * by tables (config/setting.c, config/read_model.c), check what several settings say together.  Nothing
 * outside the new generation is touched, not even TZ: the caller swaps it in when it likes it.
 */
#include "config/config.h"

#include "config/groups.h"
#include "config/read_model.h"
#include "config/setting.h"
#include "config/source.h"
#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#define N_POLICIES_MAX 1000
#define N_RECIPIENTS_MAX 20

#define CONFIG(member) offsetof(struct config, member)
static const struct setting_spec top_specs[] = {
	{.key = "database"}, {.key = "archives"},
	{.key = "limits"},   {.key = "model"},
	{.key = "policies"}, {.key = "four_eyes", .kind = VALUE_BOOL, .offset = CONFIG(four_eyes)},
	{.key = "replay"},   {.key = "metrics"},
	{.key = "backups"},
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
	{.key = "workers", .kind = VALUE_INT, .offset = CONFIG(workers), .min = 1, .max = 16},
	{.key = "batch_rows",
	 .kind = VALUE_INT,
	 .offset = CONFIG(batch_rows),
	 .min = 1,
	 .max = 1000000},
	{.key = "batch_time",
	 .kind = VALUE_DURATION,
	 .offset = CONFIG(batch_time_ms),
	 .min = 10,
	 .max = 60 * 1000},
	{.key = "rows_per_second",
	 .kind = VALUE_INT64,
	 .offset = CONFIG(rows_per_second),
	 .min = 0,
	 .max = 1000000000},
	{.key = "max_replica_lag",
	 .kind = VALUE_DURATION,
	 .offset = CONFIG(max_replica_lag_ms),
	 .min = 0,
	 .max = 24 * 3600 * 1000},
	{.key = "max_wal_backlog_mb",
	 .kind = VALUE_INT64,
	 .offset = CONFIG(max_wal_backlog_mb),
	 .min = 0,
	 .max = 1000000000},
	{.key = "max_snapshot_age",
	 .kind = VALUE_DURATION,
	 .offset = CONFIG(max_snapshot_age_ms),
	 .min = 0,
	 .max = 24 * 3600 * 1000},
	{.key = "pause_file", .kind = VALUE_NAME, .offset = CONFIG(pause_file)},
	{.key = "window",
	 .kind = VALUE_WINDOW,
	 .offset = CONFIG(window),
	 .given = CONFIG(has_window)},
	{.key = "max_share", .kind = VALUE_SHARE, .offset = CONFIG(max_share)},
	{.key = "integrity"},
	{.key = "courtesy", .kind = VALUE_BOOL, .offset = CONFIG(courtesy)},
	{.key = "vacuum", .kind = VALUE_BOOL, .offset = CONFIG(vacuum)},
};

#define POLICY(member) offsetof(struct policy, member)
static const struct setting_spec policy_specs[] = {
	{.key = "name", .kind = VALUE_NAME, .offset = POLICY(name), .required = true},
	{.key = "action", .required = true},
	{.key = "depth", .kind = VALUE_PERIOD, .offset = POLICY(depth), .required = true},
	{.key = "schedule", .kind = VALUE_NAME, .offset = POLICY(schedule_text), .required = true},
	{.key = "archive"},
	{.key = "scope", .kind = VALUE_SQL, .offset = POLICY(scope)},
	{.key = "without_requests"},
	{.key = "approval", .kind = VALUE_BOOL, .offset = POLICY(approval)},
	{.key = "enabled", .kind = VALUE_BOOL, .offset = POLICY(enabled)},
};
#define COUNT(specs) (sizeof(specs) / sizeof((specs)[0]))

/*
 * A password in a file that -t -v prints and support gets mailed is a password lost.  What libpq
 * says of a string that it cannot read may quote it, so that it is not repeated here.
 */
static void check_conninfo(struct reader *r, const config_setting_t *s, const char *conninfo)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);

	if (!options)
		reader_complain(r, s,
				"database: conninfo is no connection string: \"key=value "
				"key=value\" or a postgresql:// address");
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
 * By its form only, which catches a slip; whether age takes it is asked when the model is checked.
 * Plugins (age1NAME1...) would run further programs: they are not among what is accepted.
 */
static bool is_recipient(const char *text)
{
	static const char *const ssh[] = {"ssh-ed25519 AAAA", "ssh-rsa AAAA"};
	static const char bech32[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
	static const size_t x25519_length = 62;

	for (size_t i = 0; i < COUNT(ssh); i++)
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
				"[ \"age1...\", \"ssh-ed25519 ...\" ]; leave it out where archives "
				"are not encrypted",
				N_RECIPIENTS_MAX);
		return;
	}
	recipients = t_array(config, const char *, n);
	for (int i = 0; i < n; i++) {
		const config_setting_t *one = config_setting_get_elem(s, (unsigned int)i);

		recipients[i] = setting_string(r, one, "archives", "recipients", VALUE_NAME);
		if (recipients[i] && !is_recipient(recipients[i]))
			reader_complain(r, one,
					"archives: recipients: \"%s\" is no public key of age "
					"(age1..., as age-keygen prints it) or SSH (ssh-ed25519, "
					"ssh-rsa)",
					/* A private key, pasted by mistake, is not for a log. */
					strncasecmp(recipients[i], "AGE-SECRET", 10) == 0
						? "AGE-SECRET-..."
						: recipients[i]);
	}
	config->recipients = recipients;
	config->n_recipients = (size_t)n;
}

/* A group at the top; NULL when it is not there, or no group. */
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

static void read_limits(struct reader *r, const config_setting_t *group, struct config *config)
{
	static const char *const ways[] = {"triggers", "set"};
	const config_setting_t *s = config_setting_get_member(group, "integrity");

	settings_read(r, group, "limits", limits_specs, COUNT(limits_specs), config);
	if (config->pause_file && config->pause_file[0] != '/')
		reader_complain(r, config_setting_get_member(group, "pause_file"),
				"limits: pause_file \"%s\" does not begin with /",
				config->pause_file);
	if (!s)
		return;
	config->integrity_place = reader_place(r, s);
	config->integrity_set = setting_choice(r, s, "limits", "integrity", ways, COUNT(ways)) == 1;
}

static void read_groups(struct reader *r, const config_setting_t *root, struct config *config)
{
	static const char *const replays[] = {"manual", "automatic"};
	const config_setting_t *group = top_group(r, root, "database");
	const config_setting_t *s;

	config->database_place = reader_place(r, group);
	if (group) {
		settings_read(r, group, "database", database_specs, COUNT(database_specs), config);
		if (config->conninfo)
			check_conninfo(r, config_setting_get_member(group, "conninfo"),
				       config->conninfo);
		if (config->timezone && !schedule_timezone_exists(config->timezone))
			reader_complain(
				r, config_setting_get_member(group, "timezone"),
				"database: timezone \"%s\": this system's zone database has "
				"no such zone; \"Europe/Paris\" is one",
				config->timezone);
	}
	group = top_group(r, root, "archives");
	config->archives_place = reader_place(r, group);
	if (group) {
		settings_read(r, group, "archives", archives_specs, COUNT(archives_specs), config);
		s = config_setting_get_member(group, "delimiter");
		if (s)
			read_delimiter(r, s, &config->delimiter);
		s = config_setting_get_member(group, "recipients");
		if (s)
			read_recipients(r, s, config);
		if (config->directory && config->directory[0] != '/')
			reader_complain(r, config_setting_get_member(group, "directory"),
					"archives: directory \"%s\" does not begin with /",
					config->directory);
	}
	group = top_group(r, root, "metrics");
	if (group)
		config_read_metrics(r, group, config);
	group = top_group(r, root, "backups");
	if (group)
		config_read_backups(r, group, config);
	s = config_setting_get_member(root, "replay");
	if (s)
		config->replay_automatic =
			setting_choice(r, s, NULL, "replay", replays, COUNT(replays)) == 1;
	group = top_group(r, root, "limits");
	if (group)
		read_limits(r, group, config);
}

static bool is_policy_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";

	return strlen(name) <= 63 && name[strspn(name, allowed)] == '\0';
}

static void read_action(struct reader *r, const config_setting_t *group, const char *what,
			struct policy *policy)
{
	const config_setting_t *action = config_setting_get_member(group, "action");
	const config_setting_t *archive = config_setting_get_member(group, "archive");
	const char *actions[ACTION_COUNT], *modes[ARCHIVE_MODE_COUNT];

	for (enum action a = 0; a < ACTION_COUNT; a++)
		actions[a] = action_name(a);
	for (enum archive_mode m = 0; m < ARCHIVE_MODE_COUNT; m++)
		modes[m] = archive_mode_name(m);
	policy->action = ACTION_COUNT;
	if (action)
		policy->action = (enum action)setting_choice(r, action, what, "action", actions,
							     ACTION_COUNT);
	policy->archive = policy->action == ACTION_EXPORT ? ARCHIVE_LISTED : ARCHIVE_NONE;
	if (!archive)
		return;
	policy->archive = (enum archive_mode)setting_choice(r, archive, what, "archive", modes,
							    ARCHIVE_MODE_COUNT);
	if (policy->archive == ARCHIVE_MODE_COUNT || policy->action == ACTION_COUNT)
		return;
	if (policy->action == ACTION_EXPORT && policy->archive == ARCHIVE_NONE)
		reader_complain(r, archive,
				"%s: archive \"none\": an export is its archive: say "
				"listed or full",
				what);
	if ((policy->action == ACTION_ANONYMIZE_CONTACTS ||
	     policy->action == ACTION_ANONYMIZE_REQUESTS) &&
	    policy->archive != ARCHIVE_NONE)
		reader_complain(r, archive,
				"%s: archive \"%s\": an anonymization leaves nothing to "
				"go back to: leave archive out",
				what, archive_mode_name(policy->archive));
}

static void read_without_requests(struct reader *r, const config_setting_t *s, const char *what,
				  const struct model *model, struct policy *policy)
{
	static const char *const names[] = {"created"};

	if (setting_choice(r, s, what, "without_requests", names, 1) == 1)
		return;
	policy->without_requests = true;
	if (policy->action == ACTION_ANONYMIZE_REQUESTS)
		reader_complain(r, s,
				"%s: without_requests is about contacts: "
				"anonymize_requests treats requests",
				what);
	else if (model->contact && !model->contact->created)
		reader_complain(r, s,
				"%s: without_requests needs created in table \"contact\" of "
				"the model",
				what);
}

static void read_policy(struct reader *r, const config_setting_t *group, struct config *config,
			struct policy *policy)
{
	const config_setting_t *s = config_setting_get_member(group, "name");
	const char *name = s ? config_setting_get_string(s) : NULL;
	char *what = name && is_policy_name(name)
			     ? t_printf(config, "policy \"%s\"", name)
			     : t_printf(config, "policy %zu", config->n_policies + 1);
	const char *why;

	*policy = (struct policy){.place = reader_place(r, group), .enabled = true};
	settings_read(r, group, what, policy_specs, COUNT(policy_specs), policy);
	if (policy->name && !is_policy_name(policy->name))
		reader_complain(r, s,
				"%s: name \"%s\" is not 1 to 63 letters, digits, dots, - and _",
				what, policy->name);
	for (size_t i = 0; policy->name && i < config->n_policies; i++)
		if (config->policies[i].name && strcmp(config->policies[i].name, policy->name) == 0)
			reader_complain(r, s, "%s: there is one of that name already, at %s:%d",
					what, config->policies[i].place.file,
					config->policies[i].place.line);
	read_action(r, group, what, policy);
	if (policy->schedule_text &&
	    !schedule_parse(policy->schedule_text, &policy->schedule, &why))
		reader_complain(r, config_setting_get_member(group, "schedule"),
				"%s: schedule \"%s\": %s", what, policy->schedule_text, why);
	s = config_setting_get_member(group, "without_requests");
	if (s)
		read_without_requests(r, s, what, &config->model, policy);
	if (policy->action == ACTION_ANONYMIZE_CONTACTS ||
	    policy->action == ACTION_ANONYMIZE_REQUESTS)
		model_require_rules(r, group, what, &config->model, policy->action);
}

static void read_policies(struct reader *r, const config_setting_t *list, struct config *config)
{
	const int n = config_setting_is_list(list) ? config_setting_length(list) : -1;

	/* libconfig reads () as a list, and [] as an array: both hold no policy. */
	if (config_setting_is_array(list) && config_setting_length(list) == 0)
		return;
	if (n < 0 || n > N_POLICIES_MAX) {
		reader_complain(r, list,
				"policies must be a list of at most %d groups: ( { ... }, "
				"{ ... } )",
				N_POLICIES_MAX);
		return;
	}
	config->policies = t_array(config, struct policy, n);
	for (int i = 0; i < n; i++) {
		const config_setting_t *group = config_setting_get_elem(list, (unsigned int)i);

		if (config_setting_is_group(group))
			read_policy(r, group, config, &config->policies[config->n_policies]);
		else
			reader_complain(r, group, "policy %d must be a group: { name = \"...\"; }",
					i + 1);
		config->n_policies++;
	}
}

/* Once per table, in the name of the first policy that reaches it: contacts reach all. */
static void check_answers(struct reader *r, const config_setting_t *group,
			  const struct config *config)
{
	const struct model *model = &config->model;
	const struct policy *first[ACTION_COUNT + 1] = {NULL};
	const struct policy *policy;
	const struct table *root;
	char *what;

	for (size_t i = config->n_policies; i-- > 0;)
		if (config->policies[i].name)
			first[config->policies[i].action] = &config->policies[i];
	policy = first[ACTION_ANONYMIZE_CONTACTS];
	root = model->contact;
	if (!policy) {
		policy = first[ACTION_ANONYMIZE_REQUESTS];
		root = model->request;
	}
	if (!policy || !root)
		return;
	what = t_printf(r->findings->ctx, "policy \"%s\"", policy->name);
	model_require_answers(r, group, what, model, root);
}

/* is_whole: no include is missing, so that what is not there is really not there. */
static void read_tree(struct reader *r, const config_setting_t *root, struct config *config,
		      bool is_whole)
{
	static const char *const required[] = {"database", "archives", "model"};
	const config_setting_t *model = config_setting_get_member(root, "model");
	const config_setting_t *policies = config_setting_get_member(root, "policies");

	settings_read(r, root, NULL, top_specs, COUNT(top_specs), config);
	for (size_t i = 0; is_whole && i < COUNT(required); i++)
		if (!config_setting_get_member(root, required[i]))
			reader_complain(r, root, "group %s is missing", required[i]);
	read_groups(r, root, config);
	if (model)
		model_read(r, model, &config->model);
	if (policies)
		read_policies(r, policies, config);
	if (model && policies)
		check_answers(r, model, config);
}

static void parse_text(struct config *config, struct findings *f)
{
	const bool is_whole = f->n == 0;
	struct config_text text;
	struct reader r = {.ctx = config, .text = &text, .findings = f};
	config_t tree;
	struct place at;
	unsigned int line;

	if (!config_text_map(config, config->path, config->text, &text, f))
		return;
	config_init(&tree);
	if (config_read_string(&tree, config->text)) {
		read_tree(&r, config_root_setting(&tree), config, is_whole);
	} else {
		line = (unsigned int)config_error_line(&tree);
		at = config_text_place(&text, line);
		findings_add(f, line, &at, "%s, here or shortly before", config_error_text(&tree));
	}
	config_destroy(&tree);
}

static struct config *config_new(const char *path, const char *text)
{
	struct config *config = t_zero(NULL, struct config);
	const size_t length = strlen(text);

	config->path = t_strdup(config, path);
	/* libconfig takes a comment only when a newline ends it. */
	config->text = length && text[length - 1] == '\n' ? t_strdup(config, text)
							  : t_printf(config, "%s\n", text);
	config->delimiter = ';';
	config->bom = true;
	config->workers = 2;
	config->batch_rows = 10000;
	config->batch_time_ms = 250;
	config->metrics_interval_ms = 15 * 60 * 1000;
	config->max_replica_lag_ms = 10 * 1000;
	config->max_wal_backlog_mb = 4096;
	config->courtesy = true;
	config->max_share = 0.25;
	return config;
}

/* Parses text, which may be NULL after findings, and turns the findings into complaints. */
static struct config *config_build(const char *path, const char *text, struct findings *f,
				   struct complaints *c)
{
	struct config *config = NULL;

	if (text) {
		config = config_new(path, text);
		parse_text(config, f);
	}
	if (f->n == 0)
		return config;
	findings_sort(f);
	for (size_t i = 0; i < f->n; i++)
		complain(c, &f->list[i].at, "%s", f->list[i].text);
	talloc_free(config);
	return NULL;
}

struct config *config_load(const char *path, struct complaints *c)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct findings f = {.ctx = ctx};

	return config_build(path, config_text_expand(path, &f), &f, c);
}

struct config *config_parse_text(const char *path, const char *text, struct complaints *c)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct findings f = {.ctx = ctx};

	return config_build(path, text, &f, c);
}

/*
 * Every job of a supervisor inherits the same open file, whose offset they share: it is read by
 * position.  Returns the length, or -1 with errno set; a pipe has no positions and is read on.
 */
static ssize_t read_all(int fd, char *text, size_t size)
{
	size_t length = 0;

	for (;;) {
		ssize_t got = pread(fd, text + length, size - length, (off_t)length);

		if (got < 0 && errno == ESPIPE)
			got = read(fd, text + length, size - length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? got : (ssize_t)length;
		length += (size_t)got;
		if (length == size) {
			errno = EFBIG;
			return -1;
		}
	}
}

struct config *config_read_fd(int fd, struct complaints *c)
{
	const struct place at = {.file = "the inherited configuration"};
	AUTO(char_p) char *text = must_alloc(malloc(CONFIG_TEXT_MAX_BYTES + 1));
	const ssize_t length = read_all(fd, text, CONFIG_TEXT_MAX_BYTES + 1);

	if (length < 0) {
		complain(c, &at, "cannot be read: %s", strerror(errno));
		return NULL;
	}
	text[length] = '\0';
	if (strlen(text) != (size_t)length) {
		complain(c, &at, "holds a NUL byte");
		return NULL;
	}
	if (strncmp(text, "#@ 1 ", 5) == 0) { /* its first marker names the file */
		AUTO(char_p) char *path = must_alloc(strndup(text + 5, strcspn(text + 5, "\n")));

		return config_parse_text(path, text, c);
	}
	return config_parse_text(at.file, text, c);
}

int config_memfd(const struct config *config)
{
	const size_t size = strlen(config->text);
	size_t done = 0;
	int fd = memfd_create("retentiond.conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int saved;

	if (fd < 0)
		return -1;
	while (done < size) {
		const ssize_t put = write(fd, config->text + done, size - done);

		if (put < 0 && errno != EINTR)
			break;
		done += put > 0 ? (size_t)put : 0;
	}
	if (done == size && lseek(fd, 0, SEEK_SET) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
		return fd;
	saved = errno;
	(void)close(fd); /* it was never anybody's */
	errno = saved;
	return -1;
}

const struct policy *config_policy(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_policies; i++)
		if (strcmp(config->policies[i].name, name) == 0)
			return &config->policies[i];
	return NULL;
}
