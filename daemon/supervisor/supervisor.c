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
 * another, and each hour.
 */
#include "supervisor/supervisor.h"

#include "base/log.h"
#include "base/mem.h"
#include "supervisor/proceed.h"
#include "supervisor/reload.h"
#include "supervisor/status.h"
#include "supervisor/timer.h"

#include <signal.h>

enum {
	REFRESH_S = 60, /* for lost NOTIFYs, and for occurrences that were put off */
	CHECK_S = 60, /* for the check of a model */
	START_S = 15, /* READY is sent by then, with or without a database */
	EXPIRE_MS = 3600 * 1000, /* from one removal of archives to the next */
	EXPIRE_RETRY_MS = 60 * 1000, /* the same after a failure: no database, a disk, a crash */
};

/* --once: nothing runs and nothing can be started.  Ends if nothing else is left to do. */
static void on_idle(void *arg)
{
	struct supervisor *s = arg;

	if (!s->once || s->stopping || !clock_settled(s->clock) || s->model != MODEL_GOOD ||
	    !errand_settled(s->expiry))
		return;
	supervisor_metrics_proceed(s->metrics); /* the jobs have changed the figures */
	if (!supervisor_metrics_settled(s->metrics))
		return;
	if (s->ran && *s->remark) {
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
	proceed_stop(s, s->failed || *s->remark ? 1 : 0);
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
	supervisor_metrics_want(s->metrics);
	if (!s->once && s->schema_good)
		supervisor_metrics_proceed(s->metrics);
	s->failed = s->failed || !good;
	if (s->stopping) {
		proceed_end(s);
	} else if (!s->once && *s->remark) {
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

	errand_delay(s->expiry,
		     end == JOB_DONE || end == JOB_REFUSED ? EXPIRE_MS : EXPIRE_RETRY_MS);
	if (*note)
		log_info("archives: %s", note);
	if (end == JOB_CRASHED)
		log_err("archives could not be removed (%s): tried again in a minute", how);
	s->failed = s->failed || end != JOB_DONE;
	if (s->stopping)
		proceed_end(s);
	else
		proceed(s);
}

static void on_batch(void *arg, const char *action, const struct metrics_batch *batch)
{
	const struct supervisor *s = arg;

	metrics_batch(supervisor_metrics_figures(s->metrics), action, batch);
}

static void on_waited(void *arg, enum wait_reason reason, int64_t ms)
{
	const struct supervisor *s = arg;

	metrics_waited(supervisor_metrics_figures(s->metrics), reason == WAIT_STANDBY,
		       (double)ms / 1000);
}

static void on_surveyed(void *arg)
{
	struct supervisor *s = arg;

	if (s->stopping)
		proceed_end(s);
	else if (s->once)
		dispatch_refresh(s->dispatch); /* on_idle() may have waited for this */
}

static void on_dispatch_trouble(void *arg, const char *why)
{
	struct supervisor *s = arg;

	if (why || s->policies_asked) /* else the clock's trouble stays */
		proceed_trouble(s, why ? why : "");
}

/* --- Signals, by evsignal: these are ordinary callbacks of the loop --------------------------- */

static void on_sighup(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;

	(void)fd, (void)what; /* the signal is known */
	if (s->once)
		log_info("--once reads its configuration once, and ignores SIGHUP");
	else
		reload(s);
}

static void on_sigterm(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;

	(void)fd, (void)what; /* TERM and INT are the same */
	if (s->stopping) {
		log_warn("asked to stop again: jobs are killed, which rolls their batches back");
		dispatch_stop(s->dispatch, true);
		errand_stop(s->expiry, true);
		return;
	}
	log_event(LOG_INFO, KIND_STOPPED, NULL, "stopping");
	proceed_stop(s, s->once ? 1 : 0); /* --once was not finished */
}

static void on_stop_timer(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;

	(void)fd, (void)what; /* a timer */
	log_warn("a job has not stopped within 4 s: it is killed, which rolls its batch back");
	dispatch_stop(s->dispatch, true);
	errand_stop(s->expiry, true);
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

static void on_patience(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;

	(void)fd, (void)what; /* a timer */
	if (s->once)
		proceed_trouble(s, "the database is away");
	else
		proceed_ready(s);
}

static void add_events(struct supervisor *s)
{
	static const struct {
		int number;
		event_callback_fn callback;
	} signals[SIGNALS] = {{SIGHUP, on_sighup},
			      {SIGTERM, on_sigterm},
			      {SIGINT, on_sigterm},
			      {SIGUSR1, status_log}};

	for (int i = 0; i < SIGNALS; i++) {
		s->signals[i] = must_alloc(
			evsignal_new(s->base, signals[i].number, signals[i].callback, s));
		if (event_add(s->signals[i], NULL) < 0)
			must_alloc(NULL); /* the only way in which it can fail */
	}
	s->refresh = must_alloc(event_new(s->base, -1, EV_PERSIST, on_refresh, s));
	timer_arm(s->refresh, REFRESH_S * 1000);
	s->patience = must_alloc(evtimer_new(s->base, on_patience, s));
	s->stop_timer = must_alloc(evtimer_new(s->base, on_stop_timer, s));
	s->reload = must_alloc(evtimer_new(s->base, on_reload, s));
	timer_arm(s->patience, (s->once ? ONCE_AWAY_S : START_S) * 1000);
}

static void supervisor_free(struct supervisor *s)
{
	/* First those that call back. */
	connection_free(s->connection);
	children_free(s->children);
	errand_free(s->check);
	dispatch_free(s->dispatch);
	errand_free(s->expiry);
	supervisor_metrics_free(s->metrics);
	clock_free(s->clock);
	notify_free(s->notify);
	for (int i = 0; i < SIGNALS; i++)
		event_free(s->signals[i]);
	event_free(s->refresh);
	event_free(s->patience);
	event_free(s->stop_timer);
	event_free(s->reload);
	event_base_free(s->base);
	talloc_free(s->candidate);
	talloc_free(s->config);
	free(s->away_why);
	free(s->trouble);
	free(s->remark);
	free(s->remark_now);
}

int supervisor_run(const struct supervisor_opts *opts)
{
	struct supervisor s = {.config = opts->config, .once = opts->once};
	const struct clock_handlers clock_handlers = {
		.on_trouble = on_clock_trouble, .on_settled = on_clock_settled, .arg = &s};
	const struct dispatch_handlers dispatch_handlers = {.on_change = status_notify,
							    .on_ended = on_job_ended,
							    .on_batch = on_batch,
							    .on_waited = on_waited,
							    .on_idle = on_idle,
							    .on_trouble = on_dispatch_trouble,
							    .arg = &s};
	const struct supervisor_metrics_handlers metrics_handlers = {.on_text = status_measure,
								     .on_health = status_health,
								     .on_ended = on_surveyed,
								     .arg = &s};
	const struct errand_opts check_opts = {.mode = MODE_CHECK,
					       .patience_s = CHECK_S,
					       .on_message = reload_on_complaint,
					       .on_end = reload_on_checked,
					       .arg = &s};
	const struct errand_opts expiry_opts = {.mode = MODE_EXPIRE,
						.on_message = on_expire_complaint,
						.on_end = on_expired,
						.arg = &s};

	(void)signal(SIGPIPE, SIG_IGN); /* a server that has gone is an error of send(2) */
	s.base = must_alloc(event_base_new());
	s.loaded_at = clock_now();
	s.away_why = xstrdup("no answer");
	s.trouble = xstrdup("");
	s.remark = xstrdup("");
	s.remark_now = xstrdup("");
	add_events(&s);
	s.notify = notify_new(s.base);
	s.children = children_new(s.base);
	s.clock = clock_new(s.base, &clock_handlers, s.once);
	s.check = errand_new(s.base, s.children, &check_opts);
	s.dispatch = dispatch_new(s.base, s.children, &dispatch_handlers, s.once);
	s.expiry = errand_new(s.base, s.children, &expiry_opts);
	s.metrics = supervisor_metrics_new(s.base, s.children, &metrics_handlers);
	supervisor_metrics_set(s.metrics, s.config);
	proceed_connect(&s);
	dispatch_set(s.dispatch, s.config, s.connection, false);
	proceed_forget(&s);
	log_event(LOG_INFO, KIND_STARTED, NULL, "started with %s: %zu policies", s.config->path,
		  s.config->n_policies);
	if (event_base_dispatch(s.base) < 0)
		s.status = 1;
	log_event(LOG_INFO, KIND_STOPPED, NULL, "stopped");
	supervisor_free(&s);
	return s.status;
}
