/* Durations, periods, windows, dates: what is taken, what is not, and that printing comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.c"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_period(void **state)
{
	static const struct {
		const char *text;
		const char *printed; /* NULL: refused */
	} cases[] = {
		{"18 months", "18 months"},
		{"1 months", "1 month"},
		{"1 day", "1 day"},
		{"2 day", "2 days"},
		{"52 weeks", "52 weeks"},
		{"1000 years", "1000 years"},
		{"9999 months", "9999 months"},
		{"1001 years", NULL},
		{"9999 years", NULL},
		{"036 months", "36 months"},
		{"18 moths", NULL},
		{"18months", NULL},
		{"18  months", NULL},
		{" 18 months", NULL},
		{"18 months ", NULL},
		{"0 days", NULL},
		{"-1 days", NULL},
		{"+1 days", NULL},
		{"10000 days", NULL},
		{"18", NULL},
		{"18 ", NULL},
		{"months", NULL},
		{"", NULL},
		{"18 MONTHS", NULL},
		{"18 monthss", NULL},
		{"1.5 years", NULL},
		{"18 mons", NULL},
		{"99999999999999999999 days", NULL},
	};
	struct period period, again;
	char text[24];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(period_parse(cases[i].text, &period), cases[i].printed != NULL);
		if (!cases[i].printed)
			continue;
		period_print(&period, text, sizeof(text));
		assert_string_equal(text, cases[i].printed);
		assert_true(period_parse(text, &again));
		assert_int_equal(again.count, period.count);
		assert_int_equal(again.unit, period.unit);
	}
}

static void test_duration(void **state)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: refused */
		const char *printed;
	} cases[] = {
		{"250ms", 250, "250ms"},
		{"10s", 10000, "10s"},
		{"10 s", 10000, "10s"},
		{"5min", 300000, "5min"},
		{"2h", 7200000, "2h"},
		{"120min", 7200000, "2h"},
		{"1500ms", 1500, "1500ms"},
		{"0s", 0, "0s"},
		{"0h", 0, "0s"},
		{"720h", INT64_C(2592000000), "720h"},
		{"2592000000ms", INT64_C(2592000000), "720h"},
		{"721h", -1, NULL},
		{"2592000001ms", -1, NULL},
		{"99999999999999999999ms", -1, NULL},
		{"10", -1, NULL},
		{"10  s", -1, NULL},
		{" 10s", -1, NULL},
		{"10s ", -1, NULL},
		{"-1s", -1, NULL},
		{"1d", -1, NULL},
		{"1.5s", -1, NULL},
		{"s", -1, NULL},
		{"", -1, NULL},
		{"10S", -1, NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t ms = -1;
		char text[24];

		assert_int_equal(duration_ms_parse(cases[i].text, &ms), cases[i].ms >= 0);
		assert_int_equal(ms, cases[i].ms);
		if (ms < 0)
			continue;
		duration_ms_print(ms, text, sizeof(text));
		assert_string_equal(text, cases[i].printed);
	}
}

static void test_window(void **state)
{
	static const char *const refused[] = {
		"",
		"22:00",
		"22:00-",
		"22:00-22:00",
		"24:00-06:00",
		"22:60-06:00",
		"2:00-06:00",
		"22:00 -06:00",
		"22:00-06:00 ",
		"22.00-06.00",
		"22:00-24:00",
		"22:00-06:0",
		"-22:00-06:00",
		"00:-5-06:00",
		"22:00-00:-5",
	};
	struct window window;
	char text[16];

	(void)state;
	for (size_t i = 0; i < COUNT(refused); i++)
		assert_false(window_parse(refused[i], &window));

	assert_true(window_parse("22:00-06:00", &window)); /* over midnight */
	assert_true(window_holds(&window, 22 * 60));
	assert_true(window_holds(&window, 23 * 60 + 59));
	assert_true(window_holds(&window, 0));
	assert_true(window_holds(&window, 5 * 60 + 59));
	assert_false(window_holds(&window, 6 * 60));
	assert_false(window_holds(&window, 21 * 60 + 59));
	window_print(&window, text, sizeof(text));
	assert_string_equal(text, "22:00-06:00");

	assert_true(window_parse("09:30-17:05", &window)); /* within a day */
	assert_false(window_holds(&window, 9 * 60 + 29));
	assert_true(window_holds(&window, 9 * 60 + 30));
	assert_true(window_holds(&window, 17 * 60 + 4));
	assert_false(window_holds(&window, 17 * 60 + 5));

	assert_true(window_parse("22:00-00:00", &window)); /* up to midnight */
	assert_true(window_holds(&window, 23 * 60 + 59));
	assert_false(window_holds(&window, 0));
}

static void test_date(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} cases[] = {
		{"2024-02-29", true},  {"2023-02-29", false},  {"2000-02-29", true},
		{"1900-02-29", false}, {"1900-01-01", true},   {"1899-12-31", false},
		{"9999-12-31", true},  {"2024-04-31", false},  {"2024-13-01", false},
		{"2024-00-01", false}, {"2024-01-00", false},  {"2024-1-01", false},
		{"2024-01-1", false},  {"24-01-01", false},    {"2024/01/01", false},
		{"", false},           {"2024-01-01 ", false}, {"-024-01-01", false},
		{"2024-01--1", false}, {"20240-1-01", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(date_is_valid(cases[i].text), cases[i].ok);
}

static void test_number(void **state)
{
	static const char *const refused[] = {
		"", "-", "+1", " 1", "1 ", "1x", "0x1", "--1", "11", "-11", "99999999999999999999"};
	int64_t value = 42;

	(void)state;
	for (size_t i = 0; i < COUNT(refused); i++)
		assert_false(number_parse(refused[i], -10, 10, &value));
	assert_int_equal(value, 42);
	assert_true(number_parse("-10", -10, 10, &value));
	assert_int_equal(value, -10);
	assert_true(number_parse("9223372036854775807", INT64_MIN, INT64_MAX, &value));
	assert_true(value == INT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_period), cmocka_unit_test(test_duration),
		cmocka_unit_test(test_window), cmocka_unit_test(test_date),
		cmocka_unit_test(test_number),
	};

	return cmocka_run_group_tests_name("units", tests, NULL, NULL);
}
