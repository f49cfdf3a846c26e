/* retentionctl: the common options and the table of commands. */
#include "command/command.h"

#include "base/log.h"
#include "base/process.h"
#include "base/version.h"
#include "config/instance.h"

#include <langinfo.h>
#include <locale.h>

static const struct command_spec commands[] = {
	{"setup",
	 " [--contact TABLE] [--request TABLE] [--depth PERIOD] [--action ACTION] [--date COLUMN] [--role ROLE] [--apply]",
	 N_("print, or give, the commands from a database to a first preview; asks what is not given"),
	 NEEDS_NOTHING, .run = command_setup},
	{"migrate", " [--dry-run]", N_("create or update the schema retention"), NEEDS_DATABASE,
	 .run = command_migrate, .any_schema = true},
	{"model draft",
	 " --contact TABLE --request TABLE [--request-by COLUMN] [--date COLUMN] [--samples]",
	 N_("print a model to start from, made from the database's catalog"), NEEDS_DATABASE,
	 .run = command_model_draft, .any_schema = true,
	 .give = N_("give --contact TABLE and --request TABLE")},
	{"model check", " [--json]",
	 N_("compare the model with the database: what it covers, what is refused, what to look at"),
	 NEEDS_CONFIG, .run = command_model_check, .any_schema = true},
	{"grants", " [ROLE] [--auditor] [--operator]",
	 N_("print the GRANTs that the daemon's role needs for the model, or a person who reads"),
	 NEEDS_CONFIG, .run = command_grants, .any_schema = true,
	 .give = N_("give one role at most"), .check = command_check_grants},
	{"policies", " [--json]",
	 N_("list the policies, also those of the page: depth, last and next occurrence, cutoff"),
	 NEEDS_CONFIG, .run = command_policies},
	{"run", " POLICY",
	 N_("begin a pass of a policy now; it waits for what each pass waits for"), NEEDS_DATABASE,
	 .run = command_run, .give = N_("give the name of one policy")},
	{"policy save",
	 " NAME --action ACTION --depth PERIOD [--schedule TEXT] [--archive none|listed|full] [--note TEXT]",
	 N_("save a policy of the page, or a new version of it; it runs when it is validated"),
	 NEEDS_DATABASE, .run = command_policy_save,
	 .give = N_("give the name of one policy, --action and --depth"),
	 .check = command_check_policy_save},
	{"policy validate", " NAME --version N --seen COUNT",
	 N_("put the saved version of a policy in force, by the count that was seen"),
	 NEEDS_DATABASE, .run = command_policy_validate,
	 .give = N_("give the name of one policy, --version and --seen")},
	{"policy retire", " NAME [--version N]", N_("retire a policy of the page, or one version"),
	 NEEDS_DATABASE, .run = command_policy_retire, .give = N_("give the name of one policy")},
	{"save",
	 " ACTION --from DATE --to DATE [--archive none|listed|full] [--note TEXT] [--json]",
	 N_("save a manual action for the days from DATE to DATE, at most one month"),
	 NEEDS_DATABASE, .run = command_save, .give = N_("give one action, --from and --to")},
	{"validate", " ID [--seen COUNT]",
	 N_("validate a saved action, so that the daemon runs it"), NEEDS_DATABASE,
	 .run = command_validate},
	{"cancel", " ID", N_("cancel an action that has not begun"), NEEDS_DATABASE,
	 .run = command_cancel},
	{"abandon", " ID --reason TEXT",
	 N_("end an action that cannot go on: done in part, or failed"), NEEDS_DATABASE,
	 .run = command_abandon, .give = N_("give the number of one action, and --reason")},
	{"pause", " [ID]",
	 N_("pause an action, or everything: no batch begins, nothing is started"), NEEDS_DATABASE,
	 .run = command_pause},
	{"resume", " [ID]", N_("end the pause of an action, or of everything"), NEEDS_DATABASE,
	 .run = command_resume},
	{"preview",
	 " POLICY [--as-of DATE] [--json], or ACTION --from DATE --to DATE [--archive MODE] [--json]",
	 N_("show what it would change: rows per table, the first keys"), NEEDS_CONFIG,
	 .run = command_preview, .give = N_("give one policy or one action"),
	 .check = command_check_preview, .grants = " --auditor"},
	{"journal", " [--json]", N_("list all actions, the newest first"), NEEDS_DATABASE,
	 .run = command_journal},
	{"show", " ID [--follow] [--configuration] [--verbose] [--json]",
	 N_("show one action: its row, rows per table, events; or the configuration it was done by"),
	 NEEDS_DATABASE, .run = command_show},
	{"report",
	 " [ID|POLICY] [--from DATE] [--to DATE] [--as-of DATE] [--format text|html|json] [--keys]",
	 N_("print what an action, a policy's passes or all actions of some days have done, for filing; or what a policy would do"),
	 NEEDS_DATABASE, .run = command_report,
	 .give = N_("give the number of one action, the name of one policy, or --from and --to"),
	 .check = command_check_report, .grants = " --auditor"},
	{"archive list", " [--json]", N_("list the archives: type, date, status, file"),
	 NEEDS_DATABASE, .run = command_archive_list},
	{"archive verify", " ID|NAME [--ask] [--json]",
	 N_("check an archive's files against its sums and the journal"), NEEDS_CONFIG,
	 .run = command_archive_verify,
	 .give = N_("give the number of one action, or the name of one archive"),
	 .check = command_check_archive_verify},
	{"archive restore", " ID [--dry-run] [--disable-triggers] [--identity FILE]",
	 N_("restore every row of a deletion from its full archive"), NEEDS_CONFIG,
	 .run = command_archive_restore},
	{"archive delete", " ID|NAME [--note TEXT]",
	 N_("delete an archive for good: the daemon removes its files"), NEEDS_DATABASE,
	 .run = command_archive_delete,
	 .give = N_("give the number of one action, or the name of one archive"),
	 .check = command_check_archive_delete},
	{"hold add", " CONTACT --reason TEXT [--expires DATE] [--review DATE]",
	 N_("place a legal hold, so that no action erases the contact"), USES_CONFIG,
	 .run = command_hold_add, .give = N_("give the key of one contact and --reason")},
	{"hold remove", " CONTACT", N_("release a hold"), NEEDS_DATABASE,
	 .run = command_hold_remove, .give = N_("give the key of one contact")},
	{"hold list", " [--json]", N_("list the holds, with the released ones"), NEEDS_DATABASE,
	 .run = command_hold_list},
	{"health", " [--alive]",
	 N_("ask the daemon of this host how it is: exit status 0, or 1 and what is wrong"),
	 NEEDS_FILE, .run = command_health},
	{"verify", " [--last-hash HASH] [--json]",
	 N_("check the journal: name what was changed, removed or inserted"), NEEDS_DATABASE,
	 .run = command_verify},
	{"residue",
	 " CONTACT [--values FILE], or --sample N; [--action ACTION] [--timeout SECONDS] [--record] "
	 "[--json]",
	 N_("search the database for values of a contact that no action would erase"), NEEDS_CONFIG,
	 .run = command_residue, .any_schema = true,
	 .give = N_("give the key of one contact, or --sample; --values needs a key"),
	 .check = command_check_residue},
	{"replay", " [--yes]",
	 N_("erase again the contacts that a restored backup has brought back, from the ledger's file"),
	 NEEDS_DATABASE, .run = command_replay},
	{"waive", " --reason TEXT",
	 N_("leave what a restored backup has brought back: it is not erased again"),
	 NEEDS_DATABASE, .run = command_waive, .give = N_("give --reason")},
	{"adopt", " --new --reason TEXT, or --replace --reason TEXT",
	 N_("say what a copied or moved database is: a new one, or the one that takes the old one's place"),
	 NEEDS_DATABASE, .run = command_adopt,
	 .give = N_("give either --new or --replace, and --reason"), .check = command_check_adopt},
	{"subject export", " CONTACT [--json]",
	 N_("print all data of one contact that the model reaches, as one JSON document"),
	 NEEDS_CONFIG, .run = command_subject_export, .give = N_("give the key of one contact"),
	 .grants = " --operator"},
	{"subject status", " CONTACT [--json]",
	 N_("show what is known of one contact: due when and by which policy, held, erased"),
	 USES_CONFIG, .run = command_subject_status, .give = N_("give the key of one contact"),
	 .grants = " --auditor"},
	{"subject anonymize", " CONTACT [--note TEXT]", N_("save the anonymization of one contact"),
	 NEEDS_DATABASE, .run = command_subject_anonymize,
	 .give = N_("give the key of one contact")},
	{"subject delete", " CONTACT [--note TEXT]", N_("save the deletion of one contact"),
	 NEEDS_DATABASE, .run = command_subject_delete, .give = N_("give the key of one contact")},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

#define COMMON_USAGE "[-c FILE|NAME] [-d CONNINFO] COMMAND [ARGUMENT ...]"

static void print_usage(FILE *to)
{
	fprintf(to, _("usage: retentionctl %s%s\n"), COMMON_USAGE, "");
	fprintf(to,
		_("  -c, --config FILE   the daemon's configuration, by default %s/retentiond/retentiond.conf;\n"
		  "                      NAME is %s/retentiond/NAME.conf\n"
		  "  -d, --database S    a libpq connection string that replaces the configuration's\n"
		  "      --help          this help; COMMAND --help: help on one command\n"
		  "      --version       the version, and the commit that it was built from\n\n"),
		"" SYSCONFDIR, "" SYSCONFDIR);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(to, "  %s%s\n      %s\n", commands[i].words, commands[i].arguments,
			_(commands[i].help));
}

/* Finds the command that argv begins with; *ret_used is its number of words. */
static const struct command_spec *find_command(void *ctx, int argc, char **argv, int *ret_used)
{
	const char *two = t_printf(ctx, "%s %s", argv[0], argc > 1 ? argv[1] : "");

	for (size_t i = 0; i < COMMANDS; i++) {
		*ret_used = strchr(commands[i].words, ' ') ? 2 : 1;
		if (strcmp(commands[i].words, *ret_used == 2 ? two : argv[0]) == 0)
			return &commands[i];
	}
	return NULL;
}

static bool asks_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0)
			return true;
	return false;
}

