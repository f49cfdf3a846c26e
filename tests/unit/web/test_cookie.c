/* Reading a cookie from what a browser sends, or from what somebody sends instead. */
#include "web/cookie.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_find(void **state)
{
	static const struct {
		const char *header, *value;
	} cases[] = {
		{"", NULL},
		{"rgpd", NULL},
		{"rgpd=", NULL},
		{"rgpd=abc", "abc"},
		{"rgpd=abc;", "abc"},
		{"x=y; rgpd=abc; z=1", "abc"},
		{"x=y;rgpd=abc;z=1", "abc"},
		{"  rgpd=abc", "abc"},
		{"xrgpd=abc", NULL},
		{"rgpd-avant=abc", NULL},
		{"RGPD=abc", NULL},
		{"x=rgpd=abc", NULL},
		{"rgpd=abc; rgpd=abc", NULL},
		{"rgpd=; rgpd=abc", NULL},
		{"rgpd=a b", NULL},
		{"rgpd=\"abc\"", NULL},
		{"rgpd=a%20", NULL},
		{"rgpd=a/b", NULL},
		{"rgpd=é", NULL},
		{";;; ;rgpd=abc", "abc"},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		const char *got = find(NULL, cases[i].header, "rgpd");

		if (!got != !cases[i].value || (got && strcmp(got, cases[i].value) != 0))
			fail_msg("case %zu: %s", i, got ? got : "NULL");
		talloc_free((void *)(uintptr_t)got);
	}
}

/* The prefix __Host- needs TLS and the path "/". */
static void test_names(void **state)
{
	(void)state;
	assert_string_equal(name_of(&(struct web_config){.prefix = ""}, COOKIE_SESSION),
			    "__Host-rgpd");
	assert_string_equal(name_of(&(struct web_config){.prefix = "/rgpd"}, COOKIE_SESSION),
			    "rgpd");
	assert_string_equal(name_of(&(struct web_config){.prefix = "", .insecure_cookie = true},
				    COOKIE_SESSION),
			    "rgpd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
