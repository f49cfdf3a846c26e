/* Tests the choice between integrity "set" and "triggers", from literal facts. */
#include "preflight/integrity.c"

/* After the module: cmocka has a macro of the name fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define NAMED(name) (&(const struct columns){(const char *const[]){name}, 1})
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct table contact = {
	.name = "contact", .schema = "crm", .table = "person", .key = NAMED("id")};
static struct table note = {.name = "note",
			    .schema = "crm",
			    .table = "note",
			    .of = &contact,
			    .by = NAMED("person_id"),
			    .index = 1};
static struct step steps[] = {
	{.table = &note, .disposition = DISPOSITION_DELETE},
	{.table = &contact, .disposition = DISPOSITION_DELETE},
};
static struct column columns[] = {{.name = "id", .plain = true}, {.name = "code"}};
static struct relation relations[] = {{.oid = 1, .columns = columns, .n_columns = 2}, {.oid = 2}};

static const char *from_columns[] = {"person_id"}, *to_columns[] = {"id"}, *to_code[] = {"code"};

#define KEY(FROM, ON_DELETE, TO)                                                                   \
	{                                                                                          \
		.name = "key", .from_name = "crm.other", .from_oid = (FROM), .to_oid = 1,          \
		.on_delete = (ON_DELETE), .from_columns = from_columns, .to_columns = (TO),        \
		.n_columns = 1                                                                     \
	}

static void test_choice(void **state)
{
	static const struct {
		struct integrity_facts facts;
		const char *triggers[2];
		struct foreign_key key; /* no name: none */
		const char *text;
	} cases[] = {
		{{.may_set = true}, {NULL}, {0}, "set"},
		{{.may_set = true, .grantable = true}, {NULL}, KEY(2, 'a', to_columns), "set"},
		{{.grantable = true, .role = "ret"},
		 {NULL},
		 {0},
		 "triggers, because role ret has no right to set session_replication_role "
		 "(retentionctl grants prints it)"},
		{{.role = "ret"},
		 {NULL},
		 {0},
		 "triggers, because before PostgreSQL 15 it takes a superuser, which role ret is not"},
		{{.may_set = true},
		 {"audit, sync", NULL},
		 {0},
		 "triggers, because crm.note has triggers on DELETE (audit, sync), which it does not fire"},
		{{.role = "ret"},
		 {"audit", "log"},
		 {0},
		 "triggers, because before PostgreSQL 15 it takes a superuser, which role ret is not; "
		 "and 2 more"},
		/* A key that the note's own link covers: the plan deletes those rows. */
		{{.may_set = true}, {NULL}, KEY(2, 'c', to_columns), "set"},
		/* From an unmapped table: nobody would do what ON DELETE does. */
		{{.may_set = true},
		 {NULL},
		 KEY(9, 'n', to_columns),
		 "triggers, because it does not do what constraint \"key\" of crm.other does to rows "
		 "that stay (ON DELETE)"},
		{{.may_set = true},
		 {NULL},
		 KEY(9, 'a', to_code),
		 "triggers, because it compares crm.person.code as bytes, which constraint \"key\" of "
		 "crm.other does not"},
	};
	void *ctx = talloc_new(NULL);

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct foreign_key key = cases[i].key;
		const struct catalog catalog = {
			.relations = relations, .keys = &key, .n_keys = key.name ? 1 : 0};
		const struct plan plan = {
			.catalog = &catalog, .steps = steps, .n_steps = COUNT(steps)};
		struct integrity_facts facts = cases[i].facts;
		const struct obstacle *obstacles;
		const char *text;
		size_t n;

		facts.triggers = cases[i].triggers;
		obstacles = integrity_obstacles(ctx, &plan, &facts, &n);
		assert_int_equal(integrity_by_set(ctx, &plan, obstacles, n, &text), n == 0);
		assert_string_equal(text, cases[i].text);
	}
	talloc_free(ctx);
}

/* Where the configuration demands "set", all that forbids it is a complaint, each with its place. */
static void test_demanded(void **state)
{
	static const char *const triggers[] = {"audit", NULL};
	struct foreign_key key = KEY(9, 'd', to_columns);
	const struct catalog catalog = {.relations = relations, .keys = &key, .n_keys = 1};
	const struct plan plan = {.catalog = &catalog, .steps = steps, .n_steps = COUNT(steps)};
	const struct integrity_facts facts = {
		.grantable = true, .role = "ret", .triggers = triggers};
	void *ctx = talloc_new(NULL);
	const struct obstacle *obstacles;
	size_t n;

	(void)state;
	obstacles = integrity_obstacles(ctx, &plan, &facts, &n);
	assert_int_equal(n, 3);
	assert_null(obstacles[0].place);
	assert_string_equal(obstacles[0].cure,
			    "GRANT SET ON PARAMETER session_replication_role TO ret, or ");
	assert_ptr_equal(obstacles[1].place, &note.place);
	assert_string_equal(obstacles[1].cure, "");
	assert_ptr_equal(obstacles[2].place, &contact.place);
	assert_non_null(strstr(obstacles[2].cure, "delete = \"detach\""));
	talloc_free(ctx);
}

static void test_nothing_deleted(void **state)
{
	struct step update[] = {{.table = &contact, .disposition = DISPOSITION_UPDATE}};
	const struct plan plan = {.steps = update, .n_steps = 1};
	const char *text;

	(void)state;
	assert_false(integrity_by_set(NULL, &plan, NULL, 0, &text));
	assert_string_equal(text, "triggers, because the action deletes no rows");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_demanded),
		cmocka_unit_test(test_nothing_deleted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
