/*
 * Schedules: the grammar, and next() and previous() against tables and against an oracle that walks
 * every second-aligned minute around a change of the clocks and knows nothing of base/schedule.c's idea.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/schedule.c"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int64_t utc(const char *text)
{
	struct tm tm = {0};

	assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &tm));
	return timegm(&tm);
}

static struct schedule parsed(const char *text)
{
	struct schedule s;
	const char *why = NULL;

	if (!schedule_parse(text, &s, &why))
		fail_msg("%s: %s", text, why);
	return s;
}

static bool same(const struct schedule *a, const struct schedule *b)
{
	return a->minutes == b->minutes && a->hours == b->hours &&
	       a->days_of_month == b->days_of_month && a->months == b->months &&
	       a->days_of_week == b->days_of_week && a->any_day_of_month == b->any_day_of_month &&
	       a->any_day_of_week == b->any_day_of_week;
}

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		const char *printed; /* NULL: refused */
	} cases[] = {
		{"hourly", "0 * * * *"},
		{"daily", "0 0 * * *"},
		{"weekly", "0 0 * * 1"},
		{"monthly", "0 0 1 * *"},
		{"yearly", "0 0 1 1 *"},
		{"0 3 1 * *", "0 3 1 * *"},
		{" 0\t3  1 * * ", "0 3 1 * *"},
		{"*/15 * * * *", "*/15 * * * *"},
		{"0,15,30,45 * * * *", "*/15 * * * *"},
		{"0-59 * * * *", "* * * * *"},
		{"5,3,1-2 0-23/2 * jan-mar mon-FRI", "1-3,5 */2 * 1-3 1-5"},
		{"0 0 1-31 * *", "0 0 1-31 * *"}, /* no star: the two days combine differently */
		{"0 0 * * 0-6", "0 0 * * 0-6"},
		{"0 0 * * 7", "0 0 * * 0"},
		{"0 0 * * fri-sun", "0 0 * * 0,5-6"},
		{"0 0 * * 5-7", "0 0 * * 0,5-6"},
		{"0 0 */2 * 1", "0 0 */2 * 1"},
		{"0 0 */31 * 1", "0 0 */31 * 1"},
		{"0 0 1 * */7", "0 0 1 * */7"},
		{"0 0 */10,5 * 1", "0 0 */32,5,11,21,31 * 1"},
		{"0 0 1 * *,1", "0 0 1 * *"},
		{"0 0 29 2 *", "0 0 29 2 *"},
		{"0 0 30 2 1", "0 0 30 2 1"}, /* on Mondays */
		{"0 0 30 2 *", NULL},
		{"0 0 31 4,6,9,11 *", NULL},
		{"", NULL},
		{"Daily", NULL},
		{"@daily", NULL},
		{"* * * *", NULL},
		{"* * * * * *", NULL},
		{"60 * * * *", NULL},
		{"* 24 * * *", NULL},
		{"* * 0 * *", NULL},
		{"* * 32 * *", NULL},
		{"* * * 13 *", NULL},
		{"* * * * 8", NULL},
		{"5-1 * * * *", NULL},
		{"*/0 * * * *", NULL},
		{"5/15 * * * *", NULL},
		{"1,,2 * * * *", NULL},
		{",1 * * * *", NULL},
		{"1, * * * *", NULL},
		{"1- * * * *", NULL},
		{"-1 * * * *", NULL},
		{"1-2-3 * * * *", NULL},
		{"+1 * * * *", NULL},
		{"001 * * * *", NULL},
		{"jan * * * *", NULL},
		{"* * * january *", NULL},
		{"* * * * ?", NULL},
		{"** * * * *", NULL},
		{"*/jan * * * *", NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct schedule s, again;
		const char *why = NULL;
		char text[512];

		if (schedule_parse(cases[i].text, &s, &why) != (cases[i].printed != NULL))
			fail_msg("%s: %s", cases[i].text, why ? why : "taken");
		if (!cases[i].printed) {
			assert_non_null(why);
			continue;
		}
		schedule_print(&s, text, sizeof(text));
		again = parsed(text);
		if (!same(&s, &again))
			fail_msg("%s printed as %s, which is another", cases[i].text, text);
		if (strcmp(cases[i].printed, text) != 0)
			fail_msg("%s printed as %s, not %s", cases[i].text, text, cases[i].printed);
	}
}

