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

struct expiry {
	struct expiry_handlers handlers;
	struct children *children;
	struct child *child; /* NULL: none runs */
	char host[HOST_NAME_MAX + 1];
	char *note;
	bool wanted;
	bool stopping;
	int64_t not_before_ms; /* of a start that nobody asked for */
};

static void on_message(void *arg, const struct job_message *message)
{
	struct expiry *expiry = arg;

	if (message->word == WORD_COMPLAINT) {
		log_err("%s", message->text);
	} else if (message->word == WORD_NOTE) {
		free(expiry->note);
		expiry->note = xstrdup(message->text);
	}
}

static void on_end(void *arg, enum job_exit end, const char *how)
{
	struct expiry *expiry = arg;
	const bool through = end == JOB_DONE || end == JOB_REFUSED;

	expiry->child = NULL;
	expiry->not_before_ms = monotonic_ms() + (through ? HOUR_MS : RETRY_MS);
	if (expiry->note)
		log_info("archives: %s", expiry->note);
	if (end == JOB_CRASHED)
		log_err("archives could not be tidied up (%s): tried again in a minute", how);
	expiry->handlers.on_ended(expiry->handlers.arg, end == JOB_DONE);
}

struct expiry *expiry_new(struct children *children, const struct expiry_handlers *handlers)
{
	struct expiry *expiry = xcalloc(1, sizeof(*expiry));

	expiry->handlers = *handlers;
	expiry->children = children;
	expiry->wanted = true;
	/* As supervisor/dispatch.c does: the journal compares the two. */
	if (gethostname(expiry->host, sizeof(expiry->host) - 1) < 0)
		(void)snprintf(expiry->host, sizeof(expiry->host), "localhost");
	return expiry;
}

void expiry_free(struct expiry *expiry)
{
	if (!expiry)
		return;
	free(expiry->note);
	free(expiry);
}

void expiry_want(struct expiry *expiry)
{
	expiry->wanted = true;
}

void expiry_proceed(struct expiry *expiry, const struct config *config)
{
	AUTO(error) struct error err = {0};
	const struct child_opts opts = {
		.config = config,
		.host = expiry->host,
		.tidy = true,
		.handlers = {.on_message = on_message, .on_end = on_end, .arg = expiry},
	};

	if (expiry->stopping || expiry->child ||
	    (!expiry->wanted && monotonic_ms() < expiry->not_before_ms))
		return;
	expiry->wanted = false;
	free(expiry->note);
	expiry->note = NULL;
	if (!child_start(expiry->children, &opts, &expiry->child, &err))
		on_end(expiry, JOB_CRASHED, err.text);
}

bool expiry_settled(const struct expiry *expiry)
{
	return !expiry->wanted && !expiry->child;
}

bool expiry_busy(const struct expiry *expiry)
{
	return expiry->child;
}

void expiry_stop(struct expiry *expiry, bool now)
{
	expiry->stopping = true;
	if (expiry->child)
		child_stop(expiry->child, now);
}
