/*
 * setup: makes a database ready for a first preview.  The steps are commands that can be given by hand, and setup
 * prints them; with --apply it gives them to the shell, exactly as printed.  Each is left out where it is done, so that
 * setup can be repeated after a failure.  It never writes over a file, and it starts no daemon.
 *
 * The steps that speak to the database run as the caller where the connection string names a server or a user, else as
 * the system's user postgres, as the manual's steps do.
 */
#include "command/command.h"

#include "base/process.h"
#include "base/sql.h"
#include "base/text.h"
#include "config/instance.h"

#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SUPERUSER "postgres"
#define ROLE "retentiond"
#define SERVICE "retentiond" /* the user of the service */
#define STATE "/var/lib/retentiond"
#define ZONES "/usr/share/zoneinfo/"
#define SUFFIX ".conf"
#define STEPS 8
#define LINE_MAX_BYTES 200

struct setup {
	struct command *cmd;
	void *ctx;
	const char *as; /* before a command that speaks to the database */
	const char *conninfo; /* as the caller gave it, quoted for the shell */
	char *service; /* the connection string of the daemon */
	const char *database, *role;
	const char *config, *model; /* files */
	const char *models, *archives; /* folders */
	bool is_service; /* the configuration is one that the service's unit reads */
	const char *contact, *request, *depth;
};

struct step {
	const char *title;
	const char *line; /* for the shell */
	const char *unless; /* for the shell: 0, it is done already; NULL: done again each time */
	bool may_complain; /* it only shows, and stops nothing */
};

/* A word of the shell: as it is, or in single quotes. */
static const char *word(void *ctx, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_-./=:@%+,";
	char *out;

	if (*text && text[strspn(text, plain)] == '\0')
		return text;
	out = t_strdup(ctx, "'");
	for (; *text; text++)
		t_append(&out, *text == '\'' ? "'\\''" : "%c", *text);
	return t_append(&out, "'");
}

/* One line of the terminal, without its newline; NULL: there is none. */
static const char *ask(void *ctx, const char *question)
{
	char line[LINE_MAX_BYTES];

	printf("%s: ", question);
	(void)fflush(stdout); /* checked at the end */
	if (!fgets(line, sizeof(line), stdin))
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	return *line ? t_strdup(ctx, line) : NULL;
}

/* Takes the option, or asks for it. */
static bool take(const struct setup *s, const char *option, const char *question, const char **ret,
		 struct error *err)
{
	const char *value = option ? option : isatty(STDIN_FILENO) ? ask(s->ctx, question) : NULL;

	*ret = "";
	if (!value)
		return fail(
			err, ERR_USAGE, "%s",
			_("give -d CONNINFO, --contact TABLE, --request TABLE and --depth PERIOD"));
	for (const char *c = value; *c; c++)
		if (text_control(c) > 0)
			return fail(err, ERR_USAGE, _("\"%s\" holds a control character"),
				    text_one_line(t_strdup(s->ctx, value)));
	*ret = value;
	return true;
}

/* Appends key='value' to a connection string. */
static void append_setting(char **conninfo, const char *key, const char *value)
{
	t_append(conninfo, "%s%s=", **conninfo ? " " : "", key);
	if (*value && value[strcspn(value, " '\\")] == '\0') {
		t_append(conninfo, "%s", value);
		return;
	}
	t_append(conninfo, "'");
	for (; *value; value++)
		t_append(conninfo, "%s%c", strchr("'\\", *value) ? "\\" : "", *value);
	t_append(conninfo, "'");
}

