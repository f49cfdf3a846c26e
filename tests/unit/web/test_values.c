/* The values of a template: names of a row before those around it, NULL, booleans, rows of a result. */
#include "web/values.c"

/* After the module: cmocka has a macro of the name fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Checks that the name is known, with this text. */
static void holds(const struct values *v, const char *name, const char *wanted)
{
	bool known = false;
	const char *text = values_get(v, name, &known);

	assert_true(known);
	if (wanted)
		assert_string_equal(text, wanted);
	else
		assert_null(text);
}

static void lacks(const struct values *v, const char *name)
{
	bool known = true;

	assert_null(values_get(v, name, &known));
	assert_false(known);
}

static void test_texts(void **state)
{
	struct values *v = values_new(NULL);
	char text[] = "first";

	(void)state;
	lacks(v, "a");
	values_set(v, "a", text);
	text[0] = '?'; /* it was copied */
	holds(v, "a", "first");
	values_set(v, "a", NULL);
	holds(v, "a", NULL);
	values_setf(v, "a", "%d %s", 7, "<b>");
	holds(v, "a", "7 <b>");
	values_flag(v, "yes", true);
	values_flag(v, "no", false);
	holds(v, "yes", "true");
	holds(v, "no", NULL);
	values_set(v, "", "");
	holds(v, "", "");
	talloc_free(v);
}

static void test_rows_see_what_is_around(void **state)
{
	struct values *v = values_new(NULL), *row, *inner;

	(void)state;
	assert_int_equal(values_count(v, "rows"), -1);
	values_list(v, "rows");
	assert_int_equal(values_count(v, "rows"), 0);
	assert_null(values_at(v, "rows", 0));
	row = values_add(v, "rows");
	values_list(v, "rows"); /* stays as it is */
	assert_int_equal(values_count(v, "rows"), 1);
	assert_ptr_equal(values_at(v, "rows", 0), row);
	assert_null(values_at(v, "rows", 1));
	assert_null(values_at(v, "rows", -1));
	inner = values_add(row, "inner");
	values_set(v, "name", "outer");
	holds(inner, "name", "outer");
	values_set(row, "name", NULL); /* hides the outer one */
	holds(inner, "name", NULL);
	holds(v, "name", "outer");
	assert_int_equal(values_count(inner, "rows"), 1);
	assert_int_equal(values_count(v, "inner"), -1);
	values_set(inner, "n", "1");
	lacks(row, "n");
	talloc_free(v);
}

/* A result as the server gives it: a text, a boolean, an integer. */
static PGresult *result(void)
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc columns[3] = {{.name = (char *)(uintptr_t) "name", .typid = 25},
				   {.name = (char *)(uintptr_t) "flag", .typid = TYPE_BOOLEAN},
				   {.name = (char *)(uintptr_t) "t", .typid = 23}};
	static char yes[] = "t", no[] = "f", name[] = "o'brien";

	assert_true(PQsetResultAttrs(res, 3, columns));
	assert_true(PQsetvalue(res, 0, 0, name, 7) && PQsetvalue(res, 0, 1, yes, 1) &&
		    PQsetvalue(res, 0, 2, yes, 1));
	assert_true(PQsetvalue(res, 1, 0, NULL, -1) && PQsetvalue(res, 1, 1, no, 1) &&
		    PQsetvalue(res, 1, 2, NULL, -1));
	return res;
}

static void test_results(void **state)
{
	struct values *v = values_new(NULL);
	PGresult *res = result(), *none = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

	(void)state;
	values_rows(v, "none", none);
	assert_int_equal(values_count(v, "none"), 0);
	values_rows(v, "rows", res);
	values_rows(v, "rows", res);
	assert_int_equal(values_count(v, "rows"), 4);
	holds(values_at(v, "rows", 0), "name", "o'brien");
	holds(values_at(v, "rows", 0), "flag", "true");
	holds(values_at(v, "rows", 0), "t", "t"); /* a text that looks like a boolean */
	holds(values_at(v, "rows", 3), "name", NULL);
	holds(values_at(v, "rows", 3), "flag", NULL);
	holds(values_at(v, "rows", 3), "t", NULL);
	PQclear(res);
	PQclear(none);
	holds(values_at(v, "rows", 0), "name", "o'brien"); /* it was copied */
	talloc_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_texts),
					   cmocka_unit_test(test_rows_see_what_is_around),
					   cmocka_unit_test(test_results)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
