#include "base/job_report.h"

#include "base/mem.h"

#include <pthread.h>

struct report {
	pthread_mutex_t lock;
	int fd;
	char *waiting;
};

struct report *report_new(int fd)
{
	struct report *r = xcalloc(1, sizeof(*r));

	r->fd = fd;
	(void)pthread_mutex_init(&r->lock, NULL);
	return r;
}

/* One write a line, so that lines of several threads do not mix; text loses its newlines. */
static void say(struct report *r, const char *word, const char *text)
{
	AUTO(char_p) char *line = NULL;
	int n;

	if (r->fd < 0)
		return;
	n = asprintf(&line, "%s%s%s\n", word, *text ? " " : "", text);
	if (n < 0)
		must_alloc(NULL);
	for (int i = 0; i < n - 1; i++)
		if (line[i] == '\n' || line[i] == '\r')
			line[i] = ' ';
	if (write(r->fd, line, (size_t)n) != n)
		r->fd = -1; /* nobody listens any more; the job goes on */
}

void report_progress(struct report *r, int64_t done, int64_t due, int64_t eta_s)
{
	char text[80];

	(void)snprintf(text, sizeof(text), "%lld %lld %lld", (long long)done, (long long)due,
		       (long long)eta_s); /* three numbers of 20 digits fit */
	(void)pthread_mutex_lock(&r->lock);
	say(r, "progress", text);
	(void)pthread_mutex_unlock(&r->lock);
}

void report_waiting(struct report *r, const char *what)
{
	(void)pthread_mutex_lock(&r->lock);
	if (strcmp(what ? what : "", r->waiting ? r->waiting : "") != 0) {
		free(r->waiting);
		r->waiting = what ? xstrdup(what) : NULL;
		say(r, "waiting", what ? what : "");
	}
	(void)pthread_mutex_unlock(&r->lock);
}

static void say_alone(struct report *r, const char *word, const char *text)
{
	(void)pthread_mutex_lock(&r->lock);
	say(r, word, text);
	(void)pthread_mutex_unlock(&r->lock);
}

void report_complaint(struct report *r, const char *text)
{
	say_alone(r, "complaint", text);
}

void report_note(struct report *r, const char *text)
{
	say_alone(r, "note", text);
}

void report_sample(struct report *r, const char *text)
{
	say_alone(r, "sample", text);
}

void report_batch(struct report *r, const struct metrics_batch *batch)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "%lld %lld %lld %lld %lld", (long long)batch->ms,
		       (long long)batch->rows, (long long)batch->next_rows,
		       (long long)batch->most_rows,
		       (long long)batch->blocked); /* five numbers of 20 digits fit */
	say_alone(r, "batch", text);
}

char *report_wait_reason(struct report *r)
{
	char *copy;

	(void)pthread_mutex_lock(&r->lock);
	copy = r->waiting ? xstrdup(r->waiting) : NULL;
	(void)pthread_mutex_unlock(&r->lock);
	return copy;
}