/* The longest lists still fit the 512 bytes that the header promises. */
static void test_print_size(void **state)
{
	struct schedule s = {.minutes = UINT64_C(0x0aaaaaaaaaaaaaaa),
			     .hours = 0x00aaaaaa,
			     .days_of_month = 0xaaaaaaaa & ~2u,
			     .months = 0x0aaa & ~2u,
			     .days_of_week = 0x2a};
	struct schedule again;
	char text[512];

	(void)state;
	schedule_print(&s, text, sizeof(text));
	again = parsed(text);
	assert_true(same(&s, &again));
}

static void test_next(void **state)
{
	static const struct {
		const char *zone;
		const char *schedule;
		const char *after; /* UTC */
		const char *next; /* UTC; NULL: none */
	} cases[] = {
		{"UTC", "* * * * *", "2024-01-01 00:00:00", "2024-01-01 00:01:00"},
		{"UTC", "* * * * *", "2024-01-01 00:00:59", "2024-01-01 00:01:00"},
		{"UTC", "daily", "2023-12-31 23:59:59", "2024-01-01 00:00:00"},
		{"UTC", "daily", "2024-01-01 00:00:00", "2024-01-02 00:00:00"},
		{"UTC", "weekly", "2024-02-28 12:00:00", "2024-03-04 00:00:00"},
		{"UTC", "0 0 29 2 *", "2024-02-29 00:00:00", "2028-02-29 00:00:00"},
		{"UTC", "0 0 29 2 *", "2096-02-29 00:00:00", "2104-02-29 00:00:00"},
		{"UTC", "0 0 31 * *", "2024-03-31 00:00:00", "2024-05-31 00:00:00"},
		/* either day is enough: Friday the 6th comes before the 13th */
		{"UTC", "0 0 13 * 5", "2024-09-01 00:00:00", "2024-09-06 00:00:00"},
		{"UTC", "0 0 13 * 5", "2024-10-12 00:00:00", "2024-10-13 00:00:00"},
		/* a field that begins with * restricts along with the other */
		{"UTC", "0 0 */2 * 5", "2024-09-01 00:00:00", "2024-09-13 00:00:00"},
		{"UTC", "0 0 13 * */2", "2024-09-01 00:00:00", "2024-10-13 00:00:00"},
		{"Asia/Kathmandu", "daily", "2024-01-01 00:00:00", "2024-01-01 18:15:00"},
		{"Europe/Paris", "monthly", "2024-03-01 00:00:00", "2024-03-31 22:00:00"},
		/* 02:00 to 03:00 does not exist on 2024-03-31: it runs at 03:00 */
		{"Europe/Paris", "30 2 * * *", "2024-03-30 12:00:00", "2024-03-31 01:00:00"},
		{"Europe/Paris", "30 2 * * *", "2024-03-31 01:00:00", "2024-04-01 00:30:00"},
		{"Europe/Paris", "0 2,3 * * *", "2024-03-31 00:30:00", "2024-03-31 01:00:00"},
		{"Europe/Paris", "0 2,3 * * *", "2024-03-31 01:00:00", "2024-04-01 00:00:00"},
		{"Europe/Paris", "hourly", "2024-03-31 00:00:00", "2024-03-31 01:00:00"},
		{"Europe/Paris", "hourly", "2024-03-31 01:00:00", "2024-03-31 02:00:00"},
		{"Europe/Paris", "*/15 * * * *", "2024-03-31 00:45:00", "2024-03-31 01:00:00"},
		{"Europe/Paris", "*/15 * * * *", "2024-03-31 01:00:00", "2024-03-31 01:15:00"},
		/* 02:00 to 03:00 comes twice on 2024-10-27: the first time counts */
		{"Europe/Paris", "30 2 * * *", "2024-10-26 12:00:00", "2024-10-27 00:30:00"},
		{"Europe/Paris", "30 2 * * *", "2024-10-27 00:30:00", "2024-10-28 01:30:00"},
		{"Europe/Paris", "30 2 * * *", "2024-10-27 01:10:00", "2024-10-28 01:30:00"},
		{"Europe/Paris", "hourly", "2024-10-27 00:00:00", "2024-10-27 02:00:00"},
		{"Europe/Paris", "*/15 * * * *", "2024-10-27 00:45:00", "2024-10-27 02:00:00"},
		{"America/New_York", "30 2 * * *", "2024-03-09 12:00:00", "2024-03-10 07:00:00"},
		{"America/New_York", "30 1 * * *", "2024-11-03 04:00:00", "2024-11-03 05:30:00"},
		{"America/New_York", "30 1 * * *", "2024-11-03 05:30:00", "2024-11-04 06:30:00"},
		/* half an hour: 02:00 becomes 02:30 on 2024-10-06, 02:00 becomes 01:30 on 2024-04-07 */
		{"Australia/Lord_Howe", "15 2 * * *", "2024-10-05 00:00:00", "2024-10-05 15:30:00"},
		{"Australia/Lord_Howe", "45 1 * * *", "2024-04-06 12:00:00", "2024-04-06 14:45:00"},
		{"Australia/Lord_Howe", "45 1 * * *", "2024-04-06 14:45:00", "2024-04-07 15:15:00"},
		/* 2011-12-30 was left out: it runs as the 31st begins, together with the 31st's own */
		{"Pacific/Apia", "0 12 30 12 *", "2011-12-29 12:00:00", "2011-12-30 10:00:00"},
		{"Pacific/Apia", "daily", "2011-12-29 10:00:00", "2011-12-30 10:00:00"},
		{"Pacific/Apia", "daily", "2011-12-30 10:00:00", "2011-12-31 10:00:00"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct schedule s = parsed(cases[i].schedule);
		int64_t at = 0, back = 0;

		assert_true(schedule_set_timezone(cases[i].zone));
		assert_true(schedule_next(&s, utc(cases[i].after), &at));
		if (at != utc(cases[i].next))
			fail_msg("%s %s after %s: %lld, not %lld", cases[i].zone, cases[i].schedule,
				 cases[i].after, (long long)at, (long long)utc(cases[i].next));
		assert_true(schedule_previous(&s, at, &back));
		assert_int_equal(back, at); /* "at or before" */
		assert_true(schedule_previous(&s, at - 1, &back));
		assert_true(back <= utc(cases[i].after));
	}
}

/* The oracle: which minutes of the clock match, by struct tm alone. */
static bool tm_matches(const struct schedule *s, const struct tm *tm)
{
	const bool by_month = s->days_of_month >> tm->tm_mday & 1;
	const bool by_week = s->days_of_week >> tm->tm_wday & 1;
	const bool day = s->any_day_of_month || s->any_day_of_week ? by_month && by_week
								   : by_month || by_week;

	return day && (s->minutes >> tm->tm_min & 1) && (s->hours >> tm->tm_hour & 1) &&
	       (s->months >> (tm->tm_mon + 1) & 1);
}

#define SPAN_MINUTES (4 * 24 * 60)
#define CHANGE_MINUTE (2 * 24 * 60)

/*
 * Runs at minute i from start: a local time seen there for the first time matches, or one that the
 * clock left out just before does.  The local times are walked one by one, as a clerk would.
 */
static void oracle(const struct schedule *s, int64_t start, bool *ret_runs)
{
	int64_t seen = INT64_MIN; /* the highest local minute so far, as if UTC */

	for (int i = 0; i < SPAN_MINUTES; i++) {
		const time_t clock = start + i * 60;
		struct tm tm;
		int64_t local;

		localtime_r(&clock, &tm);
		local = timegm(&tm);
		ret_runs[i] = false;
		if (seen == INT64_MIN)
			seen = local - 60;
		for (; seen < local; seen += 60) {
			const time_t minute = seen + 60;
			struct tm each;

			gmtime_r(&minute, &each);
			if (tm_matches(s, &each))
				ret_runs[i] = true;
		}
	}
}

static void check_against_oracle(const char *zone, const char *text, int64_t start)
{
	static bool runs[SPAN_MINUTES];
	const struct schedule s = parsed(text);
	int64_t last = -1;

	oracle(&s, start, runs);
	for (int i = 0; i < SPAN_MINUTES - 1; i++) {
		const bool is_near = abs(i - CHANGE_MINUTE) < 4 * 60;
		int next = i + 1;
		int64_t at;

		if (runs[i])
			last = start + i * 60;
		if (!is_near && i % 13 != 0)
			continue; /* far from the change a sample is enough */
		while (next < SPAN_MINUTES && !runs[next])
			next++;
		if (next < SPAN_MINUTES &&
		    (!schedule_next(&s, start + i * 60 + i % 60, &at) || at != start + next * 60))
			fail_msg("%s %s: next of %lld is %lld", zone, text,
				 (long long)start + i * 60, (long long)at);
		if (last >= 0 &&
		    (!schedule_previous(&s, start + i * 60 + i % 60, &at) || at != last))
			fail_msg("%s %s: previous of %lld is %lld", zone, text,
				 (long long)start + i * 60, (long long)at);
	}
}

static void test_oracle(void **state)
{
	static const struct {
		const char *zone;
		const char *around; /* UTC */
	} changes[] = {
		{"Europe/Paris", "2024-03-31 01:00:00"},
		{"Europe/Paris", "2024-10-27 01:00:00"},
		{"Europe/Paris", "2045-03-26 01:00:00"},
		{"America/New_York", "2024-03-10 07:00:00"},
		{"America/New_York", "2024-11-03 06:00:00"},
		{"Australia/Lord_Howe", "2024-10-05 15:30:00"},
		{"Australia/Lord_Howe", "2024-04-06 15:00:00"},
		{"Pacific/Apia", "2011-12-30 10:00:00"},
		{"Asia/Kathmandu", "1985-12-31 18:30:00"},
		{"America/Sao_Paulo", "2018-11-04 03:00:00"}, /* at midnight */
		{"Africa/Casablanca", "2024-03-10 02:00:00"},
		{"Pacific/Kwajalein", "1993-08-21 12:00:00"}, /* a day left out as well */
		{"UTC", "2024-02-29 00:00:00"},
	};
	static const char *const schedules[] = {
		"* * * * *",   "*/15 * * * *", "hourly",          "daily",
		"30 2 * * *",  "0 2,3 * * *",  "15,45 1-2 * * *", "59 23 * * *",
		"0 0 30 12 *", "0 12 31 * 1",  "7 */5 */3 * *",   "weekly",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(changes); i++) {
		assert_true(schedule_set_timezone(changes[i].zone));
		for (size_t j = 0; j < COUNT(schedules); j++)
			check_against_oracle(changes[i].zone, schedules[j],
					     utc(changes[i].around) - CHANGE_MINUTE * 60);
	}
}

/* Local mean time: offsets with seconds, where no minute of the clock begins with one of UTC. */
static void test_far_instants(void **state)
{
	const struct schedule s = parsed("daily");
	int64_t at;

	(void)state;
	assert_true(schedule_set_timezone("Europe/Paris"));
	assert_true(schedule_next(&s, utc("1900-06-01 00:00:00"), &at));
	assert_int_equal(at, utc("1900-06-01 00:00:00") + 86400 - 561);
	assert_false(schedule_next(&s, INT64_MAX, &at));
	assert_false(schedule_next(&s, INT64_MIN, &at));
	assert_false(schedule_previous(&s, INT64_MAX, &at));
	assert_false(schedule_previous(&s, INT64_MIN, &at));
	assert_true(schedule_next(&s, INSTANT_MAX, &at));
	assert_true(schedule_previous(&s, INSTANT_MIN, &at));
}

static void test_timezone(void **state)
{
	static const char *const refused[] = {
		"",
		"Europe/Pariss",
		"../../etc/passwd",
		"/usr/share/zoneinfo/UTC",
		"Europe",
		":UTC",
		"CET-1CEST",
		"Europe//Paris",
		"right/Europe/Paris",
		"zone.tab",
		"Europe/Paris ",
		"UTC\n",
	};

	(void)state;
	assert_true(schedule_set_timezone("Europe/Paris"));
	for (size_t i = 0; i < COUNT(refused); i++)
		assert_false(schedule_set_timezone(refused[i]));
	assert_string_equal(getenv("TZ"), "Europe/Paris"); /* a refusal changes nothing */
	assert_true(schedule_timezone_exists("America/Argentina/Buenos_Aires"));
	assert_true(schedule_timezone_exists("Etc/GMT+5"));
	assert_true(schedule_set_timezone("UTC"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),        cmocka_unit_test(test_print_size),
		cmocka_unit_test(test_next),         cmocka_unit_test(test_oracle),
		cmocka_unit_test(test_far_instants), cmocka_unit_test(test_timezone),
	};

	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
