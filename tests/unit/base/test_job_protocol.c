/* The status pipe: a line comes back as it was written, rubbish is dropped, and what an end means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/job_protocol.c"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* The messages of one test, with their texts copied. */
struct heard {
	struct job_message messages[32];
	char *texts[32];
	size_t n;
};

static void on_message(void *arg, const struct job_message *message)
{
	struct heard *heard = arg;

	assert_true(heard->n < COUNT(heard->messages));
	heard->messages[heard->n] = *message;
	heard->texts[heard->n++] = xstrdup(message->text);
}

static void forget(struct heard *heard)
{
	for (size_t i = 0; i < heard->n; i++)
		free(heard->texts[i]);
	heard->n = 0;
}

static void hear(struct heard *heard, const char *line)
{
	struct job_reader reader = {0};

	job_reader_take(&reader, line, strlen(line), on_message, heard);
}

/* A report whose lines can be read from *ret_fd. */
static struct report *open_report(int *ret_fd)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	*ret_fd = ends[0];
	return report_new(ends[1]);
}

/* Closes both ends; slice: bytes that the reader gets at a time. */
static void close_report(struct report *r, int fd, size_t slice, struct heard *heard)
{
	struct job_reader reader = {0};
	char bytes[64];
	ssize_t n;

	assert_int_equal(close(r->fd), 0);
	while ((n = read(fd, bytes, slice)) > 0)
		job_reader_take(&reader, bytes, (size_t)n, on_message, heard);
	(void)close(fd);
	wait_clear(&r->wait);
	free(r);
}

static void test_round_trip(void **state)
{
	static const size_t slices[] = {1, 7, 64};

	(void)state;
	for (size_t i = 0; i < COUNT(slices); i++) {
		const struct metrics_batch batch = {1, 2, INT64_MAX, 4, 0};
		struct heard heard = {.n = 0};
		const struct job_message *m = heard.messages;
		int fd;
		struct report *r = open_report(&fd);

		report_progress(r, &(struct job_progress){12, 50, -1});
		report_batch(r, &batch);
		report_complaint(r, "two\nlines  of\ra text");
		report_note(r, "%s", "");
		report_sample(r, "retentiond_due{policy=\"a b\"} 7");
		report_detail(r, "integrity: set");
		close_report(r, fd, slices[i], &heard);
		assert_int_equal(heard.n, 6);
		assert_int_equal(m[0].word, WORD_PROGRESS);
		assert_int_equal(m[0].progress.done, 12);
		assert_int_equal(m[0].progress.due, 50);
		assert_int_equal(m[0].progress.eta_s, -1);
		assert_int_equal(m[1].word, WORD_BATCH);
		assert_memory_equal(&m[1].batch, &batch, sizeof(batch));
		assert_int_equal(m[2].word, WORD_COMPLAINT);
		assert_string_equal(heard.texts[2], "two lines  of a text");
		assert_int_equal(m[3].word, WORD_NOTE);
		assert_string_equal(heard.texts[3], "");
		assert_int_equal(m[4].word, WORD_SAMPLE);
		assert_string_equal(heard.texts[4], "retentiond_due{policy=\"a b\"} 7");
		assert_int_equal(m[5].word, WORD_DETAIL);
		assert_string_equal(heard.texts[5], "integrity: set");
		forget(&heard);
	}
}

static void test_each_reason_to_wait(void **state)
{
	struct heard heard = {.n = 0};
	enum wait_reason reason;
	char *waits_for;
	int fd;
	struct report *r = open_report(&fd);

	(void)state;
	for (int i = WAIT_NONE + 1; i < WAIT_REASONS; i++) {
		report_waiting(r, (enum wait_reason)i, "slot the text");
		report_waiting(r, (enum wait_reason)i, "slot the text"); /* not again */
	}
	waits_for = report_waits_for(r, &reason);
	assert_int_equal(reason, WAIT_REASONS - 1);
	assert_string_equal(waits_for, "slot the text");
	free(waits_for);
	report_waiting(r, WAIT_OTHER, "another text");
	report_waiting(r, WAIT_COURTESY, NULL);
	report_waiting(r, WAIT_NONE, NULL);
	assert_null(report_waits_for(r, &reason));
	assert_int_equal(reason, WAIT_NONE);
	close_report(r, fd, 64, &heard);
	assert_int_equal(heard.n, WAIT_REASONS + 1);
	for (int i = 0; i < WAIT_REASONS - 1; i++) {
		assert_int_equal(heard.messages[i].word, WORD_WAITING);
		assert_int_equal(heard.messages[i].reason, i + 1);
		assert_string_equal(heard.texts[i], "slot the text");
	}
	assert_int_equal(heard.messages[WAIT_REASONS - 1].reason, WAIT_OTHER);
	assert_string_equal(heard.texts[WAIT_REASONS - 1], "another text");
	assert_int_equal(heard.messages[WAIT_REASONS].reason, WAIT_NONE);
	forget(&heard);
}

