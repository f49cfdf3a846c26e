#include "supervisor/proceed.h"

#include "base/schema_version.h"
#include "supervisor/loop.h"
#include "supervisor/metrics.h"
#include "supervisor/status.h"

#include <systemd/sd-daemon.h>

#define STOP_S 4 /* from SIGTERM to SIGKILL for a child */

void proceed_ready(struct supervisor *s)
{
	status_notify(s);
	if (s->ready || s->once || s->stopping)
		return;
	s->ready = true;
	(void)event_del(s->patience); /* not pending is fine */
	status_ready(s);
	log_event(LOG_INFO, KIND_STARTED, NULL, "ready: %s", s->status_text);
	if (s->reload_wanted)
		event_active(s->reload, EV_TIMEOUT, 1);
}

void proceed_stop(struct supervisor *s, int status)
{
	if (s->stopping)
		return;
	s->stopping = true;
	s->status = status;
	(void)sd_notify(0, "STOPPING=1"); /* a message that is lost stops nothing */
	status_notify(s);
	dispatch_stop(s->dispatch, false);
	errand_stop(s->expiry, false);
	errand_stop(s->check, false);
	errand_stop(s->survey, false);
	errand_stop(s->answer, false);
	notifier_stop(s->notifier, false);
	gate_stop(s->gate);
	loop_arm(s->stop_timer, STOP_S * 1000);
	proceed(s);
}

void proceed_trouble(struct supervisor *s, const char *why)
{
	if (why && !(s->trouble && strcmp(s->trouble, why) == 0))
		log_err("%s", why);
	t_replace(s, &s->trouble, why);
	if (why && !s->ready)
		proceed_stop(s, 1);
	status_notify(s);
}

void proceed_start_check(struct supervisor *s, const struct config *config)
{
	t_replace(s, &s->remark_now, NULL);
	errand_start(s->check, config);
}

void proceed_check_again(struct supervisor *s)
{
	if (s->remark && s->model == MODEL_GOOD)
		s->model = MODEL_UNKNOWN;
}

/* --- The schema ------------------------------------------------------------------------------- */

/* NULL: the schema fits this program; else the remedy; talloc. */
static char *judge_schema(const PGresult *res)
{
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *why = connection_failure(res);
	long version = 0;

	if (!why)
		version = strtol(PQgetvalue(res, 0, 0), NULL, 10); /* an int, always */
	else if (!schema_version_is_missing(sqlstate))
		return t_strdup(NULL, why);
	return schema_version_judge(NULL, version, "retentiond");
}

static void on_schema(void *arg, int64_t tag, const PGresult *res)
{
	struct supervisor *s = arg;
	AUTO(talloc) char *why = NULL;

	(void)tag; /* there is one question */
	if (!res || s->stopping)
		return; /* the connection is lost: on_down() logs it, and on_up() asks again */
	why = judge_schema(res);
	s->schema_good = !why;
	proceed_trouble(s, why);
	if (s->schema_good)
		proceed(s);
}

static void ask_schema(struct supervisor *s)
{
	connection_ask(s->connection, &(struct connection_query){.sql = SCHEMA_VERSION_SQL,
								 .on_answer = on_schema,
								 .arg = s});
}

/* --- The connection --------------------------------------------------------------------------- */

void proceed_forget(struct supervisor *s)
{
	s->schema_good = false;
	s->policies_asked = false;
	s->expiry->wanted = s->answer->wanted = true; /* a NOTIFY may have been lost */
	s->dispatch->allowed = false;
	page_policies_forget(s->page);
	clock_set(s->clock, s->config, page_policies_last(s->page), s->connection);
}

static void on_up(void *arg)
{
	struct supervisor *s = arg;

	if (s->away)
		log_event(LOG_INFO, KIND_DATABASE_BACK, NULL, "the database is back");
	t_replace(s, &s->away, NULL);
	if (s->once)
		(void)event_del(s->patience); /* not pending is fine */
	proceed_forget(s);
	if (s->model == MODEL_GOOD)
		s->model = MODEL_UNKNOWN; /* it may be a restored database */
	ask_schema(s);
	status_notify(s);
}

/* The check of the model finds out whether the pooler is in session mode. */
static void on_pooled(void *arg)
{
	struct supervisor *s = arg;

	if (connection_pooled(s->connection) && s->model != MODEL_REFUSED && !s->check->child)
		proceed_start_check(s, s->config);
}

