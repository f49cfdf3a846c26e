/*
 * Expands @include here and not in libconfig, for three reasons: libconfig 1.5 does not check who can
 * write an included file, it forgets in which file a setting was, and a job needs the configuration as
 * one text.  The rule is libconfig's own: a line with blanks and @include "x", outside strings and
 * comments.
 */
#include "config/source.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "config/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define DEPTH_MAX 10
#define LINE_MAX_NUMBER 99999999

/* The functions below stop at the end of a line by themselves: a newline or a NUL fits nothing that they look for. */

static bool is_marker(const char *line)
{
	return strncmp(line, "#@ ", 3) == 0;
}

/* The text after @include on this line of code; NULL: the line is another one. */
static const char *include_argument(const char *line)
{
	static const char name[] = "@include";
	const size_t length = sizeof(name) - 1;

	line += strspn(line, " \t");
	return strncmp(line, name, length) == 0 && !scan_is_word(line[length]) ? line + length
									       : NULL;
}

/* Reads "x", after which only a comment may follow; returns the name, malloc'd, or NULL. */
static char *include_name(const char *p)
{
	const char *name = p + strspn(p, " \t") + 1;
	const size_t n = name[-1] == '"' ? strcspn(name, "\"\\\n") : 0;
	const char *rest = name + n + 1;

	if (n == 0 || name[n] != '"')
		return NULL;
	rest += strspn(rest, " \t\r");
	if (*rest && *rest != '\n' && *rest != '#' && strncmp(rest, "//", 2) != 0)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (is_control(name[i]))
			return NULL;
	return must_alloc(strndup(name, n));
}

/* A file that is being read; up is the file that includes it. */
struct frame {
	const struct frame *up;
	struct stat st;
	int depth;
};

struct expansion {
	void *ctx; /* owns the names of files */
	struct complaints *c;
	FILE *out; /* collects the text, of length bytes and line lines */
	size_t length;
	unsigned int line;
	bool is_full;
};

/* Complains at the line of the text that comes next. */
#define complain_next(e, at, ...) complain_sorted((e)->c, (e)->line + 1, (at), __VA_ARGS__)

/* Adds a line, or marks the expansion as full: then its text is dropped. */
static void __attribute__((format(printf, 2, 3))) emit(struct expansion *e, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	e->length += (size_t)vfprintf(e->out, fmt, args) + 1; /* into memory */
	va_end(args);
	(void)fputc('\n', e->out); /* likewise */
	e->line++;
	e->is_full = e->length >= CONFIG_TEXT_MAX_BYTES;
}

/*
 * May the file be read?  A person who can write it can have any row deleted, so that only root and the
 * daemon's own user may write it.  st is the open descriptor's, so that the file that is checked is the
 * file that is read.
 */
static bool is_trusted(const struct expansion *e, const char *path, const struct stat *st)
{
	const struct place at = {.file = path};
	const unsigned int mode = st->st_mode & 07777;

	if (!S_ISREG(st->st_mode))
		complain_next(e, &at, "is not a regular file");
	else if (st->st_uid != 0 && st->st_uid != geteuid())
		complain_next(e, &at,
			      "belongs to user %u, neither to root nor to the user that runs this: "
			      "chown it",
			      (unsigned int)st->st_uid);
	else if (mode & 022)
		complain_next(e, &at,
			      "can be written by others than root and its owner (mode %04o): "
			      "chmod go-w it",
			      mode);
	else if ((unsigned long long)st->st_size > CONFIG_FILE_MAX_BYTES)
		complain_next(e, &at, "is larger than 1 MiB");
	else
		return true;
	return false;
}

/* Reads the whole file, at most 1 MiB, into a NUL-terminated text; NULL after a complaint. */
static char *read_trusted(const struct expansion *e, const char *path, const struct place *from,
			  struct stat *ret_st)
{
	AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	const struct place at = {.file = path};
	ssize_t length;
	char *text;

