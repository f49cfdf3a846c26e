/* retentionctl: the common options and the table of commands. */
#include "command/command.h"

#include "base/log.h"
#include "base/mem.h"

#include <langinfo.h>
#include <locale.h>

enum need { NEEDS_DATABASE, NEEDS_CONFIG };

static const struct command_spec {
	const char *words; /* one word, or two with a blank between them */
	const char *arguments;
	const char *help;
	enum need need;
	int (*run)(struct command *cmd, int argc, char **argv);
} commands[] = {
	{"migrate", "", N_("create or update the schema retention"), NEEDS_DATABASE,
	 command_migrate},
	{"model draft", " --contact TABLE --request TABLE [--date COLUMN] [--samples]",
	 N_("print a model to start from, made from the database's catalog"), NEEDS_DATABASE,
	 command_model_draft},
	{"model check", " [--json]",
	 N_("compare the model with the database: what it covers, what is refused, what to look at"),
	 NEEDS_CONFIG, command_model_check},
	{"grants", " [ROLE]", N_("print the GRANTs that the daemon's role needs for the model"),
	 NEEDS_CONFIG, command_grants},
	{"policies", " [--json]", N_("list the policies: depth, last and next occurrence, cutoff"),
	 NEEDS_CONFIG, command_policies},
	{"save", " ACTION --from DATE --to DATE [--archive none|listed|full]",
	 N_("save a manual action for the days from DATE to DATE, at most one month"),
	 NEEDS_DATABASE, command_save},
	{"validate", " ID", N_("validate a saved action, so that the daemon runs it"),
	 NEEDS_DATABASE, command_validate},
	{"cancel", " ID", N_("cancel a saved action"), NEEDS_DATABASE, command_cancel},
	{"pause", " [ID]",
	 N_("pause an action, or everything: no batch begins, nothing is started"), NEEDS_DATABASE,
	 command_pause},
	{"resume", " [ID]", N_("end the pause of an action, or of everything"), NEEDS_DATABASE,
	 command_resume},
	{"preview",
	 " POLICY [--as-of DATE] [--json], or ACTION --from DATE --to DATE [--archive MODE] [--json]",
	 N_("show what it would change: rows per table, the first keys"), NEEDS_CONFIG,
	 command_preview},
	{"journal", " [--json]", N_("list all actions, the newest first"), NEEDS_DATABASE,
	 command_journal},
	{"show", " ID [--follow] [--json]", N_("show one action: its row, rows per table, events"),
	 NEEDS_DATABASE, command_show},
	{"archive list", " [--json]", N_("list the archives: type, date, status, file"),
	 NEEDS_DATABASE, command_archive_list},
	{"archive verify", " ID", N_("check an archive's files against its sums and the journal"),
	 NEEDS_CONFIG, command_archive_verify},
	{"archive restore", " ID [--dry-run] [--disable-triggers] [--identity FILE]",
	 N_("restore every row of a deletion from its full archive"), NEEDS_CONFIG,
	 command_archive_restore},
	{"archive delete", " ID", N_("delete an archive for good: the daemon removes its files"),
	 NEEDS_DATABASE, command_archive_delete},
	{"hold add", " CONTACT --reason TEXT [--expires DATE] [--review DATE]",
	 N_("place a legal hold, so that no action erases the contact"), NEEDS_DATABASE,
	 command_hold_add},
	{"hold remove", " CONTACT", N_("release a hold"), NEEDS_DATABASE, command_hold_remove},
	{"hold list", " [--json]", N_("list the holds, with the released ones"), NEEDS_DATABASE,
	 command_hold_list},
	{"verify", " [--last-hash HASH] [--json]",
	 N_("check the journal: name what was changed, removed or inserted"), NEEDS_DATABASE,
	 command_verify},
	{"residue",
	 " CONTACT [--values FILE], or --sample N; [--action ACTION] [--timeout SECONDS] [--json]",
	 N_("search the database for values of a contact that no action would erase"), NEEDS_CONFIG,
	 command_residue},
	{"replay", "",
	 N_("erase again the contacts that a restored backup has brought back, from the ledger's file"),
	 NEEDS_DATABASE, command_replay},
	{"subject export", " CONTACT [--json]",
	 N_("print all data of one contact that the model reaches, as one JSON document"),
	 NEEDS_CONFIG, command_subject_export},
	{"subject anonymize", " CONTACT", N_("save the anonymization of one contact"),
	 NEEDS_DATABASE, command_subject_anonymize},
	{"subject delete", " CONTACT", N_("save the deletion of one contact"), NEEDS_DATABASE,
	 command_subject_delete},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *to)
{
	fputs("usage: retentionctl [-c FILE] [-d CONNINFO] COMMAND [ARGUMENT ...]\n"
	      "  -c, --config FILE   the daemon's configuration, by default " SYSCONFDIR
	      "/retentiond/retentiond.conf\n"
	      "  -d, --database S    a libpq connection string that replaces the configuration's\n"
	      "      --help          this help; COMMAND --help: help on one command\n\n",
	      to);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(to, "  %s%s\n      %s\n", commands[i].words, commands[i].arguments,
			_(commands[i].help));
}

