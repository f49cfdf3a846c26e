#include "config/setting.h"

#include "base/mem.h"
#include "base/units.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#define NAME_MAX_COMPARED 40

struct place reader_place(const struct reader *r, const config_setting_t *s)
{
	if (!s || config_setting_is_root(s))
		return (struct place){.file = r->text->path};
	return config_text_place(r->text, config_setting_source_line(s));
}

void reader_complain(struct reader *r, const config_setting_t *s, const char *fmt, ...)
{
	const struct place at = reader_place(r, s);
	const unsigned int line = at.line ? config_setting_source_line(s) : 0;
	va_list args;

	va_start(args, fmt);
	complain_sorted_list(r->complaints, line, &at, fmt, args);
	va_end(args);
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

const char *nearest_name(const char *written, const char *const *names, size_t n)
{
	const size_t length = strlen(written);
	size_t best =
		length < 4 ? 2 : 3; /* accepts one typo in a short word, two in a longer one */
	const char *nearest = NULL;

	if (length > NAME_MAX_COMPARED)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t distance;

		if (strlen(names[i]) > NAME_MAX_COMPARED)
			continue;
		distance = edit_distance(written, names[i]);
		if (distance < best && distance < length) {
			best = distance;
			nearest = names[i];
		}
	}
	return nearest;
}

/* Prints 'limits: ' before a key, and nothing at the top of the file, where what is NULL. */
#define WHAT(what) (what) ? (what) : "", (what) ? ": " : ""

const char *setting_string(struct reader *r, const config_setting_t *s, const char *what,
			   const char *key, enum value_kind kind)
{
	const char *text = config_setting_get_string(s);

	if (config_setting_type(s) != CONFIG_TYPE_STRING || !text) {
		reader_complain(r, s, "%s%s%s must be a string in double quotes", WHAT(what), key);
		return NULL;
	}
	if (text[strspn(text, " \t\r\n")] == '\0') {
		reader_complain(r, s, "%s%s%s is empty", WHAT(what), key);
		return NULL;
	}
	for (const char *c = text; *c; c++)
		if (((unsigned char)*c < ' ' || *c == 127) &&
		    !(kind == VALUE_SQL && strchr("\t\r\n", *c))) {
			reader_complain(r, s, "%s%s%s holds a control character", WHAT(what), key);
			return NULL;
		}
	return t_strdup(r->ctx, text);
}

static bool is_collection(const config_setting_t *s)
{
	return config_setting_is_array(s) || config_setting_is_list(s);
}

const char **setting_strings(struct reader *r, const config_setting_t *s, const char *what,
			     const char *key, size_t *ret_n)
{
	const int n = is_collection(s) ? config_setting_length(s) : 0;
	const char **strings;

	if (n < 1 || n > SETTING_STRINGS_MAX) {
		reader_complain(r, s,
				"%s: %s must be an array of 1 to %d strings: [ \"a\", \"b\" ]",
				what, key, SETTING_STRINGS_MAX);
		return NULL;
	}
	strings = t_array(r->ctx, const char *, n);
	for (int i = 0; i < n; i++) {
		const config_setting_t *elem = config_setting_get_elem(s, (unsigned int)i);

		strings[i] = setting_string(r, elem, what, key, VALUE_NAME);
		if (!strings[i])
			return NULL;
	}
	*ret_n = (size_t)n;
	return strings;
}

size_t setting_choice(struct reader *r, const config_setting_t *s, const char *what,
		      const char *key, const char *const *names, size_t n)
{
	const char *text = setting_string(r, s, what, key, VALUE_NAME);
	AUTO(char_p) char *list = NULL;
	size_t length;
	FILE *out;

	if (!text)
		return n;
	for (size_t i = 0; i < n; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	out = must_alloc(open_memstream(&list, &length));
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s\"%s\"", i == 0 ? "" : i + 1 < n ? ", " : " or ", names[i]);
	(void)fclose(out); /* into memory */
	reader_complain(r, s, "%s%s%s \"%s\" is not %s", WHAT(what), key, text, list);
	return n;
}

static bool read_number(struct reader *r, const config_setting_t *s, const char *what,
			const struct setting_spec *spec, int64_t *ret)
{
	const int type = config_setting_type(s);
	const int64_t value = type == CONFIG_TYPE_INT     ? config_setting_get_int(s)
			      : type == CONFIG_TYPE_INT64 ? config_setting_get_int64(s)
							  : spec->min - 1;

	if (value < spec->min || value > spec->max) {
		reader_complain(r, s, "%s%s%s must be a whole number from %lld to %lld", WHAT(what),
				spec->key, (long long)spec->min, (long long)spec->max);
		return false;
	}
	*ret = value;
	return true;
}

static void read_share(struct reader *r, const config_setting_t *s, const char *what,
		       const struct setting_spec *spec, double *ret)
{
	double value = 0;

	if (config_setting_type(s) == CONFIG_TYPE_FLOAT)
		value = config_setting_get_float(s);
	else if (config_setting_type(s) == CONFIG_TYPE_INT)
		value = config_setting_get_int(s);
	if (value > 0 && value <= 1)
		*ret = value;
	else
		reader_complain(r, s, "%s%s%s must be a number above 0 and at most 1", WHAT(what),
				spec->key);
}

