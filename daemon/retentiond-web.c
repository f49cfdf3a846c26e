/* retentiond-web: its options, its signals, and its configuration. */
#include "base/log.h"
#include "base/mem.h"
#include "base/version.h"
#include "config/instance.h"
#include "config/web.h"
#include "web/service.h"
#include "web/template.h"

#include <getopt.h>
#include <signal.h>
#include <systemd/sd-daemon.h>
#include <time.h>

struct options {
	const char *path;
	bool test;
};

/* The program while it runs. */
struct program {
	struct event_base *base;
	const char *path;
	struct web *web;
};

static const char usage_text[] =
	"usage: retentiond-web [-c FILE|NAME] [-t]\n"
	"  -c, --config FILE  the configuration, by default " SYSCONFDIR "/retentiond/web.conf;\n"
	"                     NAME is " SYSCONFDIR "/retentiond/web@NAME.conf\n"
	"  -t, --test         check the file, then end\n"
	"  -h, --help         this\n"
	"  -V, --version      the version\n";

/* Returns the exit status if the options end the program, else -1. */
static int parse_options(int argc, char *argv[], struct options *ret)
{
	static const struct option longs[] = {{"config", required_argument, NULL, 'c'},
					      {"test", no_argument, NULL, 't'},
					      {"help", no_argument, NULL, 'h'},
					      {"version", no_argument, NULL, 'V'},
					      {NULL, 0, NULL, 0}};
	int option;

	*ret = (struct options){.path = SYSCONFDIR "/retentiond/web.conf"};
	while ((option = getopt_long(argc, argv, "c:thV", longs, NULL)) != -1) {
		switch (option) {
		case 'c':
			ret->path = optarg;
			break;
		case 't':
			ret->test = true;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return 0;
		case 'V':
			printf("retentiond-web %s\n", program_build);
			return 0;
		default:
			fputs(usage_text, stderr);
			return 2;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "retentiond-web: unexpected argument \"%s\"\n", argv[optind]);
	fputs(usage_text, stderr);
	return 2;
}

/* NULL: every complaint has been told, to a person or to the log. */
static struct web_config *load(const char *path, bool is_test)
{
	AUTO(complaints) struct complaints complaints = {0};
	AUTO(error) struct error err = {0};
	struct web_config *config = NULL;
	const bool is_loaded = web_config_load(NULL, path, &config, &complaints, &err);

	for (size_t i = 0; i < complaints.n; i++) {
		if (is_test)
			fprintf(stderr, "%s\n", complaints.lines[i]);
		else
			log_err("%s", complaints.lines[i]);
	}
	if (!is_loaded && complaints.n == 0 && is_test)
		fprintf(stderr, "%s\n", err.text);
	else if (!is_loaded && complaints.n == 0)
		log_err("%s", err.text);
	return is_loaded ? config : NULL;
}

static void on_end(evutil_socket_t signal_number, short what, void *arg)
{
	const struct program *program = arg;

	(void)signal_number, (void)what; /* SIGTERM or SIGINT */
	(void)sd_notify(0, "STOPPING=1"); /* a message that is lost stops nothing */
	(void)event_base_loopbreak(program->base); /* a flag: cannot fail */
}

static void on_reload(evutil_socket_t signal_number, short what, void *arg)
{
	const struct program *program = arg;
	AUTO(error) struct error err = {0};
	struct timespec now;
	struct web_config *config;

	(void)signal_number, (void)what; /* SIGHUP */
	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail on a valid clock */
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
			 (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	config = load(program->path, false);
	if (config && !service_reload(program->web, config, &err)) {
		log_err("%s: %s", program->path, err.text);
		talloc_free(config);
		config = NULL;
	}
	if (config)
		log_event(LOG_NOTICE, KIND_RELOADED, NULL, "another configuration is in force");
	else
		log_event(LOG_ERR, KIND_RELOAD_REFUSED, NULL,
			  "the configuration stays as it was: %s is refused", program->path);
	(void)sd_notify(0, "READY=1"); /* as above */
}

static void on_signal(struct program *program, int number, event_callback_fn callback)
{
	struct event *event = must_alloc(
		event_new(program->base, number, EV_SIGNAL | EV_PERSIST, callback, program));

	if (event_add(event, NULL) < 0)
		must_alloc(NULL); /* it can only lack memory */
}

/* libpq would take the place of what web.conf(5) leaves out from these. */
static void forget_environment(void)
{
	static const char *const names[] = {"PGUSER", "PGPASSWORD", "PGPASSFILE", "PGOPTIONS"};

	for (size_t i = 0; i < LENGTH(names); i++)
		(void)unsetenv(names[i]); /* the names are valid */
}

static int run(struct web_config *config, const char *path)
{
	struct program program = {.base = must_alloc(event_base_new()), .path = path};
	AUTO(error) struct error err = {0};

	(void)signal(SIGPIPE, SIG_IGN); /* cannot fail for this number */
	forget_environment();
	if (!template_load(&err) || !service_new(NULL, program.base, config, &program.web, &err)) {
		log_err("%s", err.text);
		return 1;
	}
	on_signal(&program, SIGTERM, on_end);
	on_signal(&program, SIGINT, on_end);
	on_signal(&program, SIGHUP, on_reload);
	log_event(LOG_NOTICE, KIND_STARTED, NULL, "ready");
	(void)sd_notify(0, "READY=1"); /* a message that is lost stops nothing */
	(void)event_base_dispatch(program.base); /* ends by a signal */
	talloc_free(program.web);
	log_event(LOG_NOTICE, KIND_STOPPED, NULL, "stopped");
	return 0;
}

int main(int argc, char *argv[])
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct options options;
	struct web_config *config;
	const char *path;
	const int status = parse_options(argc, argv, &options);

	if (status >= 0)
		return status;
	path = instance_page_path(ctx, options.path);
	log_open("retentiond-web", false);
	log_instance(instance_name(ctx, path));
	config = load(path, options.test);
	if (!config)
		return 1;
	if (!options.test)
		return run(config, path);
	talloc_free(config);
	puts("configuration OK");
	return 0;
}
