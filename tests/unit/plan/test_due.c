/* Tests which subjects are due, as SQL, from a literal model and a literal catalog: no connection is needed. */
#include "plan/due.c"

/* After the module: cmocka has a macro of the name fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define NAMED(name) (&(const struct columns){(const char *const[]){name}, 1})
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { CONTACT, REQUEST, N_TABLES };

static const struct column_rule contact_rules[] = {
	{.kind = RULE_SET, .column = "name", .value = "gone"},
	{.kind = RULE_KEEP, .column = "id"},
};
static const struct column_rule request_rules[] = {{.kind = RULE_CLEAR, .column = "body"}};
static struct table tables[N_TABLES] = {
	[CONTACT] = {.name = "contact",
		     .schema = "crm",
		     .table = "person",
		     .key = NAMED("id"),
		     .on_anonymize = ON_ANONYMIZE_RULES,
		     .rules = contact_rules,
		     .n_rules = COUNT(contact_rules),
		     .index = CONTACT},
	[REQUEST] = {.name = "request",
		     .schema = "crm",
		     .table = "ticket",
		     .key = NAMED("no"),
		     .of = &tables[CONTACT],
		     .by = NAMED("person_id"),
		     .date = "at",
		     .on_anonymize = ON_ANONYMIZE_RULES,
		     .rules = request_rules,
		     .n_rules = COUNT(request_rules),
		     .index = REQUEST},
};
static const struct model model = {
	.tables = tables,
	.n_tables = N_TABLES,
	.contact = &tables[CONTACT],
	.request = &tables[REQUEST],
};

#define COLUMN(NAME, TYPE, ...)                                                                    \
	{                                                                                          \
		.name = (NAME), .type = (TYPE), .compared = (TYPE), .base = (TYPE), __VA_ARGS__    \
	}
static struct column contact_columns[] = {
	COLUMN("id", "int8", .category = 'N', .not_null = true),
	COLUMN("name", "text", .category = 'S'),
	COLUMN("since", "timestamp", .category = 'D'),
};
static struct column request_columns[] = {
	COLUMN("no", "uuid", .category = 'U'),
	COLUMN("person_id", "int8", .category = 'N'),
	COLUMN("at", "date", .category = 'D'),
	COLUMN("body", "text", .category = 'S'),
};
static struct relation relations[N_TABLES] = {
	[CONTACT] = {.oid = 1, .columns = contact_columns, .n_columns = COUNT(contact_columns)},
	[REQUEST] = {.oid = 2, .columns = request_columns, .n_columns = COUNT(request_columns)},
};
static const struct catalog catalog = {.relations = relations};

/* In one line, as it is compared. */
static char *due_sql(void *ctx, const struct plan_opts *opts, const char *keys)
{
	char *sql = plan_due_query(ctx, &model, &catalog, opts, keys), *to = sql;

	for (const char *from = sql; *from; from++)
		if (*from != ' ' && *from != '\n')
			*to++ = *from;
		else if (to > sql && to[-1] != ' ')
			*to++ = ' ';
	*to = '\0';
	return sql;
}

#define LAST                                                                                       \
	"r.last < $2::timestamptz::date AND ($1::timestamptz IS NULL OR r.last >= $1::timestamptz::date)"
#define HELD                                                                                       \
	"EXISTS (SELECT FROM retention.holds_in_force AS h WHERE h.contact_key = retention.trimmed_key(c.\"id\"::text))"
#define REQUESTS(DUE_WHEN, WHERE, OF_CONTACT)                                                      \
	"(SELECT q.\"person_id\" AS link, count(*) AS n, max(q.\"at\") AS last, "                  \
	"count(*) FILTER (WHERE q.\"at\" IS NULL OR (" DUE_WHEN " ) IS NOT TRUE) AS keeping "      \
	"FROM \"crm\".\"ticket\" AS q WHERE q.\"person_id\" IS NOT NULL" WHERE " AND " OF_CONTACT  \
	" GROUP BY 1) AS r ON r.\"link\" = c.\"id\"::int8 "

static void test_contacts(void **state)
{
	const struct plan_opts opts = {.action = ACTION_DELETE_CONTACTS};
	void *ctx = talloc_new(NULL);

	(void)state;
	assert_string_equal(
		due_sql(ctx, &opts, NULL),
		"SELECT c.\"id\" AS k, 1 + coalesce(r.n, 0) AS weight, r.last::timestamptz AS last "
		"FROM (SELECT * FROM \"crm\".\"person\") AS c "
		"JOIN " REQUESTS("true", "", "true") "WHERE r.keeping = 0 AND " LAST
						     " AND NOT " HELD " AND true AND (true)");
	talloc_free(ctx);
}