/* Reads the kinds that have a grammar of their own (base/units.h). */
static void read_unit(struct reader *r, const config_setting_t *s, const char *what,
		      const struct setting_spec *spec, void *ret)
{
	const char *text = setting_string(r, s, what, spec->key, VALUE_NAME);
	char min[24], max[24];
	int64_t ms;

	if (!text)
		return;
	switch (spec->kind) {
	case VALUE_PERIOD:
		if (!period_parse(text, ret))
			reader_complain(
				r, s,
				"%s%s%s \"%s\" is not N days|weeks|months|years, N from 1 to "
				"9999, at most 1000 years",
				WHAT(what), spec->key, text);
		break;
	case VALUE_WINDOW:
		if (!window_parse(text, ret))
			reader_complain(r, s,
					"%s%s%s \"%s\" is not HH:MM-HH:MM with two "
					"different times",
					WHAT(what), spec->key, text);
		break;
	default:
		assert(spec->kind == VALUE_DURATION);
		if (duration_ms_parse(text, &ms) && ms >= spec->min && ms <= spec->max) {
			*(int64_t *)ret = ms;
			break;
		}
		duration_ms_print(spec->min, min, sizeof(min));
		duration_ms_print(spec->max, max, sizeof(max));
		reader_complain(r, s,
				"%s%s%s \"%s\" is not a duration (Nms, Ns, Nmin, Nh) from %s "
				"to %s",
				WHAT(what), spec->key, text, min, max);
	}
}

static void read_value(struct reader *r, const config_setting_t *s, const char *what,
		       const struct setting_spec *spec, void *ret)
{
	const char *text;
	int64_t number;

	switch (spec->kind) {
	case VALUE_OTHER:
		break;
	case VALUE_NAME:
	case VALUE_SQL:
		text = setting_string(r, s, what, spec->key, spec->kind);
		if (text)
			*(const char **)ret = text;
		break;
	case VALUE_BOOL:
		if (config_setting_type(s) == CONFIG_TYPE_BOOL)
			*(bool *)ret = config_setting_get_bool(s) != 0;
		else
			reader_complain(r, s, "%s%s%s must be true or false", WHAT(what),
					spec->key);
		break;
	case VALUE_INT:
		if (read_number(r, s, what, spec, &number))
			*(int *)ret = (int)number;
		break;
	case VALUE_INT64:
		if (read_number(r, s, what, spec, &number))
			*(int64_t *)ret = number;
		break;
	case VALUE_SHARE:
		read_share(r, s, what, spec, ret);
		break;
	case VALUE_DURATION:
	case VALUE_PERIOD:
	case VALUE_WINDOW:
		read_unit(r, s, what, spec, ret);
		break;
	}
}

/* Keys of earlier versions, and what a person does now. */
static const struct {
	const char *key;
	const char *instead;
} removed_keys[] = {
	{"pause_file", "retentionctl pause"},
};

static bool complain_removed(struct reader *r, const config_setting_t *s, const char *what)
{
	for (size_t i = 0; i < sizeof(removed_keys) / sizeof(removed_keys[0]); i++)
		if (strcmp(config_setting_name(s), removed_keys[i].key) == 0) {
			reader_complain(r, s, "%s%skey \"%s\" was removed: use %s", WHAT(what),
					removed_keys[i].key, removed_keys[i].instead);
			return true;
		}
	return false;
}

static void complain_unknown(struct reader *r, const config_setting_t *s, const char *what,
			     const struct setting_spec *specs, size_t n_specs)
{
	const char *name = config_setting_name(s);
	const char **names = t_array(NULL, const char *, n_specs);
	const char *nearest;

	for (size_t i = 0; i < n_specs; i++)
		names[i] = specs[i].key;
	nearest = nearest_name(name, names, n_specs);
	reader_complain(r, s, "unknown key \"%s\"%s%s%s%s%s", name, what ? " in " : "",
			what ? what : "", nearest ? "; did you mean \"" : "",
			nearest ? nearest : "", nearest ? "\"?" : "");
	talloc_free(names);
}

static const struct setting_spec *find_spec(const struct setting_spec *specs, size_t n_specs,
					    const char *key)
{
	for (size_t i = 0; i < n_specs; i++)
		if (strcmp(specs[i].key, key) == 0)
			return &specs[i];
	return NULL;
}

void settings_read(struct reader *r, const config_setting_t *group, const char *what,
		   const struct setting_spec *specs, size_t n_specs, void *target)
{
	const int n = config_setting_length(group);

	for (int i = 0; i < n; i++) {
		const config_setting_t *s = config_setting_get_elem(group, (unsigned int)i);
		const struct setting_spec *spec = find_spec(specs, n_specs, config_setting_name(s));

		if (!spec) {
			if (!complain_removed(r, s, what))
				complain_unknown(r, s, what, specs, n_specs);
			continue;
		}
		if (spec->given)
			*(bool *)((char *)target + spec->given) = true;
		read_value(r, s, what, spec, (char *)target + spec->offset);
	}
	for (size_t i = 0; i < n_specs; i++)
		if (specs[i].required && !config_setting_get_member(group, specs[i].key))
			reader_complain(r, group, "%s%s%s is missing", WHAT(what), specs[i].key);
}
