/*
 * The child is started when an archive was deleted (NOTIFY), when the connection comes up, since a
 * NOTIFY may have been lost with the old one, after a reload, since `keep` may be another, and each
 * hour, for what expires.  One runs at a time: a wish that comes meanwhile is remembered, as the child
 * may have read its list already.
 */
#include "supervisor/expiry.h"

#include "supervisor/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"

#include <limits.h>

enum {
	HOUR_MS = 3600 * 1000,
	RETRY_MS = 60 * 1000, /* no database, a disk that fails, a crash */
};

struct caretaker {
	struct caretaker_handlers handlers;
	struct children *children;
	struct child *child; /* NULL: none runs */
	char host[HOST_NAME_MAX + 1];
	char *note;
	bool wanted;
	bool stopping;
	int64_t not_before_ms; /* of a start that nobody asked for */
};

static void on_progress(void *arg, const struct progress *progress)
{
	(void)arg, (void)progress; /* it has none */
}

static void on_text(void *arg, enum child_word word, const char *text)
{
	struct caretaker *caretaker = arg;

	if (word == WORD_COMPLAINT) {
		log_err("%s", text);
	} else if (word == WORD_NOTE) {
		free(caretaker->note);
		caretaker->note = xstrdup(text);
	}
}

static void on_end(void *arg, enum child_end end, const char *how)
{
	struct caretaker *caretaker = arg;
	const bool through = end == END_DONE || end == END_REFUSED;

	caretaker->child = NULL;
	caretaker->not_before_ms = monotonic_ms() + (through ? HOUR_MS : RETRY_MS);
	if (caretaker->note)
		log_info("archives: %s", caretaker->note);
	if (end == END_CRASHED)
		log_err("archives could not be tidied up (%s): tried again in a minute", how);
	caretaker->handlers.on_ended(caretaker->handlers.arg, end == END_DONE);
}

struct caretaker *caretaker_new(struct children *children,
				const struct caretaker_handlers *handlers)
{
	struct caretaker *caretaker = xcalloc(1, sizeof(*caretaker));

	caretaker->handlers = *handlers;
	caretaker->children = children;
	caretaker->wanted = true;
	/* As supervisor/dispatch.c does: the journal compares the two. */
	if (gethostname(caretaker->host, sizeof(caretaker->host) - 1) < 0)
		(void)snprintf(caretaker->host, sizeof(caretaker->host), "localhost");
	return caretaker;
}

void caretaker_free(struct caretaker *caretaker)
{
	if (!caretaker)
		return;
	free(caretaker->note);
	free(caretaker);
}

void caretaker_want(struct caretaker *caretaker)
{
	caretaker->wanted = true;
}

void caretaker_proceed(struct caretaker *caretaker, const struct config *config)
{
	AUTO(error) struct error err = {0};
	const struct child_opts opts = {
		.config = config,
		.host = caretaker->host,
		.tidy = true,
		.handlers = {.on_progress = on_progress,
			     .on_text = on_text,
			     .on_end = on_end,
			     .arg = caretaker},
	};

	if (caretaker->stopping || caretaker->child ||
	    (!caretaker->wanted && monotonic_ms() < caretaker->not_before_ms))
		return;
	caretaker->wanted = false;
	free(caretaker->note);
	caretaker->note = NULL;
	if (!child_start(caretaker->children, &opts, &caretaker->child, &err))
		on_end(caretaker, END_CRASHED, err.text);
}

bool caretaker_settled(const struct caretaker *caretaker)
{
	return !caretaker->wanted && !caretaker->child;
}

bool caretaker_busy(const struct caretaker *caretaker)
{
	return caretaker->child;
}

void caretaker_stop(struct caretaker *caretaker, bool now)
{
	caretaker->stopping = true;
	if (caretaker->child)
		child_stop(caretaker->child, now);
}