static void read_settings(struct setup *s, const PQconninfoOption *settings)
{
	char *service = t_strdup(s->ctx, "");
	bool elsewhere = false;

	for (const PQconninfoOption *o = settings; o->keyword; o++) {
		if (!o->val)
			continue;
		if (strcmp(o->keyword, "dbname") == 0)
			s->database = t_strdup(s->ctx, o->val);
		elsewhere = elsewhere || strcmp(o->keyword, "host") == 0 ||
			    strcmp(o->keyword, "hostaddr") == 0 ||
			    strcmp(o->keyword, "service") == 0 || strcmp(o->keyword, "user") == 0;
		if (strcmp(o->keyword, "user") != 0 && strncmp(o->keyword, "pass", 4) != 0)
			append_setting(&service, o->keyword, o->val);
	}
	s->service = service;
	s->as = elsewhere ? "" : "runuser -u " SUPERUSER " -- ";
}

/* What the connection string says: whose the database steps are, and how the daemon is to connect. */
static bool read_conninfo(struct setup *s, const char *conninfo, struct error *err)
{
	const char *whole = strchr(conninfo, '=') || strstr(conninfo, "://")
				    ? conninfo
				    : t_printf(s->ctx, "dbname=%s", conninfo);
	char *why = NULL;
	PQconninfoOption *settings = PQconninfoParse(whole, &why);

	if (!settings)
		(void)fail(err, ERR_USAGE, "-d: %s",
			   text_one_line(t_strdup(s->ctx, why ? why : "?")));
	PQfreemem(why);
	if (!settings)
		return false;
	read_settings(s, settings);
	PQconninfoFree(settings);
	s->conninfo = word(s->ctx, whole);
	return s->database ||
	       fail(err, ERR_USAGE, "%s", _("-d names no database: say dbname=NAME"));
}

/* This host's time zone, as its link says; UTC where there is none. */
static const char *time_zone(void *ctx)
{
	char target[PATH_MAX];
	const ssize_t n = readlink("/etc/localtime", target, sizeof(target) - 1);
	const char *name;

	target[n > 0 ? n : 0] = '\0';
	name = strstr(target, ZONES);
	return name ? t_strdup(ctx, name + strlen(ZONES)) : "UTC";
}

/* The configuration: a policy that waits for a person at each pass. */
static const char *configuration(const struct setup *s)
{
	const struct command_options *o = &s->cmd->options;

	return t_printf(
		s->ctx,
		"# Written by retentionctl setup; all keys: retentiond.conf(5).\n"
		"database: { conninfo = %s; timezone = %s; };\n"
		"archives: { directory = %s; keep = \"5 years\"; };\n"
		"@include %s\n"
		"policies = (\n"
		"  { name = \"first\"; action = %s; depth = %s; schedule = \"monthly\";\n"
		"    archive = \"full\"; approval = true; } # each pass waits for a person\n"
		");\n",
		text_quoted(s->ctx, s->service), text_quoted(s->ctx, time_zone(s->ctx)),
		text_quoted(s->ctx, s->archives), text_quoted(s->ctx, s->model),
		text_quoted(s->ctx, o->action ? o->action : "delete_contacts"),
		text_quoted(s->ctx, s->depth));
}

/* The files, named after the configuration; returns its name without folder and ending. */
static const char *name_files(struct setup *s)
{
	const char *slash;
	char *stem;

	s->config = s->cmd->path ? s->cmd->path
				 : t_printf(s->ctx, SYSCONFDIR "/retentiond/%s.conf", s->database);
	slash = strrchr(s->config, '/');
	stem = t_strdup(s->ctx, slash ? slash + 1 : s->config);
	if (strlen(stem) > strlen(SUFFIX) &&
	    strcmp(stem + strlen(stem) - strlen(SUFFIX), SUFFIX) == 0)
		stem[strlen(stem) - strlen(SUFFIX)] = '\0';
	s->models =
		t_printf(s->ctx, "%.*smodels", slash ? (int)(slash + 1 - s->config) : 0, s->config);
	s->model = t_printf(s->ctx, "%s/%s-draft" SUFFIX, s->models, stem);
	s->is_service = instance_name(s->ctx, s->config) != NULL;
	s->archives = s->is_service ? t_printf(s->ctx, STATE "/%s", stem)
				    : t_printf(s->ctx, "%.*sarchives",
					       slash ? (int)(slash + 1 - s->config) : 0, s->config);
	return stem;
}

