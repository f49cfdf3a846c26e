/*
 * A reload is a new generation or complaints (config_load), the check of its model by a child, and one pointer.
 * Up to that assignment the old generation is in force, whole.  A running job keeps the text that it was given.
 * A SIGHUP that comes meanwhile is remembered (reload_wanted), not interleaved.
 */
#include "supervisor/reload.h"

#include "supervisor/loop.h"
#include "supervisor/metrics.h"
#include "supervisor/proceed.h"
#include "supervisor/status.h"

#include <systemd/sd-daemon.h>
#include <time.h>

#define TELL_S 15 /* how long a start that has failed waits for notify.command */

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
		proceed_connect(s);
	dispatch_set(s->dispatch, s->config, s->connection, moved);
	notifier_set(s->notifier, s->config, s->connection);
	proceed_forget(s);
	supervisor_metrics_set(s, old);
	gate_set(s->gate, s->config);
	talloc_free(old);
	log_event(LOG_INFO, KIND_RELOADED, NULL, "reloaded %s: %zu %s%s", s->config->path,
		  s->config->n_policies, s->config->n_policies == 1 ? "policy" : "policies",
		  checked ? "" : "; the model will be checked before the next job");
}

static void end_reload(struct supervisor *s, enum job_exit end)
{
	if (end == JOB_DONE || end == JOB_AWAY || end == JOB_INCOMPLETE) {
		accept_candidate(s, end == JOB_DONE);
	} else {
		log_event(LOG_ERR, KIND_RELOAD_REFUSED, NULL,
			  "%s is refused, its model %s: the configuration stays as it was",
			  s->config->path,
			  end == JOB_REFUSED ? "does not hold" : "could not be checked");
		talloc_free(s->candidate);
		s->candidate = NULL;
	}
	status_notify(s);
	status_ready(s);
	proceed(s);
}

void reload(struct supervisor *s)
{
	AUTO(complaints) struct complaints c = {0};
	struct timespec now = {0};

	s->reload_wanted = s->check->child || !s->ready;
	if (s->reload_wanted || s->stopping)
		return;
	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail on a valid clock */
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
			 (long long)now.tv_sec * 1000000 +
				 now.tv_nsec / 1000); /* if lost: no wait */
	s->candidate = talloc_steal(s, config_load(s->config->path, &c));
	if (!s->candidate) {
		for (size_t i = 0; i < c.n; i++)
			log_event(LOG_ERR, KIND_RELOAD_REFUSED, NULL, "%s", c.lines[i]);
		log_event(LOG_ERR, KIND_RELOAD_REFUSED, NULL,
			  "%s is refused: the configuration stays as it was", s->config->path);
		status_ready(s);
		return;
	}
	s->candidate->asked_by = t_strdup(s->candidate, s->reload_asked_by);
	if (connection_up(s->connection) ||
	    strcmp(s->config->conninfo, s->candidate->conninfo) != 0) {
		proceed_start_check(s, s->candidate);
	} else {
		end_reload(s, JOB_AWAY);
	}
}

/* --- The check of a model --------------------------------------------------------------------- */

/* The check waits, or has ended before it was finished.  The same reason is logged again only if it ends a start. */
static void take_unfinished(struct supervisor *s, const char *why)
{
	log_event(s->ready && s->unchecked && strcmp(why, s->unchecked) == 0 ? LOG_DEBUG
									     : LOG_WARNING,
		  KIND_GENERAL, NULL, "the model is not checked yet: %s", why);
	t_replace(s, &s->unchecked, why);
	status_notify(s);
}

void reload_on_complaint(void *arg, const struct job_message *message)
{
	struct supervisor *s = arg;

	if (message->word == WORD_WAITING) {
		if (*message->text)
			take_unfinished(s, message->text);
		return;
	}
	/* The check runs each minute: a remark that it repeats is logged once. */
	log_event(s->remark && strcmp(message->text, s->remark) == 0 ? LOG_DEBUG : LOG_ERR,
		  s->candidate ? KIND_RELOAD_REFUSED : KIND_GENERAL, NULL, "%s", message->text);
	t_replace(s, &s->remark_now, message->text);
}

void reload_on_warning(void *arg, const struct job_message *message)
{
	const struct supervisor *s = arg;

	log_event(s->remark ? LOG_DEBUG : LOG_WARNING, KIND_GENERAL, NULL, "%s", message->text);
}

/* The model holds.  A remark that was made nevertheless stays in STATUS until a later check makes none. */
static void take_remark(struct supervisor *s)
{
	if (s->remark && !s->remark_now)
		log_info("no more: %s", s->remark);
	t_replace(s, &s->remark, s->remark_now);
}

/* The process ends, but first somebody is told, if that does not take long. */
static void end_start(struct supervisor *s)
{
	s->ends = !notifier_settled(s->notifier);
	if (s->ends)
		loop_arm(s->patience, TELL_S * 1000);
	else
		proceed_stop(s, 1);
}

/* The generation in force was checked: at start, or because the database is back. */
static void take_check(struct supervisor *s, enum job_exit end)
{
	if (end == JOB_DONE) {
		s->model = MODEL_GOOD;
		connection_trust(s->connection);
		proceed(s);
		proceed_ready(s);
		return;
	}
	if (end == JOB_REFUSED) {
		s->model = MODEL_REFUSED;
		log_err("the model is refused: nothing is started");
		notifier_record(s->notifier, "model_refused", 0);
	} else if (end == JOB_AWAY || end == JOB_INCOMPLETE) {
		/* Lost between our connection and the child's, or locked: asked again within a minute. */
		proceed_ready(s);
	}
	if (!s->ready)
		end_start(s);
	status_notify(s);
}

void reload_on_checked(void *arg, enum job_exit end, const char *how, const char *note)
{
	struct supervisor *s = arg;

	if (s->stopping) {
		proceed(s);
		return;
	}
	if (end == JOB_AWAY || end == JOB_INCOMPLETE)
		take_unfinished(s, *note ? note : how);
	else
		t_replace(s, &s->unchecked, NULL);
	if (end != JOB_DONE && end != JOB_REFUSED && end != JOB_AWAY && end != JOB_INCOMPLETE)
		log_err("the model could not be checked: %s%s%s", how, *note ? ": " : "", note);
	if (end == JOB_DONE)
		take_remark(s);
	if (s->candidate)
		end_reload(s, end);
	else
		take_check(s, end);
	if (s->reload_wanted)
		reload(s);
}
