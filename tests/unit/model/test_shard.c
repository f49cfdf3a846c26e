/* Tests which columns are proved to be a table's shard, and what is said of the others, from literal catalogs. */
#include "model/shard.c"

/* After the module: cmocka has a macro of the name fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define NAMES(...)                                                                                 \
	{                                                                                          \
		.names = (const char *const[]){__VA_ARGS__},                                       \
		.n = sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)                        \
	}
static const struct columns id = NAMES("id"), contact_id = NAMES("contact_id");
static const struct columns both = NAMES("account", "id"),
			    both_contact = NAMES("account", "contact_id");
static const struct columns email = NAMES("email"), address = NAMES("address");
static struct column_rule rule = {.kind = RULE_CLEAR, .column = "account"};

#define COLUMN(called, of, ...)                                                                    \
	{                                                                                          \
		.name = called, .type = of, .base = of, .plain = true, .no_nulls = true,           \
		__VA_ARGS__                                                                        \
	}

/* Contact and its note, with the shard account; what a case is about is changed in a copy. */
struct world {
	struct table tables[2];
	struct column of_contact[4], of_note[5];
	struct relation relations[2];
	const char *from_columns[3], *to_columns[3];
	struct foreign_key keys[1];
	struct catalog catalog;
	struct model model;
};

static void make(struct world *w)
{
	*w = (struct world){
		.tables = {{.name = "contact",
			    .schema = "crm",
			    .table = "c",
			    .key = &id,
			    .shard = "account"},
			   {.name = "note",
			    .schema = "crm",
			    .table = "n",
			    .by = &contact_id,
			    .index = 1}},
		.of_contact = {COLUMN("id", "int8", .identifies = true),
			       COLUMN("account", "int4", ), COLUMN("email", "text", ),
			       COLUMN("address", "int8", )},
		.of_note = {COLUMN("id", "int8", .identifies = true), COLUMN("account", "int4", ),
			    COLUMN("contact_id", "int8", ), COLUMN("kind", "text", ),
			    COLUMN("email", "text", )},
		.keys = {{.name = "k",
			  .from_sql = "crm.n",
			  .from_oid = 2,
			  .to_oid = 1,
			  .from_columns = w->from_columns,
			  .to_columns = w->to_columns,
			  .n_columns = 2}},
	};
	memcpy(w->from_columns, (const char *[]){"account", "contact_id", "kind"},
	       sizeof(w->from_columns));
	memcpy(w->to_columns, (const char *[]){"account", "id", "email"}, sizeof(w->to_columns));
	w->tables[1].of = &w->tables[0];
	w->relations[0] = (struct relation){
		.oid = 1, .columns = w->of_contact, .n_columns = 4, .shard = "account"};
	w->relations[1] = (struct relation){.oid = 2, .columns = w->of_note, .n_columns = 5};
	w->catalog = (struct catalog){.relations = w->relations, .keys = w->keys, .n_keys = 1};
	w->model = (struct model){.tables = w->tables, .n_tables = 2, .contact = &w->tables[0]};
}