static void print_help(const struct command_spec *spec)
{
	printf(_("usage: retentionctl %s%s\n"), spec->words, spec->arguments);
	printf("%s\n", _(spec->help));
	if (spec->needs == NEEDS_CONFIG || spec->needs == NEEDS_FILE)
		puts(_("It reads the configuration (-c)."));
	else if (spec->needs == NEEDS_DATABASE)
		puts(_("It needs the database only: with -d it reads no configuration."));
	puts(_("The manual retentionctl(1) says more."));
}

/* Reads the arguments, and runs the command that they name. */
static bool run(struct command *cmd, int argc, char **argv, struct error *err)
{
	static const struct option longs[] = {{"config", required_argument, NULL, 'c'},
					      {"database", required_argument, NULL, 'd'},
					      {"help", no_argument, NULL, 'h'},
					      {"version", no_argument, NULL, 'V'},
					      {NULL, 0, NULL, 0}};
	int used = 0, c;

	while ((c = command_option(argc, argv, "+:c:d:", longs, err)) != -1) {
		if (c == '?')
			return false;
		if (c == 'h') {
			print_usage(stdout);
			return true;
		}
		if (c == 'V') {
			printf("retentionctl %s\n", program_build);
			return true;
		}
		if (c == 'c')
			cmd->path = instance_path(cmd->ctx, optarg);
		else
			cmd->conninfo = optarg;
	}
	if (optind == argc)
		return fail(err, ERR_USAGE, _("give a command; retentionctl --help lists them"));
	cmd->spec = find_command(cmd->ctx, argc - optind, argv + optind, &used);
	if (!cmd->spec)
		return fail(err, ERR_USAGE,
			    _("there is no command \"%s%s%s\"; retentionctl --help lists them"),
			    argv[optind], optind + 1 < argc ? " " : "",
			    optind + 1 < argc ? argv[optind + 1] : "");
	argc -= optind + used - 1;
	argv += optind + used - 1;
	if (asks_help(argc, argv)) {
		print_help(cmd->spec);
		return true;
	}
	return command_parse(cmd, argc, argv, err) &&
	       (!cmd->spec->check || cmd->spec->check(cmd, err)) && command_open(cmd, err) &&
	       cmd->spec->run(cmd, err);
}

