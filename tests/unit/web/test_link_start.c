/* Why a connection failed, in any language of the server. */
#include "web/link_start.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define AT "connection to server on socket \"/run/postgresql/.s.PGSQL.5432\" failed: "

static void test_failures(void **state)
{
	static const struct {
		const char *message;
		enum link_end end;
	} cases[] = {
		{AT "FATAL:  28P01: password authentication failed for user \"x\"", LINK_REFUSED},
		{AT "FATAL:  28000: no pg_hba.conf entry for host", LINK_REFUSED},
		{AT "FATAL:  42501: permission denied for database \"crm\"", LINK_FORBIDDEN},
		{AT "FATAL:  57P03: the database system is starting up", LINK_AWAY},
		{AT "FATAL:  53300: too many connections", LINK_AWAY},
		{AT "FATAL:  3D000: database \"crm\" does not exist", LINK_AWAY},
		{AT "No such file or directory", LINK_AWAY},
		{"", LINK_AWAY},
		/* The first SQLSTATE counts: what follows may be a name that somebody has entered. */
		{AT "FATAL:  57P03: role \":  28P01:\"", LINK_AWAY},
		{AT "FATAL:  28P01: role \":  42501:\"", LINK_REFUSED},
		{":  2", LINK_AWAY},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		assert_int_equal(link_start_failure(cases[i].message), cases[i].end);
}

/* The texts that a person enters are values, never a connection string. */
static void test_values(void **state)
{
	PGconn *conn = link_start(&(struct link_opts){
		.conninfo = "host=/nowhere dbname=crm user=other password=other",
		.user = "host=elsewhere",
		.password = "p' host=elsewhere"});

	(void)state;
	assert_non_null(conn);
	assert_string_equal(PQuser(conn), "host=elsewhere");
	assert_string_equal(PQpass(conn), "p' host=elsewhere");
	assert_string_equal(PQdb(conn), "crm");
	assert_string_equal(PQhost(conn), "/nowhere");
	PQfinish(conn);
	assert_null(link_start(&(struct link_opts){.conninfo = "nonsense", .user = "x"}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
