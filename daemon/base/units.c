#include "base/units.h"

#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const period_names[] = {
	[PERIOD_DAYS] = "day",
	[PERIOD_WEEKS] = "week",
	[PERIOD_MONTHS] = "month",
	[PERIOD_YEARS] = "year",
};
#define N_PERIODS (sizeof(period_names) / sizeof(period_names[0]))
static_assert(N_PERIODS == PERIOD_YEARS + 1, "a name for each unit");

/* The largest comes first, because a canonical text has the largest unit that fits. */
static const struct {
	const char *name;
	int64_t ms;
} duration_units[] = {
	{"h", 3600 * 1000},
	{"min", 60 * 1000},
	{"s", 1000},
	{"ms", 1},
};
#define N_DURATIONS (sizeof(duration_units) / sizeof(duration_units[0]))

/* A date so long ago is still one that PostgreSQL knows, which begins in 4713 BC. */
#define PERIOD_MAX_YEARS 1000

#define DURATION_MAX_MS ((int64_t)30 * 24 * 3600 * 1000)
#define MINUTES_A_DAY (24 * 60)

/*
 * Reads digits only, at least one and at most max_digits, because strtoll would take blanks and a sign.
 * Returns what follows them, or NULL.  18 digits always fit.
 */
static const char *read_digits(const char *p, int max_digits, int64_t *ret)
{
	int64_t value = 0;
	int n = 0;

	for (; is_digit(*p); p++) {
		if (++n > max_digits)
			return NULL;
		value = value * 10 + (*p - '0');
	}
	if (n == 0)
		return NULL;
	*ret = value;
	return p;
}

bool period_parse(const char *text, struct period *ret)
{
	int64_t count;
	const char *p = read_digits(text, 4, &count);

	if (!p || count < 1 || *p++ != ' ')
		return false;
	for (size_t i = 0; i < N_PERIODS; i++) {
		const size_t length = strlen(period_names[i]);

		if (strncmp(p, period_names[i], length) != 0)
			continue;
		if (strcmp(p + length, "") != 0 && strcmp(p + length, "s") != 0)
			return false;
		if (i == PERIOD_YEARS && count > PERIOD_MAX_YEARS)
			return false;
		*ret = (struct period){.count = (int)count, .unit = (enum period_unit)i};
		return true;
	}
	return false;
}

void period_print(const struct period *period, char *ret_text, unsigned long size)
{
	(void)snprintf(ret_text, size, "%d %s%s", period->count, period_names[period->unit],
		       period->count == 1 ? "" : "s"); /* the caller's 24 bytes hold the longest */
}

bool duration_ms_parse(const char *text, int64_t *ret_ms)
{
	int64_t count;
	const char *p = read_digits(text, 10, &count); /* 30 days are 2,592,000,000 ms */

	if (!p)
		return false;
	if (*p == ' ')
		p++;
	for (size_t i = 0; i < N_DURATIONS; i++) {
		if (strcmp(p, duration_units[i].name) != 0)
			continue;
		if (count > DURATION_MAX_MS / duration_units[i].ms)
			return false;
		*ret_ms = count * duration_units[i].ms;
		return true;
	}
	return false;
}

void duration_ms_print(int64_t ms, char *ret_text, unsigned long size)
{
	size_t i = 0;

	if (ms == 0) { /* every unit divides it; people write this one */
		(void)snprintf(ret_text, size, "0s"); /* fits any sensible buffer */
		return;
	}
	while (ms % duration_units[i].ms != 0)
		i++;
	(void)snprintf(ret_text, size, "%lld%s", (long long)(ms / duration_units[i].ms),
		       duration_units[i].name); /* at most 22 bytes */
}

/* "HH:MM", both of two digits; returns what follows, or NULL. */
static const char *read_minute(const char *p, int *ret_minute)
{
	int hour, minute;

	for (int i = 0; i < 5; i++)
		if (i == 2 ? p[i] != ':' : !is_digit(p[i]))
			return NULL;
	hour = (p[0] - '0') * 10 + (p[1] - '0');
	minute = (p[3] - '0') * 10 + (p[4] - '0');
	if (hour > 23 || minute > 59)
		return NULL;
	*ret_minute = hour * 60 + minute;
	return p + 5;
}

bool window_parse(const char *text, struct window *ret)
{
	struct window window;
	const char *p = read_minute(text, &window.from_minute);

	if (!p || *p++ != '-')
		return false;
	p = read_minute(p, &window.to_minute);
	if (!p || *p != '\0' || window.from_minute == window.to_minute)
		return false; /* equal ends could mean always or never */
	*ret = window;
	return true;
}

void window_print(const struct window *window, char *ret_text, unsigned long size)
{
	(void)snprintf(ret_text, size, "%02d:%02d-%02d:%02d", window->from_minute / 60,
		       window->from_minute % 60, window->to_minute / 60,
		       window->to_minute % 60); /* 12 bytes */
}

bool window_holds(const struct window *window, int minute)
{
	assert(minute >= 0 && minute < MINUTES_A_DAY);
	if (window->from_minute < window->to_minute)
		return minute >= window->from_minute && minute < window->to_minute;
	return minute >= window->from_minute || minute < window->to_minute;
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
		return 29;
	return days[month - 1];
}

bool date_parse(const char *text, int *ret_year, int *ret_month, int *ret_day)
{
	int64_t part[3];
	const char *p = text;

	if (strlen(text) != strlen("YYYY-MM-DD") || text[4] != '-' || text[7] != '-')
		return false;
	for (int i = 0; i < 3; i++) {
		p = read_digits(p, i == 0 ? 4 : 2, &part[i]);
		if (!p || *p != (i == 2 ? '\0' : '-'))
			return false;
		p++;
	}
	if (part[0] < 1900 || part[1] < 1 || part[1] > 12 || part[2] < 1 ||
	    part[2] > days_in_month((int)part[0], (int)part[1]))
		return false;
	*ret_year = (int)part[0];
	*ret_month = (int)part[1];
	*ret_day = (int)part[2];
	return true;
}

bool number_parse(const char *text, int64_t min, int64_t max, int64_t *ret)
{
	const char *digits = *text == '-' ? text + 1 : text;
	char *end;
	long long value;

	if (!is_digit(*digits))
		return false;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0' || value < min || value > max)
		return false;
	*ret = value;
	return true;
}

int64_t monotonic_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail on a valid clock */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
