/* What a form and a query may hold, and what is refused. */
#include "web/form.c"

/* Behind the others: it makes a macro of our fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_values(void **state)
{
	static const struct {
		const char *bytes, *value, *raw; /* of the field "a"; NULL: none */
	} cases[] = {
		{"", NULL, NULL},
		{"a", NULL, NULL},
		{"a=", NULL, NULL},
		{"b=1", NULL, NULL},
		{"A=1", NULL, NULL},
		{"a=1", "1", "1"},
		{"&&a=1&", "1", "1"},
		{"b=2&a=1&c=3", "1", "1"},
		{"a=x=y", "x=y", "x=y"},
		{"%61=1", "1", "1"},
		{"a=+x+y+", "x y", " x y "},
		{"a=%20%09%0d%0ax%0D%0Ay%0A", "x\ny", " \t\nx\ny\n"},
		{"a=x%0dy", "x\ny", "x\ny"},
		{"a=+%0a", NULL, " \n"},
		{"a=%C3%A9%e2%82%ac%F0%9F%98%80", "é€😀", "é€😀"},
		{"a=é", "é", "é"},
		{"a=%26%3d%2B%25", "&=+%", "&=+%"},
		{"a=%3Cscript%3E", "<script>", "<script>"},
		{"a=%E2%80%AE", "\u202e", "\u202e"},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		AUTO(error) struct error err = {0};
		struct form *form = NULL;

		if (!form_parse(NULL, cases[i].bytes, strlen(cases[i].bytes), &form, &err))
			fail_msg("case %zu: %s", i, err.text);
		for (int raw = 0; raw < 2; raw++) {
			const char *got = raw ? form_raw(form, "a") : form_get(form, "a");
			const char *wanted = raw ? cases[i].raw : cases[i].value;

			if (!wanted != !got || (wanted && strcmp(wanted, got) != 0))
				fail_msg("case %zu, raw %d: %s", i, raw, got ? got : "NULL");
		}
		form_wipe(form);
		assert_null(form_raw(form, "a"));
		talloc_free(form);
	}
}

static void test_refusals(void **state)
{
#define BYTES(text) text, sizeof(text) - 1
	static const struct {
		const char *bytes;
		size_t n;
		const char *why;
	} cases[] = {
		{BYTES("a=1&a=1"), "twice"},
		{BYTES("a=1&%61=2"), "twice"},
		{BYTES("=1"), "name"},
		{BYTES("%00=1"), "name"},
		{BYTES("%0=1"), "name"},
		{BYTES("a=%"), "no text"},
		{BYTES("a=%4"), "no text"},
		{BYTES("a=%zz"), "no text"},
		{BYTES("a=x%00y"), "no text"},
		{BYTES("a=x\0y"), "NUL"},
		{BYTES("a\0b"), "NUL"},
		{BYTES("a=%07"), "no text"},
		{BYTES("a=%1B[0m"), "no text"},
		{BYTES("a=%7F"), "no text"},
		{BYTES("a=%C2%9B"), "no text"}, /* a control character of two bytes */
		{BYTES("a=%FF"), "no text"},
		{BYTES("a=%80"), "no text"},
		{BYTES("a=%C3"), "no text"}, /* cut */
		{BYTES("a=%C3%28"), "no text"},
		{BYTES("a=%C0%BC"), "no text"}, /* "<", longer than it could be */
		{BYTES("a=%E0%80%BC"), "no text"},
		{BYTES("a=%F0%80%80%BC"), "no text"},
		{BYTES("a=%ED%A0%80"), "no text"}, /* half of a pair of UTF-16 */
		{BYTES("a=%F4%90%80%80"), "no text"}, /* beyond U+10FFFF */
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		AUTO(error) struct error err = {0};
		struct form *form = NULL;

		if (form_parse(NULL, cases[i].bytes, cases[i].n, &form, &err))
			fail_msg("case %zu was taken", i);
		assert_null(form);
		if (!strstr(err.text, cases[i].why))
			fail_msg("case %zu: %s", i, err.text);
	}
}

/* Fills text with "a=xxx…", n bytes of value. */
static void fill_value(char *text, size_t n)
{
	memcpy(text, "a=", 2);
	memset(text + 2, 'x', n);
	text[2 + n] = '\0';
}

static void test_limits(void **state)
{
	char text[8000], fields[41 * 5 + 1] = "";
	AUTO(error) struct error err = {0};
	struct form *form = NULL;

	(void)state;
	fill_value(text, VALUE_MAX);
	assert_true(form_parse(NULL, text, strlen(text), &form, &err));
	assert_int_equal(strlen(form_get(form, "a")), VALUE_MAX);
	talloc_free(form);
	fill_value(text, VALUE_MAX + 1);
	assert_false(form_parse(NULL, text, strlen(text), &form, &err));
	for (size_t i = 0; i < FIELDS_MAX + 1; i++)
		(void)snprintf(fields + 5 * i, 6, "f%02zu=&", i);
	assert_true(form_parse(NULL, fields, 5 * FIELDS_MAX, &form, &err));
	talloc_free(form);
	assert_false(form_parse(NULL, fields, strlen(fields), &form, &err));
}

/* The password is gone, from the value and from the bytes that it was encoded as; the other fields stay. */
static void test_wipe_field(void **state)
{
	static const char bytes[] = "nom=marie&mdp=+s%C3%A9cret+";
	AUTO(error) struct error err = {0};
	struct form *form = NULL;

	(void)state;
	assert_true(form_parse(NULL, bytes, strlen(bytes), &form, &err));
	assert_string_equal(form_raw(form, "mdp"), " sécret ");
	form_wipe_field(form, "mdp");
	assert_null(form_raw(form, "mdp"));
	assert_null(form_get(form, "mdp"));
	for (size_t i = 0; i < form->fields[1].n; i++)
		assert_int_equal(form->fields[1].raw[i], 0);
	assert_string_equal(form_get(form, "nom"), "marie");
	talloc_free(form);
}

/* Nobody has a form before one is read. */
static void test_no_form(void **state)
{
	(void)state;
	assert_null(form_get(NULL, "a"));
	assert_null(form_raw(NULL, "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),  cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_limits),  cmocka_unit_test(test_wipe_field),
		cmocka_unit_test(test_no_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
