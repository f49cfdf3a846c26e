/*
 * There are two places for a job, with at most one child in each:
 *
 *	SLOT_MAIN	the action that runs: the first that retention.runnable() names
 *	SLOT_LISTING	a manual action that was saved is listed meanwhile, so that a person who saves one gets an
 *			answer while a pass of many hours goes on.  (An automatic one that is `saved` goes on after it
 *			was listed, so its place is the main one.)
 *
 * The list of what can run is in the database, and only there.  Nothing is started on an old answer: the end of a
 * child makes the list stale, and the next answer starts what it names.  Only the attempts are kept here, so that a
 * child that dies at once is not started in a circle.  The attempts of an action that leaves the list are forgotten.
 *
 * Two daemons may pick the same action: the job claims it under an advisory lock, and the second one reports
 * JOB_TAKEN.
 */
#include "supervisor/dispatch.h"

#include "supervisor/loop.h"

/* The last row, without an id, is there while everything is paused. */
static const char runnable_sql[] =
	"SELECT r.id, r.action, r.policy, r.status, r.paused_by,\n"
	"       (SELECT extract(epoch FROM j.requested_at) FROM retention.archive_journal AS j WHERE j.id = r.id)\n"
	"  FROM retention.runnable($1) AS r\n"
	"UNION ALL SELECT NULL, NULL, NULL, NULL, p.paused_by, NULL\n"
	"  FROM retention.pause AS p WHERE p.job IS NULL";

bool dispatch_runs(const struct dispatch *dispatch, const struct task *task)
{
	for (int i = 0; i < SLOT_COUNT; i++)
		if (dispatch->slots[i].child && dispatch->slots[i].id.job == task->id.job)
			return true;
	return false;
}

/* --once, at a terminal: "[####    ]  50 %  contacts-36m: 1000 of 2000, 8 s left, 120/s". */
static void show_bar(struct slot *slot, const char *text)
{
	static const char full[] = "##############################";
	const struct job_progress *p = &slot->progress;
	const int64_t done = p->done < p->due ? p->done : p->due;
	const int64_t ms = monotonic_ms() - slot->first_ms;
	const int width = sizeof(full) - 1;
	char rate[40] = "", line[200];
	int filled;

	if (!slot->dispatch->opts.once || p->due <= 0 || done < 0)
		return;
	if (slot->first_ms == 0) {
		slot->first_ms = monotonic_ms();
		slot->first_done = done;
	} else if (ms > 0) {
		(void)snprintf(rate, sizeof(rate), ", %lld/s",
			       (long long)((done - slot->first_done) * 1000 / ms));
	}
	filled = (int)(done * width / p->due);
	(void)snprintf(line, sizeof(line), "[%.*s%*s] %3d %%  %s: %s%s", filled, full,
		       width - filled, "", (int)(done * 100 / p->due), slot->label, text, rate);
	log_status(line);
}

static void take_progress(struct slot *slot, const struct job_progress *progress)
{
	char text[80];

	slot->progress = *progress;
	progress_print(progress, text, sizeof(text));
	log_event(LOG_DEBUG, KIND_JOB_PROGRESS, &slot->id, "%s: %s", slot->label, text);
	show_bar(slot, text);
	slot->dispatch->opts.on_change(slot->dispatch->opts.arg);
}

/* Puts another wait in the place of one.  Without a reason there is no text. */
static void replace_wait(struct slot *slot, struct wait *wait, enum wait_reason reason,
			 const char *text)
{
	wait->reason = reason;
	t_replace(slot->label, &wait->text, reason == WAIT_NONE ? NULL : text);
}

/* Adds the wait that ends to the figures. */
static void count_wait(const struct slot *slot)
{
	if (slot->wait.reason != WAIT_NONE)
		metrics_waited(slot->dispatch->opts.figures, slot->wait.reason == WAIT_STANDBY,
			       (double)(monotonic_ms() - slot->waiting_since_ms) / 1000);
}

/* "5 s behind" and "6 s behind" are the same wait.  An error is the same only if it says the same. */
static bool same_wait(const struct wait *wait, enum wait_reason reason, const char *text)
{
	return wait->reason == reason && (reason != WAIT_OTHER || strcmp(wait->text, text) == 0);
}

/*
 * Logs a wait when its reason changes, because a job repeats it, and it may last for days.  A rest of
 * rows_per_second is not logged, and the last wait in the log stays valid.
 */
static void log_waiting(struct slot *slot, enum wait_reason reason, const char *text)
{
	const bool goes_on = reason == WAIT_NONE;
	const bool news = reason != WAIT_RATE && !same_wait(&slot->logged, reason, text);

	log_event(!news     ? LOG_DEBUG
		  : goes_on ? LOG_INFO
			    : LOG_WARNING,
		  KIND_JOB_WAITING, &slot->id, "job %lld (%s) %s%s", (long long)slot->id.job,
		  slot->label, goes_on ? "goes on" : "waits: ", text);
	if (news)
		replace_wait(slot, &slot->logged, reason, text);
}

