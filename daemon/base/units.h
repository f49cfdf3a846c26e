/*
 * Durations, sizes, dates and windows as people write them in the configuration.  Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/time.h>

/* A calendar period, "18 months".  It is never in seconds, because a month has no fixed length. */
enum period_unit { PERIOD_DAYS, PERIOD_WEEKS, PERIOD_MONTHS, PERIOD_YEARS };

struct period {
	int count; /* 1 to 9999 */
	enum period_unit unit;
};

/* "N days|weeks|months|years", the unit in singular or plural, at most 1000 years; nothing else. */
bool period_parse(const char *text, struct period *ret);

/* Prints "18 months", the canonical text, which is a PostgreSQL interval, too; 24 bytes are enough. */
void period_print(const struct period *period, char *ret_text, unsigned long size);

/* Parses "250ms", "10s", "5min" or "2h" (no space, or one) to milliseconds; 0 to 30 days. */
bool duration_ms_parse(const char *text, int64_t *ret_ms);

/* Prints it canonically, in the largest unit that divides it. */
void duration_ms_print(int64_t ms, char *ret_text, unsigned long size);

/* "HH:MM-HH:MM", local time.  It may pass midnight; equal ends are refused. */
struct window {
	int from_minute; /* of the day, 0 to 1439 */
	int to_minute; /* exclusive */
};
bool window_parse(const char *text, struct window *ret);
void window_print(const struct window *window, char *ret_text, unsigned long size);

/* This minute of the day is inside. */
bool window_holds(const struct window *window, int minute);

/* Milliseconds as libevent takes a time. */
struct timeval units_timeval(int64_t ms);

/* Is it "YYYY-MM-DD", a day that exists, in the years 1900 to 9999? */
bool date_is_valid(const char *text);

/* Milliseconds of a clock that never steps and begins anywhere. */
int64_t monotonic_ms(void);

/* Parses a whole number in [min, max], without anything around it. */
bool number_parse(const char *text, int64_t min, int64_t max, int64_t *ret);
