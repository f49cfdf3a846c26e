/* Tests which columns become the key of a table, and which pairs of columns a link has. */
#include "discover/keys.c"

/* After the module: cmocka has a macro of the name fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NAMES(...)                                                                                 \
	{                                                                                          \
		.names = (const char *const[]){__VA_ARGS__},                                       \
		.n = COUNT(((const char *const[]){__VA_ARGS__}))                                   \
	}
#define COLUMNS(...) (&(const struct columns)NAMES(__VA_ARGS__))
#define NUMBER(column)                                                                             \
	{                                                                                          \
		.name = (column), .base = "int8", .category = 'N', .not_null = true, .plain = true \
	}

enum { PARENT, CHILD };

/* A unique index over all rows. */
static struct schema_index unique(bool primary, struct columns columns)
{
	return (struct schema_index){.columns = columns,
				     .all = columns,
				     .primary = primary,
				     .unique = true,
				     .identifies = true,
				     .valid = true};
}

/* The key of table contacts with up to two indexes, and references to it by up to three columns. */
static void assert_key(const char *key, struct schema_index first, struct schema_index second,
		       const struct columns *referenced)
{
	void *ctx = talloc_new(NULL);
	struct schema_column parent[] = {
		NUMBER("id"),
		NUMBER("account_id"),
		NUMBER("number"),
		NUMBER("loose"),
		{.name = "day", .base = "date", .category = 'D', .not_null = true, .plain = true}};
	struct schema_column child[] = {NUMBER("x"), NUMBER("y"), NUMBER("z")};
	struct schema_index indexes[] = {first, second};
	struct schema_table tables[] = {
		{.name = "contacts",
		 .columns = parent,
		 .n_columns = COUNT(parent),
		 .indexes = indexes,
		 .n_indexes = second.columns.n ? 2 : 1},
		{.name = "child", .columns = child, .n_columns = COUNT(child)}};
	struct columns from = NAMES("x", "y", "z");
	struct schema_key keys[] = {
		{.from = CHILD, .to = PARENT, .columns = &from, .to_columns = referenced}};
	struct schema schema = {.tables = tables,
				.n_tables = COUNT(tables),
				.keys = keys,
				.n_keys = referenced ? 1 : 0};

	parent[3].not_null = false;
	from.n = referenced ? referenced->n : 0;
	keys_settle(ctx, &schema);
	assert_string_equal(tables[PARENT].key ? columns_text(ctx, tables[PARENT].key) : "none",
			    key);
	talloc_free(ctx);
}

static void test_key(void **state)
{
	const struct schema_index none = {.columns = {0}};
	const struct schema_index id = unique(false, (struct columns)NAMES("id"));
	const struct schema_index number = unique(false, (struct columns)NAMES("number"));
	const struct schema_index both = unique(true, (struct columns)NAMES("id", "account_id"));
	const struct schema_index other =
		unique(false, (struct columns)NAMES("account_id", "number"));
	struct schema_index partial = both;

	(void)state;
	assert_key("id", unique(true, id.columns), number, COLUMNS("number"));
	assert_key("account_id, id", both, none, NULL);
	/* A column that identifies alone is taken where others reference it. */
	assert_key("account_id, id", both, number, NULL);
	assert_key("account_id, id", both, number, COLUMNS("account_id", "id"));
	assert_key("number", both, number, COLUMNS("number"));
	assert_key("account_id, id", both, other, COLUMNS("account_id", "number"));
	/* Without a primary key that fits, the columns that others reference are taken. */
	assert_key("account_id, number", number, other, COLUMNS("account_id", "number"));
	assert_key("number", number, other, NULL);
	assert_key("account_id, number", unique(true, (struct columns)NAMES("id", "day")), other,
		   NULL);
	assert_key("none", unique(true, (struct columns)NAMES("id", "day")), none, NULL);
	assert_key("none", unique(false, (struct columns)NAMES("account_id", "loose")), none, NULL);
	assert_key("none", unique(false, (struct columns)NAMES("account_id", "")), none, NULL);
	partial.identifies = false;
	assert_key("none", partial, none, NULL);
}

/* Two tables with keys of account_id and id, and a foreign key over three columns between them. */
struct two {
	struct schema_column parent[4], child[4];
	struct schema_index indexes[1];
	struct schema_table tables[2];
	struct schema_key keys[2];
	struct schema schema;
};

static const struct columns three_from = NAMES("contact_id", "at", "account_id");
static const struct columns account_id_and_id = NAMES("account_id", "id");
static const struct columns three_to = NAMES("id", "at", "account_id");

