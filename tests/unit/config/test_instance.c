/* Names of instances: which file -c means, and which name a file has. */
#include "config/instance.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ETC SYSCONFDIR "/retentiond/"

static void test_path(void **state)
{
	static const char *const cases[][2] = {
		{"acme", ETC "acme.conf"},
		{"acme.eu", ETC "acme.eu.conf"},
		{"retentiond", ETC "retentiond.conf"},
		{"retentiond@acme", ETC "acme.conf"}, /* the unit's name */
		{"conf", ETC "conf.conf"},
		/* files, as they are */
		{"acme.conf", "acme.conf"},
		{"./acme", "./acme"},
		{"/srv/x", "/srv/x"},
		{"/etc/retentiond/acme.conf", "/etc/retentiond/acme.conf"},
		{"retentiond@acme.conf", "retentiond@acme.conf"},
		{".conf", ".conf"},
		{"", ""},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));

		assert_string_equal(instance_path(ctx, cases[i][0]), cases[i][1]);
	}
}

static void test_page_path(void **state)
{
	static const char *const cases[][2] = {
		{"acme", ETC "web@acme.conf"},
		{"retentiond-web@acme", ETC "web@acme.conf"},
		{"retentiond-web", ETC "web.conf"},
		{"web.conf", "web.conf"},
		{"./acme", "./acme"},
		{"", ""},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));

		assert_string_equal(instance_page_path(ctx, cases[i][0]), cases[i][1]);
	}
}

static void test_name(void **state)
{
	static const char *const cases[][2] = {
		{ETC "acme.conf", "acme"},
		{ETC "Acme-2.eu.conf", "Acme-2.eu"},
		{ETC "web@acme.conf", "acme"},
		{ETC "retentiond.conf", NULL}, /* the daemon and the page that have no name */
		{ETC "web.conf", NULL},
		{ETC "web@.conf", NULL},
		{ETC "x@acme.conf", NULL},
		{ETC ".conf", NULL},
		{ETC "acme", NULL},
		{ETC "fleet/acme.conf", NULL}, /* a part of one, or a file elsewhere */
		{ETC "a\"b.conf", NULL},
		{ETC "a b.conf", NULL},
		{"acme.conf", NULL},
		{"/srv/acme.conf", NULL},
		{"", NULL},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
		const char *name = instance_name(ctx, cases[i][0]);

		if (cases[i][1])
			assert_string_equal(name, cases[i][1]);
		else
			assert_null(name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_page_path),
		cmocka_unit_test(test_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
