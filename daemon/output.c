#include "output.h"

#include "mem.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <wchar.h>

#define NARROWEST 8
#define BAR 30

/* Columns of the terminal that text takes; bytes where it is no text of this locale. */
static int width_of(const char *text)
{
	const size_t n = mbstowcs(NULL, text, 0);
	AUTO(char_p) char *copy = NULL;
	wchar_t *wide;
	int width;

	if (n == (size_t)-1)
		return (int)strlen(text);
	copy = xcalloc(n + 1, sizeof(wchar_t));
	wide = (wchar_t *)(void *)copy;
	(void)mbstowcs(wide, text, n + 1); /* its length was asked above */
	width = wcswidth(wide, n);
	return width < 0 ? (int)n : width;
}

static int terminal_width(void)
{
	struct winsize size = {0};

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
		return 0;
	return size.ws_col;
}

/* text in width columns; one that is too long ends in "..". */
static void print_cell(const char *text, int width, bool right, bool last)
{
	const int own = width_of(text);
	const int pad = width > own ? width - own : 0;

	if (right)
		printf("%*s", pad, "");
	if (own <= width) {
		fputs(text, stdout);
	} else {
		int columns = 0;

		/* One character at a time, as long as ".." still fits behind it. */
		for (const char *c = text; *c && columns < width - 2;) {
			int n = mblen(c, MB_CUR_MAX);

			n = n < 1 ? 1 : n;
			(void)fwrite(c, 1, (size_t)n, stdout); /* stdout is checked at the end */
			c += n;
			columns++;
		}
		fputs("..", stdout);
	}
	if (!last)
		printf("%*s  ", right ? 0 : pad, "");
	else
		putchar('\n');
}

static bool is_number(const PGresult *res, int column)
{
	const Oid type = PQftype(res, column);

	return type == 20 || type == 21 || type == 23 || type == 1700; /* int8 int2 int4 numeric */
}

/* Narrows the widest column until the line fits. */
static void fit(int *widths, int n, int most)
{
	for (;;) {
		int total = 2 * (n - 1), widest = 0;

		for (int i = 0; i < n; i++) {
			total += widths[i];
			widest = widths[i] > widths[widest] ? i : widest;
		}
		if (most == 0 || total <= most || widths[widest] <= NARROWEST)
			return;
		widths[widest]--;
	}
}

void output_table(const PGresult *res)
{
	const int n = PQnfields(res), rows = PQntuples(res);
	AUTO(talloc) int *widths = t_array(NULL, int, n + 1);

	for (int i = 0; i < n; i++) {
		widths[i] = width_of(PQfname(res, i));
		for (int row = 0; row < rows; row++)
			if (width_of(PQgetvalue(res, row, i)) > widths[i])
				widths[i] = width_of(PQgetvalue(res, row, i));
	}
	fit(widths, n, terminal_width());
	for (int i = 0; i < n; i++)
		print_cell(PQfname(res, i), widths[i], is_number(res, i), i == n - 1);
	for (int row = 0; row < rows; row++)
		for (int i = 0; i < n; i++)
			print_cell(PQgetvalue(res, row, i), widths[i], is_number(res, i),
				   i == n - 1);
}

void output_record(const PGresult *res, int row)
{
	int width = 0;

	for (int i = 0; i < PQnfields(res); i++)
		if (width_of(PQfname(res, i)) > width)
			width = width_of(PQfname(res, i));
	for (int i = 0; i < PQnfields(res); i++)
		if (!PQgetisnull(res, row, i))
			printf("%-*s  %s\n", width, PQfname(res, i), PQgetvalue(res, row, i));
}

bool output_query(struct db *db, bool json, const char *sql, int n, const char *const values[],
		  struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result) PGresult *res = NULL;

	if (json)
		sql = t_printf(
			ctx,
			"SELECT coalesce(jsonb_pretty(jsonb_agg(to_jsonb(x))), '[]') AS json\n"
			"  FROM (%s) AS x",
			sql);
	if (!db_query(db, sql, n, values, &res, err))
		return false;
	if (json)
		puts(db_text(res, 0, "json"));
	else
		output_table(res);
	return true;
}

void output_progress(int64_t done, int64_t due, int64_t eta_s)
{
	const int filled = due > 0 ? (int)(done * BAR / due) : BAR;

	printf("\r[%.*s%*s] %3d %%  %lld of %lld", filled, "##############################",
	       BAR - filled, "", due > 0 ? (int)(done * 100 / due) : 100, (long long)done,
	       (long long)due);
	if (eta_s >= 0)
		printf(", %lld s left   ", (long long)eta_s);
	(void)fflush(stdout); /* a terminal that is gone ends us by SIGHUP */
}
