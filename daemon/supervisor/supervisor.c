/*
 * Who starts whom, who may die, who notices.
 *
 * The supervisor (this loop) starts retention-job processes (supervisor/dispatch.c, supervisor/child.c) and holds one
 * connection of its own (supervisor/connection.c).  It reads no table of the CRM, touches no file but its
 * configuration, and never waits: each callback takes what is there and returns to the loop, which
 * is also what pings the watchdog.
 *
 * What there is to do stands in the database, and only there: in policy_state what is due (supervisor/clock.c),
 * in archive_journal what can run (supervisor/dispatch.c).  Both are asked for when the connection comes up, on
 * NOTIFY, when a child has ended, after a reload, and each minute in case a NOTIFY was lost.
 *
 * Archives that were deleted or have expired are removed by a child, too (supervisor/expiry.c).
 *
 * A child may die at any time: SIGCHLD tells, its batch rolls back, and the database, asked again,
 * says what is left to do.  The connection may be lost at any time: children have connections of
 * their own and wait by themselves; nothing new is started until it is back.  We may die at any
 * time: children get SIGTERM from the kernel, systemd starts us again, the database knows the rest.
 * A loop that hangs is noticed by systemd's watchdog.
 *
 * Before anything is started, the schema has to be the one that this program knows, and the model has
 * to hold against the catalog, which a third child tells (--check).  At start a refusal ends us;
 * later, when the database was away at start and is back, it is a state: somebody may be about to
 * mend the file, and a daemon that is gone cannot be reloaded.
 *
 * A reload is: a new generation or complaints (config_load), the model check by a child, one pointer.
 * Up to that assignment the old generation is in force, whole; a running job keeps the text that it
 * was given in any case.  A SIGHUP that comes meanwhile is remembered (reload_wanted), not
 * interleaved.
 */
#include "supervisor/supervisor.h"

#include "base/log.h"
#include "base/mem.h"
#include "supervisor/status.h"

#include <signal.h>

enum {
	REFRESH_S = 60, /* for lost NOTIFYs, and for occurrences that were put off */
	START_S = 15, /* READY is sent by then, with or without a database */
	ONCE_AWAY_S = 30, /* --once: how long the database may be away */
	CHECK_MS = 60000, /* for a model check */
	STOP_S = 4, /* from SIGTERM to SIGKILL for a child */
};

static void proceed(struct supervisor *s);
static void reload(struct supervisor *s);
static void end_reload(struct supervisor *s, enum job_exit end);

static void arm(struct event *event, int seconds)
{
	const struct timeval after = {.tv_sec = seconds};

	if (event_add(event, &after) < 0)
		must_alloc(NULL); /* the only way in which a timer can fail */
}

static void replace(char **text, const char *with)
{
	char *copy = xstrdup(with);

	free(*text);
	*text = copy;
}

static void become_ready(struct supervisor *s)
{
	supervisor_tell(s);
	if (s->ready || s->once || s->stopping)
		return;
	s->ready = true;
	(void)event_del(s->patience); /* not pending is fine */
	notify_ready(s->notify);
	log_event(LOG_INFO, KIND_STARTED, NULL, "ready: %s", notify_last_status(s->notify));
	if (s->reload_wanted)
		reload(s);
}

static void end_when_alone(struct supervisor *s)
{
	if (!model_check_busy(s->check) && !dispatch_busy(s->dispatch) && !expiry_busy(s->expiry) &&
	    !surveyor_busy(s->surveyor))
		(void)event_base_loopbreak(s->base); /* a flag: cannot fail */
}

/* The loop goes on until the children are gone. */
static void stop(struct supervisor *s, int status)
{
	if (s->stopping)
		return;
	s->stopping = true;
	s->status = status;
	notify_stopping(s->notify);
	supervisor_tell(s);
	dispatch_stop(s->dispatch, false);
	expiry_stop(s->expiry, false);
	surveyor_stop(s->surveyor);
	model_check_stop(s->check);
	arm(s->stop_timer, STOP_S);
	end_when_alone(s);
}

