#include "config/setting.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/units.h"
#include "model/columns.h"

#include <assert.h>
#include <ctype.h>

#define NAME_MAX_COMPARED 40

bool reader_open(struct reader *r, const char *path, const char *text, config_t *tree,
		 struct config_text *ret_map)
{
	if (!config_text_map(r->ctx, path, text, ret_map, r->complaints))
		return false;
	if (!config_read_string(tree, text)) {
		const unsigned int line = (unsigned int)config_error_line(tree);
		const struct place at = config_text_place(ret_map, line);

		complain_sorted(r->complaints, line, &at, "%s, here or shortly before",
				config_error_text(tree));
		return false;
	}
	r->text = ret_map;
	r->group = config_root_setting(tree);
	return true;
}

struct reader reader_in(const struct reader *r, const config_setting_t *group, const char *what)
{
	struct reader inner = *r;

	inner.group = group;
	inner.what = what;
	return inner;
}

struct place reader_place(const struct reader *r, const config_setting_t *s)
{
	if (!s || config_setting_is_root(s))
		return (struct place){.file = r->text->path};
	return config_text_place(r->text, config_setting_source_line(s));
}

void complain_at(const struct reader *r, const config_setting_t *s, const char *fmt, ...)
{
	const config_setting_t *where = s ? s : r->group;
	const struct place at = reader_place(r, where);
	AUTO(char_p) char *text = NULL;
	va_list args;

	va_start(args, fmt);
	text = xvprintf(fmt, args);
	va_end(args);
	complain_sorted(r->complaints, at.line ? config_setting_source_line(where) : 0, &at,
			"%s%s%s", r->what ? r->what : "", r->what ? ": " : "", text);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Levenshtein distance of names of at most NAME_MAX_COMPARED bytes; keeps one row of the matrix. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_COMPARED + 1];
	const size_t n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			const size_t above = row[j];

			row[j] = least(least(above, row[j - 1]) + 1,
				       diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[n];
}

const char *nearest_name_hint(void *ctx, const char *written, const char *const *names, size_t n)
{
	const size_t length = strlen(written);
	size_t best =
		length < 4 ? 2 : 3; /* accepts one typo in a short word, two in a longer one */
	const char *nearest = NULL;

	for (size_t i = 0; length <= NAME_MAX_COMPARED && i < n; i++) {
		size_t distance;

		if (strlen(names[i]) > NAME_MAX_COMPARED)
			continue;
		distance = edit_distance(written, names[i]);
		if (distance < best && distance < length) {
			best = distance;
			nearest = names[i];
		}
	}
	return nearest ? t_printf(ctx, "; did you mean \"%s\"?", nearest) : "";
}

const char *setting_string(const struct reader *r, const config_setting_t *s, const char *key,
			   enum value_kind kind)
{
	const char *text = config_setting_get_string(s);
	const char *allowed = kind == VALUE_SQL ? "\t\r\n" : "";

	if (!text) {
		complain_at(r, s, "%s must be a string in double quotes", key);
		return NULL;
	}
	if (text[strspn(text, " \t\r\n")] == '\0') {
		complain_at(r, s, "%s is empty", key);
		return NULL;
	}
	for (const char *c = text; *c; c++)
		if (is_control(*c) && !strchr(allowed, *c)) {
			complain_at(r, s, "%s holds a control character", key);
			return NULL;
		}
	if (kind == VALUE_PATH && *text != '/') {
		complain_at(r, s, "%s \"%s\" does not begin with /", key, text);
		return NULL;
	}
	return t_strdup(r->ctx, text);
}

static const char **read_strings(const struct reader *r, const config_setting_t *s,
				 const struct setting_spec *spec, size_t *ret_n)
{
	const bool is_many = config_setting_is_array(s) || config_setting_is_list(s);
	const int n = is_many ? config_setting_length(s) : 0;
	const char **strings = t_array(r->ctx, const char *, n);

	if (n < 1 || n > spec->max) {
		complain_at(r, s, "%s must be an array of 1 to %d strings: %s", spec->key,
			    (int)spec->max, spec->example ? spec->example : "[ \"a\", \"b\" ]");
		return NULL;
	}
	for (int i = 0; i < n; i++) {
		strings[i] = setting_string(r, config_setting_get_elem(s, (unsigned int)i),
					    spec->key, VALUE_NAME);
		if (!strings[i])
			return NULL;
	}
	*ret_n = (size_t)n;
	return strings;
}

