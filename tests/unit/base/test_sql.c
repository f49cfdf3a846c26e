/* Tests how names and constants are quoted, and how the parts of a statement are filled in. */
#include "base/sql.c"

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

static void test_fill(void **state)
{
	static const struct {
		const char *statement;
		const char *sql;
	} cases[] = {
		{"", ""},
		{"SELECT 1", "SELECT 1"},
		{"{a}", "x"},
		{"SELECT {a} FROM {long_name}, {a}", "SELECT x FROM {b}, x"},
		{"'{}' || {a} || '{1,2}' || '{A}' || '{'", "'{}' || x || '{1,2}' || '{A}' || '{'"},
		{"{{a}}", "{x}"},
		{"{b}{long_name}", "{b}"},
	};
	void *ctx = talloc_new(NULL);

	(void)state;
	/* Braces within a part's text stay as they are, and a part may be empty. */
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_string_equal(sql_fill(ctx, cases[i].statement, {"long_name", "{b}"},
					     {"a", "x"}, {"b", ""}),
				    cases[i].sql);
	talloc_free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ident_and_literal),
		cmocka_unit_test(test_array),
		cmocka_unit_test(test_fill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
