#include "supervisor/status.h"

#include "base/text.h"

#include <systemd/sd-daemon.h>

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

static char *describe_job(const struct slot *slot)
{
	char progress[80];

	progress_print(&slot->progress, progress, sizeof(progress));
	return t_printf(NULL, "%s: %s%s%s", slot->label,
			*progress                                      ? progress
			: slot == &slot->dispatch->slots[SLOT_LISTING] ? "listing"
								       : slot->id.action,
			slot->wait.text ? ", waiting: " : "",
			slot->wait.text ? slot->wait.text : "");
}

static void log_jobs(const struct dispatch *dispatch)
{
	const int64_t now_ms = monotonic_ms();

	for (int i = 0; i < SLOT_COUNT; i++) {
		const struct slot *slot = &dispatch->slots[i];
		char progress[80];

		if (!slot->child)
			continue;
		progress_print(&slot->progress, progress, sizeof(progress));
		log_event(LOG_INFO, KIND_STATE, &slot->id,
			  "state: job %lld (%s) runs, process %d: %s%s%s", (long long)slot->id.job,
			  slot->label, (int)slot->child->pid,
			  *progress ? progress : "no progress known",
			  slot->wait.text ? ", waits: " : "",
			  slot->wait.text ? slot->wait.text : "");
	}
	for (size_t i = 0; i < dispatch->n_tasks; i++) {
		const struct task *task = &dispatch->tasks[i];
		const int64_t ms = task->attempt.not_before_ms - now_ms;

		if (dispatch_runs(dispatch, task))
			continue;
		log_event(LOG_INFO, KIND_STATE, &task->id, "state: job %lld (%s) %s, %s %lld s",
			  (long long)task->id.job,
			  task->id.policy ? task->id.policy : task->id.action,
			  task->paused_by         ? "is paused"
			  : task->attempt.refused ? "is refused"
						  : "can run",
			  task->attempt.ended ? "tried again in" : "waits for its turn",
			  (long long)(ms > 0 ? ms / 1000 : 0));
	}
}

/* Why the check has refused the model or the archives' directory, in its last words. */
static const char *refusal(const struct supervisor *s)
{
	return s->remark_now ? s->remark_now : "the model is refused";
}

static char *describe(const struct supervisor *s)
{
	const struct slot *slot = dispatch_running(s->dispatch);
	const struct policy *policy = NULL;
	const int paused = count_paused(s->dispatch);
	int refused;
	char when[32];
	int64_t at = 0;

	if (s->stopping)
		return t_strdup(NULL, "stopping");
	if (s->away)
		return t_printf(NULL, "waiting for the database: %s", s->away);
	if (s->trouble)
		return t_strdup(NULL, s->trouble);
	if (slot)
		return describe_job(slot);
	if (s->model == MODEL_REFUSED)
		return t_printf(NULL, "nothing runs until a reload corrects it: %s", refusal(s));
	if (s->model == MODEL_UNKNOWN)
		return !connection_up(s->connection) && !connection_pooled(s->connection)
			       ? t_strdup(NULL, "connecting")
		       : s->unchecked
			       ? t_printf(NULL, "the model is not checked yet: %s", s->unchecked)
			       : t_strdup(NULL, "checking the model");
	if (s->dispatch->paused_by)
		return t_printf(NULL, "everything is paused by %s: retentionctl resume",
				s->dispatch->paused_by);
	if (s->remark || first_refusal(s->dispatch, &refused))
		return t_strdup(NULL, s->remark ? s->remark : first_refusal(s->dispatch, &refused));
	if (page_policies_last(s->page)->refusal)
		return t_strdup(NULL, page_policies_last(s->page)->refusal);
	if (paused > 0)
		return t_printf(NULL, "actions paused: %d", paused);
	policy = clock_next(s->clock, &at);
	if (!policy)
		return t_strdup(NULL, s->policies_asked && clock_settled(s->clock)
					      ? "idle, no policy is enabled"
					      : "asking what is due");
	clock_print(at, when, sizeof(when));
	return t_printf(NULL, "idle, next: %s at %s", policy->name, when);
}