const char **setting_strings(const struct reader *r, const config_setting_t *s, const char *key,
			     size_t *ret_n)
{
	return read_strings(r, s, &(struct setting_spec){.key = key, .max = SETTING_STRINGS_MAX},
			    ret_n);
}

/* Reads "id", or [ "account_id", "id" ]. */
static const struct columns *read_columns(const struct reader *r, const config_setting_t *s,
					  const struct setting_spec *spec)
{
	struct columns *columns = t_zero(r->ctx, struct columns);
	const char **names = t_array(r->ctx, const char *, 1);

	if (config_setting_get_string(s) || spec->max == 1) {
		columns->n = 1;
		names[0] = setting_string(r, s, spec->key, VALUE_NAME);
		if (!names[0])
			return NULL;
	} else {
		names = read_strings(r, s, spec, &columns->n);
		if (!names)
			return NULL;
	}
	columns->names = names;
	for (size_t i = 0; i < columns->n; i++)
		if (columns_have(&(struct columns){names, i}, names[i])) {
			complain_at(r, s, "%s names \"%s\" twice", spec->key, names[i]);
			return NULL;
		}
	return columns;
}

/* Reads one of the words; false after a complaint that lists them. */
static bool read_choice(const struct reader *r, const config_setting_t *s,
			const struct setting_spec *spec, int *ret)
{
	const char *text = setting_string(r, s, spec->key, VALUE_NAME);
	const char *last = NULL;
	char *list;

	if (!text)
		return false;
	for (int i = 0; i <= spec->max; i++)
		if (spec->names[i] && strcmp(text, spec->names[i]) == 0) {
			*ret = i;
			return true;
		}
	list = t_strdup(r->ctx, "");
	for (int i = 0; i <= spec->max; i++) {
		if (last && spec->names[i])
			t_append(&list, "%s\"%s\"", *list ? ", " : "", last);
		last = spec->names[i] ? spec->names[i] : last;
	}
	complain_at(r, s, "%s \"%s\" is not %s%s\"%s\"", spec->key, text, list, *list ? " or " : "",
		    last);
	return false;
}

static bool read_number(const struct reader *r, const config_setting_t *s,
			const struct setting_spec *spec, int64_t *ret)
{
	const int type = config_setting_type(s);
	const int64_t value = type == CONFIG_TYPE_INT     ? config_setting_get_int(s)
			      : type == CONFIG_TYPE_INT64 ? config_setting_get_int64(s)
							  : spec->min - 1;

	if (value < spec->min || value > spec->max) {
		complain_at(r, s, "%s must be a whole number from %lld to %lld", spec->key,
			    (long long)spec->min, (long long)spec->max);
		return false;
	}
	*ret = value;
	return true;
}

static void read_share(const struct reader *r, const config_setting_t *s, const char *key,
		       double *ret)
{
	double value = 0;

	if (config_setting_type(s) == CONFIG_TYPE_FLOAT)
		value = config_setting_get_float(s);
	else if (config_setting_type(s) == CONFIG_TYPE_INT)
		value = config_setting_get_int(s);
	if (value > 0 && value <= 1)
		*ret = value;
	else
		complain_at(r, s, "%s must be a number above 0 and at most 1", key);
}

static void read_char(const struct reader *r, const config_setting_t *s, const char *key, char *ret)
{
	const char *text = config_setting_get_string(s);

	if (text && strlen(text) == 1 && !strchr("\"\\", *text) &&
	    (*text == '\t' || (isascii(*text) && ispunct((unsigned char)*text))))
		*ret = *text;
	else
		complain_at(r, s,
			    "%s must be one ASCII character, a tab or punctuation, and neither a "
			    "double quote nor a backslash",
			    key);
}

