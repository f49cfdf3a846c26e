/* Tests what is refused of tables that Citus distributes, from literal catalogs. */
#include "preflight/check_citus.c"

/* After the module: cmocka has a macro of the name fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct table tables[] = {
	{.name = "contact", .schema = "crm", .table = "person"},
	{.name = "note", .schema = "crm", .table = "note", .index = 1},
};
static const struct model model = {.tables = tables, .n_tables = 2, .contact = &tables[0]};

static void assert_complaint(const struct complaints *c, const char *text)
{
	if (!text) {
		assert_int_equal(c->n, 0);
		return;
	}
	assert_int_equal(c->n, 1);
	if (!strstr(c->lines[0], text))
		fail_msg("\"%s\" is not in \"%s\"", text, c->lines[0]);
}

static void test_tables(void **state)
{
	static const struct {
		struct relation contact, note;
		const char *text;
	} cases[] = {
		{{0}, {0}, NULL},
		{{0},
		 {.spread = SPREAD_ROWS, .spread_by = "Account"},
		 "table \"note\": crm.note has its rows on several servers, spread by Citus by the "
		 "column \"Account\""},
		{{.spread = SPREAD_ROWS, .spread_by = "Account", .shard = "Account"},
		 {.spread = SPREAD_ROWS, .spread_by = "Account", .shard = "Account"},
		 NULL},
		{{.spread = SPREAD_ROWS, .spread_by = "Account", .shard = "Account"},
		 {.spread = SPREAD_ROWS, .spread_by = "person", .shard = "Account"},
		 "table \"note\": crm.note is spread by Citus by the column \"person\", and so that each "
		 "statement reaches one server the model has to name it: shard = \"person\""},
		{{.spread = SPREAD_ROWS, .spread_by = "Account", .shard = "Account"},
		 {.spread = SPREAD_ROWS,
		  .spread_with = 7,
		  .spread_by = "Account",
		  .shard = "Account"},
		 "table \"note\": crm.note is spread by Citus over other servers"},
		{{.spread = SPREAD_ROWS, .spread_by = "Account", .shard = "Account"},
		 {.shard = "Account"},
		 "table \"note\": crm.note is not spread by Citus as the contacts are"},
		{{0},
		 {.spread = SPREAD_EVERYWHERE},
		 "table \"note\": crm.note is a reference table"},
		{{0},
		 {.spread = SPREAD_MANAGED},
		 "table \"note\": crm.note is a local table that Citus manages"},
		{{0},
		 {.spread = SPREAD_SCHEMA, .spread_with = 7},
		 "table \"note\": crm.note is not in the same distributed schema"},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct relation relations[] = {cases[i].contact, cases[i].note};
		const struct catalog catalog = {.relations = relations, .citus = true};
		AUTO(complaints) struct complaints c = {0};

		check_citus(&model, &catalog, &c);
		assert_complaint(&c, cases[i].text);
	}
}

static void test_database(void **state)
{
	static const struct {
		struct catalog catalog;
		const char *text;
	} cases[] = {
		{{.citus = true, .citus_worker = true},
		 "database.conninfo has to name the coordinator"},
		{{.citus = true, .citus_old = true}, "12.0 or later is needed"},
		{{.citus = true, .citus_own = "retention.hold"},
		 "Citus distributes retention.hold"},
		{{.citus_worker = true, .citus_old = true}, NULL}, /* not there */
	};
	struct relation relations[2] = {0};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct catalog catalog = cases[i].catalog;
		AUTO(complaints) struct complaints c = {0};

		catalog.relations = relations;
		check_citus(&model, &catalog, &c);
		assert_complaint(&c, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_database),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
