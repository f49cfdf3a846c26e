/* How often a password may be tried. */
#include "web/tries.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct tries *new_tries(void)
{
	return tries_new(NULL);
}

static void test_a_name(void **state)
{
	struct tries *tries = new_tries();

	(void)state;
	for (int i = 0; i < NAME_MAX_TRIES; i++)
		assert_true(tries_begin(tries, "marie", "a", 1000 * i));
	assert_false(tries_begin(tries, "marie", "a", 5000));
	assert_false(tries_begin(tries, "marie", "another address", WINDOW_MS - 1));
	assert_true(tries_begin(tries, "paul", "a", 5000));
	/* A minute after the first one there is place for one, and one only. */
	assert_true(tries_begin(tries, "marie", "a", WINDOW_MS));
	assert_false(tries_begin(tries, "marie", "a", WINDOW_MS + 999));
	assert_true(tries_begin(tries, "marie", "a", WINDOW_MS + 1000));
	talloc_free(tries);
}

static void test_an_address(void **state)
{
	struct tries *tries = new_tries();
	char name[16];

	(void)state;
	for (int i = 0; i < ADDRESS_MAX_TRIES; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		assert_true(tries_begin(tries, name, "192.0.2.1", 0));
	}
	assert_false(tries_begin(tries, "marie", "192.0.2.1", 0));
	assert_true(tries_begin(tries, "marie", "192.0.2.2", 0));
	/* A refused try counts for neither. */
	for (int i = 0; i < 10; i++)
		assert_false(tries_begin(tries, "paul", "192.0.2.1", 1));
	for (int i = 0; i < NAME_MAX_TRIES; i++)
		assert_true(tries_begin(tries, "paul", "192.0.2.3", 2));
	talloc_free(tries);
}

/* A name is not an address, although both are texts. */
static void test_kinds(void **state)
{
	struct tries *tries = new_tries();

	(void)state;
	for (int i = 0; i < NAME_MAX_TRIES; i++)
		assert_true(tries_begin(tries, "192.0.2.1", "192.0.2.9", 0));
	assert_true(tries_begin(tries, "marie", "192.0.2.1", 0));
	talloc_free(tries);
}

static void test_forgiven(void **state)
{
	struct tries *tries = new_tries();

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_true(tries_begin(tries, "marie", "a", i));
		tries_forgive(tries, "marie", "a");
	}
	tries_forgive(tries, "nobody", "b"); /* counts nothing below 0 */
	for (int i = 0; i < NAME_MAX_TRIES; i++)
		assert_true(tries_begin(tries, "nobody", "b", 100));
	assert_false(tries_begin(tries, "nobody", "b", 100));
	talloc_free(tries);
}

/* As many other names as there are places push a name out; fewer do not. */
static void test_places(void **state)
{
	struct tries *tries = new_tries();
	char name[16], address[16];

	(void)state;
	for (int i = 0; i < NAME_MAX_TRIES; i++)
		assert_true(tries_begin(tries, "marie", "a", 0));
	for (int i = 0; i < PLACES - 300; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		(void)snprintf(address, sizeof(address), "a%d", i / ADDRESS_MAX_TRIES);
		assert_true(tries_begin(tries, name, address, 1));
	}
	assert_false(tries_begin(tries, "marie", "b", 2));
	talloc_free(tries);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_name), cmocka_unit_test(test_an_address),
		cmocka_unit_test(test_kinds),  cmocka_unit_test(test_forgiven),
		cmocka_unit_test(test_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
