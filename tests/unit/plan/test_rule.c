/* Tests how the template of a rule becomes SQL: an expression, and a pattern of what it has written. */
#include "plan/rule.c"

/* After the module: cmocka has a macro of the name fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define NAMED(name) (&(const struct columns){(const char *const[]){name}, 1})
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_template(void **state)
{
	static const struct {
		const char *value;
		const char *sql;
		const char *pattern; /* NULL: holds no {number} */
	} cases[] = {
		{"", "''", NULL},
		{"gone", "'gone'", NULL},
		{"L_{key}", "'L_' || t.\"id\"::text", NULL},
		{"{key}", "t.\"id\"::text", NULL},
		{"{number}", "(n)::text", "'^[0-9]+$'"},
		{"F_{number}", "'F_' || (n)::text", "'^F_[0-9]+$'"},
		{"{number}{number}.x", "(n)::text || (n)::text || '.x'", "'^[0-9]+[0-9]+\\.x$'"},
		{"it's (a+b)|[{number}]?", "'it''s (a+b)|[' || (n)::text || ']?'",
		 "'^it''s \\(a\\+b\\)\\|\\[[0-9]+\\]\\?$'"},
	};
	const struct table t = {
		.name = "contact", .schema = "public", .table = "c", .key = NAMED("id")};
	const struct catalog catalog = {0};
	struct plan *ctx = talloc_zero(NULL, struct plan);

	(void)state;
	ctx->catalog = &catalog;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_string_equal(template_text(ctx, &t, cases[i].value, "t", "n"), cases[i].sql);
		if (cases[i].pattern)
			assert_string_equal(number_pattern(ctx, cases[i].value), cases[i].pattern);
	}
	talloc_free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_template),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
