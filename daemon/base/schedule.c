/*
 * DST becomes simple by one idea.  Let f(t) be the local time at the instant t, counted in seconds as if it were UTC.  The
 * instant of a local time L is the first t with f(t) >= L.  Where L exists, that is the first time that it comes;
 * where DST skips L, it is the first instant after the gap; and it never decreases as L grows.  Let high(t) be the
 * highest local time that was reached up to t.  Then
 *	the next occurrence after t is the instant of the first matching L above high(t), and
 *	the last one at or before t is the instant of the last matching L not above high(t).
 * Matching itself is then plain calendar arithmetic that knows no time zone.
 */
#include "base/schedule.h"

#include "base/mem.h"
#include "base/text.h"

#include <assert.h>
#include <fcntl.h>
#include <time.h>

#define DAY 86400
#define MINUTE 60
#define SEARCH_DAYS (28 * 366)

/* No zone has ever been further from UTC.  No zone changes its rules twice within a step. */
#define OFFSET_MAX (16 * 3600)
#define STEP (4 * 3600)

/* The instants that are served: about the years 1 to 9999, where no sum below can overflow. */
#define INSTANT_MIN (-(int64_t)719162 * DAY)
#define INSTANT_MAX ((int64_t)2932896 * DAY)

enum { FIELD_MINUTE, FIELD_HOUR, FIELD_DAY, FIELD_MONTH, FIELD_WEEKDAY, FIELD_COUNT };

static const struct field {
	int min;
	int max; /* of "*" */
	int max_written; /* 7 is Sunday too */
	const char *names; /* three letters each, from min on */
	const char *why;
} fields[] = {
	[FIELD_MINUTE] = {0, 59, 59, "", "the minute is not 0 to 59, a list, a range or a step"},
	[FIELD_HOUR] = {0, 23, 23, "", "the hour is not 0 to 23, a list, a range or a step"},
	[FIELD_DAY] = {1, 31, 31, "",
		       "the day of the month is not 1 to 31, a list, a range or a step"},
	[FIELD_MONTH] = {1, 12, 12, "janfebmaraprmayjunjulaugsepoctnovdec",
			 "the month is not 1 to 12, jan to dec, a list, a range or a step"},
	[FIELD_WEEKDAY] =
		{0, 6, 7, "sunmontuewedthufrisat",
		 "the day of the week is not 0 to 7, sun to sat, a list, a range or a step"},
};
static_assert(LENGTH(fields) == FIELD_COUNT, "a row for each field");

static const struct {
	const char *name;
	const char *text;
} shorthands[] = {
	{"hourly", "0 * * * *"},  {"daily", "0 0 * * *"},  {"weekly", "0 0 * * 1"},
	{"monthly", "0 0 1 * *"}, {"yearly", "0 0 1 1 *"},
};

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, " \t");
}

/* A number of one or two digits, or one of the field's names; returns what follows, or NULL. */
static const char *read_value(const struct field *f, const char *p, int *ret)
{
	const size_t n = strspn(p, DIGITS);

	for (const char *name = f->names; *name; name += 3)
		if (strncasecmp(p, name, 3) == 0) {
			*ret = f->min + (int)(name - f->names) / 3;
			return p + 3;
		}
	if (n < 1 || n > 2)
		return NULL;
	*ret = (int)strtol(p, NULL, 10);
	return p + n;
}

/* Adds the bits of one item of a list: "*", "7", "1-5", and "/2" behind the first and the last. */
static const char *read_item(const struct field *f, const char *p, uint64_t *bits)
{
	int low = f->min, high = f->max, step = 1;
	bool is_range = true;

	if (*p == '*') {
		p++;
	} else {
		p = read_value(f, p, &low);
		if (!p)
			return NULL;
		is_range = *p == '-';
		high = low;
		if (is_range && !(p = read_value(f, p + 1, &high)))
			return NULL;
		if (is_range && f->max_written == 7 && high == 0 && low > 0)
			high = 7; /* "fri-sun" */
	}
	if (*p == '/') {
		if (!is_range || !is_digit(p[1])) /* "5/15" means different things elsewhere */
			return NULL;
		p = read_value(f, p + 1, &step);
		if (!p)
			return NULL;
	}
	if (low < f->min || high > f->max_written || low > high || step < 1)
		return NULL;
	for (int v = low; v <= high; v += step)
		*bits |= UINT64_C(1) << (v > f->max ? f->min : v);
	return p;
}

/* Reads one field up to a blank or the end; ret_any: it began with "*". */
static const char *read_field(const struct field *f, const char *p, uint64_t *ret_bits,
			      bool *ret_any)
{
	uint64_t bits = 0;

	*ret_any = *p == '*';
	p = read_item(f, p, &bits);
	while (p && *p == ',')
		p = read_item(f, p + 1, &bits);
	if (!p || (*p && *p != ' ' && *p != '\t'))
		return NULL;
	*ret_bits = bits;
	return skip_blanks(p);
}

