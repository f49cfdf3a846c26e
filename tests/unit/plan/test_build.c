/*
 * Tests the order in which tables are erased: chains, self references, and rings; and the refusal of an
 * archive that could not name its rows.
 */
#include "plan/build.c"

/* After the module: cmocka has a macro of the name fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define NAMED(name) (&(const struct columns){(const char *const[]){name}, 1})
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { CONTACT, REQUEST, MESSAGE, NOTE, N_TABLES };

static struct table tables[N_TABLES] = {
	[CONTACT] = {.name = "contact", .key = NAMED("id"), .index = CONTACT},
	[REQUEST] = {.name = "request",
		     .of = &tables[CONTACT],
		     .by = NAMED("contact_id"),
		     .index = REQUEST},
	[MESSAGE] = {.name = "message",
		     .of = &tables[REQUEST],
		     .by = NAMED("request_id"),
		     .index = MESSAGE},
	[NOTE] = {.name = "note", .of = &tables[CONTACT], .by = NAMED("contact_id"), .index = NOTE},
};
static const struct model model = {
	.tables = tables,
	.n_tables = N_TABLES,
	.contact = &tables[CONTACT],
	.request = &tables[REQUEST],
};
static struct relation relations[N_TABLES] = {
	[CONTACT] = {.oid = 1},
	[REQUEST] = {.oid = 2},
	[MESSAGE] = {.oid = 3},
	[NOTE] = {.oid = 4},
};

/* The order of a deletion by these foreign keys, as "message request note contact"; "ring" where there is none. */
static char *order_by(void *ctx, struct foreign_key *keys, size_t n_keys, bool *ret_defer)
{
	const struct plan_opts opts = {.action = ACTION_DELETE_CONTACTS};
	const struct catalog catalog = {.relations = relations, .keys = keys, .n_keys = n_keys};
	struct plan *p = plan_new(ctx, &model, &catalog, &opts);
	const struct table *order[N_TABLES];
	char *text = t_strdup(ctx, "");
	const struct table *ring = find_order(p, order);

	*ret_defer = p->defer;
	if (ring)
		return t_strdup(ctx, "ring");
	for (size_t i = 0; i < p->n_steps; i++)
		t_append(&text, "%s%s", i ? " " : "", order[i]->name);
	return text;
}

#define KEY(from, to, ...)                                                                         \
	{                                                                                          \
		.from_oid = (from) + 1, .to_oid = (to) + 1, __VA_ARGS__                            \
	}

static void test_order(void **state)
{
	static const struct {
		const char *what;
		struct foreign_key keys[5];
		size_t n;
		bool defer;
		const char *order;
	} cases[] = {
		{"no keys: the deepest first", {{0}}, 0, false, "message request note contact"},
		{"the links",
		 {KEY(MESSAGE, REQUEST), KEY(REQUEST, CONTACT), KEY(NOTE, CONTACT)},
		 3,
		 false,
		 "message request note contact"},
		{"across the tree: a request points at a note",
		 {KEY(REQUEST, CONTACT), KEY(NOTE, CONTACT), KEY(REQUEST, NOTE)},
		 3,
		 false,
		 "message request note contact"},
		{"and the other way",
		 {KEY(NOTE, MESSAGE), KEY(MESSAGE, REQUEST)},
		 2,
		 false,
		 "note message request contact"},
		{"a child points down: the parent goes first",
		 {KEY(REQUEST, MESSAGE)},
		 1,
		 false,
		 "request message note contact"},
		{"a table that points at itself",
		 {KEY(REQUEST, REQUEST), KEY(REQUEST, CONTACT)},
		 2,
		 false,
		 "message request note contact"},
		{"a ring", {KEY(NOTE, CONTACT), KEY(CONTACT, NOTE)}, 2, true, "ring"},
		{"a ring that can wait for the commit",
		 {KEY(NOTE, CONTACT), KEY(CONTACT, NOTE, .deferrable = true)},
		 2,
		 true,
		 "message request note contact"},
		{"a ring of three",
		 {KEY(REQUEST, CONTACT), KEY(NOTE, REQUEST), KEY(CONTACT, NOTE)},
		 3,
		 true,
		 "ring"},
		{"deferrable, but no ring",
		 {KEY(NOTE, MESSAGE, .deferrable = true), KEY(MESSAGE, REQUEST)},
		 2,
		 false,
		 "note message request contact"},
	};
	void *ctx = talloc_new(NULL);

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct foreign_key keys[5];
		bool defer;

		memcpy(keys, cases[i].keys, sizeof(keys));
		print_message("%s\n", cases[i].what);
		assert_string_equal(order_by(ctx, keys, cases[i].n, &defer), cases[i].order);
		assert_int_equal(defer, cases[i].defer);
	}
	talloc_free(ctx);
}

