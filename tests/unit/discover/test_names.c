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
		enum name_kind naming;
	} cases[] = {
		{"email", NAME_PERSON},
		{"other_emails", NAME_PERSON},
		{"EMail", NAME_PERSON},
		{"emailAddress", NAME_PERSON},
		{"phone_number", NAME_PERSON},
		{"addresses", NAME_PERSON},
		{"street2", NAME_PERSON},
		{"postal_code", NAME_PERSON},
		{"code_postal", NAME_PERSON},
		{"last_ip", NAME_PERSON},
		{"user_agent", NAME_PERSON},
		{"encrypted_password", NAME_PERSON},
		{"first_name", NAME_PERSON},
		{"preferredName", NAME_PERSON},
		{"nom_de_famille", NAME_PERSON},
		{"adresse_mail", NAME_PERSON},
		{"date_naissance", NAME_PERSON},
		{"numero_telephone", NAME_PERSON},
		{"prénom", NAME_PERSON},
		{"First Name", NAME_PERSON},
		{"name", NAME_NAME},
		{"nom", NAME_NAME},
		{"note", NAME_TEXT},
		{"commentaires", NAME_TEXT},
		{"html_body", NAME_TEXT},
		{"filename", NAME_FILE},
		{"file_name", NAME_FILE},
		{"nom_fichier", NAME_FILE},
		{"avatar_url", NAME_FILE},
		{"status_name", NAME_HARMLESS},
		{"country_name", NAME_HARMLESS},
		{"nom_statut", NAME_HARMLESS},
		{"email_status", NAME_HARMLESS},
		{"mail_count", NAME_HARMLESS},
		{"type_adresse", NAME_HARMLESS},
		{"content_type", NAME_HARMLESS},
		{"mime_type", NAME_HARMLESS},
		{"zip_code_type", NAME_HARMLESS},
		{"language", NAME_HARMLESS},
		{"pays", NAME_HARMLESS},
		{"warehouse_name", NAME_UNKNOWN},
		{"reporting_ref", NAME_UNKNOWN},
		{"shipment", NAME_UNKNOWN},
		{"equipment", NAME_UNKNOWN},
		{"recipe", NAME_UNKNOWN},
		{"velocity", NAME_UNKNOWN},
		{"external_id", NAME_UNKNOWN},
		{"", NAME_UNKNOWN},
		{"42", NAME_UNKNOWN},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct naming found = names_of(cases[i].column);

		if (found.kind != cases[i].naming)
			fail_msg("%s: %d, not %d", cases[i].column, found.kind, cases[i].naming);
		assert_true((found.word[0] != '\0') == (found.kind != NAME_UNKNOWN));
	}
}

/* More parts, and longer ones, than there is room for: cut, not overrun. */
static void test_long_names(void **state)
{
	char name[400];

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(names_of(name).kind, NAME_UNKNOWN);
	for (size_t i = 1; i < sizeof(name) - 1; i += 2)
		name[i] = '_';
	assert_int_equal(names_of(name).kind, NAME_UNKNOWN);
}

static void test_tables(void **state)
{
	(void)state;
	assert_int_equal(names_of_table("users"), NAME_TABLE_STAFF);
	assert_int_equal(names_of_table("res_users"), NAME_TABLE_STAFF);
	assert_int_equal(names_of_table("countries"), NAME_TABLE_LIST);
	assert_int_equal(names_of_table("res_country_state"), NAME_TABLE_LIST);
	assert_int_equal(names_of_table("inboxes"), NAME_TABLE_STAFF);
	assert_int_equal(names_of_table("address"), NAME_TABLE_UNKNOWN);
}

static void test_types(void **state)
{
	(void)state;
	assert_true(names_is_type_of("Contact", "contact"));
	assert_true(names_is_type_of("Contact", "contacts"));
	assert_true(names_is_type_of("CONTACTS", "contact"));
	assert_true(names_is_type_of("SupportCase", "support_cases"));
	assert_true(names_is_type_of("Crm::Company", "companies"));
	assert_true(names_is_type_of("App\\Models\\Contact", "contacts"));
	assert_true(names_is_type_of("res.partner", "res_partner"));
	assert_false(names_is_type_of("ContactInbox", "contacts"));
	assert_false(names_is_type_of("", "contacts"));
	assert_false(names_is_type_of("7", "contacts"));

	assert_true(names_is_pair("record_type", "record_id"));
	assert_true(names_is_pair("recordType", "recordId"));
	assert_true(names_is_pair("res_model", "res_id"));
	assert_true(names_is_pair("model", "res_id"));
	assert_false(names_is_pair("car_model", "res_id"));
	assert_true(names_is_pair("itemtype", "items_id"));
	assert_false(names_is_pair("record_type", "owner_id"));
	assert_false(names_is_pair("type", "id"));

	assert_true(names_is_link_to("contact_id", "contacts", NULL));
	assert_true(names_is_link_to("messageId", "message", NULL));
	assert_true(names_is_link_to("contact_id", "res_partner", "contact"));
	assert_false(names_is_link_to("contact_type_id", "contacts", NULL));
	assert_false(names_is_link_to("id", "contacts", NULL));
}

static void test_type_values(void **state)
{
	char *camel = names_type_value(NULL, "record_type", "support_cases");
	char *dotted = names_type_value(NULL, "res_model", "res_partner");

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
