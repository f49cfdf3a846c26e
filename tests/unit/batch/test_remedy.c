/* The remedy for a batch that failed: a row for each rule, and the order of the rules over all states. */
#include "batch/remedy.c"

/* After the module: cmocka has a macro of the name fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_each_rule(void **state)
{
	static const struct {
		enum remedy remedy;
		struct failure failure;
	} cases[] = {
		{REMEDY_PLAN_AGAIN, {.class = ERR_CHANGED, .grouped = true}},
		{REMEDY_GIVE_UP, {.class = ERR_CONFIG, .too_large = true}},
		{REMEDY_GIVE_UP, {.class = ERR_STOPPED, .single = true}},
		{REMEDY_CLEAR_FOR_SLICES,
		 {.class = ERR_BUSY, .needs_slices = true, .single = true, .grouped = true}},
		{REMEDY_MEASURE, {.class = ERR_BUSY, .grouped = true, .too_large = true}},
		{REMEDY_MEASURE,
		 {.class = ERR_ENVIRONMENT, .timed_out = true, .grouped = true, .too_large = true}},
		{REMEDY_UNGROUP,
		 {.class = ERR_BUSY, .grouped = true, .too_large = true, .measured = true}},
		{REMEDY_UNGROUP, {.class = ERR_DATA, .grouped = true, .refused = true}},
		{REMEDY_UNGROUP, {.class = ERR_ENVIRONMENT, .timed_out = true, .grouped = true}},
		/* A lost connection says nothing about the group. */
		{REMEDY_BACK_OFF, {.class = ERR_ENVIRONMENT, .grouped = true}},
		{REMEDY_HALVE_MEASURED, {.class = ERR_BUSY, .too_large = true}},
		{REMEDY_HALVE_MEASURED,
		 {.class = ERR_ENVIRONMENT, .timed_out = true, .too_large = true}},
		{REMEDY_SPLIT_BY_REFERENCE, {.class = ERR_DATA, .refused = true, .may_ask = true}},
		/* The last sweep tries each by itself, so that the journal says which key refuses it. */
		{REMEDY_HALVE,
		 {.class = ERR_DATA, .refused = true, .may_ask = true, .last_sweep = true}},
		{REMEDY_HALVE, {.class = ERR_DATA, .refused = true}},
		{REMEDY_HALVE, {.class = ERR_DATA, .may_ask = true}},
		{REMEDY_HALVE, {.class = ERR_BUSY, .may_ask = true}},
		{REMEDY_WORK_WHOLE, {.class = ERR_DATA, .slice = true, .single = true}},
		{REMEDY_WORK_WHOLE,
		 {.class = ERR_DATA, .refused = true, .slice = true, .single = true}},
		/* Another session's lock passes: the next attempt goes in slices again. */
		{REMEDY_LEAVE, {.class = ERR_BUSY, .slice = true, .single = true}},
		{REMEDY_LEAVE, {.class = ERR_BUSY, .single = true, .last_sweep = true}},
		{REMEDY_LEAVE, {.class = ERR_DATA, .refused = true, .single = true}},
		{REMEDY_RECORD,
		 {.class = ERR_DATA, .refused = true, .single = true, .last_sweep = true}},
		{REMEDY_RECORD, {.class = ERR_DATA, .single = true}},
		{REMEDY_HALVE, {.class = ERR_DATA, .memory = true}},
		{REMEDY_LEAVE, {.class = ERR_DATA, .memory = true, .single = true}},
		/* More at a time would take more memory. */
		{REMEDY_LEAVE, {.class = ERR_DATA, .memory = true, .single = true, .slice = true}},
		{REMEDY_RECORD,
		 {.class = ERR_DATA, .memory = true, .single = true, .last_sweep = true}},
		{REMEDY_BACK_OFF, {.class = ERR_ENVIRONMENT}},
		{REMEDY_LEAVE_SHARD, {.class = ERR_ENVIRONMENT, .elsewhere = true}},
		{REMEDY_LEAVE_SHARD,
		 {.class = ERR_ENVIRONMENT, .elsewhere = true, .single = true, .last_sweep = true}},
		{REMEDY_BACK_OFF, {.class = ERR_ENVIRONMENT, .timed_out = true, .single = true}},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(remedy_for(&cases[i].failure), cases[i].remedy);
}

/* The same rules as a list: who is at fault, then how many, then what may still be tried. */
static enum remedy by_the_list(const struct failure *f)
{
	const bool data = f->class == ERR_DATA, busy = f->class == ERR_BUSY;
	const bool environment = f->class == ERR_ENVIRONMENT;
	const struct {
		bool fits;
		enum remedy remedy;
	} rules[] = {
		{f->class == ERR_CHANGED, REMEDY_PLAN_AGAIN},
		{f->class == ERR_CONFIG || f->class == ERR_STOPPED, REMEDY_GIVE_UP},
		{f->needs_slices, REMEDY_CLEAR_FOR_SLICES},
		{f->grouped && (!environment || f->timed_out) && f->too_large && !f->measured,
		 REMEDY_MEASURE},
		{f->grouped && (!environment || f->timed_out), REMEDY_UNGROUP},
		{f->too_large, REMEDY_HALVE_MEASURED},
		{data && f->refused && !f->single && f->may_ask && !f->last_sweep,
		 REMEDY_SPLIT_BY_REFERENCE},
		{(data || busy) && !f->single, REMEDY_HALVE},
		{data && f->slice && !f->memory, REMEDY_WORK_WHOLE},
		{data && f->last_sweep, REMEDY_RECORD},
		{data && (f->refused || f->memory), REMEDY_LEAVE},
		{data, REMEDY_RECORD},
		{busy, REMEDY_LEAVE},
		{true, REMEDY_BACK_OFF},
	};
	size_t i = 0;

	while (!rules[i].fits)
		i++;
	return rules[i].remedy;
}

static void test_all_states(void **state)
{
	static const enum error_class classes[] = {ERR_CONFIG,      ERR_DATA,    ERR_BUSY,
						   ERR_ENVIRONMENT, ERR_CHANGED, ERR_STOPPED};

	(void)state;
	for (size_t i = 0; i < COUNT(classes); i++)
		for (unsigned int bits = 0; bits < 1U << 11; bits++) {
			const struct failure f = {
				.class = classes[i],
				.timed_out = bits & 1,
				.refused = classes[i] == ERR_DATA && bits & 2, /* by its meaning */
				.too_large = bits & 4,
				.measured = bits & 8,
				.needs_slices = bits & 16,
				.single = bits & 32,
				.slice = bits & 64,
				.grouped = bits & 128,
				.may_ask = bits & 256,
				.last_sweep = bits & 512,
				.memory = classes[i] == ERR_DATA && bits & 1024,
			};

			assert_int_equal(remedy_for(&f), by_the_list(&f));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_rule),
		cmocka_unit_test(test_all_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
