#include "base/job_protocol.h"

#include "base/text.h"
#include "base/units.h"

#include <assert.h>
#include <pthread.h>
#include <sys/wait.h>

static const char *const words[] = {
	[WORD_PROGRESS] = "progress", [WORD_WAITING] = "waiting", [WORD_COMPLAINT] = "complaint",
	[WORD_DETAIL] = "detail",     [WORD_NOTE] = "note",       [WORD_SAMPLE] = "sample",
	[WORD_BATCH] = "batch",       [WORD_WARNING] = "warning",
};
static_assert(LENGTH(words) == WORDS, "a name for each");

const char *const wait_words[WAIT_REASONS] = {
	[WAIT_NONE] = "none",         [WAIT_WINDOW] = "window",
	[WAIT_PAUSED] = "paused",     [WAIT_STANDBY] = "standby",
	[WAIT_SLOT] = "slot",         [WAIT_ARCHIVER] = "archiver",
	[WAIT_SNAPSHOT] = "snapshot", [WAIT_RATE] = "rows_per_second",
	[WAIT_COURTESY] = "courtesy", [WAIT_LOCKS] = "locks",
	[WAIT_OTHER] = "other",
};

static const char *const mode_options[] = {
	[MODE_ACTION] = "job",        [MODE_CHECK] = "check",     [MODE_TEST] = "test",
	[MODE_EXPIRE] = "expire",     [MODE_MEASURE] = "measure", [MODE_ANSWER] = "answer",
	[MODE_HAND_OUT] = "hand-out",
};
static_assert(LENGTH(mode_options) == JOB_MODES, "an option for each");

const char *job_mode_option(enum job_mode mode)
{
	assert(mode < JOB_MODES);
	return mode_options[mode];
}

enum job_exit job_exit_of(int status, bool stopped)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) < JOB_CRASHED &&
	    WEXITSTATUS(status) != JOB_USAGE)
		return (enum job_exit)WEXITSTATUS(status);
	if (WIFSIGNALED(status) && stopped &&
	    (WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGKILL))
		return JOB_STOPPED;
	return JOB_CRASHED;
}

void wait_set(struct wait *wait, enum wait_reason reason, const char *fmt, ...)
{
	va_list args;

	wait_clear(wait);
	wait->reason = reason;
	va_start(args, fmt);
	wait->text = xvprintf(fmt, args);
	va_end(args);
}

void wait_clear(struct wait *wait)
{
	free(wait->text);
	*wait = (struct wait){0};
}

/* --- The job's end ---------------------------------------------------------------------------- */

struct report {
	pthread_mutex_t lock;
	int fd;
	struct wait wait;
};

struct report *report_new(int fd)
{
	struct report *r = xcalloc(1, sizeof(*r));

	r->fd = fd;
	(void)pthread_mutex_init(&r->lock, NULL);
	return r;
}

