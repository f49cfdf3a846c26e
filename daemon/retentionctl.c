/* retentionctl: options, one table of commands, nothing else. */
#include "ctl.h"
#include "log.h"
#include "mem.h"

#include <getopt.h>
#include <locale.h>

enum need { NEEDS_DATABASE, NEEDS_CONFIG };

static const struct command {
	const char *words; /* one, or two with a blank */
	const char *arguments;
	const char *help;
	enum need need;
	int (*run)(struct ctl *ctl, int argc, char **argv);
} commands[] = {
	{"migrate", "", "make or update the schema retention", NEEDS_DATABASE, ctl_migrate},
	{"policies", "[--json]", "the policies: depth, last and next occurrence, cutoff",
	 NEEDS_CONFIG, ctl_policies},
	{"save", "ACTION --from DATE --to DATE [--archive none|listed|full]",
	 "save a manual action on the days from DATE to DATE, at most one month", NEEDS_DATABASE,
	 ctl_save},
	{"validate", "ID", "validate a saved action: the daemon runs it", NEEDS_DATABASE,
	 ctl_validate},
	{"cancel", "ID", "cancel a saved action", NEEDS_DATABASE, ctl_cancel},
	{"journal", "[--json]", "all actions, the newest first", NEEDS_DATABASE, ctl_journal},
	{"show", "ID [--follow] [--json]", "one action: its row, counts per table, events",
	 NEEDS_DATABASE, ctl_show},
	{"archive list", "[--json]", "the archives: type, date, status, file", NEEDS_DATABASE,
	 ctl_archive_list},
	{"archive verify", "ID", "check an archive's files against its sums and the journal",
	 NEEDS_CONFIG, ctl_archive_verify},
	{"hold add", "CONTACT --reason TEXT [--expires DATE] [--review DATE]",
	 "place a legal hold: the contact is due to nothing", NEEDS_DATABASE, ctl_hold_add},
	{"hold remove", "CONTACT", "release a hold", NEEDS_DATABASE, ctl_hold_remove},
	{"hold list", "[--json]", "the holds, released ones too", NEEDS_DATABASE, ctl_hold_list},
};

static void print_usage(FILE *to)
{
	fputs("usage: retentionctl [-c FILE] [-d CONNINFO] COMMAND [ARGUMENT ...]\n"
	      "  -c, --config FILE   the daemon's configuration, by default " SYSCONFDIR
	      "/retentiond/retentiond.conf\n"
	      "  -d, --database S    a libpq connection string, instead of the configuration's\n"
	      "      --help          this; COMMAND --help: of one command\n\n",
	      to);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "  %s %s\n      %s\n", commands[i].words, commands[i].arguments,
			commands[i].help);
}

int ctl_wrong_use(const struct ctl *ctl, const char *fmt, ...)
{
	va_list args;

	fputs("retentionctl: ", stderr);
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args); /* nowhere else to say it */
	va_end(args);
	fprintf(stderr, "\nusage: retentionctl %s\n", ctl->usage);
	return 2;
}

int ctl_failed(const struct error *err)
{
	fprintf(stderr, "retentionctl: %s\n", err->text);
	return 1;
}

int ctl_action_id(const struct ctl *ctl, int argc, char **argv)
{
	int64_t id = 0;

	if (argc - optind != 1) {
		(void)ctl_wrong_use(ctl, "the number of one action is needed");
		return 0;
	}
	if (!number_parse(argv[optind], 1, INT32_MAX, &id)) {
		(void)ctl_wrong_use(ctl, "\"%s\" is no number of an action", argv[optind]);
		return 0;
	}
	return (int)id;
}

/* The command behind argv's first words; *ret_used of them. */
static const struct command *find_command(int argc, char **argv, int *ret_used)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
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

/* The configuration, where the command needs it or nothing else says where the database is. */
static bool read_config(struct ctl *ctl, const struct command *command, struct config **ret)
{
	AUTO(complaints) struct complaints c = {0};

	*ret = NULL;
	if (ctl->conninfo && command->need == NEEDS_DATABASE)
		return true;
	*ret = config_load(ctl->path, &c);
	ctl->config = *ret;
	for (size_t i = 0; i < c.n; i++)
		fprintf(stderr, "%s\n", c.lines[i]);
	if (*ret && !schedule_set_timezone((*ret)->timezone))
		return false;
	return *ret != NULL;
}

static int run_command(struct ctl *ctl, const struct command *command, int argc, char **argv)
{
	AUTO(talloc) struct config *config = NULL;
	AUTO(error) struct error err = {0};
	int status;

	if (!read_config(ctl, command, &config))
		return 1;
	{
		const struct db_opts opts = {
			.conninfo = ctl->conninfo ? ctl->conninfo : config->conninfo,
			.timezone = config ? config->timezone : NULL,
			.application_name = "retentionctl",
		};

		if (!db_open(&opts, &ctl->db, &err))
			return ctl_failed(&err);
	}
	status = command->run(ctl, argc, argv);
	db_close(ctl->db);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fputs("retentionctl: cannot write the output\n", stderr);
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
	struct ctl ctl = {.path = SYSCONFDIR "/retentiond/retentiond.conf"};
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const struct command *command;
	int used = 0, c;

	(void)setlocale(LC_ALL, ""); /* an unknown one leaves "C" */
	log_open("retentionctl", false);
	while ((c = getopt_long(argc, argv, "+c:d:", longs, NULL)) != -1) {
		if (c == 'c')
			ctl.path = optarg;
		else if (c == 'd')
			ctl.conninfo = optarg;
		else {
			print_usage(c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 2;
		}
	}
	command = find_command(argc - optind, argv + optind, &used);
	if (!command) {
		if (optind < argc)
			fprintf(stderr, "retentionctl: there is no command \"%s%s%s\"\n",
				argv[optind], optind + 1 < argc ? " " : "",
				optind + 1 < argc ? argv[optind + 1] : "");
		print_usage(stderr);
		return 2;
	}
	argc -= optind + used - 1;
	argv += optind + used - 1;
	ctl.usage = t_printf(ctx, "%s %s", command->words, command->arguments);
	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		printf("usage: retentionctl %s\n%s\n", ctl.usage, command->help);
		return 0;
	}
	optind = 0; /* glibc: start over, for the command's own options */
	return run_command(&ctl, command, argc, argv);
}
