/* Tests how names are quoted, statements filled, and the template of a rule becomes SQL. */
#include "plan/rule.c"

/* After the module: cmocka has a macro of the name fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_ident_and_literal(void **state)
{
	static const struct {
		const char *text;
		const char *ident;
		const char *literal;
	} cases[] = {
		{"id", "\"id\"", "'id'"},
		{"", "\"\"", "''"},
		{"First Name", "\"First Name\"", "'First Name'"},
		{"we\"ird", "\"we\"\"ird\"", "'we\"ird'"},
		{"O'Brien''", "\"O'Brien''\"", "'O''Brien'''''"},
		{"\"'", "\"\"\"'\"", "'\"'''"},
		{"prénom;\\", "\"prénom;\\\"", "'prénom;\\'"},
	};
	void *ctx = talloc_new(NULL);

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_string_equal(sql_ident(ctx, cases[i].text), cases[i].ident);
		assert_string_equal(sql_literal(ctx, cases[i].text), cases[i].literal);
	}
	assert_string_equal(sql_table(ctx, "My.Schema", "a\"b"), "\"My.Schema\".\"a\"\"b\"");
	talloc_free(ctx);
}

static void test_array(void **state)
{
	static const char *const items[] = {"", "NULL", "a,b", "{\"c\"}", "d\\"};
	void *ctx = talloc_new(NULL);

	(void)state;
	assert_string_equal(sql_array(ctx, items, 0), "{}");
	assert_string_equal(sql_array(ctx, items, COUNT(items)),
			    "{\"\",\"NULL\",\"a,b\",\"{\\\"c\\\"}\",\"d\\\\\"}");
	talloc_free(ctx);
}

static void test_template(void **state)
{
	static const struct {
		const char *value;
		const char *sql;
		const char *pattern; /* NULL: holds no {number} */
	} cases[] = {
		{"", "''", NULL},
		{"gone", "'gone'", NULL},
		{"L_{key}", "'L_' || (t.\"id\")::text", NULL},
		{"{key}", "(t.\"id\")::text", NULL},
		{"{number}", "(n)::text", "'^[0-9]+$'"},
		{"F_{number}", "'F_' || (n)::text", "'^F_[0-9]+$'"},
		{"{number}{number}.x", "(n)::text || (n)::text || '.x'", "'^[0-9]+[0-9]+\\.x$'"},
		{"it's (a+b)|[{number}]?", "'it''s (a+b)|[' || (n)::text || ']?'",
		 "'^it''s \\(a\\+b\\)\\|\\[[0-9]+\\]\\?$'"},
	};
	const struct table t = {.name = "contact", .schema = "public", .table = "c", .key = "id"};
	void *ctx = talloc_new(NULL);

	(void)state;
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
		cmocka_unit_test(test_ident_and_literal),
		cmocka_unit_test(test_array),
		cmocka_unit_test(test_template),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
