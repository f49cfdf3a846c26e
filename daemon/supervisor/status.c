#include "supervisor/status.h"

#include "base/log.h"
#include "base/mem.h"

static const char *const model_names[] = {"not checked yet", "good", "refused"};

void supervisor_tell(void *arg)
{
	const struct supervisor *s = arg;
	AUTO(char_p) char *running = dispatch_status(s->dispatch);
	const struct policy *policy = NULL;
	char when[32];
	int64_t at = 0;

	if (s->stopping) {
		notify_status(s->notify, "stopping");
	} else if (s->away) {
		notify_status(s->notify, "waiting for the database: %s", s->away_why);
	} else if (*s->trouble) {
		notify_status(s->notify, "%s", s->trouble);
	} else if (running) {
		notify_status(s->notify, "%s", running);
	} else if (s->model == MODEL_REFUSED) {
		notify_status(s->notify,
			      "the model is refused: nothing runs until a reload mends it");
	} else if (s->model == MODEL_UNKNOWN) {
		notify_status(s->notify, "%s",
			      connection_up(s->watch) ? "checking the model" : "connecting");
	} else if (*s->remark) {
		notify_status(s->notify, "%s", s->remark);
	} else if ((policy = clock_next(s->clock, &at))) {
		clock_print(at, when, sizeof(when));
		notify_status(s->notify, "idle, next: %s at %s", policy->name, when);
	} else {
		notify_status(s->notify, "%s",
			      clock_settled(s->clock) ? "idle, no policy is enabled"
						      : "asking what is due");
	}
}

void supervisor_log_state(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;
	char loaded[32];

	(void)fd, (void)what; /* the signal is known */
	clock_print(s->loaded_at, loaded, sizeof(loaded));
	log_event(LOG_INFO, KIND_STATE, NULL, "state: %s", notify_last_status(s->notify));
	log_event(LOG_INFO, KIND_STATE, NULL, "state: %s loaded at %s, %zu policies, model %s%s",
		  s->config->path, loaded, s->config->n_policies, model_names[s->model],
		  s->candidate ? ", a reload is being checked" : "");
	log_event(LOG_INFO, KIND_STATE, NULL, "state: database %s, schema %s%s%s",
		  connection_up(s->watch) ? "connected" : "away",
		  s->schema_good ? "as expected" : "not known to be as expected",
		  s->away ? ": " : "", s->away ? s->away_why : "");
	clock_log_state(s->clock);
	dispatch_log_state(s->dispatch);
}

void supervisor_measure(void *arg, struct metrics *metrics)
{
	const struct supervisor *s = arg;
	const char *label = NULL;
	struct job_progress progress;
	int refused = 0;

	metrics_put(metrics, "retentiond_up", NULL, NULL, s->stopping ? 0 : 1);
	metrics_put(metrics, "retentiond_database_up", NULL, NULL, connection_up(s->watch) ? 1 : 0);
	metrics_put(metrics, "retentiond_model_good", NULL, NULL, s->model == MODEL_GOOD ? 1 : 0);
	metrics_put(metrics, "retentiond_config_loaded_timestamp_seconds", NULL, NULL,
		    (double)s->loaded_at);
	(void)dispatch_refused(s->dispatch, &refused); /* why: /healthz says it */
	metrics_put(metrics, "retentiond_jobs_refused", NULL, NULL, refused);
	if (dispatch_waits_for(s->dispatch) != WAIT_NONE)
		metrics_put(metrics, "retentiond_job_waiting", "for",
			    wait_word(dispatch_waits_for(s->dispatch)), 1);
	if (!dispatch_progress(s->dispatch, &label, &progress))
		return;
	metrics_put(metrics, "retentiond_job_due", "job", label, (double)progress.due);
	metrics_put(metrics, "retentiond_job_done", "job", label, (double)progress.done);
	metrics_put(metrics, "retentiond_job_eta_seconds", "job", label, (double)progress.eta_s);
}

char *supervisor_health(void *arg)
{
	const struct supervisor *s = arg;
	int refused = 0;
	const char *why = s->stopping                 ? "stopping"
			  : s->away                   ? s->away_why
			  : *s->trouble               ? s->trouble
			  : *s->remark                ? s->remark
			  : !connection_up(s->watch)  ? "not connected to the database yet"
			  : !s->schema_good           ? "the schema is not known to fit yet"
			  : s->model == MODEL_REFUSED ? "the model is refused"
			  : s->model == MODEL_UNKNOWN ? "the model is being checked"
						      : dispatch_refused(s->dispatch, &refused);

	return why ? xstrdup(why) : NULL;
}

void supervisor_hear(struct supervisor *s, const char *payload)
{
	if (strncmp(payload, "archive_deleted ", strlen("archive_deleted ")) == 0)
		expiry_want(s->expiry);
	if (strncmp(payload, "restored ", strlen("restored ")) == 0)
		s->restored = true;
}

void supervisor_compare_ledger(struct supervisor *s)
{
	if (!s->restored || s->model != MODEL_GOOD || model_check_busy(s->check))
		return;
	s->restored = false;
	s->model = MODEL_UNKNOWN;
}