static void take_waiting(struct slot *slot, enum wait_reason reason, const char *text)
{
	const bool same = same_wait(&slot->wait, reason, text);

	if (!same) {
		count_wait(slot);
		slot->waiting_since_ms = monotonic_ms();
		log_waiting(slot, reason, text);
	}
	replace_wait(slot, &slot->wait, reason, text);
	if (!same)
		slot->dispatch->opts.on_change(slot->dispatch->opts.arg);
}

static void on_message(void *arg, const struct job_message *message)
{
	struct slot *slot = arg;

	switch (message->word) {
	case WORD_PROGRESS:
		take_progress(slot, &message->progress);
		break;
	case WORD_WAITING:
		take_waiting(slot, message->reason, message->text);
		break;
	case WORD_COMPLAINT:
		log_event(LOG_ERR, KIND_JOB_FAILED, &slot->id, "%s", message->text);
		break;
	case WORD_DETAIL:
		log_event(LOG_INFO, KIND_JOB_PROGRESS, &slot->id, "%s: %s", slot->label,
			  message->text);
		break;
	case WORD_NOTE:
		t_replace(slot->label, &slot->note, message->text);
		break;
	case WORD_BATCH:
		metrics_batch(slot->dispatch->opts.figures, slot->id.action, &message->batch);
		break;
	case WORD_WARNING:
	case WORD_SAMPLE:
	case WORDS:
		break; /* a job has none */
	}
}

/* Logs the end in one line, with the note of the job. */
static void log_end(const struct slot *slot, enum job_exit end, const char *how)
{
	static const struct {
		int priority;
		enum log_kind kind;
		const char *text;
	} lines[] = {
		[JOB_DONE] = {LOG_INFO, KIND_JOB_DONE, "is done"},
		[JOB_INCOMPLETE] = {LOG_ERR, KIND_JOB_FAILED, "is done, but not with all contacts"},
		[JOB_FAILED] = {LOG_ERR, KIND_JOB_FAILED, "has failed"},
		[JOB_REFUSED] = {LOG_ERR, KIND_JOB_FAILED,
				 "is refused, and tried again after a reload or in an hour"},
		[JOB_STOPPED] = {LOG_INFO, KIND_JOB_STOPPED, "was stopped, and will be resumed"},
		[JOB_SAVED] = {LOG_NOTICE, KIND_APPROVAL_NEEDED,
			       "is listed, and waits for approval"},
		[JOB_TAKEN] = {LOG_DEBUG, KIND_GENERAL, "belongs to another daemon, or is over"},
		[JOB_AWAY] = {LOG_WARNING, KIND_JOB_STOPPED,
			      "has no database, and will be resumed"},
		[JOB_CRASHED] = {LOG_ERR, KIND_JOB_FAILED, "has died of "},
	};
	struct log_fields fields = slot->id;
	const char *text = slot->dispatch->opts.once && end == JOB_REFUSED
				   ? "is refused, and tried again when --once is called again"
				   : lines[end].text;
	char progress[80];

	fields.has_rows = slot->progress.done >= 0;
	fields.rows = slot->progress.done;
	progress_print(&(struct job_progress){slot->progress.done, slot->progress.due, -1},
		       progress, sizeof(progress));
	log_event(lines[end].priority, lines[end].kind, &fields, "job %lld (%s) %s%s%s%s%s%s%s",
		  (long long)slot->id.job, slot->label, text, end == JOB_CRASHED ? how : "",
		  end == JOB_CRASHED ? ", and will be resumed" : "", *progress ? ": " : "",
		  progress, slot->note ? ": " : "", slot->note ? slot->note : "");
}

static void note_attempt(const struct slot *slot, struct task *task, enum job_exit end)
{
	attempt_note(&task->attempt, end, monotonic_ms());
	task->refusal = t_printf(slot->dispatch->tasks, "job %lld (%s) is refused%s%s",
				 (long long)slot->id.job, slot->label, slot->note ? ": " : "",
				 slot->note ? slot->note : "");
}

