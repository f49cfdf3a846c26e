/* retentiond: its options, and what it starts. */
#include "base/log.h"
#include "base/mem.h"
#include "base/version.h"
#include "config/instance.h"
#include "supervisor/errand.h"
#include "supervisor/supervisor.h"

#include <getopt.h>

enum {
	EXIT_AWAY = 3, /* -t: the database could not be asked */
	OPTION_ONCE = 256,
	OPTION_HELP,
	OPTION_VERSION,
};

struct options {
	const char *path;
	bool test;
	bool once;
	bool verbose;
};

static const char usage_text[] =
	"usage: retentiond [-c FILE|NAME] [-t] [--once] [-v]\n"
	"  -c, --config FILE  the configuration, by default " SYSCONFDIR
	"/retentiond/retentiond.conf;\n"
	"                     NAME is " SYSCONFDIR "/retentiond/NAME.conf\n"
	"  -t, --test         check the file, and the model against the database; then end\n"
	"      --once         run what is due, validated or unfinished; then end\n"
	"  -v, --verbose      log more; with -t, print the configuration as it is understood\n"
	"      --help         this\n"
	"      --version      the version\n";

/* Returns the exit status if the options end the program, else -1. */
static int parse_options(int argc, char *argv[], struct options *ret)
{
	static const struct option longs[] = {{"config", required_argument, NULL, 'c'},
					      {"test", no_argument, NULL, 't'},
					      {"once", no_argument, NULL, OPTION_ONCE},
					      {"verbose", no_argument, NULL, 'v'},
					      {"help", no_argument, NULL, OPTION_HELP},
					      {"version", no_argument, NULL, OPTION_VERSION},
					      {NULL, 0, NULL, 0}};
	int option;

	*ret = (struct options){.path = SYSCONFDIR "/retentiond/retentiond.conf"};
	while ((option = getopt_long(argc, argv, "c:tv", longs, NULL)) != -1) {
		switch (option) {
		case 'c':
			ret->path = optarg;
			break;
		case 't':
			ret->test = true;
			break;
		case 'v':
			ret->verbose = true;
			break;
		case OPTION_ONCE:
			ret->once = true;
			break;
		case OPTION_HELP:
			fputs(usage_text, stdout);
			return 0;
		case OPTION_VERSION:
			printf("retentiond %s\n", program_build);
			return 0;
		default:
			fputs(usage_text, stderr);
			return 2;
		}
	}
	if (optind == argc && !(ret->test && ret->once))
		return -1;
	if (optind < argc)
		fprintf(stderr, "retentiond: unexpected argument \"%s\"\n", argv[optind]);
	else
		fputs("retentiond: -t and --once exclude each other\n", stderr);
	fputs(usage_text, stderr);
	return 2;
}

/* The check of the model of -t, in a loop of its own. */
struct check {
	struct event_base *base;
	enum job_exit end;
};

static void on_complaint(void *arg, const struct job_message *message)
{
	(void)arg; /* printed at once */
	if (message->word != WORD_WAITING)
		fprintf(stderr, "%s\n", message->text);
	else if (*message->text)
		fprintf(stderr, "retentiond: the check waits: %s\n", message->text);
}

static void on_end(void *arg, enum job_exit end, const char *how, const char *note)
{
	struct check *check = arg;

	check->end = end;
	if (end != JOB_DONE && end != JOB_REFUSED)
		fprintf(stderr, "retentiond: %s: %s\n",
			end == JOB_AWAY ? "the database does not answer: the model was not checked"
					: "the model could not be checked",
			*note ? note : how);
	(void)event_base_loopbreak(check->base); /* a flag: cannot fail */
}

/* JOB_DONE or JOB_AWAY; anything else: the model is refused, was not looked at whole, or a program fails. */
static enum job_exit check_model(const struct config *config, bool verbose)
{
	struct check check = {.base = must_alloc(event_base_new()), .end = JOB_CRASHED};
	struct children *children = children_new(NULL, check.base);
	struct errand *errand = errand_new(
		children, &(struct errand_opts){.mode = MODE_TEST,
						.patience_s = CHECK_PATIENCE_S,
						.on_message = on_complaint,
						.on_detail = verbose ? on_complaint : NULL,
						.on_warning = on_complaint,
						.on_end = on_end,
						.arg = &check});

	errand_start(errand, config);
	if (errand->child)
		(void)event_base_dispatch(check.base); /* a failure leaves JOB_CRASHED */
	talloc_free(children);
	event_base_free(check.base);
	return check.end;
}

static int test(const struct config *config, bool verbose)
{
	const enum job_exit end = check_model(config, verbose);

	if (end != JOB_DONE && end != JOB_AWAY)
		return 1;
	if (verbose) {
		/* The canonical file alone on standard output: it can be read again. */
		AUTO(char_p) char *canonical = config_print(config);

		fputs(canonical, stdout);
	}
	fprintf(verbose ? stderr : stdout, "configuration OK%s\n",
		end == JOB_AWAY ? ", except for the model" : "");
	return end == JOB_AWAY ? EXIT_AWAY : 0;
}

int main(int argc, char *argv[])
{
	AUTO(complaints) struct complaints c = {0};
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct options options;
	struct config *config;
	const char *path;
	int status = parse_options(argc, argv, &options);

	if (status >= 0)
		return status;
	path = instance_path(ctx, options.path);
	log_open("retentiond", options.verbose);
	log_instance(instance_name(ctx, path));
	config = config_load(path, &c);
	for (size_t i = 0; i < c.n; i++) {
		if (options.test)
			fprintf(stderr, "%s\n", c.lines[i]);
		else
			log_err("%s", c.lines[i]);
	}
	if (!config)
		return 1;
	(void)schedule_set_timezone(config->timezone); /* config_load() found it */
	if (options.test) {
		status = test(config, options.verbose);
		talloc_free(config);
		return status;
	}
	return supervisor_run(config, options.once);
}
