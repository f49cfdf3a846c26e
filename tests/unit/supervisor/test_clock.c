/* The clock's four cases: time passes, a step forward, a step back, another schedule. */
#include "supervisor/clock.c"

/* Behind the others: it makes a macro of our fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int64_t utc(const char *text)
{
	struct tm tm = {0};

	assert_non_null(strptime(text, "%Y-%m-%d %H:%M", &tm));
	return timegm(&tm);
}

static struct policy policy_of(const char *schedule)
{
	struct policy policy = {.enabled = true};
	const char *why = NULL;

	assert_true(schedule_parse(schedule, &policy.schedule, &why));
	return policy;
}

/* What the database does with an occurrence that is due: it becomes the last one. */
static void begin_if_due(struct entry *entry, const char *now, const char *due, const char *rings)
{
	int64_t at = 0;

	assert_true(schedule_set_timezone("UTC"));
	if (entry_due(entry, utc(now), &at)) {
		if (!due || at != utc(due))
			fail_msg("at %s: due is %lld, not %s", now, (long long)at, due);
		entry->last = at;
	} else if (due) {
		fail_msg("at %s: %s is not due", now, due);
	}
	assert_int_equal(next_ring(entry, 1, utc(now)), rings ? utc(rings) : 0);
}

struct step {
	const char *now;
	const char *due; /* NULL: nothing */
	const char *rings; /* next; NULL: never */
};

static void play(const char *schedule, const char *last, const struct step *steps, size_t n)
{
	const struct policy policy = policy_of(schedule);
	struct entry entry = {.policy = &policy, .known = true, .last = utc(last)};

	for (size_t i = 0; i < n; i++)
		begin_if_due(&entry, steps[i].now, steps[i].due, steps[i].rings);
}

static void test_time_passes(void **state)
{
	static const struct step steps[] = {
		{"2026-03-01 12:00", NULL, "2026-03-02 02:00"},
		{"2026-03-02 01:59", NULL, "2026-03-02 02:00"},
		{"2026-03-02 02:00", "2026-03-02 02:00", "2026-03-03 02:00"},
		{"2026-03-02 02:00", NULL, "2026-03-03 02:00"},
		{"2026-03-03 02:01", "2026-03-03 02:00", "2026-03-04 02:00"},
	};

	(void)state;
	play("0 2 * * *", "2026-03-01 02:00", steps, COUNT(steps));
}

/* The machine was asleep, or the clock was set: what was missed runs once. */
static void test_step_forward(void **state)
{
	static const struct step steps[] = {
		{"2026-03-01 12:00", NULL, "2026-03-02 02:00"},
		{"2026-03-09 12:00", "2026-03-09 02:00", "2026-03-10 02:00"},
		{"2026-03-09 12:00", NULL, "2026-03-10 02:00"},
		{"2027-01-01 00:00", "2026-12-31 02:00", "2027-01-01 02:00"},
		{"2027-01-01 00:01", NULL, "2027-01-01 02:00"},
	};

	(void)state;
	play("0 2 * * *", "2026-03-01 02:00", steps, COUNT(steps));
}

/* The database's last occurrence lies in the future: nothing is due until the one after it. */
static void test_step_back(void **state)
{
	static const struct step steps[] = {
		{"2026-03-05 02:00", "2026-03-05 02:00", "2026-03-06 02:00"},
		{"2026-03-02 01:00", NULL, "2026-03-06 02:00"},
		{"2026-03-02 02:00", NULL, "2026-03-06 02:00"},
		{"2026-03-05 02:00", NULL, "2026-03-06 02:00"},
		{"2026-03-06 02:00", "2026-03-06 02:00", "2026-03-07 02:00"},
	};

	(void)state;
	play("0 2 * * *", "2026-03-01 02:00", steps, COUNT(steps));
}