static void on_end(void *arg, enum job_exit end, const char *how)
{
	struct slot *slot = arg;
	struct dispatch *dispatch = slot->dispatch;
	const bool good = end == JOB_DONE || end == JOB_SAVED || end == JOB_TAKEN;

	/* The note of a process that was killed is about something earlier. */
	if (end == JOB_CRASHED || strncmp(how, "signal", 6) == 0)
		t_replace(slot->label, &slot->note, NULL);
	log_end(slot, end, how);
	count_wait(slot);
	if (end == JOB_CRASHED || end == JOB_FAILED)
		dispatch->opts.on_crashed(dispatch->opts.arg, slot->id.job);
	for (size_t i = 0; i < dispatch->n_tasks; i++)
		if (dispatch->tasks[i].id.job == slot->id.job)
			note_attempt(slot, &dispatch->tasks[i], end);
	talloc_free(slot->label);
	*slot = (struct slot){.dispatch = dispatch};
	dispatch->opts.on_change(dispatch->opts.arg);
	dispatch->opts.on_ended(dispatch->opts.arg, good);
	dispatch_refresh(dispatch);
}

static void start(struct dispatch *dispatch, struct slot *slot, struct task *task)
{
	AUTO(error) struct error err = {0};
	const struct child_opts opts = {
		.config = dispatch->config,
		.mode = MODE_ACTION,
		.job = task->id.job,
		.once = dispatch->opts.once,
		.handlers = {.on_message = on_message, .on_end = on_end, .arg = slot},
	};

	slot->label = task->id.policy ? t_strdup(NULL, task->id.policy)
				      : t_printf(NULL, "action %lld", (long long)task->id.job);
	slot->id = task->id;
	slot->id.action = t_strdup(slot->label, task->id.action);
	if (task->id.policy)
		slot->id.policy = slot->label;
	slot->progress = (struct job_progress){-1, -1, -1};
	if (child_start(dispatch->opts.children, &opts, &slot->child, &err)) {
		log_event(LOG_INFO, KIND_JOB_STARTED, &slot->id, "job %lld (%s) %s: %s",
			  (long long)task->id.job, slot->label,
			  task->attempt.ended ? "is started again"
			  : task->running     ? "is resumed"
					      : "is started",
			  task->id.action);
		return;
	}
	log_event(LOG_ERR, KIND_JOB_FAILED, &slot->id, "job %lld (%s) cannot be started: %s",
		  (long long)task->id.job, slot->label, err.text);
	attempt_note(&task->attempt, JOB_CRASHED, monotonic_ms());
	talloc_free(slot->label);
	*slot = (struct slot){.dispatch = dispatch};
	dispatch->opts.on_ended(dispatch->opts.arg, false);
}

/* The first task of the list that belongs in the slot and whose time has come; NULL: none. */
static struct task *pick(struct dispatch *dispatch, enum slot_kind kind, int64_t now_ms)
{
	for (size_t i = 0; i < dispatch->n_tasks; i++) {
		struct task *task = &dispatch->tasks[i];
		const enum slot_kind its =
			task->saved && !task->id.policy ? SLOT_LISTING : SLOT_MAIN;

		if (its != kind || task->paused_by || dispatch_runs(dispatch, task) ||
		    task->attempt.not_before_ms > now_ms)
			continue;
		/* --once tries an action once, and leaves one that failed to its next call. */
		if (dispatch->opts.once && task->attempt.ended)
			continue;
		return task;
	}
	return NULL;
}

static void arm_retry(struct dispatch *dispatch, int64_t now_ms)
{
	int64_t wait_ms = INT64_MAX;

	(void)event_del(dispatch->retry); /* not pending is fine */
	for (size_t i = 0; i < dispatch->n_tasks; i++) {
		const int64_t ms = dispatch->tasks[i].attempt.not_before_ms - now_ms;

		if (ms > 0 && ms < wait_ms)
			wait_ms = ms;
	}
	if (wait_ms < INT64_MAX && !dispatch->stopping)
		loop_arm(dispatch->retry, wait_ms + 1);
}

/* Starts jobs in the free places.  The list has to be fresh. */
static void fill_slots(struct dispatch *dispatch)
{
	const int64_t now_ms = monotonic_ms();

	for (int i = 0; i < SLOT_COUNT; i++) {
		struct task *task;

		while (!dispatch->stopping && !dispatch->slots[i].child &&
		       (task = pick(dispatch, (enum slot_kind)i, now_ms)))
			start(dispatch, &dispatch->slots[i], task);
	}
	arm_retry(dispatch, now_ms);
	dispatch->opts.on_change(dispatch->opts.arg);
	if (!dispatch_running(dispatch))
		dispatch->opts.on_idle(dispatch->opts.arg);
}

/* Notes who has paused everything (NULL: nobody), and logs a change. */
static void take_pause(struct dispatch *dispatch, const char *paused_by)
{
	const char *before = dispatch->paused_by ? dispatch->paused_by : "";

	if (strcmp(before, paused_by ? paused_by : "") != 0)
		log_event(LOG_NOTICE, KIND_GENERAL, NULL, "%s%s",
			  paused_by
				  ? "everything is paused: nothing is started before retentionctl "
				    "resume: paused by "
				  : "the pause of everything has ended",
			  paused_by ? paused_by : "");
	t_replace(dispatch, &dispatch->paused_by, paused_by);
}

