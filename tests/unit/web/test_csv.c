/* CSV: a cell with a separator is quoted, and one that a program for tables would run is made a text. */
#include "web/csv.c"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* The line of a row with one cell, and one that is NULL. */
static void gives(const char *value, const char *wanted)
{
	PGresAttDesc columns[] = {{.name = (char[]){"a"}}, {.name = (char[]){"=b"}}};
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	struct evbuffer *out = evbuffer_new();
	AUTO(char_p) char *copy = xstrdup(value);

	assert_true(PQsetResultAttrs(res, 2, columns));
	assert_true(PQsetvalue(res, 0, 0, copy, (int)strlen(copy)));
	assert_true(PQsetvalue(res, 0, 1, NULL, -1));
	csv_row(out, res, 0);
	(void)evbuffer_add(out, "", 1);
	assert_string_equal((const char *)evbuffer_pullup(out, -1), wanted);
	(void)evbuffer_drain(out, evbuffer_get_length(out));
	csv_head(out, res);
	(void)evbuffer_add(out, "", 1);
	assert_string_equal((const char *)evbuffer_pullup(out, -1), "\xef\xbb\xbf"
								    "a,'=b\r\n");
	evbuffer_free(out);
	PQclear(res);
}

static void test_cells(void **state)
{
	(void)state;
	gives("", ",\r\n");
	gives("dossier 12", "dossier 12,\r\n");
	gives("a,b", "\"a,b\",\r\n");
	gives("say \"x\"", "\"say \"\"x\"\"\",\r\n");
	gives("\"", "\"\"\"\",\r\n");
	gives("two\nlines", "\"two\nlines\",\r\n");
	gives("é œ", "é œ,\r\n");
}

static void test_formulas(void **state)
{
	(void)state;
	gives("=1+1", "'=1+1,\r\n");
	gives("+33", "'+33,\r\n");
	gives("-2", "'-2,\r\n");
	gives("@sum", "'@sum,\r\n");
	gives("\tx", "'\tx,\r\n");
	gives("\rx", "\"'\rx\",\r\n");
	gives("=\"a\",b", "\"'=\"\"a\"\",b\",\r\n");
	gives("a=b", "a=b,\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cells),
		cmocka_unit_test(test_formulas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
