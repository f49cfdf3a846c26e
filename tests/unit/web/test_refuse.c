/* The table of SQLSTATEs. */
#include "web/refuse.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_statuses(void **state)
{
	static const struct {
		const char *sqlstate;
		int status;
	} cases[] = {
		{"22023", 422}, {"22P02", 422}, {"22007", 422}, {"22008", 422}, {"22012", 500},
		{"55000", 409}, {"55006", 500}, {"P0002", 404}, {"P0001", 500}, {"42501", 403},
		{"42P01", 500}, {"57014", 503}, {"55P03", 503}, {"08006", 503}, {"08P01", 503},
		{"57P01", 503}, {"57P03", 503}, {"57P05", 503}, {"23505", 500}, {"40P01", 500},
		{"25006", 500}, {"XX000", 500}, {"00000", 500}, {"", 500},      {NULL, 503},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		if (refuse_status(cases[i].sqlstate) != cases[i].status)
			fail_msg("%s: %d", cases[i].sqlstate ? cases[i].sqlstate : "NULL",
				 refuse_status(cases[i].sqlstate));
}

/* The days of a refusal are written for a person, and what looks like one inside of a name is not. */
static void test_days(void **state)
{
	static const struct {
		const char *text, *french, *english;
	} cases[] = {
		{"", "", ""},
		{"from 2024-01-01 to 2024-03-31.", "from 1er janv. 2024 to 31 mars 2024.",
		 "from 1 Jan 2024 to 31 Mar 2024."},
		{"2024-02-30", "2024-02-30", "2024-02-30"},
		{"rule a-2024-01-01", "rule a-2024-01-01", "rule a-2024-01-01"},
		{"rule a2024-01-01", "rule a2024-01-01", "rule a2024-01-01"},
		{"12024-01-01, 2024-01-012", "12024-01-01, 2024-01-012",
		 "12024-01-01, 2024-01-012"},
	};
	void *ctx = talloc_new(NULL);

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_string_equal(with_days(ctx, language_named("fr"), cases[i].text),
				    cases[i].french);
		assert_string_equal(with_days(ctx, language_named("en"), cases[i].text),
				    cases[i].english);
	}
	talloc_free(ctx);
}

/* A result of the server that failed so; NULL fields are not there. */
static PGresult *refused_by(void)
{
	PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR);

	assert_non_null(result);
	return result;
}

/* Whatever the database says: without an id of ours its words are not shown. */
static void test_lost(void **state)
{
	const struct language *english = language_named("en");
	void *ctx = talloc_new(NULL);
	struct refusal refusal;
	PGresult *result = refused_by();

	(void)state;
	refuse_fill(ctx, english, NULL, false, &refusal);
	assert_int_equal(refusal.status, 503);
	assert_string_equal(refusal.text, refuse_sentence(503));
	assert_null(refusal.id);
	assert_null(refusal.field);
	assert_true(refusal.is_away);
	/* An act may be done although its answer was lost. */
	refuse_fill(ctx, english, NULL, true, &refusal);
	assert_non_null(strstr(refusal.text, "Look whether it is done"));
	assert_false(refusal.is_away);
	refuse_fill(ctx, english, result, false, &refusal);
	assert_int_equal(refusal.status, 503);
	PQclear(result);
	talloc_free(ctx);
}

static void test_usual(void **state)
{
	static const int statuses[] = {400, 401, 403, 404, 405, 409, 421, 422, 429, 500, 503};

	(void)state;
	for (size_t i = 0; i < LENGTH(statuses); i++) {
		assert_int_equal(usual[usual_of(statuses[i])].status, statuses[i]);
		assert_true(*refuse_title(statuses[i]) && *refuse_sentence(statuses[i]));
	}
	assert_string_equal(refuse_title(418), refuse_title(500));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_days),
		cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_usual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