/*
 * Names the daemon's role in its connection string, except where that is the name of its user: people who read the
 * configuration connect as themselves then.
 */
static void name_role(struct setup *s)
{
	if (!s->is_service || !*s->as || strcmp(s->role, SERVICE) != 0)
		append_setting(&s->service, "user", s->role);
}

/* retentionctl or psql on the database, as the one who may. */
static const char *on_database(const struct setup *s, const char *command, const char *arguments)
{
	return t_printf(s->ctx, "%s%s -d %s %s", s->as, command, s->conninfo, arguments);
}

/* A line that makes a file, which is there whole or not at all; one that is there stays. */
static const char *into(const struct setup *s, const char *line, const char *file)
{
	const char *part = word(s->ctx, t_printf(s->ctx, "%s.part", file));

	return t_printf(s->ctx, "%s > %s && mv -n %s %s", line, part, part, word(s->ctx, file));
}

static struct step draft_step(const struct setup *s)
{
	const struct command_options *o = &s->cmd->options;
	char *arguments = t_printf(s->ctx, "model draft --contact %s --request %s",
				   word(s->ctx, s->contact), word(s->ctx, s->request));

	if (o->date)
		t_append(&arguments, " --date %s", word(s->ctx, o->date));
	t_append(&arguments, " --samples");
	return (struct step){
		.title = N_("A draft of the model of your tables"),
		.line = t_printf(s->ctx, "mkdir -p %s && %s", word(s->ctx, s->models),
				 into(s, on_database(s, "retentionctl", arguments), s->model)),
		.unless = t_printf(s->ctx, "test -e %s", word(s->ctx, s->model))};
}

/* The unit makes the folder, too, but the check before the first start wants it. */
static struct step archives_step(const struct setup *s)
{
	const char *folder = word(s->ctx, s->archives);

	return (struct step){.title = N_("The folder of the archives"),
			     .line = t_printf(s->ctx, "install -d -m 0750%s %s",
					      s->is_service ? " -o " SERVICE " -g " SERVICE : "",
					      folder),
			     .unless = t_printf(s->ctx, "test -d %s", folder)};
}

static struct step role_step(const struct setup *s)
{
	const char *create = t_printf(s->ctx, "CREATE ROLE %s LOGIN", sql_ident(s->ctx, s->role));
	const char *find = t_printf(s->ctx, "SELECT 1 FROM pg_roles WHERE rolname = %s",
				    sql_literal(s->ctx, s->role));

	return (struct step){
		.title = N_("The daemon's role, which has no rights yet"),
		.line = on_database(s, "psql -Xq", t_printf(s->ctx, "-c %s", word(s->ctx, create))),
		.unless = on_database(s, "psql -XAtq",
				      t_printf(s->ctx, "-c %s | grep -q 1", word(s->ctx, find)))};
}

/* Fills steps; returns how many there are. */
static size_t plan_steps(const struct setup *s, struct step steps[STEPS])
{
	const char *config = word(s->ctx, s->config);
	const char *by_config = t_printf(s->ctx, "retentionctl -c %s", config);
	const char *grants = t_printf(s->ctx, "grants %s", word(s->ctx, s->role));
	const char *text = word(s->ctx, configuration(s));
	const struct step planned[STEPS] = {
		{N_("The schema retention"), on_database(s, "retentionctl", "migrate"), NULL,
		 false},
		role_step(s),
		draft_step(s),
		{N_("The configuration"),
		 into(s, t_printf(s->ctx, "printf %%s %s", text), s->config),
		 t_printf(s->ctx, "test -e %s", config), false},
		archives_step(s),
		{N_("What the role may do"),
		 t_printf(s->ctx, "set -o pipefail; %s | %s", on_database(s, by_config, grants),
			  on_database(s, "psql -Xq -v ON_ERROR_STOP=1", "-1 -o /dev/null -f -")),
		 NULL, true},
		{N_("What is left to decide"), on_database(s, by_config, "model check"), NULL,
		 true},
		{N_("What a pass would touch"), on_database(s, by_config, "preview first"), NULL,
		 true},
	};

	memcpy(steps, planned, sizeof(planned));
	return STEPS;
}

