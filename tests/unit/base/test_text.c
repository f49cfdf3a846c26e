/* Texts of others: control characters never reach a terminal or a file as they are. */
#include "base/text.c"

/* After the module: cmocka has a macro of the name fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *text;
	const char *plain;
	const char *one_line;
	const char *quoted;
} cases[] = {
	{"", "", "", "\"\""},
	{"prénom ΣЖ漢 €", "prénom ΣЖ漢 €", "prénom ΣЖ漢 €", "\"prénom ΣЖ漢 €\""},
	{"a\nb\tc\rd", "a\nb?c?d", "a b c d", "\"a\\nb\\tc\\x0dd\""},
	{"\033[31m\177", "?[31m?", "?[31m?", "\"\\x1b[31m\\x7f\""},
	{"C1 \302\233m\302\240", "C1 ??m\302\240", "C1 ??m\302\240", "\"C1 \\xc2\\x9bm\302\240\""},
	{"a\342\200\256b\342\200\250", "a???b???", "a???b???",
	 "\"a\\xe2\\x80\\xaeb\\xe2\\x80\\xa8\""},
	{"\342\201\246\342\201\252\342\200", "???\342\201\252\342\200", "???\342\201\252\342\200",
	 "\"\\xe2\\x81\\xa6\342\201\252\342\200\""},
	{"\"\\\n@include \"x\"", "\"\\\n@include \"x\"", "\"\\ @include \"x\"",
	 "\"\\\"\\\\\\n@include \\\"x\\\"\""},
};

static void test_control_characters(void **state)
{
	void *ctx = talloc_new(NULL);

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_string_equal(text_plain(t_strdup(ctx, cases[i].text)), cases[i].plain);
		assert_string_equal(text_one_line(t_strdup(ctx, cases[i].text)), cases[i].one_line);
		assert_string_equal(text_quoted(ctx, cases[i].text), cases[i].quoted);
	}
	talloc_free(ctx);
}

/* What HTML must not hold as it is, and what stands there instead. */
static void test_special(void **state)
{
	static const struct {
		const char *text;
		size_t bytes;
		const char *instead;
	} markup[] = {
		{"&", 1, "&amp;"},
		{"<b", 1, "&lt;"},
		{">", 1, "&gt;"},
		{"\"", 1, "&quot;"},
		{"'", 1, "&#39;"},
		{"\x1b[", 1, "\xef\xbf\xbd"},
		{"\x7f", 1, "\xef\xbf\xbd"},
		{"\xc2\x85", 2, "\xef\xbf\xbd"},
		{"\xe2\x80\xae", 3, "\xef\xbf\xbd"},
		{"a", 0, NULL},
		{"\n", 0, NULL},
		{"\t", 0, NULL},
		{"", 0, NULL},
		{"\xc3\xa9", 0, NULL},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(markup); i++) {
		const char *instead = NULL;

		assert_int_equal(text_special(markup[i].text, &instead), markup[i].bytes);
		if (markup[i].instead)
			assert_string_equal(instead, markup[i].instead);
	}
}

static void test_forbidden(void **state)
{
	static const struct {
		const char *message;
		const char *hint; /* NULL: none */
		const char *hint_of_unit;
	} cases_of_hosts[] = {
		{"port 5432 failed: Connection refused", NULL, NULL},
		{"FATAL:  28P01: password authentication failed", NULL, NULL},
		{"port 5432 failed: Operation not permitted", "firewall", "firewall"},
		{"no connection within 15 s", NULL, "retentiond-database.conf"},
		{"port 5432 failed: timeout expired", NULL, "retentiond-database.conf"},
		{"port 5432 failed: Connection timed out", NULL, "retentiond-database.conf"},
		{"could not translate host name \"db\" to address: ", NULL, "hostaddr"},
	};

	(void)state;
	for (size_t i = 0; i < 2 * COUNT(cases_of_hosts); i++) {
		const bool unit = i % 2 == 1;
		const char *hint =
			unit ? cases_of_hosts[i / 2].hint_of_unit : cases_of_hosts[i / 2].hint;

		if (unit)
			(void)setenv("INVOCATION_ID", "0123", true);
		else
			(void)unsetenv("INVOCATION_ID");
		if (hint)
			assert_non_null(
				strstr(text_forbidden(cases_of_hosts[i / 2].message), hint));
		else
			assert_string_equal(text_forbidden(cases_of_hosts[i / 2].message), "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_control_characters),
					   cmocka_unit_test(test_special),
					   cmocka_unit_test(test_forbidden)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
