/* Paths and their stars; the table itself. */
#include "web/route.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_matches(void **state)
{
	static const struct {
		const char *pattern, *path, *first,
			*second; /* NULL: no such star; first "": no match */
	} cases[] = {
		{"/", "/", NULL, NULL},
		{"/", "/x", "", NULL},
		{"/", "//", "", NULL},
		{"/actions", "/actions", NULL, NULL},
		{"/actions", "/actions/", "", NULL},
		{"/actions", "/action", "", NULL},
		{"/actions", "/actionss", "", NULL},
		{"/actions", "/Actions", "", NULL},
		{"/actions/#", "/actions/12", "12", NULL},
		{"/actions/#", "/actions/2147483647", "2147483647", NULL},
		{"/actions/#", "/actions/2147483648", "", NULL},
		{"/actions/#", "/actions/99999999999999999999", "", NULL},
		{"/actions/#", "/actions/0", "", NULL},
		{"/actions/#", "/actions/012", "", NULL},
		{"/actions/#", "/actions/-1", "", NULL},
		{"/actions/#", "/actions/+1", "", NULL},
		{"/actions/#", "/actions/1e3", "", NULL},
		{"/actions/#", "/actions/%31", "", NULL},
		{"/actions/#", "/actions/", "", NULL},
		{"/actions/#", "/actions/12/", "", NULL},
		{"/actions/#/valider", "/actions/12/valider", "12", NULL},
		{"/actions/#/valider", "/actions//valider", "", NULL},
		{"/actions/#/valider", "/actions/12", "", NULL},
		{"/actions/#/archive/*", "/actions/3/archive/message.csv.age", "3",
		 "message.csv.age"},
		{"/actions/#/archive/*", "/actions/3/archive/..", "3", ".."},
		{"/actions/#/archive/*", "/actions/3/archive/", "", NULL},
		{"/actions/#/archive/*", "/actions/3/archive/a/b", "", NULL},
		{"/regles/*/valider", "/regles/r%C3%A8gle/valider", "règle", NULL},
		{"/regles/*/valider", "/regles/a%2Fb/valider", "", NULL},
		{"/regles/*/valider", "/regles/a%00b/valider", "", NULL},
		{"/regles/*/valider", "/regles/a%0Ab/valider", "", NULL},
		{"/regles/*/valider", "/regles/%1b/valider", "", NULL},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		const char *parts[PARTS_MAX] = {0};
		AUTO(talloc) void *ctx = talloc_new(NULL);
		const bool is_wanted = !cases[i].first || *cases[i].first;

		if (matches(ctx, cases[i].pattern, cases[i].path, parts) != is_wanted)
			fail_msg("%s and %s", cases[i].pattern, cases[i].path);
		if (is_wanted && cases[i].first)
			assert_string_equal(parts[0], cases[i].first);
		if (is_wanted && cases[i].second)
			assert_string_equal(parts[1], cases[i].second);
	}
}

/* Each POST needs a session, except for the log-in; no path stands twice; no pattern has too many stars. */
static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(routes); i++) {
		const struct route *route = &routes[i];
		int stars = 0;

		if (route->method == POST && route->who == WHO_ANYBODY)
			assert_string_equal(route->path, "/connexion");
		for (const char *p = route->path; *p; p++)
			stars += *p == '#' || *p == '*';
		assert_in_range(stars, 0, PARTS_MAX);
		assert_non_null(route->handler);
		for (size_t j = 0; j < i; j++)
			assert_false(routes[j].method == route->method &&
				     strcmp(routes[j].path, route->path) == 0);
	}
}

static void test_roles(void **state)
{
	const struct person auditor = {.auditor = true}, operator= {.operator= true },
								    approver = {.approver = true};

	(void)state;
	assert_true(may(&auditor, WHO_READS));
	assert_true(may(&operator, WHO_READS));
	assert_true(may(&approver, WHO_READS));
	assert_false(may(&auditor, WHO_SAVES));
	assert_true(may(&operator, WHO_SAVES));
	assert_false(may(&approver, WHO_SAVES));
	assert_false(may(&auditor, WHO_VALIDATES));
	assert_false(may(&operator, WHO_VALIDATES));
	assert_true(may(&approver, WHO_VALIDATES));
	assert_false(may(&auditor, WHO_SAVES_OR_VALIDATES));
	assert_true(may(&operator, WHO_SAVES_OR_VALIDATES));
	assert_true(may(&approver, WHO_SAVES_OR_VALIDATES));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matches),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_roles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