/* Gives a line to the shell; its exit status, or -1. */
static int run_line(const char *line, struct error *err)
{
	const char *const argv[] = {"bash", "-c", line, NULL};
	const struct process_opts opts = {.argv = argv, .in = STDIN_FILENO, .out = STDOUT_FILENO};
	struct process process = {0};
	struct process_result result;

	(void)fflush(stdout); /* what was printed comes first; checked at the end */
	if (!process_start(&opts, &process, err))
		return -1;
	process_end(&process, 0, &result);
	return WIFEXITED(result.status) ? WEXITSTATUS(result.status) : -1;
}

static bool run_step(const struct step *step, struct error *err)
{
	int status;

	if (step->unless && run_line(step->unless, err) == 0) {
		puts(_("is done already"));
		return true;
	}
	if (err->class != ERR_NONE)
		return false;
	status = run_line(step->line, err);
	if (status == 0 || (status > 0 && step->may_complain))
		return true;
	return err->class == ERR_NONE &&
	       fail(err, ERR_ENVIRONMENT,
		    _("this step has failed (exit status %d): mend it, and call setup again; what "
		      "is done is left out"),
		    status);
}

/* The programs of this folder are found first; what is written can be read by the daemon's user. */
static void prepare(const struct setup *s)
{
	char self[PATH_MAX];
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *path = getenv("PATH");

	(void)umask(0022); /* cannot fail */
	self[n > 0 ? n : 0] = '\0';
	must_alloc(setenv("PATH",
			  t_printf(s->ctx, "%s:%s", dirname(self), path ? path : "/usr/bin:/bin"),
			  1) < 0
			   ? NULL
			   : s->ctx);
}

static void print_end(const struct setup *s, const char *stem)
{
	printf(_("\n# Then: decide each question that is marked in %s, until this prints \"configuration OK\":\n"),
	       s->model);
	printf("%sretentiond -t -c %s\n", s->is_service ? "runuser -u " SERVICE " -- " : "",
	       word(s->ctx, s->config));
	printf(_(
		"# and start: each pass of the policy \"first\" waits for a person's validation\n"));
	if (s->is_service)
		printf("systemctl enable --now retentiond@%s\n", word(s->ctx, stem));
	else
		printf("retentiond -c %s\n", word(s->ctx, s->config));
}

bool command_setup(struct command *cmd, struct error *err)
{
	const struct command_options *o = &cmd->options;
	struct setup s = {.cmd = cmd, .ctx = cmd->ctx, .role = o->role ? o->role : ROLE};
	struct step steps[STEPS];
	const char *conninfo, *stem;
	size_t n;

	if (!take(&s, cmd->conninfo, _("database (a name, or a libpq connection string)"),
		  &conninfo, err) ||
	    !take(&s, o->contact, _("table of the contacts"), &s.contact, err) ||
	    !take(&s, o->request, _("table of the requests"), &s.request, err) ||
	    !take(&s, o->depth, _("how long they are kept (36 months)"), &s.depth, err) ||
	    !read_conninfo(&s, conninfo, err))
		return false;
	stem = name_files(&s);
	name_role(&s);
	if (o->apply && *s.as && geteuid() != 0)
		return fail(err, ERR_USAGE, "%s",
			    _("call setup --apply as root: its steps change to the user postgres"));
	n = plan_steps(&s, steps);
	if (!o->apply)
		puts(_("# Nothing is done.  --apply gives these commands to the shell, as root."));
	prepare(&s);
	for (size_t i = 0; i < n; i++) {
		printf("\n# %zu. %s\n%s\n", i + 1, _(steps[i].title), steps[i].line);
		if (o->apply && !run_step(&steps[i], err))
			return false;
	}
	print_end(&s, stem);
	return true;
}
