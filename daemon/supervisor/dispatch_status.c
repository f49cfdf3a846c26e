/*
 * What runs, waits or is refused, for those who ask: the log, metrics, systemd.
 */
#include "supervisor/dispatch_state.h"

#include "supervisor/clock.h"
#include "base/mem.h"

struct log_fields slot_fields(const struct slot *slot)
{
	return (struct log_fields){
		.policy = slot->policy, .action = slot->action, .job = slot->job};
}

bool task_runs(const struct dispatch *dispatch, const struct task *task)
{
	for (int i = 0; i < SLOT_COUNT; i++)
		if (dispatch->slots[i].child && dispatch->slots[i].job == task->id)
			return true;
	return false;
}

const char *dispatch_refused(const struct dispatch *dispatch, int *ret_n)
{
	const char *first = NULL;

	*ret_n = 0;
	for (size_t i = 0; i < dispatch->n_tasks; i++) {
		const struct task *task = &dispatch->tasks[i];

		if (!task->attempt.refused || task_runs(dispatch, task))
			continue;
		(*ret_n)++;
		if (!first)
			first = task->refusal;
	}
	return first;
}

bool dispatch_progress(const struct dispatch *dispatch, const char **ret_label,
		       struct job_progress *ret)
{
	const struct slot *slot = &dispatch->slots[SLOT_MAIN];

	*ret_label = slot->label;
	*ret = slot->progress;
	return slot->child;
}

enum wait_reason dispatch_waits_for(const struct dispatch *dispatch)
{
	return dispatch->slots[SLOT_MAIN].wait.reason;
}

char *dispatch_status(const struct dispatch *dispatch)
{
	for (int i = 0; i < SLOT_COUNT; i++) {
		const struct slot *slot = &dispatch->slots[i];
		char progress[80];
		char *text = NULL;

		if (!slot->child)
			continue;
		progress_print(&slot->progress, progress, sizeof(progress));
		if (asprintf(&text, "%s: %s%s%s", slot->label,
			     *progress           ? progress
			     : i == SLOT_LISTING ? "listing"
						 : slot->action,
			     slot->wait.text ? ", waiting: " : "",
			     slot->wait.text ? slot->wait.text : "") < 0)
			must_alloc(NULL);
		return text;
	}
	return NULL;
}

void dispatch_log_state(const struct dispatch *dispatch)
{
	const int64_t now_ms = monotonic_ms();

	for (int i = 0; i < SLOT_COUNT; i++) {
		const struct slot *slot = &dispatch->slots[i];
		const struct log_fields fields = slot_fields(slot);
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

		if (task_runs(dispatch, task))
			continue;
		log_event(LOG_INFO, KIND_STATE,
			  &(struct log_fields){
				  .policy = task->policy, .action = task->action, .job = task->id},
			  "state: job %lld (%s) %s, %s %lld s", (long long)task->id,
			  task->policy ? task->policy : task->action,
			  task->attempt.refused ? "is refused" : "can run",
			  task->attempt.ended ? "tried again in" : "waits for its turn",
			  (long long)(ms > 0 ? ms / 1000 : 0));
	}
}
