/*
 * retention-job: one job, in a process of its own.  Started by retentiond, which hands it the
 * configuration as it was accepted and a descriptor to report on (base/job_protocol.h).
 */
#include "job/job.h"
#include "base/log.h"
#include "job/mode_measure.h"
#include "base/mem.h"
#include "job/mode_expire.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>

struct options {
	int config_fd;
	int status_fd;
	int job;
	bool check;
	bool measure;
	bool tidy;
	bool once;
	const char *host;
};

static int number_of(const char *text)
{
	char *end = NULL;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	return errno || end == text || *end || n < 0 || n > INT_MAX ? -1 : (int)n;
}

static bool parse_options(int argc, char **argv, struct options *o)
{
	static const struct option options[] = {
		{"config-fd", required_argument, NULL, 'c'},
		{"status-fd", required_argument, NULL, 's'},
		{"host", required_argument, NULL, 'h'},
		{"job", required_argument, NULL, 'j'},
		{"check", no_argument, NULL, 'k'},
		{"tidy", no_argument, NULL, 't'},
		{"measure", no_argument, NULL, 'm'},
		{"once", no_argument, NULL, 'o'},
		{NULL, 0, NULL, 0},
	};
	int c;

	*o = (struct options){.config_fd = -1, .status_fd = -1, .job = -1};
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->config_fd = number_of(optarg);
			break;
		case 's':
			o->status_fd = number_of(optarg);
			break;
		case 'h':
			o->host = optarg;
			break;
		case 'j':
			o->job = number_of(optarg);
			break;
		case 'k':
			o->check = true;
			break;
		case 't':
			o->tidy = true;
			break;
		case 'm':
			o->measure = true;
			break;
		case 'o':
			o->once = true;
			break;
		default:
			return false;
		}
	}
	return optind == argc && o->config_fd >= 0 &&
	       (o->check || o->measure || (o->host && (o->job > 0 || o->tidy)));
}

int main(int argc, char **argv)
{
	AUTO(complaints) struct complaints c = {0};
	AUTO(talloc) struct config *config = NULL;
	struct options o;
	struct job_opts opts;

	log_open("retention-job", false);
	/* The service manager hears from the parent alone, which answers the watchdog, too. */
	(void)unsetenv("NOTIFY_SOCKET"); /* the names are good, as those below */
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
	(void)signal(SIGPIPE, SIG_IGN); /* a parent that is gone is noticed by its signal */
	if (!parse_options(argc, argv, &o)) {
		log_err("retention-job is started by retentiond, not by hand");
		return JOB_USAGE;
	}
	/* Neither is for age. */
	if (o.status_fd >= 0)
		(void)fcntl(o.status_fd, F_SETFD,
			    FD_CLOEXEC); /* a descriptor that was handed to us */
	(void)fcntl(o.config_fd, F_SETFD, FD_CLOEXEC); /* likewise */
	opts = (struct job_opts){.host = o.host,
				 .id = o.job,
				 .once = o.once,
				 .stop = stop_new(),
				 .report = report_new(o.status_fd)};
	opts.config = config = config_read_fd(o.config_fd, &c);
	if (!config || !schedule_set_timezone(config->timezone)) {
		for (size_t i = 0; i < c.n; i++)
			report_complaint(opts.report, c.lines[i]);
		return JOB_REFUSED;
	}
	return (int)(o.check     ? mode_check_run(&opts)
		     : o.tidy    ? mode_expire_run(&opts)
		     : o.measure ? mode_measure_run(&opts)
				 : job_run(&opts));
}