static void test_another_schedule(void **state)
{
	const struct policy daily = policy_of("0 2 * * *");
	const struct policy hourly = policy_of("30 * * * *");
	const struct policy rare = policy_of("0 0 29 2 *");
	struct entry entry = {.policy = &daily, .known = true, .last = utc("2026-03-01 02:00")};
	int64_t at;

	(void)state;
	begin_if_due(&entry, "2026-03-01 12:00", NULL, "2026-03-02 02:00");
	entry.policy = &hourly;
	begin_if_due(&entry, "2026-03-01 12:00", "2026-03-01 11:30", "2026-03-01 12:30");
	entry.policy = &daily;
	begin_if_due(&entry, "2026-03-01 12:00", NULL, "2026-03-02 02:00");
	entry.policy = &rare;
	begin_if_due(&entry, "2026-03-03 12:00", NULL, "2028-02-29 00:00");
	/* The same schedule in another zone. */
	entry.policy = &daily;
	entry.last = utc("2026-03-02 02:00");
	assert_true(schedule_set_timezone("America/New_York"));
	assert_false(entry_due(&entry, utc("2026-03-02 06:59"), &at));
	assert_int_equal(next_ring(&entry, 1, utc("2026-03-02 06:59")), utc("2026-03-02 07:00"));
	assert_true(entry_due(&entry, utc("2026-03-02 07:00"), &at));
	assert_int_equal(at, utc("2026-03-02 07:00"));
}

static void test_what_is_not_due(void **state)
{
	const struct policy daily = policy_of("0 2 * * *");
	const int64_t last = utc("2026-03-01 02:00"), now = utc("2026-03-09 12:00");
	const struct {
		struct entry entry;
		bool due, rings;
	} cases[] = {
		{{.policy = &daily, .known = true, .last = last}, true, false},
		{{.policy = &daily, .known = false}, false, false},
		{{.policy = &daily, .known = true, .last = last, .beginning = true}, false, false},
		{{.policy = &daily, .known = true, .last = last, .blocked = true}, false, false},
		{{.policy = &daily, .known = true, .never = true}, true, false},
		{{.policy = &daily, .known = true, .last = now}, false, true},
	};

	(void)state;
	assert_true(schedule_set_timezone("UTC"));
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t at = 0;

		assert_int_equal(entry_due(&cases[i].entry, now, &at), cases[i].due);
		if (cases[i].due)
			assert_int_equal(at, utc("2026-03-09 02:00"));
		assert_int_equal(next_ring(&cases[i].entry, 1, now) > 0, cases[i].rings);
	}
}

static void test_the_earliest_rings(void **state)
{
	const struct policy daily = policy_of("0 2 * * *"), monthly = policy_of("0 0 1 * *");
	const int64_t now = utc("2026-03-31 12:00");
	struct entry entries[] = {
		{.policy = &daily, .known = true, .last = utc("2026-03-31 02:00")},
		{.policy = &monthly, .known = true, .last = utc("2026-03-01 00:00")},
		{.policy = &daily, .known = true, .last = utc("2026-03-29 02:00")}, /* is due */
	};

	(void)state;
	assert_true(schedule_set_timezone("UTC"));
	assert_int_equal(next_ring(entries, COUNT(entries), now), utc("2026-04-01 00:00"));
	entries[1].known = false;
	assert_int_equal(next_ring(entries, COUNT(entries), now), utc("2026-04-01 02:00"));
	assert_int_equal(next_ring(entries, 0, now), 0);
}

/* What the kernel was asked for last: this stands before libc's. */
static struct {
	int n, flags;
	time_t at;
} asked;

int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	(void)fd, (void)old;
	asked.n++;
	asked.flags = flags;
	asked.at = new->it_value.tv_sec;
	return 0;
}

/* A timer that is set rings when somebody sets the clock; one that has rung for that is set again. */
static void test_the_clock_is_set(void **state)
{
	struct clock clock = {.fd = -1};

	(void)state;
	arm(&clock, 1234);
	assert_int_equal(asked.flags, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET);
	assert_int_equal(asked.at, 1234);
	arm(&clock, 0);
	assert_int_equal(asked.flags, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET);
	assert_true(asked.at > 100 * (int64_t)365 * 24 * 3600);
	asked.n = 0;
	on_rings(-1, EV_READ, &clock);
	assert_int_equal(asked.n, 1);
	assert_true(asked.at > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time_passes),      cmocka_unit_test(test_step_forward),
		cmocka_unit_test(test_step_back),        cmocka_unit_test(test_another_schedule),
		cmocka_unit_test(test_what_is_not_due),  cmocka_unit_test(test_the_earliest_rings),
		cmocka_unit_test(test_the_clock_is_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
