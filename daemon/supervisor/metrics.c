/*
 * A survey is taken when the daemon begins, after each job, and every metrics.interval.  The file is written
 * after each survey and once a minute.  It is written under another name and renamed, so that nobody reads half
 * of it.  It is not synced, because after a crash of the host its figures mean nothing.
 */
#include "supervisor/metrics.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "http/server.h"
#include "supervisor/errand.h"
#include "base/units.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

struct supervisor_metrics {
	struct supervisor_metrics_handlers handlers;
	struct event_base *base;
	struct errand *survey;
	struct metrics *figures;
	struct http_server *http; /* NULL: HTTP is off */
	const struct config *config;
	char *logged; /* why the file cannot be written, as the log has it; NULL: it can */
	/* Why the last survey was refused, so that the figures are older; NULL: it was not. */
	char *refusal;
	bool stopping;
};

static char *make_text(struct supervisor_metrics *m)
{
	metrics_clear_own(m->figures);
	m->handlers.on_text(m->handlers.arg, m->figures);
	return metrics_text(m->figures);
}

static void reply_metrics(struct supervisor_metrics *m, struct evhttp_request *request)
{
	AUTO(char_p) char *text = make_text(m);

	http_reply(request, HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text);
}

static void reply_health(const struct supervisor_metrics *m, struct evhttp_request *request)
{
	AUTO(char_p) char *why = m->handlers.on_health(m->handlers.arg);
	AUTO(char_p) char *line = NULL;

	if (!why && m->refusal)
		why = xprintf("the database cannot be measured: %s", m->refusal);
	if (why)
		text_one_line(why); /* libpq's messages have lines; the answer has one */
	line = xprintf("%s\n", why ? why : "ok");
	http_reply(request, why ? HTTP_SERVUNAVAIL : HTTP_OK, "text/plain; charset=utf-8", line);
}

static void on_request(void *arg, struct evhttp_request *request)
{
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));

	if (path && strcmp(path, "/metrics") == 0)
		reply_metrics(arg, request);
	else if (path && strcmp(path, "/healthz") == 0)
		reply_health(arg, request);
	else
		http_reply(request, HTTP_NOTFOUND, "text/plain; charset=utf-8",
			   "/metrics and /healthz are here\n");
}

static bool write_text(const char *path, const char *text, struct error *err)
{
	AUTO(char_p) char *temporary = xprintf("%s.tmp", path);
	AUTO(fd) int fd = -1;
	const size_t n = strlen(text);

	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0 || fchmod(fd, 0644) != 0 || write(fd, text, n) != (ssize_t)n ||
	    rename(temporary, path) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "metrics.textfile \"%s\" cannot be written",
				  path);
	return true;
}

static void write_file(struct supervisor_metrics *m)
{
	AUTO(char_p) char *text = NULL;
	AUTO(error) struct error err = {0};

	if (!m->config || !m->config->metrics_textfile)
		return;
	text = make_text(m);
	if (write_text(m->config->metrics_textfile, text, &err)) {
		free(m->logged);
		m->logged = NULL;
	} else if (!m->logged || strcmp(m->logged, err.text) != 0) {
		log_err("%s", err.text);
		xreplace(&m->logged, err.text);
	}
}

static void on_message(void *arg, const struct job_message *message)
{
	const struct supervisor_metrics *m = arg;

	if (message->word == WORD_SAMPLE)
		metrics_sample(m->figures, message->text);
}

static void on_end(void *arg, enum job_exit end, const char *how, const char *note)
{
	struct supervisor_metrics *m = arg;
	const char *why = *note ? note : how;

	errand_delay(m->survey, m->config->metrics_interval_ms);
	metrics_survey_ended(m->figures, end == JOB_DONE);
	/* A refusal stays until a person has done something, so it is logged once. */
	if (end != JOB_DONE && !m->stopping && !(m->refusal && strcmp(m->refusal, why) == 0))
		log_warn("metrics could not be measured: %s%s%s", how, *note ? ": " : "", note);
	if (end == JOB_DONE || end == JOB_REFUSED) {
		free(m->refusal);
		m->refusal = end == JOB_DONE ? NULL : xstrdup(why);
	}
	write_file(m);
	m->handlers.on_ended(m->handlers.arg);
}

struct supervisor_metrics *supervisor_metrics_new(
	struct event_base *base, struct children *children,
	const struct supervisor_metrics_handlers *handlers)
{
	struct supervisor_metrics *m = xcalloc(1, sizeof(*m));

	m->handlers = *handlers;
	m->base = base;
	m->figures = metrics_new();
	m->survey = errand_new(base, children,
			       &(struct errand_opts){.mode = MODE_MEASURE,
						     .on_message = on_message,
						     .on_end = on_end,
						     .arg = m});
	return m;
}

void supervisor_metrics_free(struct supervisor_metrics *m)
{
	if (!m)
		return;
	http_server_free(m->http);
	metrics_free(m->figures);
	errand_free(m->survey);
	free(m->refusal);
	free(m->logged);
	free(m);
}

void supervisor_metrics_set(struct supervisor_metrics *m, const struct config *config)
{
	AUTO(error) struct error err = {0};
	const char *before = m->config ? m->config->metrics_listen : NULL;

	m->config = config;
	errand_want(m->survey);
	/* A server whose address stays is kept, so that a client of this moment gets its answer. */
	if (m->http && before && config->metrics_listen &&
	    strcmp(config->metrics_listen, before) == 0)
		return;
	http_server_free(m->http);
	m->http = NULL;
	if (config->metrics_listen &&
	    !http_server_new(m->base,
			     &(struct http_opts){.listen = config->metrics_listen,
						 .methods = EVHTTP_REQ_GET | EVHTTP_REQ_HEAD,
						 .headers_max = 8192,
						 .body_max = 0,
						 .deadline_ms = HTTP_DEADLINE_MS,
						 .on_request = on_request,
						 .arg = m},
			     &m->http, &err))
		log_err("metrics.listen: %s: HTTP is off", err.text);
}

static bool is_used(const struct supervisor_metrics *m)
{
	return m->config && (m->config->metrics_textfile || m->config->metrics_listen);
}

void supervisor_metrics_want(struct supervisor_metrics *m)
{
	errand_want(m->survey);
}

void supervisor_metrics_proceed(struct supervisor_metrics *m)
{
	if (!is_used(m) || errand_busy(m->survey))
		return;
	errand_proceed(m->survey, m->config);
	if (!errand_busy(m->survey))
		write_file(m);
}

bool supervisor_metrics_settled(const struct supervisor_metrics *m)
{
	return !is_used(m) || errand_settled(m->survey);
}

bool supervisor_metrics_busy(const struct supervisor_metrics *m)
{
	return errand_busy(m->survey);
}

void supervisor_metrics_stop(struct supervisor_metrics *m)
{
	m->stopping = true;
	errand_stop(m->survey, true);
}

struct metrics *supervisor_metrics_figures(struct supervisor_metrics *m)
{
	return m->figures;
}