/* What a change of the world does to the proof that the note's account is its contact's; NULL: it stays. */
static void nothing(struct world *w)
{
	(void)w;
}
static void by_both(struct world *w)
{
	w->catalog.n_keys = 0;
	w->tables[0].key = &both;
	w->tables[1].by = &both_contact;
}
static void no_key(struct world *w)
{
	w->catalog.n_keys = 0;
}
static void key_without_shard(struct world *w)
{
	w->keys[0].from_columns[0] = "kind";
	w->keys[0].to_columns[0] = "email";
}
static void other_pair(struct world *w)
{
	w->keys[0].to_columns[0] = "address";
}
static void doubtful(struct world *w)
{
	w->keys[0].doubt = "is NOT VALID: ALTER TABLE crm.n VALIDATE CONSTRAINT k";
}
static void third_column(struct world *w)
{
	w->keys[0].n_columns = 3;
}
static void third_column_null(struct world *w)
{
	w->keys[0].n_columns = 3;
	w->of_note[3].no_nulls = false;
}
static void link_null(struct world *w)
{
	w->of_note[2].no_nulls = false;
}
static void shard_null(struct world *w)
{
	w->of_note[1].no_nulls = false;
}
static void shard_null_in_link(struct world *w)
{
	by_both(w);
	w->of_note[1].no_nulls = false;
}
static void generated(struct world *w)
{
	w->of_note[1].generated = true;
}
static void citext(struct world *w)
{
	w->of_note[1].base = w->of_note[1].type = "citext";
	w->of_note[1].plain = false;
}
static void numeric(struct world *w)
{
	w->of_note[1].base = w->of_note[1].type = "numeric";
}
static void wider(struct world *w)
{
	w->of_note[1].base = w->of_note[1].type = "int8";
}
static void narrower(struct world *w)
{
	w->of_note[1].base = w->of_note[1].type = "int2";
}
static void domain(struct world *w)
{
	w->of_note[1].type = "account_number";
}
static void text(struct world *w)
{
	w->of_note[1].base = w->of_note[1].type = "text";
}
static void varchar(struct world *w)
{
	by_both(w);
	w->of_note[1].base = w->of_note[1].type = "varchar";
	w->of_contact[1].base = w->of_contact[1].type = "text";
}
static void cleared(struct world *w)
{
	w->tables[1].rules = &rule;
	w->tables[1].n_rules = 1;
}
static void ruled_to_stay(struct world *w)
{
	static const struct column_rule keep = {.kind = RULE_KEEP, .column = "account"};

	w->tables[1].rules = &keep;
	w->tables[1].n_rules = 1;
}
static void parent_without(struct world *w)
{
	w->relations[0].shard = NULL;
	w->of_contact[1].no_nulls = false;
}
static void copy(struct world *w)
{
	w->tables[1].match = w->tables[1].shared = true;
	w->tables[1].by = w->tables[1].from = &email;
	w->keys[0].n_columns = 0;
}
/* A copy of a value that contacts of several accounts have: the key references one of them. */
static void copy_with_key(struct world *w)
{
	copy(w);
	w->keys[0].n_columns = 2;
	w->keys[0].from_columns[1] = "email";
	w->keys[0].to_columns[1] = "email";
}
static void shared(struct world *w)
{
	w->tables[1].shared = true;
	w->tables[1].by = &id;
	w->tables[1].from = &address;
	w->catalog.n_keys = 0;
}
static void shared_with_key(struct world *w)
{
	shared(w);
	w->catalog.n_keys = 1;
	w->keys[0].from_oid = 1;
	w->keys[0].to_oid = 2;
	w->keys[0].from_columns[1] = "address";
}
/* Two rows of several accounts have the number: the key references one of them, and the link leads to both. */
static void shared_with_wide_key(struct world *w)
{
	shared_with_key(w);
	w->of_note[0].identifies = false;
}