/* The database refuses something.  It makes a start fail, and a --once; later it is a state. */
static void take_trouble(struct supervisor *s, const char *why)
{
	if (strcmp(s->trouble, why) != 0 && *why)
		log_err("%s", why);
	replace(&s->trouble, why);
	if (*why && !s->ready)
		stop(s, 1);
	supervisor_tell(s);
}

/* The model check. */

static void on_check_complaint(void *arg, const char *text)
{
	struct supervisor *s = arg;

	/* The same remark each minute is no news. */
	log_event(strcmp(text, s->remark) == 0 ? LOG_DEBUG : LOG_ERR,
		  s->candidate ? KIND_RELOAD_REFUSED : KIND_GENERAL, NULL, "%s", text);
	replace(&s->remark_now, text);
}

/* The model holds; what was remarked all the same stays in STATUS until a later check is silent. */
static void take_remark(struct supervisor *s)
{
	if (*s->remark && !*s->remark_now)
		log_info("no more: %s", s->remark);
	replace(&s->remark, s->remark_now);
}

static void start_check(struct supervisor *s, const struct config *config)
{
	replace(&s->remark_now, "");
	model_check_start(s->check, config);
}

/* Asks anew whether what was remarked still holds. */
static void check_again(struct supervisor *s)
{
	if (*s->remark && s->model == MODEL_GOOD)
		s->model = MODEL_UNKNOWN;
}

/* Of the generation in force: at start, or when the database is back. */
static void take_check(struct supervisor *s, enum job_exit end)
{
	switch (end) {
	case JOB_DONE:
		s->model = MODEL_GOOD;
		proceed(s);
		become_ready(s);
		return;
	case JOB_REFUSED:
		s->model = MODEL_REFUSED;
		log_err("the model is refused: nothing is started");
		break;
	case JOB_AWAY:
		/* Lost between our connection and the child's; each minute asks again. */
		become_ready(s);
		break;
	default:
		break;
	}
	if (!s->ready)
		stop(s, 1);
	supervisor_tell(s);
}

static void on_check_end(void *arg, enum job_exit end, const char *how)
{
	struct supervisor *s = arg;

	if (s->stopping) {
		end_when_alone(s);
		return;
	}
	if (end != JOB_DONE && end != JOB_REFUSED && end != JOB_AWAY)
		log_err("the model could not be checked: %s", how);
	if (end == JOB_DONE)
		take_remark(s);
	if (s->candidate)
		end_reload(s, end);
	else
		take_check(s, end);
	if (s->reload_wanted)
		reload(s);
}

/* The connection. */

static void on_schema(void *arg, int64_t tag, const PGresult *res)
{
	struct supervisor *s = arg;
	AUTO(char_p) char *why = res ? model_check_schema(res) : NULL;

	(void)tag; /* there is one question */
	if (!res || s->stopping)
		return; /* lost: on_down tells, and on_up asks again */
	s->schema_good = !why;
	take_trouble(s, why ? why : "");
	if (s->schema_good)
		proceed(s);
}

/* What was learnt over a connection does not outlive it: the server may be another by now. */
static void forget_database(struct supervisor *s)
{
	s->schema_good = false;
	s->policies_asked = false;
	expiry_want(s->expiry);
	dispatch_allow(s->dispatch, false);
	clock_set(s->clock, s->config, s->watch);
}

static void on_up(void *arg)
{
	struct supervisor *s = arg;

	if (s->away)
		log_event(LOG_INFO, KIND_DATABASE_BACK, NULL, "the database is back");
	s->away = false;
	if (s->once)
		(void)event_del(s->patience); /* not pending is fine */
	forget_database(s);
	if (s->model == MODEL_GOOD)
		s->model = MODEL_UNKNOWN; /* it may be a restored database by now */
	connection_query(s->watch, model_check_schema_sql, 0, NULL, on_schema, s, 0);
	supervisor_tell(s);
}

