#include "command/output.h"

#include "base/text.h"
#include "command/language.h"

#include <sys/ioctl.h>
#include <wchar.h>

#define NARROWEST 8 /* columns of a text after cutting */
#define UNCUT 16 /* a text of this width is not cut: a date with its time, a status, a name */
#define BAR 30
#define GAP 2 /* blanks between two columns */

static const char bar_text[BAR + 1] = "##############################";

/*
 * Returns the bytes of the character at text, and its columns in *ret_width.  A character that this
 * locale cannot read or print counts as 1 byte of width -1.
 */
static size_t next_character(const char *text, int *ret_width)
{
	mbstate_t state = {0};
	wchar_t wide = 0;
	const size_t n = mbrtowc(&wide, text, MB_CUR_MAX, &state);

	if (n == 0 || n > MB_CUR_MAX) { /* the end, or (size_t)-1 or -2: not a character */
		*ret_width = -1;
		return 1;
	}
	*ret_width = wcwidth(wide);
	return n;
}

static char *clean(void *ctx, const char *text)
{
	char *out = t_array(ctx, char, strlen(text) + 1), *to = out;

	while (*text) {
		int width;
		const size_t n = next_character(text, &width);

		if (width < 0) {
			*to++ = *text == '\n' || *text == '\t' ? ' ' : '?';
		} else {
			memcpy(to, text, n);
			to += n;
		}
		text += n;
	}
	*to = '\0';
	return text_one_line(out); /* also what has a width of 0 */
}

void output_line(FILE *to, const char *fmt, ...)
{
	AUTO(char_p) char *text = NULL;
	va_list args;

	va_start(args, fmt);
	text = xvprintf(fmt, args);
	va_end(args);
	(void)fprintf(to, "%s\n", text_one_line(text)); /* main() asks stdout whether it failed */
}

/* The server escapes ASCII's control characters except DEL. */
void output_json(const char *json)
{
	for (size_t n; *json; json += n ? n : 1) {
		const unsigned char *c = (const unsigned char *)json;

		n = *json == '\n' ? 0 : text_control(json);
		if (n == 0)
			putchar(*json);
		else
			printf("\\u%04x", n == 1   ? c[0]
					  : n == 2 ? c[1]
						   : 0x2000U + (c[1] & 63U) * 64 + (c[2] & 63U));
	}
	putchar('\n');
}

/* Columns that a cleaned text takes on the terminal. */
static int width_of(const char *text)
{
	int total = 0, width;

	while (*text) {
		text += next_character(text, &width);
		total += width;
	}
	return total;
}

/* The end of the part of text that fits these columns. */
static const char *skip_columns(const char *text, int columns)
{
	while (*text) {
		int width;
		const size_t n = next_character(text, &width);

		if (width > columns)
			break;
		columns -= width;
		text += n;
	}
	return text;
}

/* Columns of the terminal; 0: stdout is not a terminal, so there is no limit. */
static int terminal_width(void)
{
	struct winsize size = {0};

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
		return 0;
	return size.ws_col;
}

static void print_blanks(int n)
{
	printf("%*s", n > 0 ? n : 0, "");
}

/* Prints text in width columns; cuts the end of a text that is too long, and the beginning of a path. */
static void print_cell(const char *text, int width, bool right, bool last)
{
	const int own = width_of(text);

	if (right)
		print_blanks(width - own);
	if (own <= width)
		fputs(text, stdout);
	else if (*text == '/')
		printf("..%s", skip_columns(text, own - width + 2));
	else
		printf("%.*s..", (int)(skip_columns(text, width - 2) - text), text);
	if (last)
		putchar('\n');
	else
		print_blanks(GAP + (right || own > width ? 0 : width - own));
}

static bool is_number(const PGresult *res, int column)
{
	const Oid type = PQftype(res, column);

	return type == 20 || type == 21 || type == 23 || type == 1700; /* int8 int2 int4 numeric */
}