static const struct {
	void (*change)(struct world *w);
	const char *fault; /* a part of it; NULL: proved */
} proofs[] = {
	{nothing, NULL},
	{by_both, NULL},
	{no_key,
	 "is not proved to be the \"account\" of its \"contact\": "
	 "ALTER TABLE \"crm\".\"n\" ADD FOREIGN KEY (\"account\", \"contact_id\") REFERENCES "
	 "\"crm\".\"c\" (\"account\", \"id\"), or name both in by and from, if a row where they "
	 "differ is nobody's"},
	{key_without_shard, "is not proved"},
	{other_pair, "is not proved"},
	{doubtful,
	 "because foreign key \"k\" is NOT VALID: ALTER TABLE crm.n VALIDATE CONSTRAINT k"},
	{third_column, NULL},
	{third_column_null,
	 "a row whose \"kind\" is NULL escapes foreign key \"k\": ALTER TABLE crm.n ALTER "
	 "COLUMN \"kind\" SET NOT NULL"},
	{link_null, NULL},
	{shard_null,
	 "can be NULL, and a row without it would be missed: ALTER TABLE \"crm\".\"n\" ALTER "
	 "COLUMN \"account\" SET NOT NULL"},
	{shard_null_in_link, "can be NULL"},
	{generated, "is generated from other columns"},
	{citext,
	 "is citext: a shard is a whole number, a uuid or a text, and no two spellings of it are equal"},
	{numeric, "is numeric: a shard is"},
	{wider, NULL},
	{narrower,
	 "is int2, and \"account\" of \"contact\" is int4: ALTER TABLE \"crm\".\"n\" ALTER COLUMN "
	 "\"account\" TYPE int4"},
	{domain, NULL},
	{text,
	 "is text, and \"account\" of \"contact\" is int4: ALTER TABLE \"crm\".\"n\" ALTER COLUMN "
	 "\"account\" TYPE int4"},
	{varchar, "is varchar, and \"account\" of \"contact\" is text"},
	{cleared, "is under clear, and an anonymized row would lose its shard: put it under keep"},
	{ruled_to_stay, NULL},
	{parent_without, "needs that of \"contact\" above it, where \"account\" can be NULL"},
	{copy,
	 "is not proved to be the \"account\" of its \"contact\": a copied value can be in rows of "
	 "each shard"},
	{copy_with_key, "a copied value"},
	{shared,
	 "is not proved to be the \"account\" of its \"contact\": ALTER TABLE \"crm\".\"c\" ADD FOREIGN KEY "
	 "(\"account\", \"address\") REFERENCES \"crm\".\"n\" (\"account\", \"id\"), or name both in by "
	 "and from, if a row where they differ is nobody's"},
	{shared_with_key, NULL},
	{shared_with_wide_key, "is not proved"},
};

static void test_proofs(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(proofs); i++) {
		AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
		struct world w;
		const char *fault;

		make(&w);
		proofs[i].change(&w);
		fault = shard_fault(ctx, &w.model, &w.catalog, &w.tables[1], "account");
		if (!proofs[i].fault != !fault || (fault && !strstr(fault, proofs[i].fault)))
			fail_msg("case %zu: %s", i, fault);
		if (!fault)
			assert_string_equal(shard_proved(&w.model, &w.catalog, &w.tables[1]),
					    "account");
	}
}

/* By contact: its shard is its key, and a note has it in its link. */
static void test_by_contact(void **state)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct world w;

	(void)state;
	make(&w);
	w.tables[0].shard = w.relations[0].shard = "id";
	w.catalog.n_keys = 0;
	assert_string_equal(model_shard(&w.tables[1]), "id");
	assert_string_equal(
		shard_fault(ctx, &w.model, &w.catalog, &w.tables[1], "id"),
		"is not the \"id\" of its \"contact\", which the link has in \"contact_id\": say shard = "
		"\"contact_id\", or leave it out");
	w.of_note[2].no_nulls = false;
	assert_string_equal(shard_fault(ctx, &w.model, &w.catalog, &w.tables[1], "id"),
			    "is not the \"id\" of its \"contact\", which the link has in "
			    "\"contact_id\": leave it out");
	w.tables[1].on_delete = ON_DELETE_DETACH;
	assert_string_equal(
		shard_fault(ctx, &w.model, &w.catalog, &w.tables[1], "contact_id"),
		"is cleared by delete = \"detach\", and a row without it would be missed");
	w.tables[1].on_delete = ON_DELETE_DELETE;
	w.of_note[2].no_nulls = true;
	assert_null(shard_fault(ctx, &w.model, &w.catalog, &w.tables[1], "contact_id"));
	assert_string_equal(shard_proved(&w.model, &w.catalog, &w.tables[1]), "contact_id");
	assert_string_equal(shard_fault(ctx, &w.model, &w.catalog, &w.tables[1], "x"),
			    "is not a column of crm.n");
}