static void on_down(void *arg, const char *why)
{
	struct supervisor *s = arg;

	if (s->stopping)
		return;
	log_event(s->away ? LOG_DEBUG : LOG_WARNING, KIND_DATABASE_AWAY, NULL,
		  "waiting for the database: %s", why);
	s->away = true;
	replace(&s->away_why, why);
	forget_database(s);
	if (s->once && !evtimer_pending(s->patience, NULL))
		arm(s->patience, ONCE_AWAY_S);
	become_ready(s);
}

static void on_notify(void *arg, const char *payload)
{
	struct supervisor *s = arg;

	supervisor_hear(s, payload);
	proceed(s); /* whatever it was: what can run is asked for */
}

static void connect_database(struct supervisor *s)
{
	connection_free(s->watch);
	s->watch = connection_new(
		s->base, s->config->conninfo,
		&(struct connection_handlers){
			.on_up = on_up, .on_down = on_down, .on_notify = on_notify, .arg = s});
}

/* What is due, and what can run. */

/* Whatever comes next: called whenever something has changed, and each minute. */
static void proceed(struct supervisor *s)
{
	if (s->stopping || !connection_up(s->watch))
		return;
	if (s->schema_good) {
		expiry_proceed(s->expiry, s->config);
		surveyor_proceed(s->surveyor);
	}
	supervisor_compare_ledger(s);
	if (!s->schema_good) {
		connection_query(s->watch, model_check_schema_sql, 0, NULL, on_schema, s, 0);
	} else if (s->model == MODEL_GOOD) {
		dispatch_allow(s->dispatch, true);
		if (s->policies_asked)
			clock_retry(s->clock);
		else
			clock_ask(s->clock);
		s->policies_asked = true;
		dispatch_refresh(s->dispatch);
	} else if (s->model == MODEL_UNKNOWN && !model_check_busy(s->check)) {
		start_check(s, s->config);
	}
	supervisor_tell(s);
}

/* --once: nothing runs and nothing can be started.  Is that all? */
static void on_idle(void *arg)
{
	struct supervisor *s = arg;

	if (!s->once || s->stopping || !clock_settled(s->clock) || s->model != MODEL_GOOD ||
	    !expiry_settled(s->expiry))
		return;
	surveyor_proceed(s->surveyor); /* what the jobs have changed */
	if (!surveyor_settled(s->surveyor))
		return;
	if (s->ran && *s->remark) {
		/* A replay may have mended it. */
		s->ran = false;
		check_again(s);
		proceed(s);
		return;
	}
	if (s->ran && clock_has_blocked(s->clock)) {
		/* What blocked them may have been what has just ended. */
		s->ran = false;
		clock_retry(s->clock);
		if (!clock_settled(s->clock))
			return;
	}
	stop(s, s->failed || *s->remark ? 1 : 0);
}

static void on_clock_trouble(void *arg, const char *why)
{
	struct supervisor *s = arg;

	s->policies_asked = false;
	take_trouble(s, why);
}

static void on_clock_settled(void *arg, bool begun)
{
	const struct supervisor *s = arg;

	if (begun || s->once) /* which ends when nothing can be run */
		dispatch_refresh(s->dispatch);
	supervisor_tell(arg);
}

static void on_job_ended(void *arg, bool good)
{
	struct supervisor *s = arg;

	s->ran = true;
	surveyor_want(s->surveyor);
	if (!s->once && s->schema_good)
		surveyor_proceed(s->surveyor);
	s->failed = s->failed || !good;
	if (s->stopping) {
		end_when_alone(s);
	} else if (!s->once && *s->remark) {
		check_again(s);
		proceed(s);
	} else if (!s->once && s->policies_asked) {
		clock_retry(s->clock); /* an occurrence may have been put off for this pass */
	}
}

static void on_tidied(void *arg, bool good)
{
	struct supervisor *s = arg;

	s->failed = s->failed || !good;
	if (s->stopping)
		end_when_alone(s);
	else
		proceed(s);
}