	if (fd < 0 || fstat(fd, ret_st) != 0) {
		if (from)
			complain_next(e, from, "cannot open %s: %s", path, strerror(errno));
		else
			complain_sorted(e->c, 0, &at, "cannot be opened: %s", strerror(errno));
		return NULL;
	}
	if (!is_trusted(e, path, ret_st))
		return NULL;
	text = t_array(e->ctx, char, CONFIG_FILE_MAX_BYTES + 2);
	length = file_read_all(fd, text, CONFIG_FILE_MAX_BYTES + 1);
	if (length < 0)
		complain_next(e, &at, "cannot be read: %s", strerror(errno));
	else if ((size_t)length > CONFIG_FILE_MAX_BYTES)
		complain_next(e, &at, "is larger than 1 MiB");
	else if (strlen(text) != (size_t)length)
		complain_next(e, &at, "holds a NUL byte: it is not a text file");
	else
		return text;
	talloc_free(text);
	return NULL;
}

static bool expand_file(struct expansion *e, const char *path, const struct place *from,
			const struct frame *up);

static void expand_include(struct expansion *e, const struct place *at, const char *argument,
			   const struct frame *frame)
{
	AUTO(char_p) char *name = include_name(argument);
	const char *const slash = strrchr(at->file, '/');
	const char *path;

	if (!name) {
		complain_next(e, at,
			      "@include takes a file's name in double quotes, without control "
			      "characters or backslashes, and nothing may follow on the line");
		return;
	}
	if (frame->depth >= DEPTH_MAX) {
		complain_next(e, at, "more than %d @includes inside one another", DEPTH_MAX);
		return;
	}
	if (name[0] == '/' || !slash)
		path = t_strdup(e->ctx, name);
	else
		path = t_printf(e->ctx, "%.*s/%s", (int)(slash - at->file), at->file, name);
	(void)expand_file(e, path, at, frame); /* has complained; the rest is read too */
	emit(e, "#@ %d %s", at->line + 1, at->file);
}

static void expand_lines(struct expansion *e, const char *path, const char *text,
			 const struct frame *frame)
{
	struct scanner scanner = {.state = SCAN_CODE};
	struct place at = {.file = path, .line = 1};

	emit(e, "#@ 1 %s", path);
	for (const char *line = text; *line && !e->is_full; at.line++) {
		const char *const end = strchrnul(line, '\n');
		const bool is_code = scanner.state == SCAN_CODE;
		const char *argument = is_code ? include_argument(line) : NULL;

		if (argument) {
			expand_include(e, &at, argument, frame);
		} else {
			scan_line(&scanner, line, end);
			if (is_code && is_marker(line))
				emit(e, "# %.*s", (int)(end - line - 1), line + 1);
			else
				emit(e, "%.*s", (int)(end - line), line);
		}
		line = *end ? end + 1 : end;
	}
	if (scanner.state != SCAN_CODE) {
		at.line--;
		complain_next(e, &at, "the file ends inside a %s",
			      scanner.state == SCAN_STRING ? "string" : "comment");
	}
}

/* from: the place of the @include; NULL for the first file.  false: the file was not read. */
static bool expand_file(struct expansion *e, const char *path, const struct place *from,
			const struct frame *up)
{
	struct frame frame = {.up = up, .depth = up ? up->depth + 1 : 0};
	char *text = read_trusted(e, path, from, &frame.st);

	if (!text)
		return false;
	while (up && (up->st.st_dev != frame.st.st_dev || up->st.st_ino != frame.st.st_ino))
		up = up->up;
	if (up)
		complain_next(e, from, "%s includes itself", path);
	else
		expand_lines(e, path, text, &frame);
	talloc_free(text);
	return !up;
}