/* A table that is only detached needs not wait for those that point at it. */
static void test_detached(void **state)
{
	struct foreign_key keys[] = {KEY(NOTE, REQUEST), KEY(REQUEST, NOTE)};
	void *ctx = talloc_new(NULL);
	bool defer;

	(void)state;
	assert_string_equal(order_by(ctx, keys, COUNT(keys), &defer), "ring");
	tables[NOTE].on_delete = ON_DELETE_DETACH;
	assert_string_equal(order_by(ctx, keys, COUNT(keys), &defer),
			    "message note request contact");
	assert_false(defer);
	tables[NOTE].on_delete = ON_DELETE_KEEP;
	assert_string_equal(order_by(ctx, keys, COUNT(keys), &defer), "message request contact");
	tables[NOTE].on_delete = ON_DELETE_DELETE;
	talloc_free(ctx);
}

/* Detached rows are archived by key and link: without a key the plan is refused. */
static void test_detached_without_key(void **state)
{
	const struct plan_opts opts = {.action = ACTION_DELETE_CONTACTS, .archive = ARCHIVE_FULL};
	const struct catalog catalog = {.relations = relations};
	struct complaints c = {0};
	void *ctx = talloc_new(NULL);

	(void)state;
	tables[REQUEST].key = NAMED("id");
	tables[NOTE].on_delete = ON_DELETE_DETACH;
	tables[NOTE].place = (struct place){"model.conf", 7};
	assert_null(plan_build(ctx, &model, &catalog, &opts, &c));
	assert_int_equal(c.n, 1);
	assert_string_equal(
		c.lines[0],
		"model.conf:7: table \"note\": an archive of detached rows needs the table's key");
	tables[REQUEST].key = NULL;
	tables[NOTE].on_delete = ON_DELETE_DELETE;
	complaints_clear(&c);
	talloc_free(ctx);
}

/* A restore could not bring a large object back by its number: the plan is refused. */
static void test_archived_object(void **state)
{
	static const struct {
		enum archive_mode archive;
		bool listed;
		const char *base;
		const char *other;
		bool refused;
	} cases[] = {
		{ARCHIVE_FULL, false, "oid", NULL, true},
		{ARCHIVE_LISTED, true, "oid", NULL, true},
		{ARCHIVE_LISTED, false, "oid", NULL, false},
		{ARCHIVE_NONE, true, "oid", NULL, false},
		{ARCHIVE_FULL, false, "_oid", "id", true},
		{ARCHIVE_FULL, false, "oid", "content", false},
		{ARCHIVE_FULL, false, "int4", NULL, false},
	};
	void *ctx = talloc_new(NULL);

	(void)state;
	tables[NOTE].place = (struct place){"model.conf", 7};
	tables[REQUEST].key = NAMED("id");
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct plan_opts opts = {.action = ACTION_DELETE_CONTACTS,
					       .archive = cases[i].archive};
		const struct catalog catalog = {.relations = relations};
		struct column column = {.name = "content", .base = cases[i].base};
		struct complaints c = {0};
		struct plan *p = plan_new(ctx, &model, &catalog, &opts);

		tables[NOTE].archive = cases[i].listed;
		tables[NOTE].not_large_objects = &cases[i].other;
		tables[NOTE].n_not_large_objects = cases[i].other ? 1 : 0;
		relations[NOTE].columns = &column;
		relations[NOTE].n_columns = 1;
		check_archived_objects(p, &tables[NOTE], &c);
		assert_int_equal(c.n, cases[i].refused ? 1 : 0);
		if (c.n)
			assert_non_null(strstr(c.lines[0],
					       "model.conf:7: table \"note\": an archive "
					       "has the numbers of the large objects in "
					       "\"content\" and not their bytes"));
		complaints_clear(&c);
	}
	relations[NOTE].n_columns = 0;
	tables[NOTE].n_not_large_objects = 0;
	tables[NOTE].archive = false;
	tables[REQUEST].key = NULL;
	talloc_free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_archived_object),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_detached),
		cmocka_unit_test(test_detached_without_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
