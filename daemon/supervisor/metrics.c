/*
 * A survey is taken when the daemon begins, after each job, and every metrics.interval.  It stores the figures of the
 * policies for people, too (job/mode_measure.c).  So it is taken without metrics as well, and less often, because it reads
 * tables of the CRM.  A pass of --once takes it for the metrics alone.  The file is written
 * after each survey and once a minute.  It is written under another name and renamed, so that nobody reads half
 * of it.  It is not synced, because after a crash of the host its figures mean nothing.
 */
#include "supervisor/metrics.h"

#include "http/server.h"
#include "supervisor/status.h"

#include <fcntl.h>
#include <sys/stat.h>

/* From one survey to the next where nobody measures. */
#define ALONE_MS (6 * 3600 * 1000)

static bool is_used(const struct config *config)
{
	return config->metrics_textfile || config->metrics_listen;
}

static char *make_text(struct supervisor *s)
{
	metrics_clear_own(s->figures);
	status_measure(s);
	return metrics_text(s->figures);
}

static void reply_metrics(struct supervisor *s, struct evhttp_request *request)
{
	AUTO(talloc) char *text = make_text(s);

	http_reply(request, HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text);
}

static void reply_health(const struct supervisor *s, struct evhttp_request *request)
{
	AUTO(talloc) char *why = status_health(s);
	AUTO(talloc) char *line = t_printf(NULL, "%s\n", why ? why : "ok");

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

/*
 * The folder may be one in which others write, such as node_exporter's.  What they put there under the temporary
 * name (a FIFO, a link, another user's file) must neither make the daemon wait nor be written to: it is unlinked,
 * and the file is made anew.
 */
static bool write_text(const char *path, const char *text, struct error *err)
{
	AUTO(talloc) char *temporary = t_printf(NULL, "%s.tmp", path);
	const bool gone = unlink(temporary) == 0 || errno == ENOENT;
	AUTO(fd)
	int fd = gone ? open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644) : -1;
	const size_t n = strlen(text);

	if (fd < 0 || fchmod(fd, 0644) != 0 || write(fd, text, n) != (ssize_t)n ||
	    rename(temporary, path) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "metrics.textfile \"%s\" cannot be written",
				  path);
	return true;
}

static void write_file(struct supervisor *s)
{
	AUTO(talloc) char *text = NULL;
	AUTO(error) struct error err = {0};

	if (!s->config->metrics_textfile)
		return;
	text = make_text(s);
	/* A failure is logged when it is another than the last one. */
	if (!write_text(s->config->metrics_textfile, text, &err) &&
	    !(s->textfile_failure && strcmp(s->textfile_failure, err.text) == 0))
		log_err("%s", err.text);
	t_replace(s, &s->textfile_failure, err.text);
}

void supervisor_metrics_on_sample(void *arg, const struct job_message *message)
{
	const struct supervisor *s = arg;

	if (message->word == WORD_SAMPLE)
		metrics_sample(s->figures, message->text);
}

void supervisor_metrics_surveyed(struct supervisor *s, enum job_exit end, const char *how,
				 const char *note)
{
	const char *why = *note ? note : how;

	s->survey->not_before_ms =
		monotonic_ms() +
		(is_used(s->config) || end != JOB_DONE ? s->config->metrics_interval_ms : ALONE_MS);
	metrics_survey_ended(s->figures, end == JOB_DONE);
	/* A refusal stays until a person has done something, so it is logged once. */
	if (end != JOB_DONE && !s->stopping &&
	    !(s->survey_refusal && strcmp(s->survey_refusal, why) == 0))
		log_warn("%s could not be measured: %s%s%s",
			 is_used(s->config) ? "metrics" : "the policies", how, *note ? ": " : "",
			 note);
	if (end == JOB_DONE || end == JOB_REFUSED)
		t_replace(s, &s->survey_refusal, end == JOB_DONE ? NULL : why);
	write_file(s);
}

void supervisor_metrics_set(struct supervisor *s, const struct config *old)
{
	AUTO(error) struct error err = {0};
	const char *listen = s->config->metrics_listen;

	s->survey->wanted = true;
	/* A server whose address stays is kept, so that a client of this moment gets its answer. */
	if (s->http && listen && old && strcmp(listen, old->metrics_listen) == 0)
		return;
	talloc_free(s->http); /* fails for NULL, which is fine */
	s->http = NULL;
	if (listen &&
	    !http_server_new(s, s->base,
			     &(struct http_opts){.listen = listen,
						 .methods = EVHTTP_REQ_GET | EVHTTP_REQ_HEAD,
						 .headers_max = 8192,
						 .body_max = 0,
						 .deadline_ms = HTTP_DEADLINE_MS,
						 .on_request = on_request,
						 .arg = s},
			     &s->http, &err))
		log_err("metrics.listen: %s: HTTP is off", err.text);
}

void supervisor_metrics_proceed(struct supervisor *s)
{
	if ((s->once && !is_used(s->config)) || s->survey->child)
		return;
	errand_proceed(s->survey, s->config);
	if (!s->survey->child)
		write_file(s);
}

bool supervisor_metrics_settled(const struct supervisor *s)
{
	return !is_used(s->config) || (!s->survey->wanted && !s->survey->child);
}