/* Some matching month has a matching day; "30 2" has none. */
static bool can_occur(const struct schedule *s)
{
	static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	if (s->any_day_of_month || !s->any_day_of_week)
		return true; /* a weekday counts, too, or the 1st is among the days */
	for (int month = 1; month <= 12; month++)
		for (int day = 1; day <= days[month - 1]; day++)
			if ((s->months >> month & 1) && (s->days_of_month >> day & 1))
				return true;
	return false;
}

bool schedule_parse(const char *text, struct schedule *ret, const char **ret_why)
{
	static const char shape[] = "it is neither hourly, daily, weekly, monthly, yearly nor five "
				    "fields: minute hour day month weekday";
	const char *p = text;
	uint64_t bits[FIELD_COUNT];
	bool any[FIELD_COUNT];
	struct schedule s;

	for (size_t i = 0; i < LENGTH(shorthands); i++)
		if (strcmp(text, shorthands[i].name) == 0)
			p = shorthands[i].text;
	p = skip_blanks(p);
	for (int i = 0; i < FIELD_COUNT; i++) {
		const bool plausible = *p == '*' || is_digit(*p) || (i > 0 && *p);

		p = plausible ? read_field(&fields[i], p, &bits[i], &any[i]) : NULL;
		if (!p) {
			*ret_why = plausible ? fields[i].why : shape;
			return false;
		}
	}
	if (*p) {
		*ret_why = shape;
		return false;
	}
	s = (struct schedule){.minutes = bits[FIELD_MINUTE],
			      .hours = (uint32_t)bits[FIELD_HOUR],
			      .days_of_month = (uint32_t)bits[FIELD_DAY],
			      .months = (uint16_t)bits[FIELD_MONTH],
			      .days_of_week = (uint8_t)bits[FIELD_WEEKDAY],
			      .any_day_of_month = any[FIELD_DAY],
			      .any_day_of_week = any[FIELD_WEEKDAY]};
	if (!can_occur(&s)) {
		*ret_why = "it never occurs: none of its months has such a day";
		return false;
	}
	*ret = s;
	return true;
}

static uint64_t bits_of_steps(const struct field *f, int step)
{
	uint64_t bits = 0;

	for (int v = f->min; v <= f->max; v += step)
		bits |= UINT64_C(1) << v;
	return bits;
}

static void print_list(FILE *out, const struct field *f, uint64_t bits)
{
	const char *comma = "";

	for (int v = f->min; v <= f->max; v++) {
		int last = v;

		if (!(bits >> v & 1))
			continue;
		while (last < f->max && (bits >> (last + 1) & 1))
			last++;
		if (last == v)
			fprintf(out, "%s%d", comma, v);
		else
			fprintf(out, "%s%d-%d", comma, v, last);
		comma = ",";
		v = last;
	}
}

/*
 * star: the field has to begin with "*", must not, or may.  For the two days this decides how they combine.  A field
 * that began with "*" always has its first value, so a step beyond the field's end stands for that value.
 */
enum star { STAR_MUST, STAR_MUST_NOT, STAR_MAY };

static void print_field(FILE *out, const struct field *f, uint64_t bits, enum star star)
{
	/* A list reads better for two values, where a list may stand. */
	const int longest = star == STAR_MUST ? f->max + 1 : (f->max - f->min) / 2;

	if (star != STAR_MUST_NOT) {
		if (bits == bits_of_steps(f, 1)) {
			fputc('*', out);
			return;
		}
		for (int step = 2; step <= longest; step++)
			if (bits == bits_of_steps(f, step)) {
				fprintf(out, "*/%d", step);
				return;
			}
	}
	if (star == STAR_MUST) {
		fprintf(out, "*/%d,", f->max + 1);
		bits &= ~(UINT64_C(1) << f->min);
	}
	print_list(out, f, bits);
}

void schedule_print(const struct schedule *s, char *ret_text, unsigned long size)
{
	const struct {
		uint64_t bits;
		enum star star;
	} parts[] = {
		[FIELD_MINUTE] = {s->minutes, STAR_MAY},
		[FIELD_HOUR] = {s->hours, STAR_MAY},
		[FIELD_DAY] = {s->days_of_month, s->any_day_of_month ? STAR_MUST : STAR_MUST_NOT},
		[FIELD_MONTH] = {s->months, STAR_MAY},
		[FIELD_WEEKDAY] = {s->days_of_week, s->any_day_of_week ? STAR_MUST : STAR_MUST_NOT},
	};
	FILE *out = fmemopen(ret_text, size, "w");

	ret_text[0] = '\0';
	if (!out)
		return; /* out of memory: the text is for people only */
	for (int i = 0; i < FIELD_COUNT; i++) {
		fputs(i > 0 ? " " : "", out);
		print_field(out, &fields[i], parts[i].bits, parts[i].star);
	}
	(void)fclose(out); /* into memory: nothing to lose */
}

/* Seconds east of UTC at the instant. */
static int64_t offset_at(int64_t t)
{
	const time_t clock = t;
	struct tm tm;

	return localtime_r(&clock, &tm) ? tm.tm_gmtoff : 0;
}

