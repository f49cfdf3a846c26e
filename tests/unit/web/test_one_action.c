/* A number as people type it. */
#include "web/one_action.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_numbers(void **state)
{
	static const struct {
		const char *typed, *number;
	} cases[] = {
		{"311", "311"},
		{" 6 996 ", "6996"},
		{"6\xc2\xa0"
		 "996",
		 "6996"},
		{"6\xe2\x80\xaf"
		 "996",
		 "6996"},
		{"6.996", "6996"},
		{"6,996", "6996"},
		{"0", "0"},
		{"", NULL},
		{" ", NULL},
		{NULL, NULL},
		{"-1", NULL},
		{"+1", NULL},
		{"1e3", NULL},
		{"0x1", NULL},
		{"311\n;", NULL},
		{"\xc2"
		 "311",
		 NULL},
		{"\xd9\xa3", NULL}, /* a digit of another script */
		{"999999999999999", "999999999999999"},
		{"9999999999999999", NULL},
	};
	void *ctx = talloc_new(NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *number = one_action_number(ctx, cases[i].typed);

		if (cases[i].number)
			assert_string_equal(number ? number : "refused", cases[i].number);
		else
			assert_null(number);
	}
	talloc_free(ctx);
}

static void test_digits(void **state)
{
	static const struct {
		const char *typed, *number;
	} cases[] = {
		{"18", "18"},
		{" 18 ", "18"},
		{"0018", "0018"},
		{"12345", NULL},
		{"6,5", NULL},
		{"6.5", NULL},
		{"0.1", NULL},
		{"1 8", NULL},
		{"-7", NULL},
		{"+7", NULL},
		{"", NULL},
		{"  ", NULL},
		{NULL, NULL},
		{"18x", NULL},
		{"1\xc2\xa0"
		 "8",
		 NULL},
	};
	void *ctx = talloc_new(NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *number = one_action_digits(ctx, cases[i].typed, 4);

		if (cases[i].number)
			assert_string_equal(number ? number : "refused", cases[i].number);
		else
			assert_null(number);
	}
	talloc_free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers),
					   cmocka_unit_test(test_digits)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
