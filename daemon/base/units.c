#include "base/units.h"

#include "base/mem.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

static const char *const period_names[] = {
	[PERIOD_DAYS] = "day",
	[PERIOD_WEEKS] = "week",
	[PERIOD_MONTHS] = "month",
	[PERIOD_YEARS] = "year",
};
static_assert(LENGTH(period_names) == PERIOD_YEARS + 1, "a name for each unit");

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

/* A date so long ago is still one that PostgreSQL knows, which begins in 4713 BC. */
#define PERIOD_MAX_YEARS 1000

#define DURATION_MAX_MS ((int64_t)30 * 24 * 3600 * 1000)
#define MINUTES_A_DAY (24 * 60)

/*
 * Reads digits only, at least one and at most max_digits, because strtoll would take blanks and a sign.
 * Returns what follows them, or NULL.  18 digits always fit.
 */
static const char *read_digits(const char *p, size_t max_digits, int64_t *ret)
{
	const size_t n = strspn(p, DIGITS);

	if (n < 1 || n > max_digits)
		return NULL;
	*ret = strtoll(p, NULL, 10);
	return p + n;
}

bool period_parse(const char *text, struct period *ret)
{
	int64_t count;
	const char *p = read_digits(text, 4, &count);

	if (!p || count < 1 || *p++ != ' ')
		return false;
	for (size_t i = 0; i < LENGTH(period_names); i++) {
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
	for (size_t i = 0; i < LENGTH(duration_units); i++) {
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

bool window_parse(const char *text, struct window *ret)
{
	static const char shape[] = "00:00-00:00";
	struct window window;
	int64_t part[4];
	char again[64];

	for (size_t i = 0; i < sizeof(shape); i++)
		if (shape[i] == '0' ? !is_digit(text[i]) : text[i] != shape[i])
			return false;
	for (int i = 0; i < 4; i++)
		part[i] = strtoll(text + 3 * (ptrdiff_t)i, NULL, 10);
	window = (struct window){(int)(part[0] * 60 + part[1]), (int)(part[2] * 60 + part[3])};
	window_print(&window, again, sizeof(again));
	if (strcmp(text, again) != 0 || part[0] > 23 || part[2] > 23 ||
	    window.from_minute == window.to_minute)
		return false; /* a minute above 59; equal ends could mean always or never */
	*ret = window;
	return true;
}

void window_print(const struct window *window, char *ret_text, unsigned long size)
{
	(void)snprintf(ret_text, size, "%02d:%02d-%02d:%02d", window->from_minute / 60,
		       window->from_minute % 60, window->to_minute / 60,
		       window->to_minute % 60); /* 12 bytes for a window of two times */
}

bool window_holds(const struct window *window, int minute)
{
	assert(minute >= 0 && minute < MINUTES_A_DAY);
	if (window->from_minute < window->to_minute)
		return minute >= window->from_minute && minute < window->to_minute;
	return minute >= window->from_minute || minute < window->to_minute;
}

struct timeval units_timeval(int64_t ms)
{
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

bool date_is_valid(const char *text)
{
	struct tm tm = {0};
	char again[16] = "";

	/* strptime() takes a 31st of each month, which timegm() moves to the next one. */
	if (!strptime(text, "%Y-%m-%d", &tm) || tm.tm_year < 0)
		return false;
	(void)timegm(&tm); /* no such year fails */
	return strftime(again, sizeof(again), "%Y-%m-%d", &tm) > 0 && strcmp(text, again) == 0;
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