static void on_batch(void *arg, const char *action, const struct metrics_batch *batch)
{
	const struct supervisor *s = arg;

	metrics_batch(surveyor_metrics(s->surveyor), action, batch);
}

static void on_waited(void *arg, enum wait_reason reason, int64_t ms)
{
	const struct supervisor *s = arg;

	metrics_waited(surveyor_metrics(s->surveyor), reason == WAIT_STANDBY, (double)ms / 1000);
}

static void on_surveyed(void *arg)
{
	struct supervisor *s = arg;

	if (s->stopping)
		end_when_alone(s);
	else if (s->once)
		dispatch_refresh(s->dispatch); /* it may have been the last that was waited for */
}

static void on_dispatch_trouble(void *arg, const char *why)
{
	struct supervisor *s = arg;

	if (why || s->policies_asked) /* else the clock's trouble stands */
		take_trouble(s, why ? why : "");
}

/* Reload. */

static void accept_candidate(struct supervisor *s, bool checked)
{
	struct config *old = s->config;
	const bool moved = strcmp(old->conninfo, s->candidate->conninfo) != 0;

	s->config = s->candidate;
	s->candidate = NULL;
	s->loaded_at = clock_now();
	s->model = checked ? MODEL_GOOD : MODEL_UNKNOWN;
	(void)schedule_set_timezone(s->config->timezone); /* config_load() found it */
	if (moved)
		connect_database(s);
	dispatch_set(s->dispatch, s->config, s->watch, moved);
	forget_database(s);
	surveyor_set(s->surveyor, s->config);
	talloc_free(old);
	log_event(LOG_INFO, KIND_RELOADED, NULL, "reloaded %s: %zu policies%s", s->config->path,
		  s->config->n_policies,
		  checked ? "" : "; the model will be checked before the next job");
}

static void end_reload(struct supervisor *s, enum job_exit end)
{
	if (end == JOB_DONE || end == JOB_AWAY) {
		accept_candidate(s, end == JOB_DONE);
	} else {
		log_event(LOG_ERR, KIND_RELOAD_REFUSED, NULL,
			  "%s is refused, its model %s: the configuration stays as it was",
			  s->config->path,
			  end == JOB_REFUSED ? "does not hold" : "could not be checked");
		talloc_free(s->candidate);
		s->candidate = NULL;
	}
	supervisor_tell(s);
	notify_ready(s->notify);
	proceed(s);
}

static void reload(struct supervisor *s)
{
	AUTO(complaints) struct complaints c = {0};

	s->reload_wanted = model_check_busy(s->check) || !s->ready;
	if (s->reload_wanted || s->stopping)
		return;
	notify_reloading(s->notify);
	s->candidate = config_load(s->config->path, &c);
	/* Whatever loading did to the process's zone: the old generation is in force. */
	(void)schedule_set_timezone(s->config->timezone); /* it was found before */
	if (!s->candidate) {
		for (size_t i = 0; i < c.n; i++)
			log_event(LOG_ERR, KIND_RELOAD_REFUSED, NULL, "%s", c.lines[i]);
		log_event(LOG_ERR, KIND_RELOAD_REFUSED, NULL,
			  "%s is refused: the configuration stays as it was", s->config->path);
		notify_ready(s->notify);
	} else if (connection_up(s->watch) ||
		   strcmp(s->config->conninfo, s->candidate->conninfo) != 0) {
		start_check(s, s->candidate);
	} else {
		end_reload(s, JOB_AWAY);
	}
}

/* Signals, by evsignal: these are ordinary callbacks of the loop. */

static void on_sighup(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;

	(void)fd, (void)what; /* the signal is known */
	if (s->once)
		log_info("--once reads its configuration once: SIGHUP is of no use");
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
		expiry_stop(s->expiry, true);
		return;
	}
	log_event(LOG_INFO, KIND_STOPPED, NULL, "stopping");
	stop(s, s->once ? 1 : 0); /* --once was not through */
}