void report_free(struct report *r)
{
	if (!r)
		return;
	wait_clear(&r->wait);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

/* Writes a line in one call, so that lines of several threads do not mix. */
static void say(struct report *r, enum job_word word, const char *text)
{
	AUTO(char_p) char *line = NULL;
	size_t n;

	if (r->fd < 0)
		return;
	line = xprintf("%s %s", words[word], text);
	(void)text_one_line(line);
	n = strlen(line);
	line[n] = '\n'; /* in the place of the NUL */
	if (write(r->fd, line, n + 1) != (ssize_t)n + 1)
		r->fd = -1; /* the parent is gone; the job goes on */
}

void report_line(struct report *r, enum job_word word, const char *fmt, ...)
{
	AUTO(char_p) char *text = NULL;
	va_list args;

	va_start(args, fmt);
	text = xvprintf(fmt, args);
	va_end(args);
	(void)pthread_mutex_lock(&r->lock);
	say(r, word, text);
	(void)pthread_mutex_unlock(&r->lock);
}

void report_progress(struct report *r, const struct job_progress *progress)
{
	report_line(r, WORD_PROGRESS, "%lld %lld %lld", (long long)progress->done,
		    (long long)progress->due, (long long)progress->eta_s);
}

void report_batch(struct report *r, const struct metrics_batch *batch)
{
	report_line(r, WORD_BATCH, "%lld %lld %lld %lld %lld", (long long)batch->ms,
		    (long long)batch->rows, (long long)batch->next_rows,
		    (long long)batch->most_rows, (long long)batch->blocked);
}

void report_waiting(struct report *r, enum wait_reason reason, const char *text)
{
	AUTO(char_p) char *line = NULL;

	(void)pthread_mutex_lock(&r->lock);
	if (!text && r->wait.text) {
		wait_clear(&r->wait);
		say(r, WORD_WAITING, wait_words[WAIT_NONE]);
	} else if (text && (reason != r->wait.reason || strcmp(text, r->wait.text) != 0)) {
		wait_set(&r->wait, reason, "%s", text);
		line = xprintf("%s %s", wait_words[reason], text);
		say(r, WORD_WAITING, line);
	}
	(void)pthread_mutex_unlock(&r->lock);
}

char *report_waits_for(struct report *r, enum wait_reason *ret_reason)
{
	char *copy;

	(void)pthread_mutex_lock(&r->lock);
	*ret_reason = r->wait.reason;
	copy = r->wait.text ? xstrdup(r->wait.text) : NULL;
	(void)pthread_mutex_unlock(&r->lock);
	return copy;
}

/* --- The parent's end ------------------------------------------------------------------------- */

/* Cuts the first word off; *line becomes the rest, without the space between. */
static const char *next_word(char **line)
{
	char *word = strsep(line, " ");

	if (!*line)
		*line = word + strlen(word);
	return word;
}

/* The rest of a line is those n numbers, and nothing else. */
static bool parse_numbers(char *rest, int64_t min, int64_t *const *ret, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!number_parse(next_word(&rest), min, INT64_MAX, ret[i]))
			return false;
	return *rest == '\0';
}

/* A line without its newline, which is changed.  false: it makes no sense. */
static bool parse(char *line, struct job_message *ret)
{
	struct job_progress *p = &ret->progress;
	struct metrics_batch *b = &ret->batch;

	*ret = (struct job_message){
		.word = (enum job_word)text_index(next_word(&line), words, WORDS)};
	ret->text = line;
	switch (ret->word) {
	case WORD_PROGRESS:
		return parse_numbers(line, -1, (int64_t *const[]){&p->done, &p->due, &p->eta_s}, 3);
	case WORD_BATCH:
		return parse_numbers(line, 0,
				     (int64_t *const[]){&b->ms, &b->rows, &b->next_rows,
							&b->most_rows, &b->blocked},
				     5);
	case WORD_WAITING:
		ret->reason =
			(enum wait_reason)text_index(next_word(&line), wait_words, WAIT_REASONS);
		ret->text = line;
		return ret->reason < WAIT_REASONS && (*line == '\0') == (ret->reason == WAIT_NONE);
	case WORD_COMPLAINT:
	case WORD_DETAIL:
	case WORD_WARNING:
	case WORD_NOTE:
	case WORD_SAMPLE:
		return true;
	case WORDS:
		break;
	}
	return false;
}

void job_reader_take(struct job_reader *reader, const char *bytes, size_t n,
		     void (*on_message)(void *arg, const struct job_message *message), void *arg)
{
	struct job_message message;

	for (size_t i = 0; i < n; i++) {
		const char byte = bytes[i];
		const bool full = reader->length == sizeof(reader->line) - 1;

		if (byte != '\n' && !full) {
			reader->line[reader->length++] = is_control(byte) ? '?' : byte;
			continue;
		}
		reader->line[reader->length] = '\0';
		if (!reader->overlong && parse(reader->line, &message))
			on_message(arg, &message);
		reader->overlong = byte != '\n';
		reader->length = byte == '\n' ? 0 : reader->length;
	}
}