/* Reads the kinds that have a grammar of their own (base/units.h). */
static void read_unit(const struct reader *r, const config_setting_t *s,
		      const struct setting_spec *spec, void *ret)
{
	const char *text = setting_string(r, s, spec->key, VALUE_NAME);
	char min[24], max[24];
	int64_t ms;

	if (!text)
		return;
	switch (spec->kind) {
	case VALUE_PERIOD:
		if (!period_parse(text, ret))
			complain_at(r, s,
				    "%s \"%s\" is not N days|weeks|months|years, N from 1 to "
				    "9999, at most 1000 years",
				    spec->key, text);
		break;
	case VALUE_WINDOW:
		if (!window_parse(text, ret))
			complain_at(r, s, "%s \"%s\" is not HH:MM-HH:MM with two different times",
				    spec->key, text);
		break;
	default:
		assert(spec->kind == VALUE_DURATION);
		if (duration_ms_parse(text, &ms) && ms >= spec->min && ms <= spec->max) {
			*(int64_t *)ret = ms;
			break;
		}
		duration_ms_print(spec->min, min, sizeof(min));
		duration_ms_print(spec->max, max, sizeof(max));
		complain_at(r, s, "%s \"%s\" is not a duration (Nms, Ns, Nmin, Nh) from %s to %s",
			    spec->key, text, min, max);
	}
}

static void read_value(const struct reader *r, const config_setting_t *s,
		       const struct setting_spec *spec, char *target)
{
	void *const ret = target + spec->offset;
	const void *pointer = NULL;
	int64_t number;
	int choice;

	switch (spec->kind) {
	case VALUE_OTHER:
		break;
	case VALUE_NAME:
	case VALUE_PATH:
	case VALUE_SQL:
		pointer = setting_string(r, s, spec->key, spec->kind);
		break;
	case VALUE_COLUMNS:
		pointer = read_columns(r, s, spec);
		break;
	case VALUE_STRINGS:
		pointer = read_strings(r, s, spec, (size_t *)(target + spec->count));
		break;
	case VALUE_CHAR:
		read_char(r, s, spec->key, ret);
		break;
	case VALUE_BOOL:
		if (config_setting_type(s) == CONFIG_TYPE_BOOL)
			*(bool *)ret = config_setting_get_bool(s) != 0;
		else
			complain_at(r, s, "%s must be true or false", spec->key);
		break;
	case VALUE_INT:
		if (read_number(r, s, spec, &number))
			*(int *)ret = (int)number;
		break;
	case VALUE_INT64:
		if (read_number(r, s, spec, &number))
			*(int64_t *)ret = number;
		break;
	case VALUE_SHARE:
		read_share(r, s, spec->key, ret);
		break;
	case VALUE_DURATION:
	case VALUE_PERIOD:
	case VALUE_WINDOW:
		read_unit(r, s, spec, ret);
		break;
	case VALUE_CHOICE:
		(void)read_choice(r, s, spec, ret); /* has complained */
		break;
	case VALUE_WORD:
		if (read_choice(r, s, spec, &choice))
			*(bool *)ret = choice == 1;
		break;
	}
	if (pointer)
		*(const void **)ret = pointer;
}

/* Keys of earlier versions, and what a person does now. */
static const struct {
	const char *key;
	const char *instead;
} removed_keys[] = {
	{"pause_file", "retentionctl pause"},
};

static void complain_unknown(const struct reader *r, const config_setting_t *s,
			     const struct setting_spec *specs)
{
	const struct reader bare = reader_in(r, r->group, NULL);
	const char *name = config_setting_name(s);
	const char **names = NULL;
	size_t n = 0;

	for (size_t i = 0; i < LENGTH(removed_keys); i++)
		if (strcmp(name, removed_keys[i].key) == 0) {
			complain_at(r, s, "key \"%s\" was removed: use %s", name,
				    removed_keys[i].instead);
			return;
		}
	for (; specs->key; specs++) {
		names = t_grow(r->ctx, names, const char *, n + 1);
		names[n++] = specs->key;
	}
	complain_at(&bare, s, "unknown key \"%s\"%s%s%s", name, r->what ? " in " : "",
		    r->what ? r->what : "", nearest_name_hint(r->ctx, name, names, n));
}

void settings_read(const struct reader *r, const struct setting_spec *specs, void *target)
{
	const int n = config_setting_length(r->group);

	for (int i = 0; i < n; i++) {
		const config_setting_t *s = config_setting_get_elem(r->group, (unsigned int)i);
		const struct setting_spec *spec = specs;

		while (spec->key && strcmp(spec->key, config_setting_name(s)) != 0)
			spec++;
		if (!spec->key) {
			complain_unknown(r, s, specs);
			continue;
		}
		if (spec->given)
			*((bool *)target + spec->given) = true;
		read_value(r, s, spec, target);
	}
	for (; specs->key; specs++)
		if (specs->required && !reader_key(r, specs->key))
			complain_at(r, NULL, "%s is missing", specs->key);
}
