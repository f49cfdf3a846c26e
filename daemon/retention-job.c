/*
 * retention-job: one job, in a process of its own.  retentiond starts it and passes the accepted configuration and a
 * descriptor for reports (base/job_protocol.h).
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/units.h"
#include "base/version.h"
#include "job/job.h"

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>

struct options {
	int config_fd;
	int status_fd;
	int mode; /* enum job_mode; JOB_MODES: none given */
	int once;
	const char *build; /* the daemon's; NULL: not told */
	struct job_opts job;
};

static int number_of(const char *text)
{
	int64_t n;

	return number_parse(text, 0, INT_MAX, &n) ? (int)n : -1;
}

static bool parse_options(int argc, char **argv, struct options *o)
{
	const struct option options[] = {
		{"config-fd", required_argument, NULL, 'c'},
		{"status-fd", required_argument, NULL, 's'},
		{"host", required_argument, NULL, 'h'},
		{"asked-by", required_argument, NULL, 'a'},
		{job_mode_option(MODE_ACTION), required_argument, NULL, 'j'},
		{job_mode_option(MODE_CHECK), no_argument, &o->mode, MODE_CHECK},
		{job_mode_option(MODE_TEST), no_argument, &o->mode, MODE_TEST},
		{job_mode_option(MODE_EXPIRE), no_argument, &o->mode, MODE_EXPIRE},
		{job_mode_option(MODE_MEASURE), no_argument, &o->mode, MODE_MEASURE},
		{job_mode_option(MODE_ANSWER), no_argument, &o->mode, MODE_ANSWER},
		{job_mode_option(MODE_HAND_OUT), required_argument, NULL, 'o'},
		{"once", no_argument, &o->once, true},
		{"build", required_argument, NULL, 'b'},
		{NULL, 0, NULL, 0},
	};
	int c;

	*o = (struct options){.config_fd = -1, .status_fd = -1, .mode = JOB_MODES};
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 0: /* through its pointer */
			break;
		case 'c':
			o->config_fd = number_of(optarg);
			break;
		case 's':
			o->status_fd = number_of(optarg);
			break;
		case 'h':
			o->job.host = optarg;
			break;
		case 'a':
			o->job.asked_by = optarg;
			break;
		case 'b':
			o->build = optarg;
			break;
		case 'j':
			o->mode = MODE_ACTION;
			o->job.id = number_of(optarg);
			break;
		case 'o':
			o->mode = MODE_HAND_OUT;
			o->job.socket = number_of(optarg);
			break;
		default:
			return false;
		}
	}
	return optind == argc && o->config_fd >= 0 && o->mode != JOB_MODES &&
	       (o->mode != MODE_ACTION || o->job.id > 0) &&
	       (o->mode != MODE_HAND_OUT || o->job.socket >= 0) &&
	       (o->job.host || o->mode == MODE_CHECK || o->mode == MODE_TEST ||
		o->mode == MODE_MEASURE);
}

int main(int argc, char **argv)
{
	static enum job_exit (*const runs[JOB_MODES])(const struct job_opts *opts) = {
		[MODE_ACTION] = job_run,
		[MODE_CHECK] = mode_check_run,
		[MODE_TEST] = mode_test_run,
		[MODE_EXPIRE] = mode_expire_run,
		[MODE_MEASURE] = mode_measure_run,
		[MODE_ANSWER] = mode_answer_run,
		[MODE_HAND_OUT] = mode_hand_out_run,
	};
	AUTO(complaints) struct complaints c = {0};
	AUTO(talloc) struct config *config = NULL;
	AUTO(report) struct report *report = NULL;
	struct options o;

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("retention-job %s\n", program_build);
		return 0;
	}
	process_forbid_core();
	log_open("retention-job", false);
	/* The service manager hears from the parent alone, which answers the watchdog, too. */
	(void)unsetenv("NOTIFY_SOCKET"); /* the names are good, as those below */
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
	(void)signal(SIGPIPE, SIG_IGN); /* the kernel's signal tells the end of the parent */
	if (!parse_options(argc, argv, &o)) {
		log_err("retention-job is started by retentiond, not by hand");
		return JOB_USAGE;
	}
	/* age and commands do not get the two descriptors. */
	if (o.status_fd >= 0)
		(void)fcntl(o.status_fd, F_SETFD,
			    FD_CLOEXEC); /* a descriptor that was handed to us */
	(void)fcntl(o.config_fd, F_SETFD, FD_CLOEXEC); /* likewise */
	if (o.mode == MODE_HAND_OUT)
		(void)fcntl(o.job.socket, F_SETFD, FD_CLOEXEC); /* likewise */
	report = report_new(o.status_fd);
	if (o.build && strcmp(o.build, program_build) != 0) {
		report_complaint(report,
				 "retention-job is version %s, and the daemon that started it is "
				 "version %s: restart the daemon",
				 program_build, o.build);
		return JOB_REFUSED;
	}
	o.job.once = o.once != 0;
	o.job.stop = stop_new();
	o.job.report = report;
	o.job.config = config = config_read_fd(o.config_fd, &c);
	log_instance(config ? config->instance : NULL);
	if (!config || !schedule_set_timezone(config->timezone)) {
		for (size_t i = 0; i < c.n; i++)
			report_complaint(report, "%s", c.lines[i]);
		return JOB_REFUSED;
	}
	return (int)runs[o.mode](&o.job);
}
