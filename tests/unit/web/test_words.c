/* Filters: values as French and English write them; what a filter cannot read stays as it is. */
#include "web/words.c"

/* After the module: cmocka has a macro of the name fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct {
	const char *filter, *text, *french, *english;
} cases[] = {
	{"number", "0", "0", "0"},
	{"number", "999", "999", "999"},
	{"number", "1204", "1\u202f204", "1,204"},
	{"number", "-1234567", "-1\u202f234\u202f567", "-1,234,567"},
	{"number", "1234.5", "1\u202f234,5", "1,234.5"},
	{"number", "12a", "12a", "12a"},
	{"number", "1.2.3", "1.2.3", "1.2.3"},
	{"number", "", "", ""},
	{"number", "<b>", "<b>", "<b>"},
	{"bytes", "0", "0\u00a0o", "0\u00a0bytes"},
	{"bytes", "1023", "1\u202f023\u00a0o", "1,023\u00a0bytes"},
	{"bytes", "1024", "1\u00a0ko", "1\u00a0kB"},
	{"bytes", "1572864", "1,5\u00a0Mo", "1.5\u00a0MB"},
	{"bytes", "12582912", "12\u00a0Mo", "12\u00a0MB"},
	{"bytes", "1048575", "1\u00a0Mo", "1\u00a0MB"},
	{"bytes", "9223372036854775807", "8\u202f388\u202f608\u00a0To", "8,388,608\u00a0TB"},
	{"bytes", "many", "many", "many"},
	{"day", "2026-11-01", "1er nov. 2026", "1 Nov 2026"},
	{"day", "2024-02-29", "29 févr. 2024", "29 Feb 2024"},
	{"day", "2026-08-15 10:02:03+02", "15 août 2026", "15 Aug 2026"},
	{"day", "2026-02-30", "2026-02-30", "2026-02-30"},
	{"day", "infinity", "infinity", "infinity"},
	{"day", "2026-11-011", "2026-11-011", "2026-11-011"},
	{"start", "2024-01-01/2024-01-31", "1er", "1"},
	{"start", "2024-01-31/2024-02-29", "31 janv.", "31 Jan"},
	{"start", "2023-12-31/2024-01-30", "31 déc. 2023", "31 Dec 2023"},
	{"start", "2024-01-05/2024-01-05", "5 janv.", "5 Jan"},
	{"start", "2024-01-05/", "2024-01-05/", "2024-01-05/"},
	{"start", "2024-01-05", "2024-01-05", "2024-01-05"},
	{"time", "2026-11-01 00:04:11.123+01", "1er nov. 2026, 00:04", "1 Nov 2026, 00:04"},
	{"time", "2026-11-29T13:34", "29 nov. 2026, 13:34", "29 Nov 2026, 13:34"},
	{"time", "2026-11-29", "2026-11-29", "2026-11-29"},
	{"time", "2026-11-29 1:34:00", "2026-11-29 1:34:00", "2026-11-29 1:34:00"},
	{"ago", "-3", "à l’instant", "just now"},
	{"ago", "0.4", "à l’instant", "just now"},
	{"ago", "59", "il y a 59\u00a0s", "59 s ago"},
	{"ago", "61.5", "il y a 1\u00a0min", "1 min ago"},
	{"ago", "7200", "il y a 2\u00a0h", "2 h ago"},
	{"ago", "172800", "il y a 2\u00a0jours", "2 days ago"},
	{"ago", "soon", "soon", "soon"},
	{"span", "5", "moins d’une minute", "less than a minute"},
	{"span", "80", "environ 1 minute", "about 1 minute"},
	{"span", "120", "environ 2 minutes", "about 2 minutes"},
	{"span", "3600", "environ 1 heure", "about 1 hour"},
	{"span", "180000", "environ 2 jours", "about 2 days"},
	{"depth", "1 year 6 mons", "18 mois", "18 months"},
	{"depth", "1 mon", "1 mois", "1 month"},
	{"depth", "18 months", "18 mois", "18 months"},
	{"depth", "3 years", "36 mois", "36 months"},
	{"depth", "90 days", "90 jours", "90 days"},
	{"depth", "2 weeks", "14 jours", "14 days"},
	{"depth", "1 year 1 day", "12 mois, 1 jour", "12 months, 1 day"},
	{"depth", "01:00:00", "01:00:00", "01:00:00"},
	{"depth", "1 year ", "1 year ", "1 year "},
	{"depth", "2 s", "2 s", "2 s"},
	{"depth", "", "", ""},
	{"action", "delete_contacts", "suppression de contacts", "deletion of contacts"},
	{"action", "something", "something", "something"},
	{"status", "saved", "enregistrée", "saved"},
	{"status", "running", "en cours", "running"},
	{"tag", "saved", "warn", "warn"},
	{"tag", "failed", "bad", "bad"},
	{"tag", "cancelled", "", ""},
	{"archive", "full", "archive complète", "full archive"},
	{"waiting", "locks", "Attend une ligne que quelqu’un modifie.",
	 "Waits for a row that somebody is changing."},
	{"event", "hold_placed", "blocage posé", "hold placed"},
	{"event", "<script>", "<script>", "<script>"},
};

static void test_filters(void **state)
{
	void *ctx = talloc_new(NULL);

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_true(words_knows(cases[i].filter));
		assert_string_equal(
			words_filter(ctx, language_named("fr"), cases[i].filter, cases[i].text),
			cases[i].french);
		assert_string_equal(
			words_filter(ctx, language_named("en"), cases[i].filter, cases[i].text),
			cases[i].english);
	}
	talloc_free(ctx);
}

static void test_each_word_is_translated(void **state)
{
	static const struct word *const lists[] = {actions, archives, waits, events};
	const struct language *french = language_named("fr");
	void *ctx = talloc_new(NULL);

	(void)state;
	for (size_t i = 0; i < LENGTH(lists); i++)
		for (const struct word *w = lists[i]; w->word; w++)
			if (strcmp(w->english, "export") != 0)
				assert_string_not_equal(translate(ctx, french, lists[i], w->word),
							w->english);
	talloc_free(ctx);
}

static void test_unknown_filter(void **state)
{
	(void)state;
	assert_false(words_knows("raw"));
	assert_null(words_filter(NULL, language_named("en"), "raw", "x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_filters),
					   cmocka_unit_test(test_each_word_is_translated),
					   cmocka_unit_test(test_unknown_filter)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
