#include "web/form.h"

#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"

enum {
	FIELDS_MAX = 40,
	VALUE_MAX = 4096,
	NAME_LENGTH_MAX = 64,
};

struct field {
	char *name;
	char *raw; /* as it was entered */
	char *value; /* without blanks around it */
	size_t n; /* bytes of raw */
};

struct form {
	struct field fields[FIELDS_MAX];
	size_t n;
};

static int digit_of(char c)
{
	return is_digit(c)            ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* Decodes n bytes in place, "+" as a blank.  Returns the length, or -1: a bad escape. */
static ssize_t decode(char *bytes, size_t n)
{
	size_t to = 0;

	for (size_t i = 0; i < n; i++) {
		if (bytes[i] != '%') {
			bytes[to++] = bytes[i] == '+' ? ' ' : bytes[i];
			continue;
		}
		if (n - i < 3 || digit_of(bytes[i + 1]) < 0 || digit_of(bytes[i + 2]) < 0)
			return -1;
		bytes[to++] = (char)(digit_of(bytes[i + 1]) << 4 | digit_of(bytes[i + 2]));
		i += 2;
	}
	bytes[to] = '\0';
	return (ssize_t)to;
}

/* The length of the UTF-8 character at t, of which n bytes are left; 0: none, or one that could be written shorter. */
static size_t character(const unsigned char *t, size_t n)
{
	const size_t length = *t < 0x80   ? 1
			      : *t < 0xc2 ? 0
			      : *t < 0xe0 ? 2
			      : *t < 0xf0 ? 3
			      : *t < 0xf5 ? 4
					  : 0;

	if (length == 0 || length > n)
		return 0;
	for (size_t i = 1; i < length; i++)
		if (t[i] < 0x80 || t[i] > 0xbf)
			return 0;
	if ((*t == 0xe0 && t[1] < 0xa0) || (*t == 0xed && t[1] > 0x9f) ||
	    (*t == 0xf0 && t[1] < 0x90) || (*t == 0xf4 && t[1] > 0x8f))
		return 0;
	return length;
}

/* UTF-8 without control characters, except for tab and newline. */
static bool is_plain(const char *text, size_t n)
{
	const unsigned char *t = (const unsigned char *)text;

	for (size_t i = 0, length; i < n; i += length) {
		length = character(t + i, n - i);
		if (length == 0 || t[i] == 127 ||
		    (t[i] < ' ' && t[i] != '\t' && t[i] != '\n' && t[i] != '\r') ||
		    (t[i] == 0xc2 && t[i + 1] < 0xa0))
			return false;
	}
	return true;
}

/* A browser sends each newline as CR and LF. */
static void join_newlines(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++)
		if (*from != '\r' || from[1] != '\n')
			*to++ = *from == '\r' ? '\n' : *from;
	*to = '\0';
}

static char *trimmed(void *ctx, const char *text)
{
	static const char blanks[] = " \t\n";
	size_t n;

	text += strspn(text, blanks);
	n = strlen(text);
	while (n > 0 && strchr(blanks, text[n - 1]))
		n--;
	return must_alloc(talloc_strndup(ctx, text, n));
}

static const struct field *find(const struct form *form, const char *name)
{
	for (size_t i = 0; form && i < form->n; i++)
		if (strcmp(form->fields[i].name, name) == 0)
			return &form->fields[i];
	return NULL;
}

/* Adds "name=value", n bytes. */
static bool add(struct form *form, const char *pair, size_t n, struct error *err)
{
	const char *equals = memchr(pair, '=', n);
	const size_t n_name = equals ? (size_t)(equals - pair) : n;
	struct field *field = &form->fields[form->n];
	ssize_t length;

	if (form->n == FIELDS_MAX)
		return fail(err, ERR_DATA, "more than %d fields", FIELDS_MAX);
	field->name = must_alloc(talloc_strndup(form, pair, n_name));
	length = decode(field->name, n_name);
	if (length <= 0 || length > NAME_LENGTH_MAX || !is_plain(field->name, (size_t)length))
		return fail(err, ERR_DATA, "a field has a name that makes no sense");
	if (find(form, field->name))
		return fail(err, ERR_DATA, "a field is there twice");
	field->n = equals ? n - n_name - 1 : 0;
	field->raw = must_alloc(talloc_strndup(form, equals ? equals + 1 : "", field->n));
	form->n++; /* wiped from now on */
	length = decode(field->raw, field->n);
	if (length > VALUE_MAX)
		return fail(err, ERR_DATA, "a value has more than %d bytes", VALUE_MAX);
	if (length < 0 || !is_plain(field->raw, (size_t)length))
		return fail(err, ERR_DATA, "a value is no text");
	join_newlines(field->raw);
	field->value = trimmed(form, field->raw);
	return true;
}

bool form_parse(void *ctx, const char *bytes, size_t n, struct form **ret, struct error *err)
{
	struct form *form = t_zero(ctx, struct form);

	while (n > 0) {
		const char *end = memchr(bytes, '&', n);
		const size_t length = end ? (size_t)(end - bytes) : n;

		if (memchr(bytes, '\0', length) || (length > 0 && !add(form, bytes, length, err))) {
			form_wipe(form);
			talloc_free(form);
			return fail(err, ERR_DATA, "a NUL byte");
		}
		n -= end ? length + 1 : length;
		bytes += end ? length + 1 : length;
	}
	*ret = form;
	return true;
}

const char *form_get(const struct form *form, const char *name)
{
	const struct field *field = find(form, name);

	return field && field->value && *field->value ? field->value : NULL;
}

const char *form_raw(const struct form *form, const char *name)
{
	const struct field *field = find(form, name);

	return field && *field->raw ? field->raw : NULL;
}

static void wipe(struct field *field)
{
	secret_wipe(field->raw, field->n); /* and what it was encoded as */
	if (field->value)
		secret_wipe(field->value, strlen(field->value));
}

void form_wipe(struct form *form)
{
	for (size_t i = 0; i < form->n; i++)
		wipe(&form->fields[i]);
}

void form_wipe_field(struct form *form, const char *name)
{
	for (size_t i = 0; i < form->n; i++)
		if (strcmp(form->fields[i].name, name) == 0)
			wipe(&form->fields[i]);
}