/* Finds the command that argv begins with; *ret_used is its number of words. */
static const struct command_spec *find_command(int argc, char **argv, int *ret_used)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		const char *words = commands[i].words;
		const char *blank = strchr(words, ' ');
		const size_t first = blank ? (size_t)(blank - words) : strlen(words);

		if (argc < 1 || strlen(argv[0]) != first || strncmp(argv[0], words, first) != 0)
			continue;
		if (blank && (argc < 2 || strcmp(argv[1], blank + 1) != 0))
			continue;
		*ret_used = blank ? 2 : 1;
		return &commands[i];
	}
	return NULL;
}

static int run_command(struct command *cmd, const struct command_spec *command, int argc,
		       char **argv)
{
	int status;

	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		printf("usage: retentionctl %s\n%s\n", cmd->usage, _(command->help));
		return 0;
	}
	cmd->needs_config = command->need == NEEDS_CONFIG;
	optind = 0; /* glibc: starts again, for the command's own options */
	status = command->run(cmd, argc, argv);
	db_close(cmd->db);
	talloc_free(cmd->config);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fputs(_("retentionctl: cannot write the output\n"), stderr);
		return 1;
	}
	return status;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {{"config", required_argument, NULL, 'c'},
					      {"database", required_argument, NULL, 'd'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	struct command cmd = {.path = SYSCONFDIR "/retentiond/retentiond.conf",
			      .usage = "[-c FILE] [-d CONNINFO] COMMAND [ARGUMENT ...]"};
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const struct command_spec *command;
	int used = 0, c;

	/* Sessions use UTF-8, so that widths are computed in it, even if the locale is "C". */
	if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		(void)setlocale(LC_CTYPE, "C.UTF-8"); /* without it, every byte has width 1 */
	language_open();
	log_open("retentionctl", false);
	while ((c = command_next_option(&cmd, argc, argv, "+:c:d:", longs)) != -1) {
		if (c == '?')
			return 2;
		if (c == 'h') {
			print_usage(stdout);
			return 0;
		}
		if (c == 'c')
			cmd.path = optarg;
		else
			cmd.conninfo = optarg;
	}
	if (optind == argc)
		return command_wrong_use(&cmd, _("give a command; retentionctl --help lists them"));
	command = find_command(argc - optind, argv + optind, &used);
	if (!command)
		return command_wrong_use(
			&cmd, _("there is no command \"%s%s%s\"; retentionctl --help lists them"),
			argv[optind], optind + 1 < argc ? " " : "",
			optind + 1 < argc ? argv[optind + 1] : "");
	cmd.usage = t_printf(ctx, "%s%s", command->words, command->arguments);
	return run_command(&cmd, command, argc - optind - used + 1, argv + optind + used - 1);
}