char *config_text_expand(void *ctx, const char *path, struct complaints *c)
{
	AUTO(char_p) char *text = NULL;
	struct expansion e = {.ctx = ctx, .c = c};
	const struct place at = {.file = path};
	size_t size;
	bool ok;

	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < ' ') { /* would break the markers */
			complain_sorted(c, 0, &at, "the file's name holds a control character");
			return NULL;
		}
	e.out = must_alloc(open_memstream(&text, &size));
	ok = expand_file(&e, path, NULL, NULL);
	if (fclose(e.out) != 0)
		must_alloc(NULL); /* into memory: only memory can be short */
	if (e.is_full)
		complain_sorted(c, 0, &at, "with its @includes it is larger than 16 MiB");
	return ok && !e.is_full ? t_strdup(ctx, text) : NULL;
}

/* Reads "#@ 12 /a/file" into ret; false: the line is another one, or a comment. */
static bool read_marker(void *ctx, const char *line, const char *end, struct place *ret)
{
	char *rest;
	long number;

	if (!is_marker(line) || !is_digit(line[3]))
		return false;
	number = strtol(line + 3, &rest, 10); /* too large: LONG_MAX */
	if (number < 1 || number > LINE_MAX_NUMBER || *rest != ' ' || rest + 1 == end)
		return false;
	ret->line = (int)number;
	ret->file = must_alloc(talloc_strndup(ctx, rest + 1, (size_t)(end - rest - 1)));
	return true;
}

/* Complains of what libconfig accepts and reads wrongly. */
static void check_line(const struct scanner *s, const struct config_text *text, unsigned int number,
		       struct complaints *c)
{
	const struct place at = config_text_place(text, number);

	if (s->saw_zero_escape)
		complain_sorted(c, number, &at, "\\x00 cannot stand in a string");
	if (s->bad_number)
		complain_sorted(c, number, &at, "the number %.*s is too large", s->bad_length,
				s->bad_number);
}

bool config_text_map(void *ctx, const char *path, const char *text, struct config_text *ret,
		     struct complaints *c)
{
	struct scanner scanner = {.state = SCAN_CODE};
	struct config_text map = {.path = path, .text = text};
	unsigned int number = 1;
	bool ok = true;

	for (const char *line = text; *line; number++) {
		const char *const end = strchrnul(line, '\n');
		const bool is_code = scanner.state == SCAN_CODE;
		struct place at;

		if (is_code && read_marker(ctx, line, end, &at)) {
			map.origins = t_grow(ctx, map.origins, struct origin, map.n_origins + 1);
			map.origins[map.n_origins++] = (struct origin){number + 1, at};
		} else if (is_code && include_argument(line)) {
			at = config_text_place(&map, number);
			complain_sorted(c, number, &at,
					"@include in a text that is already expanded");
			ok = false;
		}
		scan_line(&scanner, line, end);
		check_line(&scanner, &map, number, c);
		if (scanner.saw_mark && !(is_code && is_marker(line))) {
			map.marks = t_grow(ctx, map.marks, unsigned int, map.n_marks + 1);
			map.marks[map.n_marks++] = number;
		}
		line = *end ? end + 1 : end;
	}
	*ret = map;
	return ok;
}

unsigned int config_text_group_end(const struct config_text *text, unsigned int line)
{
	struct scanner scanner = {.state = SCAN_CODE};
	unsigned int number = 1;

	for (const char *p = text->text; *p; number++) {
		const char *const end = strchrnul(p, '\n');

		scan_line(&scanner, p, end);
		if (number >= line && scanner.depth == 0 && scanner.saw_close)
			break;
		p = *end ? end + 1 : end;
	}
	return number;
}

struct place config_text_place(const struct config_text *text, unsigned int line)
{
	size_t low = 0, high = text->n_origins; /* the last origin at or before line */
	struct place at;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (text->origins[middle].first <= line)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return (struct place){.file = text->path, .line = (int)line};
	at = text->origins[low - 1].at;
	at.line += (int)(line - text->origins[low - 1].first);
	return at;
}
