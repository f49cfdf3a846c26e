/* The catalogue as bytes: texts, plural forms, refusals, Accept-Language. */
#include "web/language.c"

/* After the module: cmocka has a macro of the name fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(language_name(language_named("fr")), "fr");
	assert_string_equal(language_name(language_named("en")), "en");
	assert_null(language_named("de"));
	assert_null(language_named(""));
}

static void test_texts(void **state)
{
	const struct language *fr = language_named("fr"), *en = language_named("en");

	(void)state;
	assert_string_equal(language_text(fr, "Overview"), "Vue d’ensemble");
	assert_string_equal(language_text(en, "Overview"), "Overview");
	assert_string_equal(language_text(fr, "delete_contacts"), "suppression de contacts");
	assert_string_equal(language_text(fr, "not in the catalogue"), "not in the catalogue");
	assert_string_equal(language_text(fr, ""), ""); /* not the catalogue's head */
}

/* The first and the last original of the table are found as all others are. */
static void test_each_original_is_found(void **state)
{
	const struct language *fr = language_named("fr");
	const uint32_t n = number_at(fr, 8);

	(void)state;
	assert_int_equal(number_at(fr, 0), MAGIC);
	assert_in_range(n, 300, 5000);
	for (uint32_t i = 1; i < n; i++)
		assert_ptr_equal(language_text(fr, string_at(fr, number_at(fr, 12), i)),
				 string_at(fr, number_at(fr, 16), i));
}

static void test_plurals(void **state)
{
	static const struct {
		long long n;
		const char *french, *english;
	} cases[] = {
		{0, "environ $1 heure", "about $1 hours"},
		{1, "environ $1 heure", "about $1 hour"},
		{2, "environ $1 heures", "about $1 hours"},
		{1000000, "environ $1 heures", "about $1 hours"},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_string_equal(language_plural(language_named("fr"), "about $1 hour",
						    "about $1 hours", cases[i].n),
				    cases[i].french);
		assert_string_equal(language_plural(language_named("en"), "about $1 hour",
						    "about $1 hours", cases[i].n),
				    cases[i].english);
	}
	/* A text that the catalogue has without a plural: nothing behind it is read. */
	assert_string_equal(language_plural(language_named("fr"), "Overview", "Overviews", 2),
			    "Overviews");
}

static void test_refusals(void **state)
{
	const struct language *fr = language_named("fr"), *en = language_named("en");
	void *ctx = talloc_new(NULL);

	(void)state;
	assert_string_equal(
		language_refused(ctx, fr, "retention.validate_not_saved", "7\nrunning", "english"),
		"l’action 7 est en cours\u00a0: seule une action enregistrée peut être "
		"validée");
	assert_string_equal(language_refused(ctx, en, "retention.validate_not_saved", "7\nrunning",
					     "action 7 is\nrunning"),
			    "action 7 is running");
	assert_string_equal(language_refused(ctx, fr, "retention.id_unknown", NULL, "english"),
			    "il n’y a pas d’action ");
	assert_string_equal(language_refused(ctx, fr, "retention.not_there", "7", "english"),
			    "english");
	assert_string_equal(language_refused(ctx, fr, NULL, NULL, "english"), "english");
	/* A value is no word of the catalogue unless it is a status, and holds no "$1" of its own. */
	assert_string_equal(language_refused(ctx, fr, "retention.id_unknown", "$1", "english"),
			    "il n’y a pas d’action $1");
	assert_string_equal(language_refused(ctx, fr, "retention.id_unknown", "Overview", "e"),
			    "il n’y a pas d’action Overview");
	talloc_free(ctx);
}

static void test_accepted(void **state)
{
	static const struct {
		const char *header, *name;
	} cases[] = {
		{NULL, "en"},
		{"", "en"},
		{"fr", "fr"},
		{"FR-ca", "fr"},
		{"de, fr;q=0.8", "fr"},
		{"de,es;q=0.5", "en"},
		{"fr;q=0, en", "en"},
		{"fr;q=0.0,de", "en"},
		{"en-GB,en;q=0.9,fr;q=0.8", "en"},
		{"frr, fro", "en"},
		{",,, ,fr", "fr"},
		{"*", "en"},
		{"f", "en"},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		assert_string_equal(
			language_name(language_accepted(cases[i].header, language_named("en"))),
			cases[i].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_names),
					   cmocka_unit_test(test_texts),
					   cmocka_unit_test(test_each_original_is_found),
					   cmocka_unit_test(test_plurals),
					   cmocka_unit_test(test_refusals),
					   cmocka_unit_test(test_accepted)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
