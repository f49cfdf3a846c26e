#include "supervisor/status.h"

#include "base/log.h"
#include "base/mem.h"
#include "supervisor/dispatch_state.h"

static const char *const model_names[] = {"not checked yet", "good", "refused"};

/* Why the first of *ret_n refused jobs is refused, in its last words; NULL: none is. */
static const char *first_refusal(const struct dispatch *dispatch, int *ret_n)
{
	const char *first = NULL;

	*ret_n = 0;
	for (size_t i = 0; i < dispatch->n_tasks; i++) {
		const struct task *task = &dispatch->tasks[i];

		if (!task->attempt.refused || dispatch_runs(dispatch, task))
			continue;
		(*ret_n)++;
		if (!first)
			first = task->refusal;
	}
	return first;
}

/* Counts the actions that could run if they were not paused. */
static int count_paused(const struct dispatch *dispatch)
{
	int n = 0;

	for (size_t i = 0; i < dispatch->n_tasks; i++)
		n += dispatch->tasks[i].paused_by ? 1 : 0;
	return n;
}

/* Describes the running job in one line, which the caller frees; NULL: none runs. */
static char *describe_jobs(const struct dispatch *dispatch)
{
	for (int i = 0; i < SLOT_COUNT; i++) {
		const struct slot *slot = &dispatch->slots[i];
		char progress[80];

		if (!slot->child)
			continue;
		progress_print(&slot->progress, progress, sizeof(progress));
		return xprintf("%s: %s%s%s", slot->label,
			       *progress           ? progress
			       : i == SLOT_LISTING ? "listing"
						   : slot->action,
			       slot->wait.text ? ", waiting: " : "",
			       slot->wait.text ? slot->wait.text : "");
	}
	return NULL;
}

static void log_jobs(const struct dispatch *dispatch)
{
	const int64_t now_ms = monotonic_ms();

	for (int i = 0; i < SLOT_COUNT; i++) {
		const struct slot *slot = &dispatch->slots[i];
		const struct log_fields fields = dispatch_fields(slot);
		char progress[80];

		if (!slot->child)
			continue;
		progress_print(&slot->progress, progress, sizeof(progress));
		log_event(LOG_INFO, KIND_STATE, &fields,
			  "state: job %lld (%s) runs, process %d: %s%s%s", (long long)slot->job,
			  slot->label, child_pid(slot->child),
			  *progress ? progress : "no progress known",
			  slot->wait.text ? ", waits: " : "",
			  slot->wait.text ? slot->wait.text : "");
	}
	for (size_t i = 0; i < dispatch->n_tasks; i++) {
		const struct task *task = &dispatch->tasks[i];
		const int64_t ms = task->attempt.not_before_ms - now_ms;

		if (dispatch_runs(dispatch, task))
			continue;
		log_event(LOG_INFO, KIND_STATE,
			  &(struct log_fields){
				  .policy = task->policy, .action = task->action, .job = task->id},
			  "state: job %lld (%s) %s, %s %lld s", (long long)task->id,
			  task->policy ? task->policy : task->action,
			  task->paused_by         ? "is paused"
			  : task->attempt.refused ? "is refused"
						  : "can run",
			  task->attempt.ended ? "tried again in" : "waits for its turn",
			  (long long)(ms > 0 ? ms / 1000 : 0));
	}
}

void status_notify(void *arg)
{
	const struct supervisor *s = arg;
	AUTO(char_p) char *running = describe_jobs(s->dispatch);
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
			      "the model is refused: nothing runs until a reload corrects it");
	} else if (s->model == MODEL_UNKNOWN) {
		notify_status(s->notify, "%s",
			      connection_up(s->connection) ? "checking the model" : "connecting");
	} else if (s->dispatch->paused_by) {
		notify_status(s->notify, "everything is paused by %s: retentionctl resume",
			      s->dispatch->paused_by);
	} else if (*s->remark) {
		notify_status(s->notify, "%s", s->remark);
	} else if (count_paused(s->dispatch) > 0) {
		notify_status(s->notify, "actions paused: %d", count_paused(s->dispatch));
	} else if ((policy = clock_next(s->clock, &at))) {
		clock_print(at, when, sizeof(when));
		notify_status(s->notify, "idle, next: %s at %s", policy->name, when);
	} else {
		notify_status(s->notify, "%s",
			      clock_settled(s->clock) ? "idle, no policy is enabled"
						      : "asking what is due");
	}
}

void status_log(evutil_socket_t fd, short what, void *arg)
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
		  connection_up(s->connection) ? "connected" : "away",
		  s->schema_good ? "as expected" : "not known to be as expected",
		  s->away ? ": " : "", s->away ? s->away_why : "");
	clock_log_state(s->clock);
	log_jobs(s->dispatch);
}

void status_measure(void *arg, struct metrics *metrics)
{
	const struct supervisor *s = arg;
	const struct slot *slot = &s->dispatch->slots[SLOT_MAIN];
	int refused = 0;

	metrics_put(metrics, "retentiond_up", NULL, NULL, s->stopping ? 0 : 1);
	metrics_put(metrics, "retentiond_database_up", NULL, NULL,
		    connection_up(s->connection) ? 1 : 0);
	metrics_put(metrics, "retentiond_model_good", NULL, NULL, s->model == MODEL_GOOD ? 1 : 0);
	metrics_put(metrics, "retentiond_config_loaded_timestamp_seconds", NULL, NULL,
		    (double)s->loaded_at);
	(void)first_refusal(s->dispatch, &refused); /* /healthz has the reason */
	metrics_put(metrics, "retentiond_jobs_refused", NULL, NULL, refused);
	metrics_put(metrics, "retentiond_paused", NULL, NULL, s->dispatch->paused_by ? 1 : 0);
	metrics_put(metrics, "retentiond_jobs_paused", NULL, NULL, count_paused(s->dispatch));
	if (slot->wait.reason != WAIT_NONE)
		metrics_put(metrics, "retentiond_job_waiting", "for", wait_word(slot->wait.reason),
			    1);
	if (!slot->child)
		return;
	metrics_put(metrics, "retentiond_job_due", "job", slot->label, (double)slot->progress.due);
	metrics_put(metrics, "retentiond_job_done", "job", slot->label,
		    (double)slot->progress.done);
	metrics_put(metrics, "retentiond_job_eta_seconds", "job", slot->label,
		    (double)slot->progress.eta_s);
}

char *status_health(void *arg)
{
	const struct supervisor *s = arg;
	int refused = 0;
	const char *why = s->stopping                     ? "stopping"
			  : s->away                       ? s->away_why
			  : *s->trouble                   ? s->trouble
			  : *s->remark                    ? s->remark
			  : !connection_up(s->connection) ? "not connected to the database yet"
			  : !s->schema_good               ? "the schema is not known to fit yet"
			  : s->model == MODEL_REFUSED     ? "the model is refused"
			  : s->model == MODEL_UNKNOWN     ? "the model is being checked"
							  : first_refusal(s->dispatch, &refused);

	return why ? xstrdup(why) : NULL;
}
