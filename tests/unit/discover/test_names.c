/* What names say: parts, not letters, decide; English and French. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "discover/names.c"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_columns(void **state)
{
	static const struct {
		const char *column;
		enum naming naming;
	} cases[] = {
		{"email", NAMING_PERSON},
		{"other_emails", NAMING_PERSON},
		{"EMail", NAMING_PERSON},
		{"emailAddress", NAMING_PERSON},
		{"phone_number", NAMING_PERSON},
		{"addresses", NAMING_PERSON},
		{"street2", NAMING_PERSON},
		{"postal_code", NAMING_PERSON},
		{"code_postal", NAMING_PERSON},
		{"last_ip", NAMING_PERSON},
		{"user_agent", NAMING_PERSON},
		{"encrypted_password", NAMING_PERSON},
		{"first_name", NAMING_PERSON},
		{"preferredName", NAMING_PERSON},
		{"nom_de_famille", NAMING_PERSON},
		{"adresse_mail", NAMING_PERSON},
		{"date_naissance", NAMING_PERSON},
		{"numero_telephone", NAMING_PERSON},
		{"prénom", NAMING_PERSON},
		{"First Name", NAMING_PERSON},
		{"name", NAMING_NAME},
		{"nom", NAMING_NAME},
		{"note", NAMING_TEXT},
		{"commentaires", NAMING_TEXT},
		{"html_body", NAMING_TEXT},
		{"filename", NAMING_FILE},
		{"file_name", NAMING_FILE},
		{"nom_fichier", NAMING_FILE},
		{"avatar_url", NAMING_FILE},
		{"status_name", NAMING_HARMLESS},
		{"country_name", NAMING_HARMLESS},
		{"nom_statut", NAMING_HARMLESS},
		{"email_status", NAMING_HARMLESS},
		{"mail_count", NAMING_HARMLESS},
		{"type_adresse", NAMING_HARMLESS},
		{"content_type", NAMING_HARMLESS},
		{"mime_type", NAMING_HARMLESS},
		{"zip_code_type", NAMING_HARMLESS},
		{"language", NAMING_HARMLESS},
		{"pays", NAMING_HARMLESS},
		{"warehouse_name", NAMING_UNKNOWN},
		{"reporting_ref", NAMING_UNKNOWN},
		{"shipment", NAMING_UNKNOWN},
		{"equipment", NAMING_UNKNOWN},
		{"recipe", NAMING_UNKNOWN},
		{"velocity", NAMING_UNKNOWN},
		{"external_id", NAMING_UNKNOWN},
		{"", NAMING_UNKNOWN},
		{"42", NAMING_UNKNOWN},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *word = NULL;
		const enum naming found = naming_of(cases[i].column, &word);

		if (found != cases[i].naming)
			fail_msg("%s: %d, not %d", cases[i].column, found, cases[i].naming);
		assert_true((word != NULL) == (found != NAMING_UNKNOWN));
	}
}

/* More parts, and longer ones, than there is room for: cut, not overrun. */
static void test_long_names(void **state)
{
	char name[400];

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(naming_of(name, NULL), NAMING_UNKNOWN);
	for (size_t i = 1; i < sizeof(name) - 1; i += 2)
		name[i] = '_';
	assert_int_equal(naming_of(name, NULL), NAMING_UNKNOWN);
}

static void test_tables(void **state)
{
	(void)state;
	assert_int_equal(naming_of_table("users"), NAMING_TABLE_STAFF);
	assert_int_equal(naming_of_table("res_users"), NAMING_TABLE_STAFF);
	assert_int_equal(naming_of_table("countries"), NAMING_TABLE_LIST);
	assert_int_equal(naming_of_table("res_country_state"), NAMING_TABLE_LIST);
	assert_int_equal(naming_of_table("inboxes"), NAMING_TABLE_STAFF);
	assert_int_equal(naming_of_table("address"), NAMING_TABLE_UNKNOWN);
}

static void test_types(void **state)
{
	(void)state;
	assert_true(naming_is_type_of("Contact", "contact"));
	assert_true(naming_is_type_of("Contact", "contacts"));
	assert_true(naming_is_type_of("CONTACTS", "contact"));
	assert_true(naming_is_type_of("SupportCase", "support_cases"));
	assert_true(naming_is_type_of("Crm::Company", "companies"));
	assert_true(naming_is_type_of("App\\Models\\Contact", "contacts"));
	assert_true(naming_is_type_of("res.partner", "res_partner"));
	assert_false(naming_is_type_of("ContactInbox", "contacts"));
	assert_false(naming_is_type_of("", "contacts"));
	assert_false(naming_is_type_of("7", "contacts"));

	assert_true(naming_is_pair("record_type", "record_id"));
	assert_true(naming_is_pair("recordType", "recordId"));
	assert_true(naming_is_pair("res_model", "res_id"));
	assert_true(naming_is_pair("model", "res_id"));
	assert_true(naming_is_pair("itemtype", "items_id"));
	assert_false(naming_is_pair("record_type", "owner_id"));
	assert_false(naming_is_pair("type", "id"));

	assert_true(naming_is_link_to("contact_id", "contacts", NULL));
	assert_true(naming_is_link_to("messageId", "message", NULL));
	assert_true(naming_is_link_to("contact_id", "res_partner", "contact"));
	assert_false(naming_is_link_to("contact_type_id", "contacts", NULL));
	assert_false(naming_is_link_to("id", "contacts", NULL));
}

static void test_type_values(void **state)
{
	char *camel = naming_type_value(NULL, "record_type", "support_cases");
	char *dotted = naming_type_value(NULL, "res_model", "res_partner");

	(void)state;
	assert_string_equal(camel, "SupportCase");
	assert_string_equal(dotted, "res.partner");
	talloc_free(camel);
	talloc_free(dotted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns),     cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_tables),      cmocka_unit_test(test_types),
		cmocka_unit_test(test_type_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