static void on_down(void *arg, const char *why)
{
	struct supervisor *s = arg;

	if (s->stopping)
		return;
	log_event(s->away ? LOG_DEBUG : LOG_WARNING, KIND_DATABASE_AWAY, NULL,
		  "waiting for the database: %s", why);
	t_replace(s, &s->away, why);
	proceed_forget(s);
	if (s->once && !evtimer_pending(s->patience, NULL))
		loop_arm(s->patience, ONCE_AWAY_S * 1000);
	proceed_ready(s);
}

void proceed_policies(void *arg, const struct page_policies *list, bool changed, const char *why)
{
	struct supervisor *s = arg;

	if (why) {
		s->policies_asked = false;
		proceed_trouble(s, why);
		return;
	}
	if (s->model != MODEL_GOOD || !s->schema_good)
		return; /* asked again when it is good */
	if (changed) {
		clock_set(s->clock, s->config, list, s->connection);
		s->policies_asked = false;
	}
	if (s->policies_asked)
		clock_retry(s->clock);
	else
		clock_ask(s->clock);
	s->policies_asked = true;
	if (s->once)
		dispatch_refresh(s->dispatch); /* on_idle() may have waited for this */
	status_notify(s);
}

static bool begins_with(const char *text, const char *word)
{
	return strncmp(text, word, strlen(word)) == 0;
}

/* A policy of the page has changed; saved: it does not run yet. */
static void take_page_policy(struct supervisor *s, bool saved)
{
	s->survey->wanted = true; /* it counts what the policy would reach */
	if (!saved)
		s->check_wanted = true;
}

static void on_notify(void *arg, const char *payload)
{
	struct supervisor *s = arg;

	if (begins_with(payload, "archive_deleted "))
		s->expiry->wanted = true;
	else if (begins_with(payload, "asked measure "))
		s->survey->wanted = true;
	else if (begins_with(payload, "asked "))
		s->answer->wanted = true;
	else if (begins_with(payload, "restored "))
		s->check_wanted = true;
	else if (begins_with(payload, "adopted"))
		s->model = MODEL_UNKNOWN;
	else if (begins_with(payload, "policy_"))
		take_page_policy(s, begins_with(payload, "policy_saved "));
	/* What was refused may be done now. */
	if (begins_with(payload, "adopted") || begins_with(payload, "abandoned "))
		dispatch_set(s->dispatch, s->config, s->connection, false);
	proceed(s); /* any payload is a reason to ask again */
}

void proceed_connect(struct supervisor *s)
{
	talloc_free(s->connection); /* fails for NULL, which is fine */
	s->connection = connection_new(s, s->base, s->config->conninfo,
				       &(struct connection_handlers){.on_up = on_up,
								     .on_pooled = on_pooled,
								     .on_down = on_down,
								     .on_notify = on_notify,
								     .arg = s});
}

/* --- The next step ---------------------------------------------------------------------------- */

void proceed(struct supervisor *s)
{
	if (s->stopping) {
		if (!s->check->child && !s->expiry->child && !s->survey->child &&
		    !s->answer->child && !gate_busy(s->gate) && notifier_settled(s->notifier) &&
		    !dispatch_running(s->dispatch))
			(void)event_base_loopbreak(s->base); /* a flag: cannot fail */
		return;
	}
	if (!connection_up(s->connection)) {
		on_pooled(s);
		return;
	}
	if (s->schema_good) {
		errand_proceed(s->expiry, s->config);
		if (!s->once)
			errand_proceed(s->answer, s->config);
		supervisor_metrics_proceed(s);
		notifier_proceed(s->notifier);
	}
	if (s->check_wanted && s->model == MODEL_GOOD && !s->check->child) {
		/*
		 * The check of the model writes the restored archive's lines to the ledger's file, and which policies of
		 * the page are in force to theirs.
		 */
		s->check_wanted = false;
		s->model = MODEL_UNKNOWN;
	}
	if (!s->schema_good) {
		ask_schema(s);
	} else if (s->model == MODEL_GOOD) {
		s->dispatch->allowed = true;
		page_policies_ask(s->page, s->config, s->connection);
		dispatch_refresh(s->dispatch);
	} else if (s->model == MODEL_UNKNOWN && !s->check->child) {
		proceed_start_check(s, s->config);
	}
	status_notify(s);
}
