/* See csv.h. */
#include "web/csv.h"

#include <string.h>

static void add(struct evbuffer *out, const char *bytes, size_t n)
{
	(void)evbuffer_add(out, bytes, n); /* a cut answer is noticed by its missing end */
}

static void cell(struct evbuffer *out, const char *text)
{
	const bool formula = *text && strchr("=+-@\t\r", *text);
	const bool quoted = strpbrk(text, "\",\r\n") != NULL;

	if (quoted)
		add(out, "\"", 1);
	if (formula)
		add(out, "'", 1);
	for (const char *quote; quoted && (quote = strchr(text, '"')); text = quote + 1) {
		add(out, text, (size_t)(quote - text) + 1);
		add(out, "\"", 1);
	}
	add(out, text, strlen(text));
	if (quoted)
		add(out, "\"", 1);
}

void csv_head(struct evbuffer *out, const PGresult *res)
{
	add(out, "\xef\xbb\xbf", 3);
	for (int c = 0; c < PQnfields(res); c++) {
		add(out, ",", c > 0);
		cell(out, PQfname(res, c));
	}
	add(out, "\r\n", 2);
}

void csv_row(struct evbuffer *out, const PGresult *res, int row)
{
	for (int c = 0; c < PQnfields(res); c++) {
		add(out, ",", c > 0);
		cell(out, PQgetvalue(res, row, c)); /* "" for NULL */
	}
	add(out, "\r\n", 2);
}