/* Prints what helps against an error of the server: a right, the schema, a name without its schema. */
static void print_hints(const struct command *cmd, const struct error *err)
{
	const char *missing = _("the schema retention is missing: run retentionctl migrate");
	const char *unnamed = _(
		"names of tables, functions and types need their schema in where, scope and due_when, and in the functions that these call: see Predicates in retentiond.conf(5)");
	/* Names are the same in every language of the server. */
	const bool ours = strstr(err->text, "retention.") || strstr(err->text, "\"retention\"");
	const char *const hints[][2] = {
		{"42501",
		 _("grant your role retention_auditor (reads), retention_operator (saves, cancels, holds) or retention_approver (validates, holds)")},
		{"3F000", ours ? missing : unnamed},
		{"42P01", ours ? missing : unnamed},
		{"42883", ours ? missing : unnamed},
		{"42704", unnamed},
	};

	for (size_t i = 0; i < LENGTH(hints); i++)
		if (strcmp(err->sqlstate, hints[i][0]) == 0 && !strstr(err->text, "\nhint: "))
			fprintf(stderr, "%s%s\n", _("\nhint: ") + 1, hints[i][1]);
	if (strcmp(err->sqlstate, "42501") == 0 && cmd->spec && cmd->spec->grants)
		fprintf(stderr,
			_("hint: retentionctl grants%s prints what it needs to read the tables\n"),
			cmd->spec->grants);
}

/* Prints the error on stderr, with the usage or a hint; returns the status. */
static int print_error(const struct command *cmd, const struct error *err)
{
	if (err->class == ERR_NONE)
		return 1;
	fprintf(stderr, "retentionctl: %s\n", err->text);
	print_hints(cmd, err);
	if (err->class != ERR_USAGE)
		return 1;
	fprintf(stderr, _("usage: retentionctl %s%s\n"),
		cmd->spec ? cmd->spec->words : COMMON_USAGE, cmd->spec ? cmd->spec->arguments : "");
	return 2;
}

int main(int argc, char **argv)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct command cmd = {.ctx = ctx};
	AUTO(error) struct error err = {0};
	bool ok, written;
	int status;

	process_forbid_core();
	/* Sessions use UTF-8, so that widths are computed in it, even if the locale is "C". */
	if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		(void)setlocale(LC_CTYPE, "C.UTF-8"); /* without it, every byte has width 1 */
	language_open();
	log_open("retentionctl", false);
	ok = run(&cmd, argc, argv, &err);
	db_close(cmd.db);
	talloc_free(cmd.config);
	written = fflush(stdout) == 0 && !ferror(stdout); /* findings come before the error */
	status = ok ? 0 : print_error(&cmd, &err);
	if (written)
		return status;
	fputs(_("retentionctl: cannot write the output\n"), stderr);
	return 1;
}
