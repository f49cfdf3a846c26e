/* Where a log-in may lead. */
#include "web/page_login.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_suite(void **state)
{
	static const struct {
		const char *text;
		bool is_ours;
	} cases[] = {
		{"/", true},
		{"/actions/12?x=1&y=%20", true},
		{"/actions.csv", true},
		{NULL, false},
		{"", false},
		{"actions", false},
		{"//evil.example", false},
		{"/\\evil.example", false},
		{"\\/evil.example", false},
		{"https://evil.example/", false},
		{"/a b", false},
		{"/a\r\nSet-Cookie: x", false},
		{"/é", false},
		{"/a#b", false},
		{"/a:b", false},
		{"/\t/evil.example", false},
	};
	char longer[SUITE_MAX + 2];

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		if (is_suite(cases[i].text) != cases[i].is_ours)
			fail_msg("%s", cases[i].text ? cases[i].text : "NULL");
	memset(longer, '/', 1);
	memset(longer + 1, 'a', SUITE_MAX);
	longer[SUITE_MAX + 1] = '\0';
	assert_false(is_suite(longer));
	longer[SUITE_MAX] = '\0';
	assert_true(is_suite(longer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_suite),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