static void test_nobody_listens(void **state)
{
	struct report *r = report_new(-1);
	int fd;

	(void)state;
	report_note(r, "to nobody");
	free(r);
	r = open_report(&fd);
	(void)close(fd);
	(void)signal(SIGPIPE, SIG_IGN);
	report_note(r, "the parent is gone");
	assert_int_equal(r->fd, -1);
	free(r);
}

static void test_rubbish(void **state)
{
	static const char *const lines[] = {
		"\n",
		" \n",
		"progress\n",
		"progress 1 2\n",
		"progress 1 2 3 4\n",
		"progress 1  2 3\n",
		"progress a b c\n",
		"progress 1 2 -2\n",
		"progress 99999999999999999999 1 1\n",
		" progress 1 2 3\n",
		"Progress 1 2 3\n",
		"batch 1 2 3 4\n",
		"batch 1 2 3 4 -1\n",
		"batch 1 2 3 4 5 6\n",
		"waiting\n",
		"waiting \n",
		"waiting room on the disk\n",
		"waiting slot\n",
		"waiting none for long\n",
		"notes x\n",
		"\t note x\n",
		"note without its newline",
		"\1\2\377\n",
	};
	struct heard heard = {.n = 0};

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		hear(&heard, lines[i]);
		if (heard.n > 0)
			fail_msg("taken: %s", lines[i]);
	}
	hear(&heard, "note a\tb\033[0m\177\n");
	assert_int_equal(heard.n, 1);
	assert_string_equal(heard.texts[0], "a?b?[0m?");
	forget(&heard);
}

static void test_long_lines_are_cut(void **state)
{
	const size_t most = sizeof(((struct job_reader *)NULL)->line) - 1;
	struct heard heard = {.n = 0};
	char *text;

	(void)state;
	for (size_t n = most - 1; n <= most + 5000; n += n < most + 2 ? 1 : 4998) {
		text = xcalloc(n + 8, 1);
		memset(text, 'x', n);
		memcpy(text, "note ", 5);
		memcpy(text + n, "\nnote\n", 7);
		hear(&heard, text);
		assert_int_equal(heard.n, 2);
		assert_int_equal(strlen(heard.texts[0]), (n < most ? n : most) - 5);
		assert_string_equal(heard.texts[1], "");
		forget(&heard);
		free(text);
	}
}

static void test_ends(void **state)
{
#define EXITED(n) ((n) << 8)
	static const struct {
		int status;
		bool stopped;
		enum job_exit end;
	} cases[] = {
		{EXITED(0), false, JOB_DONE},       {EXITED(1), false, JOB_FAILED},
		{EXITED(2), false, JOB_CRASHED},    {EXITED(3), true, JOB_REFUSED},
		{EXITED(4), true, JOB_STOPPED},     {EXITED(5), false, JOB_SAVED},
		{EXITED(6), false, JOB_TAKEN},      {EXITED(7), false, JOB_AWAY},
		{EXITED(8), false, JOB_INCOMPLETE}, {EXITED(9), false, JOB_CRASHED},
		{EXITED(127), false, JOB_CRASHED},  {EXITED(255), true, JOB_CRASHED},
		{SIGTERM, true, JOB_STOPPED},       {SIGKILL, true, JOB_STOPPED},
		{SIGSEGV, true, JOB_CRASHED},       {SIGTERM, false, JOB_CRASHED},
		{SIGKILL, false, JOB_CRASHED},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(job_exit_of(cases[i].status, cases[i].stopped), cases[i].end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_each_reason_to_wait),
		cmocka_unit_test(test_nobody_listens),
		cmocka_unit_test(test_rubbish),
		cmocka_unit_test(test_long_lines_are_cut),
		cmocka_unit_test(test_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