/* Predicates stand alone on their own table, each in brackets that a comment in it cannot open. */
static void test_predicates(void **state)
{
	const struct plan_opts opts = {.action = ACTION_DELETE_CONTACTS,
				       .scope = "vip IS NULL -- x"};
	void *ctx = talloc_new(NULL);

	(void)state;
	tables[CONTACT].where = "not staff";
	tables[REQUEST].where = "kind = 'a'";
	tables[REQUEST].due_when = "closed";
	assert_string_equal(
		due_sql(ctx, &opts, "$3::int8[]"),
		"SELECT c.\"id\" AS k, 1 + coalesce(r.n, 0) AS weight, r.last::timestamptz AS last "
		"FROM (SELECT * FROM \"crm\".\"person\" WHERE (not staff ) AND (vip IS NULL -- x )) AS c "
		"JOIN LATERAL " REQUESTS(
			"closed", " AND (kind = 'a' )",
			"q.\"person_id\" = c.\"id\"::int8") "WHERE r.keeping = 0 AND " LAST
							    " AND NOT " HELD
							    " AND c.\"id\" = ANY ($3::int8[]) AND (true)");
	tables[CONTACT].where = tables[REQUEST].where = tables[REQUEST].due_when = NULL;
	talloc_free(ctx);
}

/* A contact without requests is due by its own date, and its requests need not exist. */
static void test_without_requests(void **state)
{
	const struct plan_opts opts = {
		.action = ACTION_DELETE_CONTACTS, .without_requests = true, .despite_holds = true};
	void *ctx = talloc_new(NULL);

	(void)state;
	tables[CONTACT].created = "since";
	assert_string_equal(
		due_sql(ctx, &opts, NULL),
		"SELECT c.\"id\" AS k, 1 + coalesce(r.n, 0) AS weight, "
		"coalesce(r.last::timestamptz, c.\"since\"::timestamptz) AS last "
		"FROM (SELECT * FROM \"crm\".\"person\") AS c "
		"LEFT JOIN " REQUESTS(
			"true", "",
			"true") "WHERE ((r.keeping = 0 AND " LAST
				") OR (r.link IS NULL AND c.\"since\" < $2::timestamptz::timestamp AND "
				"($1::timestamptz IS NULL OR c.\"since\" >= $1::timestamptz::timestamp))) "
				"AND true AND true AND (true)");
	tables[CONTACT].created = NULL;
	talloc_free(ctx);
}

/* Chosen keys: without a date of the contact, one without requests may be another, unless nothing is too new. */
static void test_by_key(void **state)
{
	const struct plan_opts opts = {.action = ACTION_DELETE_CONTACTS, .by_key = true};
	void *ctx = talloc_new(NULL);
	const char *sql = due_sql(ctx, &opts, NULL);

	(void)state;
	assert_non_null(strstr(sql, "WHERE (r.last IS NULL OR " LAST
				    ") AND (r.link IS NOT NULL OR $2::timestamptz = 'infinity')"));
	assert_non_null(strstr(sql, "LEFT JOIN (SELECT"));
	talloc_free(ctx);
}

/* What is clean is not due again. */
static void test_anonymize(void **state)
{
	struct plan_opts opts = {.action = ACTION_ANONYMIZE_CONTACTS};
	void *ctx = talloc_new(NULL);

	(void)state;
	assert_non_null(
		strstr(due_sql(ctx, &opts, NULL),
		       "AND ((c.\"name\")::text IS DISTINCT FROM ('gone'::text)::text "
		       "OR EXISTS (SELECT FROM (SELECT * FROM \"crm\".\"ticket\") AS t1 "
		       "WHERE t1.\"person_id\" = c.\"id\" AND (t1.\"body\" IS NOT NULL)))"));
	opts.action = ACTION_ANONYMIZE_REQUESTS;
	assert_string_equal(
		due_sql(ctx, &opts, NULL),
		"SELECT r.\"no\" AS k, 1 AS weight, r.\"at\"::timestamptz AS last "
		"FROM (SELECT * FROM \"crm\".\"ticket\") AS r WHERE r.\"at\" < $2::timestamptz::date "
		"AND ($1::timestamptz IS NULL OR r.\"at\" >= $1::timestamptz::date) "
		"AND NOT EXISTS (SELECT FROM \"crm\".\"person\" AS c "
		"WHERE r.\"person_id\" = c.\"id\" AND " HELD ") AND true AND true "
		"AND (r.\"body\" IS NOT NULL)");
	talloc_free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_contacts),         cmocka_unit_test(test_predicates),
		cmocka_unit_test(test_without_requests), cmocka_unit_test(test_by_key),
		cmocka_unit_test(test_anonymize),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
