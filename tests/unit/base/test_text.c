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

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_control_characters)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