static void make(struct two *two)
{
	*two = (struct two){
		.parent = {NUMBER("account_id"), NUMBER("id"), NUMBER("at"), NUMBER("ref")},
		.child = {NUMBER("account_id"), NUMBER("id"), NUMBER("contact_id"), NUMBER("at")},
		.indexes = {unique(true, account_id_and_id)},
		.tables = {{.name = "contacts", .n_columns = 4, .n_indexes = 1},
			   {.name = "notes", .n_columns = 4, .n_indexes = 1}},
		.keys = {{.from = CHILD,
			  .to = PARENT,
			  .columns = &three_from,
			  .to_columns = &three_to}},
		.schema = {.n_tables = 2, .n_keys = 1},
	};
	two->tables[PARENT].columns = two->parent;
	two->tables[CHILD].columns = two->child;
	two->tables[PARENT].indexes = two->tables[CHILD].indexes = two->indexes;
	two->schema.tables = two->tables;
	two->schema.keys = two->keys;
}

static void test_pairs(void **state)
{
	void *ctx = talloc_new(NULL);
	struct two two;

	(void)state;
	make(&two);
	two.keys[1] = two.keys[0];
	two.schema.n_keys = 2;
	keys_settle(ctx, &two.schema);
	assert_int_equal(two.schema.n_keys, 1); /* two that say the same are one */
	assert_string_equal(columns_text(ctx, two.keys[0].columns), "account_id, contact_id");
	assert_string_equal(columns_text(ctx, two.keys[0].to_columns), "account_id, id");
	assert_null(two.keys[0].unfit);

	/* Without the parent's key among them all pairs count, and one of a date fits no link. */
	make(&two);
	two.indexes[0].columns = (struct columns)NAMES("account_id", "ref");
	keys_settle(ctx, &two.schema);
	assert_string_equal(columns_text(ctx, two.keys[0].columns), "contact_id, at, account_id");
	assert_null(two.keys[0].unfit);
	make(&two);
	two.indexes[0].columns = (struct columns)NAMES("account_id", "ref");
	two.child[3].base = "date";
	keys_settle(ctx, &two.schema);
	assert_string_equal(two.keys[0].unfit, "at");
	talloc_free(ctx);
}

static void test_names(void **state)
{
	void *ctx = talloc_new(NULL);
	struct two two;
	const struct schema_table *parent = &two.tables[PARENT], *child = &two.tables[CHILD];

	(void)state;
	make(&two);
	keys_settle(ctx, &two.schema);
	assert_string_equal(columns_text(ctx, keys_by(ctx, child, parent, "contact_id")),
			    "account_id, contact_id");
	assert_null(keys_by(ctx, child, parent, "nothing"));
	assert_null(keys_lack(child, parent, NULL));
	two.child[0].name = "tenant";
	assert_null(keys_by(ctx, child, parent, "contact_id"));
	assert_string_equal(keys_missing(child, parent), "account_id");
	assert_string_equal(keys_lack(child, parent, NULL), "contact_id");
	two.child[2].foreign = true; /* its foreign key says what it references */
	assert_null(keys_lack(child, parent, NULL));
	talloc_free(ctx);
}

static void test_collisions(void **state)
{
	const struct columns of_account = NAMES("account_id", "at");
	const struct columns with_key = NAMES("account_id", "ref", "id");
	void *ctx = talloc_new(NULL);
	struct two two;
	struct schema_index indexes[3];

	(void)state;
	make(&two);
	indexes[0] = two.indexes[0];
	indexes[1] = unique(false, of_account);
	indexes[2] = unique(false, with_key);
	two.tables[PARENT].indexes = indexes;
	two.tables[PARENT].n_indexes = 3;
	keys_settle(ctx, &two.schema);
	assert_true(two.parent[2].collides);
	assert_false(two.parent[3].collides); /* with the key beside it a constant is unique */
	assert_false(two.parent[1].collides);
	talloc_free(ctx);
}

static void test_tenant(void **state)
{
	const struct columns account = NAMES("account_id");
	const struct columns ref = NAMES("ref");
	void *ctx = talloc_new(NULL);
	struct two two;

	(void)state;
	make(&two);
	two.keys[0] = (struct schema_key){
		.from = PARENT, .to = CHILD, .columns = &account, .to_columns = &account};
	keys_settle(ctx, &two.schema);
	assert_true(keys_is_tenant(&two.schema, PARENT, CHILD));
	two.keys[0].columns = &ref;
	assert_false(keys_is_tenant(&two.schema, PARENT, CHILD));
	talloc_free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key),    cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_names),  cmocka_unit_test(test_collisions),
		cmocka_unit_test(test_tenant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
