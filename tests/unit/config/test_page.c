/* A policy of the page, as texts of the database: which the configuration lets pass, and why not the others. */
#include "config/page.c"

/* Behind the others: it makes a macro of our fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const char *const actions[] = {"export", "delete_contacts", "anonymize_requests"};
static const char *const archives[] = {"listed"};
static struct policy of_file[] = {{.name = "of-the-file", .place = {.file = "f", .line = 7}}};

static struct config config_of(bool pages)
{
	return (struct config){.pages = pages,
			       .page_shortest = {.count = 1, .unit = PERIOD_YEARS},
			       .page_actions = actions,
			       .n_page_actions = 3,
			       .page_archives = archives,
			       .n_page_archives = 1,
			       .page_most = 20,
			       .policies = of_file,
			       .n_policies = 1};
}

static const struct {
	struct page_text text;
	const char *why; /* begins so; NULL: it passes */
} cases[] = {
	{{"p", "1", "export", "12", "daily", "listed"}, NULL},
	{{"a.b-c_9", "2147483647", "delete_contacts", "1200", "0 3 * * 1", "listed"}, NULL},
	{{"p", "1", "anonymize_requests", "18", "monthly", "none"}, NULL},
	{{"p", "0", "export", "12", "daily", "listed"}, "its name or version"},
	{{"p", "-1", "export", "12", "daily", "listed"}, "its name or version"},
	{{"p", "1x", "export", "12", "daily", "listed"}, "its name or version"},
	{{"", "1", "export", "12", "daily", "listed"}, "its name or version"},
	{{"../p", "1", "export", "12", "daily", "listed"}, "its name or version"},
	{{"p\n", "1", "export", "12", "daily", "listed"}, "its name or version"},
	{{"p", "1", "erase", "12", "daily", "listed"}, "its action and archive mode"},
	{{"p", "1", "export", "12", "daily", "some"}, "its action and archive mode"},
	{{"p", "1", "export", "12", "daily", "none"}, "its action and archive mode"},
	{{"p", "1", "anonymize_requests", "12", "daily", "full"}, "its action and archive mode"},
	{{"p", "1", "export", "", "daily", "listed"}, "its depth is not a number of months"},
	{{"p", "1", "export", "0", "daily", "listed"}, "its depth is not a number of months"},
	{{"p", "1", "export", "1201", "daily", "listed"}, "its depth is not a number of months"},
	{{"p", "1", "export", "12.5", "daily", "listed"}, "its depth is not a number of months"},
	{{"p", "1", "export", "12", "often", "listed"}, "schedule \"often\": "},
	{{"p", "1", "anonymize_contacts", "12", "daily", "none"},
	 "page_policies: actions does not have anonymize_contacts"},
	{{"p", "1", "export", "12", "daily", "full"},
	 "page_policies: archives does not have \"full\""},
	{{"p", "1", "export", "11", "daily", "listed"},
	 "its depth of 11 months is shorter than page_policies: shortest, 1 year"},
	{{"of-the-file", "1", "export", "12", "daily", "listed"},
	 "the file has a policy of that name, at f:7"},
	{{"OF-THE-FILE", "1", "export", "12", "daily", "listed"},
	 "the file has a policy of that name, at f:7"},
};

static void test_policies(void **state)
{
	const struct config config = config_of(true), file_only = config_of(false);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO(talloc) void *ctx = talloc_new(NULL);
		struct policy policy;
		const char *why = page_policy(ctx, &config, &cases[i].text, &policy);

		if (!why != !cases[i].why ||
		    (why && strncmp(why, cases[i].why, strlen(cases[i].why)) != 0))
			fail_msg("case %zu: %s", i, why ? why : "passes");
		assert_null(policy.scope);
		assert_false(policy.saved);
		if (!why)
			assert_string_equal(policy.name, cases[i].text.name);
		assert_non_null(page_policy(ctx, &file_only, &cases[i].text, &policy));
	}
}

static void test_months(void **state)
{
	(void)state;
	assert_int_equal(page_months(&(struct period){6, PERIOD_MONTHS}), 6);
	assert_int_equal(page_months(&(struct period){100, PERIOD_YEARS}), 1200);
	assert_int_equal(page_months(&(struct period){101, PERIOD_YEARS}), 0);
	assert_int_equal(page_months(&(struct period){1201, PERIOD_MONTHS}), 0);
	assert_int_equal(page_months(&(struct period){52, PERIOD_WEEKS}), 0);
	assert_int_equal(page_months(&(struct period){365, PERIOD_DAYS}), 0);
}

static void test_bounds(void **state)
{
	AUTO(talloc) void *ctx = talloc_new(NULL);
	struct config config = config_of(true);

	(void)state;
	assert_string_equal(page_bounds(ctx, &config),
			    "{\"shortest\": \"1 year\", \"actions\": [\"export\", "
			    "\"delete_contacts\", \"anonymize_requests\"], \"archives\": "
			    "[\"listed\"], \"most\": 20, \"file\": [\"of-the-file\"]}");
	config.n_page_archives = 0;
	assert_non_null(strstr(page_bounds(ctx, &config), "[\"none\", \"listed\", \"full\"]"));
	config.pages = false;
	assert_null(page_bounds(ctx, &config));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_months),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
