/*
 * The supervisor is one loop.  This comment says how processes start and end, and how each end is noticed.
 *
 * The supervisor starts retention-job processes (supervisor/child.c) and holds one connection of its own
 * (supervisor/connection.c).  It reads no table of the CRM, touches no file except its configuration, and never
 * waits: each callback takes what is there and returns to the loop, which also pings the watchdog.
 *
 * The work stands in the database, and only there: policy_state has what is due (supervisor/clock.c), and
 * archive_journal has what can run (supervisor/dispatch.c).  The supervisor asks for both when the connection comes
 * up, on NOTIFY, when a child has ended, after a reload, and each minute, because a NOTIFY may be lost.
 *
 * A child may die at any time: SIGCHLD tells it, its batch rolls back, and the database, asked again, says what is
 * left to do.  The connection may be lost at any time: children have connections of their own and wait by
 * themselves, and nothing new is started until it is back.  The supervisor may die at any time: the kernel sends
 * SIGTERM to the children, systemd starts the supervisor again, and the database knows the rest.  systemd's watchdog
 * notices a loop that hangs.
 *
 * Before anything is started, the schema has to be the one that this program knows, and the model has to hold
 * against the catalog, which a child checks (supervisor/errand.c).  At start a refusal ends the process.  Later it is
 * a state, because somebody may be about to correct the file, and a daemon that has ended cannot be reloaded.
 *
 * Archives that were deleted or have expired are removed by a child, too.  It runs after a NOTIFY, when the
 * connection comes up, because a NOTIFY may have been lost with the old one, after a reload, because `keep` may be
 * another, and each hour.  So do the answers to the requests of people (retention.request).  Files of archives go to the
 * web page through a socket (supervisor/gate.c), by a child for each.
 */
#include "supervisor/supervisor.h"

#include "base/mem.h"
#include "supervisor/loop.h"
#include "supervisor/metrics.h"
#include "supervisor/proceed.h"
#include "supervisor/reload.h"
#include "supervisor/status.h"

#include <pwd.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>

enum {
	REFRESH_S = 60, /* for lost NOTIFYs, and for occurrences that were put off */
	SLOW_MS = 900, /* the log says by then why the daemon is not ready */
	START_S = 15, /* READY is sent by then, with or without a database */
	EXPIRE_MS = 3600 * 1000, /* from one removal of archives to the next */
	EXPIRE_RETRY_MS = 60 * 1000, /* the same after a failure: no database, a disk, a crash */
	ANSWER_MS = 3600 * 1000, /* from one look for requests whose NOTIFY was lost to the next */
	ANSWER_RETRY_MS = 60 * 1000, /* the same after a failure */
};

/* --once: nothing runs and nothing can be started.  Ends if nothing else is left to do. */
static void on_idle(void *arg)
{
	struct supervisor *s = arg;

	if (!s->once || s->stopping || !s->policies_asked || !clock_settled(s->clock) ||
	    s->model != MODEL_GOOD || s->expiry->wanted || s->expiry->child)
		return;
	supervisor_metrics_proceed(s); /* the jobs have changed the figures */
	if (!supervisor_metrics_settled(s) || !notifier_settled(s->notifier))
		return;
	if (s->ran && s->remark) {
		/* A replay may have removed its cause. */
		s->ran = false;
		proceed_check_again(s);
		proceed(s);
		return;
	}
	if (s->ran && clock_has_blocked(s->clock)) {
		/* They may have been put off for the action that has just ended. */
		s->ran = false;
		clock_retry(s->clock);
		if (!clock_settled(s->clock))
			return;
	}
	proceed_stop(s, s->failed || s->remark || notifier_has_failed(s->notifier) ? 1 : 0);
}

static void on_told(void *arg)
{
	struct supervisor *s = arg;

	if (s->stopping)
		proceed(s);
	else if (s->ends)
		proceed_stop(s, 1);
	else if (s->once)
		dispatch_refresh(s->dispatch); /* on_idle() may have waited for this */
}

/* No row of the journal says that a process has died. */
static void on_job_crashed(void *arg, int64_t job)
{
	const struct supervisor *s = arg;

	notifier_record(s->notifier, "crashed", job);
}

static void on_clock_trouble(void *arg, const char *why)
{
	struct supervisor *s = arg;

	s->policies_asked = false;
	proceed_trouble(s, why);
}

static void on_clock_settled(void *arg, bool begun)
{
	const struct supervisor *s = arg;

	if (begun || s->once) /* --once ends when nothing can be run */
		dispatch_refresh(s->dispatch);
	status_notify(arg);
}

static void on_job_ended(void *arg, bool good)
{
	struct supervisor *s = arg;

	s->ran = true;
	s->survey->wanted = true; /* the figures have changed */
	notifier_proceed(s->notifier);
	if (!s->once && s->schema_good)
		supervisor_metrics_proceed(s);
	s->failed = s->failed || !good;
	if (s->stopping) {
		proceed(s);
	} else if (!s->once && s->remark) {
		proceed_check_again(s);
		proceed(s);
	} else if (!s->once && s->policies_asked) {
		clock_retry(s->clock); /* an occurrence may have been put off for this pass */
	}
}

