/* When a job that has ended is tried again, and how its progress reads. */
#include "supervisor/child.c"

/* Behind the others: it makes a macro of our fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define HOUR 3600000

static void test_attempts(void **state)
{
	static const struct {
		const char *name;
		struct {
			enum job_exit end;
			int delay_ms;
		} ends[10];
		size_t n;
	} cases[] = {
		{"a crash is tried again soon, then less and less often",
		 {{JOB_CRASHED, 1000},
		  {JOB_CRASHED, 2000},
		  {JOB_CRASHED, 4000},
		  {JOB_CRASHED, 8000},
		  {JOB_CRASHED, 16000},
		  {JOB_CRASHED, 32000},
		  {JOB_CRASHED, 60000},
		  {JOB_CRASHED, 60000}},
		 8},
		{"no database, likewise",
		 {{JOB_AWAY, 1000}, {JOB_AWAY, 2000}, {JOB_CRASHED, 4000}},
		 3},
		{"another daemon's",
		 {{JOB_TAKEN, 5000}, {JOB_TAKEN, 10000}, {JOB_TAKEN, 20000}},
		 3},
		{"a refusal waits for a person",
		 {{JOB_REFUSED, HOUR}, {JOB_REFUSED, HOUR}, {JOB_CRASHED, 1000}},
		 3},
		{"a stop does not count",
		 {{JOB_STOPPED, 1000},
		  {JOB_STOPPED, 1000},
		  {JOB_CRASHED, 1000},
		  {JOB_STOPPED, 1000},
		  {JOB_CRASHED, 2000}},
		 5},
		{"an action that has ended but stays in the list",
		 {{JOB_DONE, 1000}, {JOB_INCOMPLETE, 2000}, {JOB_FAILED, 4000}, {JOB_SAVED, 8000}},
		 4},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct attempt attempt = {0};
		int64_t now_ms = 1000000;

		for (size_t j = 0; j < cases[i].n; j++) {
			const enum job_exit end = cases[i].ends[j].end;

			attempt_note(&attempt, end, now_ms);
			if (attempt.not_before_ms != now_ms + cases[i].ends[j].delay_ms)
				fail_msg("%s: attempt %zu: %lld ms", cases[i].name, j + 1,
					 (long long)(attempt.not_before_ms - now_ms));
			assert_int_equal(attempt.refused, end == JOB_REFUSED);
			assert_true(attempt.ended);
			now_ms = attempt.not_before_ms;
		}
	}
}

static void test_progress(void **state)
{
	static const struct {
		struct job_progress progress;
		const char *text;
	} cases[] = {
		{{-1, -1, -1}, ""},
		{{5, -1, 10}, ""},
		{{0, 0, -1}, "0 of 0"},
		{{12, 50, -1}, "12 of 50"},
		{{12, 50, 0}, "12 of 50, 0 s left"},
		{{12, 50, 59}, "12 of 50, 59 s left"},
		{{12, 50, 60}, "12 of 50, 1 min left"},
		{{12, 50, 185}, "12 of 50, 3 min left"},
		{{12, 50, 7199}, "12 of 50, 120 min left"},
		{{12, 50, 7200}, "12 of 50, 2 h left"},
		{{12, 50, 9001}, "12 of 50, 3 h left"},
	};
	char text[80];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		progress_print(&cases[i].progress, text, sizeof(text));
		assert_string_equal(text, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attempts),
		cmocka_unit_test(test_progress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
