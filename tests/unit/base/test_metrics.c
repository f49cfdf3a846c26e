/* The exposition format: names once, escapes, histograms that add up. */
#include "base/metrics.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_labels(void **state)
{
	AUTO(talloc) char *bare = metrics_line("n", "policy", NULL, "1");
	AUTO(talloc) char *plain = metrics_line("n", "policy", "contacts-36m", "1");
	AUTO(talloc) char *odd = metrics_line("n", "policy", "a\"b\\c\nd", "-2.5");

	(void)state;
	assert_string_equal(bare, "n 1");
	assert_string_equal(plain, "n{policy=\"contacts-36m\"} 1");
	assert_string_equal(odd, "n{policy=\"a\\\"b\\\\c\\nd\"} -2.5");
}

static void test_text(void **state)
{
	struct metrics *m = metrics_new(NULL);
	char *text;

	(void)state;
	metrics_sample(m, "retentiond_jobs{status=\"done\"} 3");
	metrics_sample(m, "retentiond_jobs{status=\"failed\"} 0");
	metrics_sample(m,
		       "retentiond_jobsworth 1"); /* no name of ours, though it begins like one */
	metrics_sample(m, "rubbish");
	text = metrics_text(m);
	assert_null(strstr(text, "retentiond_jobs{")); /* not before the survey has ended */
	talloc_free(text);
	metrics_survey_ended(m, 1);
	metrics_put(m, "retentiond_up", NULL, NULL, 1);
	metrics_put(m, "retentiond_job_due", "job", "x", 12345678901.0);
	text = metrics_text(m);
	assert_non_null(strstr(text, "# TYPE retentiond_jobs gauge\n"
				     "retentiond_jobs{status=\"done\"} 3\n"
				     "retentiond_jobs{status=\"failed\"} 0\n"));
	assert_non_null(strstr(text, "retentiond_up 1\n"));
	assert_non_null(strstr(text, "retentiond_job_due{job=\"x\"} 12345678901\n"));
	assert_null(strstr(text, "jobsworth"));
	assert_null(strstr(text, "rubbish"));
	talloc_free(text);
	/* A survey that failed leaves the last one; the process's own values are put in anew. */
	metrics_sample(m, "retentiond_jobs{status=\"done\"} 9");
	metrics_survey_ended(m, 0);
	metrics_clear_own(m);
	text = metrics_text(m);
	assert_non_null(strstr(text, "retentiond_jobs{status=\"done\"} 3\n"));
	assert_null(strstr(text, "retentiond_up"));
	talloc_free(text);
	talloc_free(m);
}

static void test_histogram(void **state)
{
	struct metrics *m = metrics_new(NULL);
	AUTO(talloc) char *text = NULL;

	(void)state;
	/* On a bound: it belongs to it. */
	metrics_batch(m, "delete_contacts", &(struct metrics_batch){.ms = 10, .rows = 7});
	metrics_batch(m, "delete_contacts",
		      &(struct metrics_batch){.ms = 240, .rows = 30, .blocked = 2});
	metrics_batch(m, "delete_contacts",
		      &(struct metrics_batch){.ms = 61000, .next_rows = 9, .most_rows = 10});
	metrics_batch(m, "export", &(struct metrics_batch){.ms = 5});
	metrics_waited(m, 1, 2.5);
	text = metrics_text(m);
	assert_non_null(strstr(
		text,
		"retentiond_batch_seconds_bucket{action=\"delete_contacts\",le=\"0.01\"} 1\n"));
	assert_non_null(strstr(
		text,
		"retentiond_batch_seconds_bucket{action=\"delete_contacts\",le=\"0.25\"} 2\n"));
	assert_non_null(strstr(
		text, "retentiond_batch_seconds_bucket{action=\"delete_contacts\",le=\"60\"} 2\n"));
	assert_non_null(strstr(
		text,
		"retentiond_batch_seconds_bucket{action=\"delete_contacts\",le=\"+Inf\"} 3\n"));
	assert_non_null(
		strstr(text, "retentiond_batch_seconds_sum{action=\"delete_contacts\"} 61.25\n"));
	assert_non_null(strstr(text, "retentiond_batch_seconds_count{action=\"export\"} 1\n"));
	assert_non_null(strstr(text, "retentiond_wait_seconds_total{for=\"replica\"} 2.5\n"));
	assert_non_null(
		strstr(text, "retentiond_batch_rows_total{action=\"delete_contacts\"} 37\n"));
	assert_non_null(strstr(text, "retentiond_batch_size_rows{action=\"delete_contacts\"} 9\n"));
	assert_non_null(
		strstr(text, "retentiond_batch_size_limit_rows{action=\"delete_contacts\"} 10\n"));
	assert_non_null(
		strstr(text, "retentiond_batches_blocking_total{action=\"delete_contacts\"} 1\n"));
	assert_non_null(strstr(text, "retentiond_batch_rows_total{action=\"export\"} 0\n"));
	talloc_free(m);
}

/* Each sample of a daemon with a name has it, so that the files of two daemons can be read together. */
static void test_instance(void **state)
{
	struct metrics *m = metrics_new("acme");
	AUTO(talloc) char *text = NULL;

	(void)state;
	metrics_sample(m, "retentiond_jobs{status=\"a b{c}\"} 3");
	metrics_survey_ended(m, 1);
	metrics_put(m, "retentiond_up", NULL, NULL, 1);
	metrics_batch(m, "export", &(struct metrics_batch){.ms = 5});
	text = metrics_text(m);
	assert_non_null(strstr(text, "# TYPE retentiond_up gauge\n"
				     "retentiond_up{daemon=\"acme\"} 1\n"));
	assert_non_null(strstr(text, "\nretentiond_jobs{daemon=\"acme\",status=\"a b{c}\"} 3\n"));
	assert_non_null(strstr(text, "\nretentiond_batch_seconds_bucket{daemon=\"acme\","
				     "action=\"export\",le=\"0.01\"} 1\n"));
	assert_non_null(
		strstr(text, "\nretentiond_wait_seconds_total{daemon=\"acme\",for=\"other\"} 0\n"));
	for (const char *line = text; *line; line = strchr(line, '\n') + 1)
		assert_true(*line == '#' ||
			    strncmp(line + strcspn(line, "{ "), "{daemon=\"acme\"", 14) == 0);
	talloc_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_instance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
