/* How large the next batch and the next slice may be: it shrinks at once, and comes back within a dozen batches. */
#include "batch/batch_size.c"

/* After the module: cmocka has a macro of the name fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define DOZEN 12

/* A batch as large as it may be, whose duration grows with its weight. */
static void run(struct batch_size *size, double ms_per_weight, int64_t one_weighs)
{
	int64_t weight = batch_size_weight(size);

	weight = weight < one_weighs ? one_weighs : weight / one_weighs * one_weighs;
	batch_size_adapt(size,
			 &(struct batch_took){.ms = 2 + (int64_t)((double)weight * ms_per_weight),
					      .aim_ms = 250,
					      .weight = weight,
					      .rows = 6 * weight});
}

static void test_comes_back_from_one(void **state)
{
	/* ms for a unit of weight, weight of one subject, what a full batch weighs then */
	static const struct {
		double ms_per_weight;
		int64_t one_weighs;
		double full;
	} cases[] = {
		{0.01, 1, 10000.0 / 6}, {0.1, 1, 10000.0 / 6}, {0.25, 6, 990},
		{0.4, 6, 620},          {1, 1, 248},           {2, 20, 124},
		{20, 1, 12.4},          {100, 1, 2.48},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct batch_size size = batch_size_new(10000, 0);

		for (int slow = 0; slow < 20; slow++)
			batch_size_adapt(&size,
					 &(struct batch_took){
						 .ms = 900, .aim_ms = 250, .weight = 1, .rows = 6});
		assert_int_equal(batch_size_weight(&size), 1);
		for (int good = 0; good < DOZEN; good++)
			run(&size, cases[i].ms_per_weight, cases[i].one_weighs);
		assert_true(size.weight >= 0.7 * cases[i].full);
		assert_true(size.weight <= 1.25 * cases[i].full);
	}
}

static void test_steps(void **state)
{
	/* from a weight of 100 */
	static const struct {
		struct batch_took took;
		double next;
	} cases[] = {
		/* as it should be */
		{{.ms = 250, .aim_ms = 250, .weight = 100, .rows = 600}, 100},
		{{.ms = 270, .aim_ms = 250, .weight = 100, .rows = 600}, 100},
		{{.ms = 210, .aim_ms = 250, .weight = 100, .rows = 600}, 100},
		/* too long: in proportion, and not below 0.3 for a single stall */
		{{.ms = 500, .aim_ms = 250, .weight = 100, .rows = 600}, 50},
		{{.ms = 60000, .aim_ms = 250, .weight = 100, .rows = 600}, 30},
		/* too short: half way to the aim, at most the double */
		{{.ms = 125, .aim_ms = 250, .weight = 100, .rows = 600}, 150},
		{{.ms = 5, .aim_ms = 250, .weight = 100, .rows = 600}, 200},
		{{.ms = 0, .aim_ms = 250, .weight = 100, .rows = 600}, 200},
		/* short because it was small */
		{{.ms = 5, .aim_ms = 250, .weight = 50, .rows = 300}, 100},
		{{.ms = 5, .aim_ms = 250, .weight = 51, .rows = 306}, 200},
		/* others waited: half of what it held, however quick */
		{{.ms = 5, .aim_ms = 250, .weight = 100, .rows = 600, .blocked = true}, 50},
		{{.ms = 5, .aim_ms = 250, .weight = 1, .rows = 6, .blocked = true}, 1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct batch_size size = batch_size_new(10000, 0);

		size.weight = 100;
		batch_size_adapt(&size, &cases[i].took);
		assert_true(size.weight > cases[i].next - 0.01 &&
			    size.weight < cases[i].next + 0.01);
	}
}

static void test_keeps_to_batch_rows(void **state)
{
	struct batch_size size = batch_size_new(60, 0);

	(void)state;
	batch_size_adapt(&size,
			 &(struct batch_took){.ms = 1, .aim_ms = 250, .weight = 600, .rows = 3600});
	assert_in_range(batch_size_weight(&size), 9, 10);
	assert_in_range(batch_size_rows(&size), 59, 60);
	for (int i = 0; i < 100; i++) /* each unit has a thousand rows: still one subject */
		batch_size_adapt(&size, &(struct batch_took){
						.ms = 1, .aim_ms = 250, .weight = 1, .rows = 1000});
	assert_int_equal(batch_size_weight(&size), 1);
	for (int i = 0; i < 100; i++) /* nothing hangs off any */
		batch_size_adapt(&size, &(struct batch_took){.ms = 1,
							     .aim_ms = 250,
							     .weight = batch_size_weight(&size),
							     .rows = 0});
	assert_int_equal(batch_size_weight(&size), 600);
}

static void test_the_first_batch(void **state)
{
	static const struct {
		int64_t batch_rows;
		double average;
		int64_t weight, rows;
	} cases[] = {
		{10000, 0, 600, 3600}, {60, 0, 10, 60},   {60, 20, 3, 60},
		{1000, 20, 50, 1000},  {60, 500, 1, 500}, {10000, 2, 600, 3600},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct batch_size size =
			batch_size_new(cases[i].batch_rows, cases[i].average);

		assert_int_equal(batch_size_weight(&size), cases[i].weight);
		assert_int_equal(batch_size_rows(&size), cases[i].rows);
	}
}

/* A batch takes so long however small it is, as over many partitions. */
static void run_fixed(struct batch_size *size, int64_t fixed_ms, double ms_per_weight)
{
	const int64_t weight = batch_size_weight(size);
	const int64_t ms = fixed_ms + (int64_t)((double)weight * ms_per_weight);

	batch_size_adapt(size,
			 &(struct batch_took){
				 .ms = ms, .aim_ms = 250, .weight = weight, .rows = 6 * weight});
}

static void test_fixed_cost(void **state)
{
	static const struct {
		int64_t fixed_ms, least, most; /* the weights of all batches after a dozen */
	} cases[] = {{0, 240, 260},  {20, 230, 250}, {150, 100, 210},
		     {240, 80, 190}, {500, 40, 190}, {900, 10, 190}};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct batch_size size = batch_size_new(10000, 0);

		for (int n = 0; n < 60; n++) {
			run_fixed(&size, cases[i].fixed_ms, 1);
			assert_true(n < DOZEN || (batch_size_weight(&size) >= cases[i].least &&
						  batch_size_weight(&size) <= cases[i].most));
		}
		for (int n = 0; n < 2 * DOZEN; n++)
			run_fixed(&size, 2, 1);
		assert_in_range(batch_size_weight(&size), 170, 300);
	}
}

