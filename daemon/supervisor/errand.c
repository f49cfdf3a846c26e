#include "supervisor/errand.h"

#include "supervisor/loop.h"

#include <assert.h>

static void on_message(void *arg, const struct job_message *message)
{
	struct errand *errand = arg;

	if (errand->opts.patience_s > 0)
		loop_arm(errand->patience, errand->opts.patience_s * 1000);
	if (message->word == WORD_NOTE)
		t_replace(errand, &errand->note, message->text);
	else if (message->word == WORD_COMPLAINT || message->word == WORD_SAMPLE ||
		 message->word == WORD_WAITING)
		errand->opts.on_message(errand->opts.arg, message);
	else if (message->word == WORD_DETAIL && errand->opts.on_detail)
		errand->opts.on_detail(errand->opts.arg, message);
	else if (message->word == WORD_WARNING && errand->opts.on_warning)
		errand->opts.on_warning(errand->opts.arg, message);
}

static void on_end(void *arg, enum job_exit end, const char *how)
{
	struct errand *errand = arg;

	(void)event_del(errand->patience); /* not pending is fine */
	errand->child = NULL;
	if (errand->too_long)
		t_replace(errand, &errand->note, "the check got no answer for a minute");
	errand->opts.on_end(errand->opts.arg, errand->too_long ? JOB_AWAY : end, how, errand->note);
}

static void on_patience(evutil_socket_t fd, short what, void *arg)
{
	struct errand *errand = arg;

	(void)fd, (void)what; /* a timer */
	errand->too_long = true;
	child_stop(errand->child, true);
}

struct errand *errand_new(struct children *children, const struct errand_opts *opts)
{
	struct errand *errand = t_zero(children, struct errand);

	errand->opts = *opts;
	errand->children = children;
	errand->patience = loop_event(errand, children->base, -1, 0, on_patience);
	errand->wanted = true;
	return errand;
}

void errand_start(struct errand *errand, const struct config *config)
{
	AUTO(error) struct error err = {0};
	const struct child_opts opts = {
		.config = config,
		.mode = errand->opts.mode,
		.handlers = {.on_message = on_message, .on_end = on_end, .arg = errand},
	};

	assert(!errand->child);
	errand->wanted = errand->too_long = false;
	t_replace(errand, &errand->note, "");
	if (!child_start(errand->children, &opts, &errand->child, &err))
		on_end(errand, JOB_CRASHED, err.text);
	else if (errand->opts.patience_s > 0)
		loop_arm(errand->patience, errand->opts.patience_s * 1000);
}

void errand_proceed(struct errand *errand, const struct config *config)
{
	if (!errand->stopping && !errand->child &&
	    (errand->wanted || monotonic_ms() >= errand->not_before_ms))
		errand_start(errand, config);
}

void errand_stop(struct errand *errand, bool now)
{
	errand->stopping = true;
	if (errand->child)
		child_stop(errand->child, now || errand->opts.mode != MODE_EXPIRE);
}