static void on_expire_complaint(void *arg, const struct job_message *message)
{
	(void)arg; /* the log only */
	log_err("%s", message->text);
}

static void on_expired(void *arg, enum job_exit end, const char *how, const char *note)
{
	struct supervisor *s = arg;

	s->expiry->not_before_ms =
		monotonic_ms() +
		(end == JOB_DONE || end == JOB_REFUSED ? EXPIRE_MS : EXPIRE_RETRY_MS);
	if (*note)
		log_info("archives: %s", note);
	if (end == JOB_CRASHED)
		log_err("archives could not be removed (%s): tried again in a minute", how);
	s->failed = s->failed || end != JOB_DONE;
	proceed(s);
}

static void on_answer_complaint(void *arg, const struct job_message *message)
{
	(void)arg; /* the log only */
	if (message->word == WORD_COMPLAINT)
		log_err("%s", message->text);
}

static void on_answered(void *arg, enum job_exit end, const char *how, const char *note)
{
	struct supervisor *s = arg;

	s->answer->not_before_ms =
		monotonic_ms() +
		(end == JOB_DONE || end == JOB_REFUSED ? ANSWER_MS : ANSWER_RETRY_MS);
	if (*note)
		log_info("requests: %s", note);
	if (end == JOB_CRASHED)
		log_err("requests could not be answered (%s): tried again in a minute", how);
	proceed(s);
}

static void on_surveyed(void *arg, enum job_exit end, const char *how, const char *note)
{
	struct supervisor *s = arg;

	supervisor_metrics_surveyed(s, end, how, note);
	if (s->stopping)
		proceed(s);
	else if (s->once)
		dispatch_refresh(s->dispatch); /* on_idle() may have waited for this */
	else if (s->survey->wanted && s->schema_good && connection_up(s->connection))
		supervisor_metrics_proceed(s); /* somebody has asked for it meanwhile */
}

static void on_handed_out(void *arg)
{
	const struct supervisor *s = arg;

	if (s->stopping)
		proceed(arg);
}

static void on_dispatch_trouble(void *arg, const char *why)
{
	struct supervisor *s = arg;

	if (why || s->policies_asked) /* else the clock's trouble stays */
		proceed_trouble(s, why);
}

/* --- Signals, by evsignal: these are ordinary callbacks of the loop --------------------------- */

/* Notes who has sent the signal: the journal keeps it, with the configuration that comes of it. */
static void note_sender(struct supervisor *s, uid_t uid)
{
	const struct passwd *entry = getpwuid(uid);
	AUTO(char_p)
	char *name = entry ? xprintf("%s", entry->pw_name) : xprintf("user %u", (unsigned int)uid);

	t_replace(s, &s->reload_asked_by, name);
}

/* SIGHUP is blocked and read from a signalfd, because a handler of libevent does not hear who has sent it. */
static void on_sighup(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;
	struct signalfd_siginfo info;

	(void)what; /* EV_READ */
	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return; /* taken already */
	note_sender(s, info.ssi_uid);
	if (s->once)
		log_info("--once reads its configuration once, and ignores SIGHUP");
	else
		reload(s);
}

static void kill_jobs(struct supervisor *s)
{
	dispatch_stop(s->dispatch, true);
	errand_stop(s->expiry, true);
	notifier_stop(s->notifier, true);
	proceed(s); /* an answer that does not come is not waited for */
}

static void on_sigterm(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;

	(void)fd, (void)what; /* TERM and INT are the same */
	if (s->stopping) {
		log_warn("asked to stop again: jobs are killed, which rolls their batches back");
		kill_jobs(s);
		return;
	}
	log_event(LOG_INFO, KIND_STOPPED, NULL, "stopping");
	proceed_stop(s, s->once ? 1 : 0); /* --once was not finished */
}

static void on_stop_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what; /* a timer */
	log_warn("a job has not stopped within 4 s: it is killed, which rolls its batch back");
	kill_jobs(arg);
}

static void on_reload(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;

	(void)fd, (void)what; /* triggered by hand */
	if (s->reload_wanted)
		reload(s);
}

static void on_refresh(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what; /* a timer */
	proceed_check_again(arg);
	proceed(arg);
}

static void on_slow(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;

	(void)fd, (void)what; /* a timer */
	status_notify(s);
	if (!s->ready && !s->stopping)
		log_info("not ready yet: %s", s->status_text);
}

static void on_patience(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;

	(void)fd, (void)what; /* a timer */
	if (s->ends)
		proceed_stop(s, 1); /* nobody could be told */
	else if (s->once)
		proceed_trouble(s, "the database is away");
	else
		proceed_ready(s);
}

/* systemd restarts a daemon whose loop hangs, because the pings come from the loop alone. */
static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg; /* a ping carries nothing */
	(void)sd_notify(0, "WATCHDOG=1"); /* if lost: the daemon is restarted */
}

