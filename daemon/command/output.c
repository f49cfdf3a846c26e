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

/* The head of text that takes these columns, with ".." in the place of the rest; of a path, its end. */
static char *cut(void *ctx, const char *text, int columns)
{
	const int own = width_of(text);

	if (own <= columns)
		return t_strdup(ctx, text);
	if (*text == '/')
		return t_printf(ctx, "..%s", skip_columns(text, own - columns + 2));
	return t_printf(ctx, "%.*s..", (int)(skip_columns(text, columns - 2) - text), text);
}

static void print_blanks(int n)
{
	printf("%*s", n > 0 ? n : 0, "");
}

/* Prints text in width columns. */
static void print_cell(const char *text, int width, bool right, bool last)
{
	AUTO(talloc) char *shown = cut(NULL, text, width);
	const int own = width_of(shown);

	if (right)
		print_blanks(width - own);
	fputs(shown, stdout);
	if (last)
		putchar('\n');
	else
		print_blanks(GAP + (right || own > width ? 0 : width - own));
}

/* Its values are numbers of bytes. */
static bool is_size(const PGresult *res, int column)
{
	const char *name = PQfname(res, column);
	const size_t n = strlen(name), end = strlen("bytes");

	return n >= end && strcmp(name + n - end, "bytes") == 0;
}

static bool is_number(const PGresult *res, int column)
{
	const Oid type = PQftype(res, column);

	return is_size(res, column) || type == 20 || type == 21 || type == 23 ||
	       type == 1700; /* int8 int2 int4 numeric */
}

char *output_size(void *ctx, int64_t bytes)
{
	static const char *const units[] = {N_("B"), N_("KiB"), N_("MiB"), N_("GiB"), N_("TiB")};
	int64_t whole = bytes, tenths = 0;
	size_t unit = 0;

	for (; whole >= 1024 && unit + 1 < LENGTH(units); unit++) {
		tenths = whole % 1024 * 10 / 1024;
		whole /= 1024;
	}
	return unit == 0 ? t_printf(ctx, "%lld %s", (long long)whole, _(units[0]))
			 : t_printf(ctx, _("%lld.%lld %s"), (long long)whole, (long long)tenths,
				    _(units[unit]));
}

/* A value as a person reads it, owned by ctx. */
static char *cell_of(void *ctx, const PGresult *res, int row, int column)
{
	const char *value = PQgetvalue(res, row, column);

	if (is_size(res, column) && *value)
		return output_size(ctx, strtoll(value, NULL, 10)); /* a count of the server */
	return clean(ctx, language_cell(PQfname(res, column), value));
}

/* A table as it is printed. */
struct grid {
	const PGresult *res;
	int n, rows;
	int *widths; /* n */
	int *least; /* n: a column that is narrower says less than its cells do */
	char **cells; /* rows times n */
};

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Are two words of the column, which differ, the same when they are cut to this width? */
static bool merges(const struct grid *g, int column, int width)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	char **words = t_array(ctx, char *, g->rows + 1);
	size_t n = 0;

	for (int row = 0; row < g->rows; row++)
		if (!strchr(g->cells[row * g->n + column],
			    ' ')) /* of a sentence the head is enough */
			words[n++] = g->cells[row * g->n + column];
	qsort(words, n, sizeof(*words),
	      compare_texts); /* so those that are cut alike are neighbours */
	for (size_t i = 1; i < n; i++)
		if (strcmp(words[i - 1], words[i]) != 0 &&
		    strcmp(cut(ctx, words[i - 1], width), cut(ctx, words[i], width)) == 0)
			return true;
	return false;
}

/* How narrow a column may be.  Only a wide text is cut, its heading is not, and no two words become the same. */
static int least_width(const struct grid *g, int column)
{
	const int heading = width_of(language_heading(PQfname(g->res, column)));
	int least = heading > NARROWEST ? heading : NARROWEST;

	if (PQftype(g->res, column) != 25 || g->widths[column] <= UNCUT) /* text */
		return g->widths[column];
	while (least < g->widths[column] && merges(g, column, least))
		least++;
	return least;
}

/* Narrows the widest texts until the line fits; false if that is impossible. */
static bool fit(struct grid *g, int most)
{
	int total = GAP * (g->n - 1);

	for (int i = 0; i < g->n; i++)
		total += g->widths[i];
	if (most == 0 || total <= most)
		return true;
	for (int i = 0; i < g->n; i++)
		g->least[i] = least_width(g, i);
	for (; total > most; total--) {
		int widest = -1;

		for (int i = 0; i < g->n; i++)
			if (g->widths[i] > g->least[i] &&
			    (widest < 0 || g->widths[i] > g->widths[widest]))
				widest = i;
		if (widest < 0)
			return false;
		g->widths[widest]--;
	}
	return true;
}

static void measure(struct grid *g, void *ctx)
{
	for (int i = 0; i < g->n; i++)
		g->widths[i] = width_of(language_heading(PQfname(g->res, i)));
	for (int row = 0; row < g->rows; row++)
		for (int i = 0; i < g->n; i++) {
			char *cell = cell_of(ctx, g->res, row, i);

			g->cells[row * g->n + i] = cell;
			if (width_of(cell) > g->widths[i])
				g->widths[i] = width_of(cell);
		}
}

void output_table(const PGresult *res)
{
	const int n = PQnfields(res), rows = PQntuples(res);
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct grid g = {.res = res,
			 .n = n,
			 .rows = rows,
			 .widths = t_array(ctx, int, n + 1),
			 .least = t_array(ctx, int, n + 1),
			 .cells = t_array(ctx, char *, (size_t)n *(size_t)rows + 1)};

	if (rows == 0) {
		puts(_("nothing"));
		return;
	}
	measure(&g, ctx);
	if (!fit(&g, terminal_width())) {
		for (int row = 0; row < rows; row++) {
			fputs(row > 0 ? "\n" : "", stdout);
			output_record(res, row);
		}
		return;
	}
	for (int i = 0; i < n; i++)
		print_cell(language_heading(PQfname(res, i)), g.widths[i], is_number(res, i),
			   i == n - 1);
	for (int row = 0; row < rows; row++)
		for (int i = 0; i < n; i++)
			print_cell(g.cells[row * n + i], g.widths[i], is_number(res, i),
				   i == n - 1);
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
			       cell_of(ctx, res, row, i));
}

void output_progress(const struct progress_bar *bar)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const int64_t done = bar->done > bar->due ? bar->due : bar->done < 0 ? 0 : bar->done;
	/* Nothing is due yet: the action is not listed, so that nothing is done either. */
	const int64_t due = bar->due > 0 ? bar->due : 1;
	const int filled = (int)(done * BAR / due);
	const int columns = terminal_width();
	char *line = t_printf(ctx, "[%.*s%*s] %3d %%  ", filled, bar_text, BAR - filled, "",
			      (int)(done * 100 / due));

	t_append(&line, _("%lld of %lld"), (long long)done, (long long)bar->due);
	if (bar->rate >= 0)
		t_append(&line, ", %lld/s", (long long)bar->rate);
	if (bar->eta_s >= 0)
		t_append(&line, _(", %lld s left"), (long long)bar->eta_s);
	if (bar->waiting)
		t_append(&line, _(", waits for %s"), clean(ctx, bar->waiting));
	if (columns > 1) /* a line that wraps cannot be overwritten */
		line[skip_columns(line, columns - 1) - line] = '\0';
	printf("\r%s\033[K", line); /* clears the rest: the line before may have been longer */
	(void)fflush(stdout); /* if the terminal is gone, SIGHUP ends this program */
}