/*
 * Takes the new list, and keeps the attempts of the tasks that are in both.  After a restored backup another action can
 * have the same number.
 */
static void take_list(struct dispatch *dispatch, const PGresult *res)
{
	int n = PQntuples(res);
	const bool everything = n > 0 && PQgetisnull(res, n - 1, 0);
	struct task *tasks = t_array(dispatch, struct task, n + 1);

	take_pause(dispatch, everything ? PQgetvalue(res, n - 1, 4) : NULL);
	n -= everything ? 1 : 0;
	for (int i = 0; i < n; i++) {
		struct task *task = &tasks[i];

		task->id.job = strtoll(PQgetvalue(res, i, 0), NULL, 10); /* an int, always */
		task->id.action = t_strdup(tasks, PQgetvalue(res, i, 1));
		if (!PQgetisnull(res, i, 2))
			task->id.policy = t_strdup(tasks, PQgetvalue(res, i, 2));
		task->requested_at = t_strdup(tasks, PQgetvalue(res, i, 5));
		task->saved = strcmp(PQgetvalue(res, i, 3), "saved") == 0;
		task->running = strcmp(PQgetvalue(res, i, 3), "running") == 0;
		if (!PQgetisnull(res, i, 4))
			task->paused_by = t_strdup(tasks, PQgetvalue(res, i, 4));
		for (size_t j = 0; j < dispatch->n_tasks; j++)
			if (dispatch->tasks[j].id.job == task->id.job &&
			    strcmp(dispatch->tasks[j].requested_at, task->requested_at) == 0) {
				task->attempt = dispatch->tasks[j].attempt;
				if (dispatch->tasks[j].refusal)
					task->refusal = t_strdup(tasks, dispatch->tasks[j].refusal);
			}
	}
	talloc_free(dispatch->tasks);
	dispatch->tasks = tasks;
	dispatch->n_tasks = (size_t)n;
}

static void on_runnable(void *arg, int64_t tag, const PGresult *res)
{
	struct dispatch *dispatch = arg;
	const char *why = connection_failure(res);

	dispatch->asking = false;
	if (why) {
		if (res) /* else the connection is lost, which on_down() logs */
			dispatch->opts.on_trouble(dispatch->opts.arg, why);
		return;
	}
	if (!dispatch->allowed)
		return;
	if (tag != dispatch->question) {
		dispatch_refresh(dispatch);
		return;
	}
	dispatch->opts.on_trouble(dispatch->opts.arg, NULL);
	take_list(dispatch, res);
	fill_slots(dispatch);
}

/* Asks one question at a time.  An answer that is outstanding becomes stale, and the question is asked again. */
void dispatch_refresh(struct dispatch *dispatch)
{
	dispatch->question++;
	if (dispatch->asking || dispatch->stopping || !dispatch->allowed ||
	    !connection_up(dispatch->connection))
		return;
	dispatch->asking = true;
	connection_ask(dispatch->connection,
		       &(struct connection_query){
			       .sql = runnable_sql,
			       .n = 1,
			       .values = (const char *const[]){dispatch->opts.children->host},
			       .on_answer = on_runnable,
			       .arg = dispatch,
			       .tag = dispatch->question});
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what; /* a timer */
	dispatch_refresh(arg);
}

struct dispatch *dispatch_new(void *ctx, const struct dispatch_opts *opts)
{
	struct dispatch *dispatch = t_zero(ctx, struct dispatch);

	dispatch->opts = *opts;
	dispatch->retry = loop_event(dispatch, opts->base, -1, 0, on_retry);
	for (int i = 0; i < SLOT_COUNT; i++)
		dispatch->slots[i].dispatch = dispatch;
	return dispatch;
}

void dispatch_set(struct dispatch *dispatch, const struct config *config,
		  struct connection *connection, bool forget)
{
	dispatch->config = config;
	dispatch->connection = connection;
	if (forget) {
		dispatch->n_tasks = 0;
		dispatch->asking = false; /* the old connection answers no more */
	}
	for (size_t i = 0; i < dispatch->n_tasks; i++)
		if (dispatch->tasks[i].attempt.refused)
			dispatch->tasks[i].attempt = (struct attempt){0};
}

void dispatch_stop(struct dispatch *dispatch, bool now)
{
	dispatch->stopping = true;
	(void)event_del(dispatch->retry); /* not pending is fine */
	for (int i = 0; i < SLOT_COUNT; i++)
		if (dispatch->slots[i].child)
			child_stop(dispatch->slots[i].child, now);
}

const struct slot *dispatch_running(const struct dispatch *dispatch)
{
	for (int i = 0; i < SLOT_COUNT; i++)
		if (dispatch->slots[i].child)
			return &dispatch->slots[i];
	return NULL;
}