/* The first instant in (from, to] with another offset than from.  to has another one. */
static int64_t first_other_offset(int64_t from, int64_t to)
{
	const int64_t offset = offset_at(from);

	while (to - from > 1) {
		const int64_t middle = from + (to - from) / 2;

		if (offset_at(middle) == offset)
			from = middle;
		else
			to = middle;
	}
	return to;
}

/* The end of a stretch that begins at t, in which the offset stays the same; at most one step long. */
static int64_t stretch_end(int64_t t)
{
	return offset_at(t + STEP) == offset_at(t) ? t + STEP : first_other_offset(t, t + STEP);
}

/* The first instant whose local time is at or past local. */
static int64_t instant_of(int64_t local)
{
	int64_t t = local - OFFSET_MAX;

	for (;;) {
		const int64_t end = stretch_end(t);
		const int64_t candidate = local - offset_at(t);

		if (candidate < t)
			return t; /* the gap before this stretch skipped it */
		if (candidate < end)
			return candidate;
		t = end;
	}
}

/* The highest local time that was reached at or before the instant. */
static int64_t high_local(int64_t at)
{
	int64_t t = at - 2 * OFFSET_MAX;
	int64_t high = INT64_MIN;

	while (t <= at) {
		const int64_t end = stretch_end(t);
		const int64_t last = (end - 1 < at ? end - 1 : at) + offset_at(t);

		if (last > high)
			high = last;
		t = end;
	}
	return high;
}

/*
 * crontab(5): where both days are restricted, one of them is enough.  A field that begins with * is not restricted.
 * Day 0 is 1970-01-01.
 */
static bool day_matches(const struct schedule *s, int64_t day)
{
	const time_t midnight = day * DAY;
	bool by_month, by_week;
	struct tm tm;

	(void)gmtime_r(&midnight, &tm); /* cannot fail for the instants served */
	by_month = s->days_of_month >> tm.tm_mday & 1;
	by_week = s->days_of_week >> tm.tm_wday & 1;
	if (!(s->months >> (tm.tm_mon + 1) & 1))
		return false;
	if (s->any_day_of_month || s->any_day_of_week)
		return by_month && by_week;
	return by_month || by_week;
}

static bool minute_matches(const struct schedule *s, int minute)
{
	return (s->hours >> (minute / 60) & 1) && (s->minutes >> (minute % 60) & 1);
}

static int64_t day_of(int64_t local)
{
	return local / DAY - (local % DAY < 0);
}

/* Walks from the minute after at, or with step -1 from the minute of at, to one that matches. */
static bool find(const struct schedule *s, int64_t at, int step, int64_t *ret_at)
{
	int64_t high, day;
	int minute;

	if (at < INSTANT_MIN || at > INSTANT_MAX)
		return false;
	high = high_local(at);
	day = day_of(high);
	minute = (int)((high - day * DAY) / MINUTE) + (step > 0 ? 1 : 0);
	for (int days = 0; days <= SEARCH_DAYS; days++, day += step) {
		for (; minute >= 0 && minute < DAY / MINUTE && day_matches(s, day); minute += step)
			if (minute_matches(s, minute)) {
				*ret_at = instant_of(day * DAY + minute * MINUTE);
				return true;
			}
		minute = step > 0 ? 0 : DAY / MINUTE - 1;
	}
	return false;
}

bool schedule_next(const struct schedule *s, int64_t after, int64_t *ret_at)
{
	return find(s, after, 1, ret_at);
}

bool schedule_previous(const struct schedule *s, int64_t at, int64_t *ret_at)
{
	return find(s, at, -1, ret_at);
}

/*
 * The name is one of a file in the zone database, not a path out of it.  right/ is refused because it counts leap
 * seconds, which neither this program's arithmetic nor PostgreSQL does.
 */
static bool is_zone_name(const char *zone)
{
	return *zone && *zone != '/' && *zone != '-' && strlen(zone) < 64 &&
	       !zone[strspn(zone, LETTERS DIGITS "_+-/")] && !strstr(zone, "//") &&
	       strncmp(zone, "right/", 6) != 0;
}

bool schedule_timezone_exists(const char *zone)
{
	const char *directory = getenv("TZDIR");
	AUTO(char_p) char *path = NULL;
	AUTO(fd) int fd = -1;
	char magic[4];

	if (!is_zone_name(zone))
		return false;
	if (strcmp(zone, "UTC") == 0)
		return true; /* libc needs no file for it */
	if (!directory || !*directory)
		directory = "/usr/share/zoneinfo";
	path = xprintf("%s/%s", directory, zone);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd >= 0 && read(fd, magic, sizeof(magic)) == (ssize_t)sizeof(magic) &&
	       memcmp(magic, "TZif", sizeof(magic)) == 0;
}

bool schedule_set_timezone(const char *zone)
{
	if (!schedule_timezone_exists(zone) || setenv("TZ", zone, 1) != 0)
		return false;
	tzset();
	return true;
}