/* A note of a note: the column that is proved above is named, although nobody has written it there. */
static void test_parent_by_another_column(void **state)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct world w;
	struct table tables[3];
	struct relation relations[3];

	(void)state;
	make(&w);
	w.tables[0].shard = w.relations[0].shard = "id";
	w.catalog.n_keys = 0;
	memcpy(tables, w.tables, sizeof(w.tables));
	memcpy(relations, w.relations, sizeof(w.relations));
	tables[1].of = &tables[0];
	tables[1].key = &id;
	tables[2] = (struct table){.name = "reply",
				   .schema = "crm",
				   .table = "n",
				   .of = &tables[1],
				   .by = &contact_id,
				   .index = 2};
	relations[2] = relations[1];
	w.model = (struct model){.tables = tables, .n_tables = 3, .contact = tables};
	w.catalog.relations = relations;
	assert_string_equal(shard_fault(ctx, &w.model, &w.catalog, &tables[2], "contact_id"),
			    "needs that of \"note\" above it: say shard = \"contact_id\" there");
}

static const struct columns by_account = NAMES("account");

/* Proposes the column of contact by which most tables are split.  A table with two names counts once. */
static void test_proposal(void **state)
{
	struct world w;
	struct table tables[3];
	struct relation relations[3];

	(void)state;
	make(&w);
	w.tables[0].shard = NULL;
	assert_null(shard_propose(&w.model, &w.catalog));
	w.relations[1].found_by = by_account;
	assert_string_equal(shard_propose(&w.model, &w.catalog), "account");
	assert_int_equal(shard_count(&w.model, &w.catalog), 1);
	memcpy(tables, w.tables, sizeof(w.tables));
	memcpy(relations, w.relations, sizeof(w.relations));
	tables[1].of = &tables[0];
	tables[2] = tables[1];
	tables[2].index = 2;
	relations[2] = relations[1];
	w.model = (struct model){.tables = tables, .n_tables = 3, .contact = tables};
	w.catalog.relations = relations;
	assert_string_equal(shard_propose(&w.model, &w.catalog), "account");
	assert_int_equal(shard_count(&w.model, &w.catalog), 1);
	w.catalog.n_keys = 0;
	assert_null(shard_propose(&w.model, &w.catalog));
	assert_int_equal(shard_count(&w.model, &w.catalog), 0);
}

/* By contact, a note has the shard under another name. */
static void test_proposal_by_contact(void **state)
{
	struct world w;

	(void)state;
	make(&w);
	w.tables[0].shard = NULL;
	w.relations[0].found_by = id;
	w.relations[1].found_by = contact_id;
	assert_string_equal(shard_propose(&w.model, &w.catalog), "id");
	assert_int_equal(shard_count(&w.model, &w.catalog), 2);
	assert_string_equal(w.relations[1].shard, "contact_id");
}

static void test_narrows(void **state)
{
	const struct {
		struct relation relation;
		bool narrows;
	} cases[] = {
		{{.found_by = NAMES("account")}, false},
		{{.shard = "account"}, false},
		{{.shard = "account", .found_by = NAMES("at", "account")}, true},
		{{.shard = "account", .found_by = NAMES("at")}, false},
		{{.shard = "account", .spread = SPREAD_ROWS, .spread_by = "account"}, true},
		{{.shard = "account", .spread = SPREAD_ROWS, .spread_by = "id"}, false},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		assert_int_equal(shard_narrows(&cases[i].relation), cases[i].narrows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_proofs),
		cmocka_unit_test(test_by_contact),
		cmocka_unit_test(test_parent_by_another_column),
		cmocka_unit_test(test_proposal),
		cmocka_unit_test(test_proposal_by_contact),
		cmocka_unit_test(test_narrows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
