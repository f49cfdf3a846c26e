#include "config/scan.h"

#include "base/text.h"
#include "model/model.h"

#include <limits.h>
#include <string.h>

bool scan_is_word(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Does libconfig's atoi, strtoul or atoll read the number in [p, p + length) correctly? */
static bool number_fits(const char *p, size_t length)
{
	const char *const end = p + length;
	const bool hex = length > 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X');
	size_t digits = 0;
	unsigned long long value = 0;

	p += hex ? 2 : 0;
	while (p < end && *p == '0')
		p++;
	for (; p < end && (is_digit(*p) || (hex && scan_is_word(*p) && *p != 'L')); p++, digits++)
		if (!hex && digits < 18)
			value = value * 10 + (unsigned int)(*p - '0');
	if (p < end && *p == 'L')
		return digits <= (hex ? 15 : 18);
	if (p < end)
		return true; /* a float, or not a number: libconfig complains itself */
	return hex ? digits <= 7 : digits <= 10 && value <= INT_MAX;
}

/* Moves over a word or a number of the code. */
static const char *scan_word(struct scanner *s, const char *p, const char *end)
{
	const char *const start = p;
	const bool is_number = is_digit(*p);

	while (p < end && (scan_is_word(*p) || *p == '*' || (is_number ? *p == '.' : *p == '-')))
		p++;
	if (is_number && !s->bad_number && !number_fits(start, (size_t)(p - start))) {
		s->bad_number = start;
		s->bad_length = (int)(p - start < 40 ? p - start : 40);
	}
	return p;
}

static const char *scan_string(struct scanner *s, const char *p, const char *end)
{
	while (p < end) {
		if (*p == '"') {
			s->state = SCAN_CODE;
			return p + 1;
		}
		if (*p == '\\' && p + 1 < end) {
			if (end - p >= 4 && (p[1] == 'x' || p[1] == 'X') && p[2] == '0' &&
			    p[3] == '0')
				s->saw_zero_escape = true;
			p++;
		}
		p++;
	}
	return p;
}

/* Notes whether the comment holds the mark, as a word of its own. */
static void scan_mark(struct scanner *s, const char *p, const char *end)
{
	const size_t n = strlen(MODEL_MARK);
	const char *at = p;

	while (!s->saw_mark && (at = memmem(at, (size_t)(end - at), MODEL_MARK, n))) {
		s->saw_mark = (at == p || !scan_is_word(at[-1])) &&
			      (at + n == end || !scan_is_word(at[n]));
		at += n;
	}
}

static const char *scan_code(struct scanner *s, const char *p, const char *end)
{
	if (*p == '#' || (*p == '/' && end - p > 1 && p[1] == '/')) {
		scan_mark(s, p, end);
		return end;
	}
	s->depth += *p == '{' ? 1 : *p == '}' ? -1 : 0;
	s->saw_close = s->saw_close || *p == '}';
	if (*p == '/' && end - p > 1 && p[1] == '*') {
		s->state = SCAN_COMMENT;
		return p + 2;
	}
	if (*p == '"') {
		s->state = SCAN_STRING;
		return p + 1;
	}
	return scan_is_word(*p) || *p == '*' ? scan_word(s, p, end) : p + 1;
}

static const char *scan_comment(struct scanner *s, const char *p, const char *end)
{
	const char *const close = memmem(p, (size_t)(end - p), "*/", 2);

	scan_mark(s, p, close ? close : end);
	if (!close)
		return end;
	s->state = SCAN_CODE;
	return close + 2;
}

void scan_line(struct scanner *s, const char *p, const char *end)
{
	s->saw_zero_escape = false;
	s->bad_number = NULL;
	s->saw_mark = s->saw_close = false;
	while (p < end)
		p = s->state == SCAN_CODE     ? scan_code(s, p, end)
		    : s->state == SCAN_STRING ? scan_string(s, p, end)
					      : scan_comment(s, p, end);
}