/* The server was busy, and is not any longer: nothing of that is taken for a fixed cost. */
static void test_busy_for_a_while(void **state)
{
	struct batch_size size = batch_size_new(10000, 0);

	(void)state;
	for (int n = 0; n < DOZEN; n++)
		run_fixed(&size, 900, 0);
	for (int n = 0; n < 2 * DOZEN; n++)
		run_fixed(&size, 2, 0.5);
	assert_in_range(batch_size_weight(&size), 380, 560);
}

static void test_timed_out(void **state)
{
	struct batch_size size = batch_size_new(10000, 0);

	(void)state;
	batch_size_ease(&size, 300);
	assert_int_equal(batch_size_weight(&size), 150);
	batch_size_ease(&size, 1);
	assert_int_equal(batch_size_weight(&size), 1);
}

static void test_slices(void **state)
{
	struct batch_size size = batch_size_new(10000, 0), small = batch_size_new(10, 0);

	(void)state;
	assert_int_equal(batch_size_table_rows(&size), 20000);
	assert_int_equal(batch_size_table_rows(&small), 1000);
	assert_int_equal(batch_size_first_slice(&size), 20000);
	assert_int_equal(batch_size_next_slice(&size, 20000, 1000, 250), 5000);
	assert_int_equal(batch_size_next_slice(&size, 5000, 125, 250), 10000);
	assert_int_equal(batch_size_next_slice(&size, 5000, 0, 250), 20000);
	assert_int_equal(batch_size_next_slice(&size, 5000, 60000, 250), 100);

	assert_true(batch_size_ease_slice(&size, 20000));
	assert_int_equal(batch_size_first_slice(&size), 10000);
	assert_true(batch_size_ease_slice(&size, 101));
	assert_int_equal(batch_size_first_slice(&size), 50);
	assert_false(batch_size_ease_slice(&size, 50));
	assert_int_equal(batch_size_first_slice(&size), 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_comes_back_from_one), cmocka_unit_test(test_steps),
		cmocka_unit_test(test_keeps_to_batch_rows), cmocka_unit_test(test_the_first_batch),
		cmocka_unit_test(test_timed_out),           cmocka_unit_test(test_slices),
		cmocka_unit_test(test_fixed_cost),          cmocka_unit_test(test_busy_for_a_while),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
