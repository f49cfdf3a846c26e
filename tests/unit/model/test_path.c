/* Tests which names are paths within a document, and what they are in SQL. */
#include "model/path.c"

/* After the module: cmocka has a macro of the name fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_paths(void **state)
{
	static const struct {
		const char *name, *sql, *index, *key;
	} cases[] = {
		{"doc ->> 'id'", "(\"doc\" ->> 'id')", "((doc ->> 'id'::text))", "id"},
		{"doc->'user'->>'id'", "(\"doc\" -> 'user' ->> 'id')",
		 "(((doc -> 'user'::text) ->> 'id'::text))", "user"},
		{"my doc  ->  'o''b' ->> '' ", "(\"my doc\" -> 'o''b' ->> '')",
		 "(((my doc -> 'o''b'::text) ->> ''::text))", "o'b"},
		{"a\"b ->> 'c -> ''d'''", "(\"a\"\"b\" ->> 'c -> ''d''')",
		 "((a\"b ->> 'c -> ''d'''::text))", "c -> 'd'"},
	};
	void *ctx = talloc_new(NULL);

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		const char *name = cases[i].name;
		const char *column = path_column(ctx, name);

		assert_true(path_is(name));
		assert_string_equal(path_sql(ctx, name, sql_ident(ctx, column)), cases[i].sql);
		assert_string_equal(path_index_sql(ctx, name, column), cases[i].index);
		assert_string_equal(path_key(ctx, name), cases[i].key);
	}
	talloc_free(ctx);
}

static void test_no_paths(void **state)
{
	static const char *const names[] = {
		"",
		"doc",
		"->> 'id'",
		"  ->> 'id'",
		"doc -> 'id'",
		"doc ->> 'a' ->> 'b'",
		"doc ->> 'a' -> 'b'",
		"doc ->> id",
		"doc ->> 'id",
		"doc ->> 'id''",
		"doc ->> 'id' OR true",
		"doc ->> 'id') OR (true",
		"doc -> 0 ->> 'id'",
		"doc #>> '{a}'",
		"doc ->>> 'id'",
		"doc -> ",
		"doc ->",
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(names); i++) {
		print_message("%s\n", names[i]);
		assert_false(path_is(names[i]));
	}
}

static void test_index(void **state)
{
	static const char *const names[] = {"tenant", "doc ->> 'id'"};
	void *ctx = talloc_new(NULL);
	const char *list = path_idents(ctx, &(struct columns){names, LENGTH(names)});

	(void)state;
	assert_string_equal(list, "\"tenant\", ((\"doc\" ->> 'id'))");
	talloc_free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_no_paths),
		cmocka_unit_test(test_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
