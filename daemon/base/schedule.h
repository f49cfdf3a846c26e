/*
 * Schedules: a pure function from (schedule, instant) to the next instant, in the process's time zone (TZ, which
 * schedule_set_timezone() sets once for each configuration).  Knows calendars, but no clock.
 *
 * Differs from cron(8) and systemd on purpose.  A local time that DST skips runs at the next local
 * time that exists; one that comes twice runs once, the first time.  Each LOCAL time counts, whatever the fields are.
 * So in the hour that comes twice "hourly" runs once, although two hours of real time pass.  If an hour is skipped, its
 * occurrence and the next one fall on the same instant, and run once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Bit n set: the value n matches. */
struct schedule {
	uint64_t minutes; /* 0-59 */
	uint32_t hours; /* 0-23 */
	uint32_t days_of_month; /* 1-31 */
	uint16_t months; /* 1-12 */
	uint8_t days_of_week; /* 0-6, Sunday is 0; 7 is read as 0 */
	bool any_day_of_month; /* the field began with "*": crontab(5)'s rule for the two days */
	bool any_day_of_week;
};

/*
 * hourly, daily, weekly (Monday), monthly (the 1st), yearly (1 January), each at its beginning; or
 * five cron fields: lists, ranges, steps, names of months and days in English (three letters, any
 * case).  On failure *ret_why is a static text that says what is wrong and what would be right.
 */
bool schedule_parse(const char *text, struct schedule *ret, const char **ret_why);

/* Canonical five fields; 512 bytes are enough.  schedule_parse(print(s)) equals s. */
void schedule_print(const struct schedule *schedule, char *ret_text, unsigned long size);

/* The first occurrence after (not at) the instant, epoch seconds; false: none within 28 years. */
bool schedule_next(const struct schedule *schedule, int64_t after, int64_t *ret_at);

/* The last occurrence at or before the instant; false: none within 28 years. */
bool schedule_previous(const struct schedule *schedule, int64_t at, int64_t *ret_at);

/* The system's zone database (TZDIR, else the usual place) has this zone.  Changes nothing. */
bool schedule_timezone_exists(const char *zone);

/*
 * Sets TZ for this process.  false: the system's zone database does not have the zone.  libc would take an unknown TZ
 * for UTC without a word, which would move every midnight.
 */
bool schedule_set_timezone(const char *zone);