/* The descriptor lives as long as the process. */
static int open_sighup(void)
{
	sigset_t hup;
	int fd;

	(void)sigemptyset(&hup); /* neither can fail */
	(void)sigaddset(&hup, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &hup, NULL); /* children unblock all (base/process.c) */
	fd = signalfd(-1, &hup, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		must_alloc(NULL); /* no memory, or no descriptors right at the start */
	return fd;
}

static void add_events(struct supervisor *s)
{
	uint64_t watchdog_us = 0;
	struct event_base *base = s->base;

	(void)loop_event(s, base, open_sighup(), EV_READ | EV_PERSIST, on_sighup);
	(void)loop_event(s, base, SIGTERM, EV_SIGNAL | EV_PERSIST, on_sigterm);
	(void)loop_event(s, base, SIGINT, EV_SIGNAL | EV_PERSIST, on_sigterm);
	(void)loop_event(s, base, SIGUSR1, EV_SIGNAL | EV_PERSIST, status_log);
	loop_arm(loop_event(s, base, -1, EV_PERSIST, on_refresh), REFRESH_S * 1000);
	s->patience = loop_event(s, base, -1, 0, on_patience);
	s->stop_timer = loop_event(s, base, -1, 0, on_stop_timer);
	s->reload = loop_event(s, base, -1, 0, on_reload);
	loop_arm(s->patience, (s->once ? ONCE_AWAY_S : START_S) * 1000);
	if (!s->once)
		loop_arm(loop_event(s, base, -1, 0, on_slow), SLOW_MS);
	/* At half of WatchdogSec, where one is set. */
	if (sd_watchdog_enabled(0, &watchdog_us) > 0)
		loop_arm(loop_event(s, base, -1, EV_PERSIST, on_watchdog),
			 (int64_t)watchdog_us / 2000);
}

/* Makes the parts of the loop, of which none does anything before the loop runs. */
static void make_parts(struct supervisor *s)
{
	add_events(s);
	s->figures = talloc_steal(s, metrics_new(s->config->instance));
	s->children = children_new(s, s->base);
	s->page = page_asker_new(s, proceed_policies, s);
	s->clock = clock_new(s, &(struct clock_opts){.base = s->base,
						     .once = s->once,
						     .on_trouble = on_clock_trouble,
						     .on_settled = on_clock_settled,
						     .arg = s});
	s->dispatch = dispatch_new(s, &(struct dispatch_opts){.base = s->base,
							      .children = s->children,
							      .figures = s->figures,
							      .once = s->once,
							      .on_change = status_notify,
							      .on_ended = on_job_ended,
							      .on_crashed = on_job_crashed,
							      .on_idle = on_idle,
							      .on_trouble = on_dispatch_trouble,
							      .arg = s});
	s->check = errand_new(s->children, &(struct errand_opts){.mode = MODE_CHECK,
								 .patience_s = CHECK_PATIENCE_S,
								 .on_message = reload_on_complaint,
								 .on_warning = reload_on_warning,
								 .on_end = reload_on_checked,
								 .arg = s});
	s->expiry = errand_new(s->children, &(struct errand_opts){.mode = MODE_EXPIRE,
								  .on_message = on_expire_complaint,
								  .on_end = on_expired,
								  .arg = s});
	s->answer = errand_new(s->children, &(struct errand_opts){.mode = MODE_ANSWER,
								  .on_message = on_answer_complaint,
								  .on_end = on_answered,
								  .arg = s});
	s->survey = errand_new(s->children,
			       &(struct errand_opts){.mode = MODE_MEASURE,
						     .on_message = supervisor_metrics_on_sample,
						     .on_end = on_surveyed,
						     .arg = s});
	s->notifier = notifier_new(s, &(struct notifier_opts){.base = s->base,
							      .children = s->children,
							      .once = s->once,
							      .on_settled = on_told,
							      .arg = s});
	s->gate = gate_new(s->children, on_handed_out, s);
}

int supervisor_run(struct config *config, bool once)
{
	struct event_base *base = must_alloc(event_base_new());
	struct supervisor *s = t_zero(NULL, struct supervisor);
	int status;

	(void)signal(SIGPIPE, SIG_IGN); /* a server that has gone is an error of send(2) */
	s->base = base;
	s->config = talloc_steal(s, config);
	s->once = once;
	s->loaded_at = clock_now();
	s->status_text = t_strdup(s, "");
	make_parts(s);
	supervisor_metrics_set(s, NULL);
	if (!once)
		gate_set(s->gate, s->config);
	proceed_connect(s);
	dispatch_set(s->dispatch, s->config, s->connection, false);
	notifier_set(s->notifier, s->config, s->connection);
	proceed_forget(s);
	log_event(LOG_INFO, KIND_STARTED, NULL, "started with %s: %zu %s", s->config->path,
		  s->config->n_policies, s->config->n_policies == 1 ? "policy" : "policies");
	if (event_base_dispatch(base) < 0)
		s->status = 1;
	log_event(LOG_INFO, KIND_STOPPED, NULL, "stopped");
	status = s->status;
	talloc_free(s);
	event_base_free(base); /* after the events */
	return status;
}