void status_notify(void *arg)
{
	struct supervisor *s = arg;
	AUTO(talloc) char *text = describe(s);

	(void)text_one_line(text); /* a newline would begin another assignment of the protocol */
	if (strcmp(text, s->status_text) == 0)
		return;
	t_replace(s, &s->status_text, text);
	(void)sd_notifyf(0, "STATUS=%s", text); /* a message that is lost stops nothing */
}

void status_ready(const struct supervisor *s)
{
	(void)sd_notifyf(0, "READY=1\nSTATUS=%s", s->status_text); /* if lost: started again */
}

void status_log(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;
	char loaded[32];

	(void)fd, (void)what; /* the signal is known */
	clock_print(s->loaded_at, loaded, sizeof(loaded));
	log_event(LOG_INFO, KIND_STATE, NULL, "state: %s", s->status_text);
	log_event(LOG_INFO, KIND_STATE, NULL, "state: %s loaded at %s, %zu policies, model %s%s",
		  s->config->path, loaded, s->config->n_policies, model_names[s->model],
		  s->candidate ? ", a reload is being checked" : "");
	log_event(LOG_INFO, KIND_STATE, NULL, "state: database %s, schema %s%s%s",
		  connection_up(s->connection) ? "connected" : "away",
		  s->schema_good ? "as expected" : "not known to be as expected",
		  s->away ? ": " : "", s->away ? s->away : "");
	clock_log_state(s->clock);
	log_jobs(s->dispatch);
}

void status_measure(const struct supervisor *s)
{
	struct metrics *figures = s->figures;
	const struct slot *slot = &s->dispatch->slots[SLOT_MAIN];
	int refused = 0;

	metrics_put(figures, "retentiond_up", NULL, NULL, s->stopping ? 0 : 1);
	metrics_put(figures, "retentiond_database_up", NULL, NULL,
		    connection_up(s->connection) ? 1 : 0);
	metrics_put(figures, "retentiond_model_good", NULL, NULL, s->model == MODEL_GOOD ? 1 : 0);
	metrics_put(figures, "retentiond_config_loaded_timestamp_seconds", NULL, NULL,
		    (double)s->loaded_at);
	(void)first_refusal(s->dispatch, &refused); /* /healthz has the reason */
	metrics_put(figures, "retentiond_jobs_refused", NULL, NULL, refused);
	metrics_put(figures, "retentiond_notify_failures", NULL, NULL,
		    notifier_failures(s->notifier));
	metrics_put(figures, "retentiond_paused", NULL, NULL, s->dispatch->paused_by ? 1 : 0);
	metrics_put(figures, "retentiond_jobs_paused", NULL, NULL, count_paused(s->dispatch));
	if (slot->wait.reason != WAIT_NONE)
		metrics_put(figures, "retentiond_job_waiting", "for", wait_words[slot->wait.reason],
			    1);
	if (!slot->child)
		return;
	metrics_put(figures, "retentiond_job_due", "job", slot->label, (double)slot->progress.due);
	metrics_put(figures, "retentiond_job_done", "job", slot->label,
		    (double)slot->progress.done);
	metrics_put(figures, "retentiond_job_eta_seconds", "job", slot->label,
		    (double)slot->progress.eta_s);
}

char *status_health(const struct supervisor *s)
{
	const struct slot *slot = &s->dispatch->slots[SLOT_MAIN];
	int refused = 0;
	const char *why = s->stopping                     ? "stopping"
			  : s->away                       ? s->away
			  : s->trouble                    ? s->trouble
			  : s->remark                     ? s->remark
			  : !connection_up(s->connection) ? "not connected to the database yet"
			  : !s->schema_good               ? "the schema is not known to fit yet"
			  : s->model == MODEL_REFUSED     ? refusal(s)
			  : s->model == MODEL_UNKNOWN
				  ? (s->unchecked ? s->unchecked : "the model is being checked")
			  : slot->wait.reason == WAIT_OTHER ? slot->wait.text
							    : first_refusal(s->dispatch, &refused);
	char *text;

	why = why ? why : page_policies_last(s->page)->refusal;

	if (!why && !s->survey_refusal)
		return NULL;
	text = why ? t_strdup(NULL, why)
		   : t_printf(NULL, "the database cannot be measured: %s", s->survey_refusal);
	(void)text_one_line(text); /* libpq's messages have lines; the answer has one */
	return text;
}
