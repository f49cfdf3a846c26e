/*
 * A survey is taken when the daemon begins, after each job, and every metrics.interval; the file is
 * written after each, and each minute besides.  Written beside its place and renamed, so that nobody
 * reads half of it; not synced: after a crash of the host its figures mean nothing.
 */
#include "supervisor/metrics.h"

#include "supervisor/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "supervisor/http.h"
#include "base/units.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

struct surveyor {
	struct surveyor_handlers handlers;
	struct event_base *base;
	struct children *children;
	struct child *child; /* NULL: none runs */
	struct metrics *metrics;
	struct metrics_http *http; /* NULL: nobody is served */
	const struct config *config;
	char *note;
	char *told; /* what could not be written, said once */
	bool wanted;
	bool stopping;
	char *refusal; /* of the last survey: the figures are of an earlier one; NULL: it was not refused */
	int64_t not_before_ms;
};

static char *make_text(void *arg)
{
	struct surveyor *s = arg;

	metrics_clear_own(s->metrics);
	s->handlers.on_text(s->handlers.arg, s->metrics);
	return metrics_text(s->metrics);
}

static char *health(void *arg)
{
	const struct surveyor *s = arg;

	char *why = s->handlers.on_health(s->handlers.arg);

	if (!why && s->refusal &&
	    asprintf(&why, "what stands in the database cannot be measured: %s", s->refusal) < 0)
		must_alloc(NULL);
	return why;
}

static bool write_text(const char *path, const char *text, struct error *err)
{
	AUTO(char_p) char *temporary = NULL;
	AUTO(fd) int fd = -1;
	const size_t n = strlen(text);

	if (asprintf(&temporary, "%s.tmp", path) < 0)
		must_alloc(NULL);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0 || fchmod(fd, 0644) != 0 || write(fd, text, n) != (ssize_t)n ||
	    rename(temporary, path) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "metrics.textfile \"%s\" cannot be written",
				  path);
	return true;
}

static void write_file(struct surveyor *s)
{
	AUTO(char_p) char *text = NULL;
	AUTO(error) struct error err = {0};

	if (!s->config || !s->config->metrics_textfile)
		return;
	text = make_text(s);
	if (write_text(s->config->metrics_textfile, text, &err)) {
		free(s->told);
		s->told = NULL;
	} else if (!s->told || strcmp(s->told, err.text) != 0) {
		log_err("%s", err.text);
		free(s->told);
		s->told = xstrdup(err.text);
	}
}

static void on_message(void *arg, const struct job_message *message)
{
	struct surveyor *s = arg;

	if (message->word == WORD_SAMPLE) {
		metrics_sample(s->metrics, message->text);
	} else if (message->word == WORD_NOTE) {
		free(s->note);
		s->note = xstrdup(message->text);
	}
}

/* A refusal stays until a person has done something: it is said once. */
static bool is_told(const struct surveyor *s)
{
	return s->refusal && s->note && strcmp(s->refusal, s->note) == 0;
}

static void on_end(void *arg, enum job_exit end, const char *how)
{
	struct surveyor *s = arg;

	s->child = NULL;
	s->not_before_ms = monotonic_ms() + s->config->metrics_interval_ms;
	metrics_survey_ended(s->metrics, end == JOB_DONE);
	if (end != JOB_DONE && !s->stopping && !is_told(s))
		log_warn("metrics could not be measured: %s%s%s", how, s->note ? ": " : "",
			 s->note ? s->note : "");
	if (end == JOB_DONE || end == JOB_REFUSED) {
		free(s->refusal);
		s->refusal = end == JOB_DONE ? NULL : xstrdup(s->note ? s->note : how);
	}
	write_file(s);
	s->handlers.on_ended(s->handlers.arg);
}

struct surveyor *surveyor_new(struct event_base *base, struct children *children,
			      const struct surveyor_handlers *handlers)
{
	struct surveyor *s = xcalloc(1, sizeof(*s));

	s->handlers = *handlers;
	s->base = base;
	s->children = children;
	s->metrics = metrics_new();
	return s;
}

void surveyor_free(struct surveyor *s)
{
	if (!s)
		return;
	metrics_http_free(s->http);
	metrics_free(s->metrics);
	free(s->note);
	free(s->refusal);
	free(s->told);
	free(s);
}

void surveyor_set(struct surveyor *s, const struct config *config)
{
	AUTO(error) struct error err = {0};
	const char *before = s->config ? s->config->metrics_listen : NULL;

	s->config = config;
	s->wanted = true;
	s->not_before_ms = 0;
	/* Who asks just now gets an answer: a server whose address stays is kept. */
	if (s->http && before && config->metrics_listen &&
	    strcmp(config->metrics_listen, before) == 0)
		return;
	metrics_http_free(s->http);
	s->http = NULL;
	if (config->metrics_listen &&
	    !metrics_http_new(s->base, config->metrics_listen,
			      &(struct metrics_http_handlers){
				      .on_text = make_text, .on_health = health, .arg = s},
			      &s->http, &err))
		log_err("%s: nobody is served", err.text);
}

static bool is_used(const struct surveyor *s)
{
	return s->config && (s->config->metrics_textfile || s->config->metrics_listen);
}

void surveyor_want(struct surveyor *s)
{
	s->wanted = true;
}

void surveyor_proceed(struct surveyor *s)
{
	AUTO(error) struct error err = {0};
	const struct child_opts opts = {
		.config = s->config,
		.measure = true,
		.handlers = {.on_message = on_message, .on_end = on_end, .arg = s},
	};

	if (s->stopping || s->child || !is_used(s))
		return;
	if (!s->wanted && monotonic_ms() < s->not_before_ms) {
		write_file(s);
		return;
	}
	s->wanted = false;
	free(s->note);
	s->note = NULL;
	if (!child_start(s->children, &opts, &s->child, &err))
		on_end(s, JOB_CRASHED, err.text);
}

bool surveyor_settled(const struct surveyor *s)
{
	return !is_used(s) || (!s->wanted && !s->child);
}

bool surveyor_busy(const struct surveyor *s)
{
	return s->child;
}

void surveyor_stop(struct surveyor *s)
{
	s->stopping = true;
	if (s->child)
		child_stop(s->child, true);
}

struct metrics *surveyor_metrics(struct surveyor *s)
{
	return s->metrics;
}