static void on_stop_timer(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;

	(void)fd, (void)what; /* a timer */
	log_warn("a job has not stopped within 4 s: it is killed, which rolls its batch back");
	dispatch_stop(s->dispatch, true);
	expiry_stop(s->expiry, true);
}

static void on_refresh(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what; /* a timer */
	check_again(arg);
	proceed(arg);
}

static void on_patience(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;

	(void)fd, (void)what; /* a timer */
	if (s->once)
		take_trouble(s, "the database is away");
	else
		become_ready(s);
}

static void add_events(struct supervisor *s)
{
	static const struct {
		int number;
		event_callback_fn callback;
	} signals[SIGNALS] = {{SIGHUP, on_sighup},
			      {SIGTERM, on_sigterm},
			      {SIGINT, on_sigterm},
			      {SIGUSR1, supervisor_log_state}};
	const struct timeval minute = {.tv_sec = REFRESH_S};

	for (int i = 0; i < SIGNALS; i++) {
		s->signals[i] = must_alloc(
			evsignal_new(s->base, signals[i].number, signals[i].callback, s));
		if (event_add(s->signals[i], NULL) < 0)
			must_alloc(NULL); /* the only way in which it can fail */
	}
	s->refresh = must_alloc(event_new(s->base, -1, EV_PERSIST, on_refresh, s));
	if (event_add(s->refresh, &minute) < 0)
		must_alloc(NULL); /* likewise */
	s->patience = must_alloc(evtimer_new(s->base, on_patience, s));
	s->stop_timer = must_alloc(evtimer_new(s->base, on_stop_timer, s));
	arm(s->patience, s->once ? ONCE_AWAY_S : START_S);
}

static void supervisor_free(struct supervisor *s)
{
	/* Those that call back first. */
	connection_free(s->watch);
	children_free(s->children);
	model_check_free(s->check);
	dispatch_free(s->dispatch);
	expiry_free(s->expiry);
	surveyor_free(s->surveyor);
	clock_free(s->clock);
	notify_free(s->notify);
	for (int i = 0; i < SIGNALS; i++)
		event_free(s->signals[i]);
	event_free(s->refresh);
	event_free(s->patience);
	event_free(s->stop_timer);
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
	const struct dispatch_handlers dispatch_handlers = {.on_change = supervisor_tell,
							    .on_ended = on_job_ended,
							    .on_batch = on_batch,
							    .on_waited = on_waited,
							    .on_idle = on_idle,
							    .on_trouble = on_dispatch_trouble,
							    .arg = &s};
	const struct expiry_handlers expiry_handlers = {.on_ended = on_tidied, .arg = &s};
	const struct surveyor_handlers surveyor_handlers = {.on_text = supervisor_measure,
							    .on_health = supervisor_health,
							    .on_ended = on_surveyed,
							    .arg = &s};
	const struct model_check_handlers check_handlers = {
		.on_complaint = on_check_complaint, .on_end = on_check_end, .arg = &s};

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
	s.check = model_check_new(s.base, s.children, CHECK_MS, &check_handlers);
	s.dispatch = dispatch_new(s.base, s.children, &dispatch_handlers, s.once);
	s.expiry = expiry_new(s.children, &expiry_handlers);
	s.surveyor = surveyor_new(s.base, s.children, &surveyor_handlers);
	surveyor_set(s.surveyor, s.config);
	connect_database(&s);
	dispatch_set(s.dispatch, s.config, s.watch, false);
	forget_database(&s);
	log_event(LOG_INFO, KIND_STARTED, NULL, "started with %s: %zu policies", s.config->path,
		  s.config->n_policies);
	if (event_base_dispatch(s.base) < 0)
		s.status = 1;
	log_event(LOG_INFO, KIND_STOPPED, NULL, "stopped");
	supervisor_free(&s);
	return s.status;
}
