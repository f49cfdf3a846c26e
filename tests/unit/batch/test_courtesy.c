/* Whose transactions are they?  The job's own are none of others, however late the server counts them. */
#include "batch/courtesy.c"

/* After the module: cmocka has a macro of the name fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define LONG_AGO 1000000 /* the counter, before the job */

/* Looks every half second; the counter then has shown so many more. */
static void look_at(struct courtesy *c, const int64_t *shown, int n)
{
	int64_t ended = LONG_AGO;

	for (int i = 0; i < n; i++) {
		ended += shown[i];
		count(c, 1 + (int64_t)i * LOOK_MS, ended);
	}
}

static void test_own_are_not_others(void **state)
{
	/* The checks before the first look ran 3,000, which the server shows only behind it. */
	static const int64_t shown[] = {0, 0, 2000, 0, 1000, 0, 0, 3};

	(void)state;
	for (int n = 1; n <= 8; n++) {
		struct courtesy *one = courtesy_new(true);

		(void)atomic_fetch_add(&one->ours, 3600);
		look_at(one, shown, n);
		assert_null(courtesy_reason(one));
		courtesy_free(one);
	}
}

static void test_others_are_seen(void **state)
{
	/* 5,000 of our own were shown before the first look: they hide others for seconds only. */
	struct courtesy *c = courtesy_new(true);
	int looks = 0;

	(void)state;
	(void)atomic_fetch_add(&c->ours, 5000);
	count(c, 1, LONG_AGO);
	while (!courtesy_reason(c) && looks < 1000) {
		looks++;
		count(c, 1 + (int64_t)looks * LOOK_MS, LONG_AGO + looks * (int64_t)100);
	}
	assert_in_range(looks, 2, 20000 / LOOK_MS);
	courtesy_free(c);
}

static void test_reset(void **state)
{
	struct courtesy *c = courtesy_new(true);

	(void)state;
	count(c, 1, LONG_AGO);
	(void)atomic_fetch_add(&c->ours, 50);
	count(c, 501, 10);
	assert_null(courtesy_reason(c));
	assert_int_equal(atomic_load(&c->ours), 0);
	count(c, 1001, 1010);
	assert_non_null(courtesy_reason(c));
	courtesy_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_are_not_others),
		cmocka_unit_test(test_others_are_seen),
		cmocka_unit_test(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