/* Narrows the widest texts until the line fits; false if that is impossible. */
static bool fit(const PGresult *res, int *widths, int most, void *ctx)
{
	const int n = PQnfields(res);
	bool *may = t_array(ctx, bool, n + 1);

	for (int i = 0; i < n; i++)
		may[i] = PQftype(res, i) == 25 && widths[i] > UNCUT; /* text */
	for (;;) {
		int total = GAP * (n - 1), widest = -1;

		for (int i = 0; i < n; i++) {
			total += widths[i];
			if (may[i] && (widest < 0 || widths[i] > widths[widest]))
				widest = i;
		}
		if (most == 0 || total <= most)
			return true;
		if (widest < 0 || widths[widest] <= NARROWEST)
			return false;
		widths[widest]--;
	}
}

void output_table(const PGresult *res)
{
	const int n = PQnfields(res), rows = PQntuples(res);
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	int *widths = t_array(ctx, int, n + 1);
	char **cells = t_array(ctx, char *, (size_t)n *(size_t)rows + 1);

	if (rows == 0) {
		puts(_("nothing"));
		return;
	}
	for (int i = 0; i < n; i++)
		widths[i] = width_of(language_heading(PQfname(res, i)));
	for (int row = 0; row < rows; row++)
		for (int i = 0; i < n; i++) {
			char *cell =
				clean(ctx, language_cell(PQfname(res, i), PQgetvalue(res, row, i)));

			cells[row * n + i] = cell;
			if (width_of(cell) > widths[i])
				widths[i] = width_of(cell);
		}
	if (!fit(res, widths, terminal_width(), ctx)) {
		for (int row = 0; row < rows; row++) {
			fputs(row > 0 ? "\n" : "", stdout);
			output_record(res, row);
		}
		return;
	}
	for (int i = 0; i < n; i++)
		print_cell(language_heading(PQfname(res, i)), widths[i], is_number(res, i),
			   i == n - 1);
	for (int row = 0; row < rows; row++)
		for (int i = 0; i < n; i++)
			print_cell(cells[row * n + i], widths[i], is_number(res, i), i == n - 1);
}

void output_record(const PGresult *res, int row)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	int width = 0;

	for (int i = 0; i < PQnfields(res); i++)
		if (width_of(language_heading(PQfname(res, i))) > width)
			width = width_of(language_heading(PQfname(res, i)));
	for (int i = 0; i < PQnfields(res); i++)
		if (!PQgetisnull(res, row, i))
			printf("%s%*s  %s\n", language_heading(PQfname(res, i)),
			       width - width_of(language_heading(PQfname(res, i))), "",
			       clean(ctx, language_cell(PQfname(res, i), PQgetvalue(res, row, i))));
}

void output_progress(const struct progress_bar *bar)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const int64_t done = bar->done > bar->due ? bar->due : bar->done < 0 ? 0 : bar->done;
	/* Nothing is due yet: the action is not listed, so that nothing is done either. */
	const int64_t due = bar->due > 0 ? bar->due : 1;
	const int filled = (int)(done * BAR / due);
	const int columns = terminal_width();
	char *line = t_printf(ctx, "[%.*s%*s] %3d %%  %lld of %lld", filled, bar_text, BAR - filled,
			      "", (int)(done * 100 / due), (long long)done, (long long)bar->due);

	if (bar->rate >= 0)
		t_append(&line, ", %lld/s", (long long)bar->rate);
	if (bar->eta_s >= 0)
		t_append(&line, ", %lld s left", (long long)bar->eta_s);
	if (bar->waiting)
		t_append(&line, ", waits for %s", clean(ctx, bar->waiting));
	if (columns > 1) /* a line that wraps cannot be overwritten */
		line[skip_columns(line, columns - 1) - line] = '\0';
	printf("\r%s\033[K", line); /* clears the rest: the line before may have been longer */
	(void)fflush(stdout); /* if the terminal is gone, SIGHUP ends this program */
}
