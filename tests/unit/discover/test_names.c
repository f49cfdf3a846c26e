/* What names say: words, not letters, decide; in English, French, German and Spanish. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "discover/names.c"
#include "discover/names_links.c"

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

static void check_kinds(enum name_kind kind, const char *const *columns)
{
	for (; *columns; columns++) {
		const struct naming found = names_of(*columns);

		if (found.kind != kind)
			fail_msg("%s: %d (%s), not %d", *columns, found.kind, found.word, kind);
	}
}

/* Data of a person, in each language. */
static void test_persons(void **state)
{
	static const char *const persons[] = {
		/* English */
		"emailaddress", "ip", "client_ip", "ipAddress", "lastSeenIp", "useragent",
		"browser_user_agent", "deviceToken", "device_id", "push_id", "latitude",
		"geo_location", "gps", "iban", "bankAccount", "account_number", "ssn",
		"nationalIdNumber", "passport_number", "gender", "marital_status", "nationality",
		"birth_year", "place_of_birth", "birthdate", "dob", "companyaddress1", "api_key",
		"publicKey", "order_email", "status_email", "channel_address", "author_name",
		"contact_name_2", "reply_to", "tracking_hash", "fingerprint", "profession",
		/* French */
		"adresse_ip", "numero_securite_sociale", "numeroNational", "lieuNaissance",
		"dateNaissance", "prénoms", "Prénom", "téléphone", "civilite",
		"situation_matrimoniale_civil", "etat_civil", "num_secu_sociale", "nom_client",
		"nom_du_titulaire", "rib", "courriel", "métier", "nir", "compte_bancaire",
		"plaque_immatriculation", "annee_naissance", "décès", "nomPorteur",
		/* German */
		"vorname", "Nachname", "geburtsname", "geburtsdatum", "geburtsort", "Straße",
		"hausnummer", "lieferadresse", "telefonnummer", "handy_nummer", "kontonummer",
		"steuer_id", "steuernummer", "ausweisnummer", "kontoinhaber", "empfänger",
		"geschlecht", "staatsangehörigkeit", "kennwort", "ip_adresse",
		"kundenname_name_kunde", "benutzername", "familienstand", "breitengrad", "beruf",
		"sterbedatum", "sozialversicherungsnummer",
		/* Spanish */
		"nombre_completo", "apellidos", "correo", "correo_electronico", "teléfono",
		"direcciones", "calle", "fecha_nacimiento", "lugar_nacimiento", "dni", "nif",
		"pasaporte", "contraseña", "sexo", "nacionalidad", "cuenta_bancaria",
		"estado_civil", "codigo_postal", "ubicación", "numero_cuenta", "fallecimiento",
		"nombre_usuario", "seguridad_social", "direccion_ip", NULL};

	(void)state;
	check_kinds(NAME_PERSON, persons);
}

static void test_texts(void **state)
{
	static const char *const texts[] = {"title",
					    "task_description",
					    "status_message",
					    "country_note",
					    "raw",
					    "field_value",
					    "details",
					    "titre",
					    "observations",
					    "réponse",
					    "corps_du_message",
					    "avis_client",
					    "bemerkung",
					    "Nachricht",
					    "betreff",
					    "beschreibung",
					    "anmerkungen",
					    "antwort",
					    "mensaje",
					    "asunto",
					    "descripción",
					    "comentarios",
					    "observaciones",
					    "respuesta",
					    NULL};
	static const char *const files[] = {"datei",          "bild",    "anhang", "archivo",
					    "nombre_archivo", "fichier", "foto",   "original_name",
					    "thumbnail",      NULL};
	static const char *const reasons[] = {
		"reason", "close_reason",     "declineReason", "motif_refus", "raison",
		"grund",  "ablehnungs_grund", "motivo",        "motivo_baja", NULL};

	(void)state;
	check_kinds(NAME_TEXT, texts);
	check_kinds(NAME_FILE, files);
	check_kinds(NAME_REASON, reasons);
}

/* What only looks like it: letters inside of another word, counts, kinds, and doubtful words alone. */
static void test_no_persons(void **state)
{
	static const char *const harmless[] = {"is_email_verified",
					       "email_count",
					       "nb_mails",
					       "nombre_appels",
					       "nombre_de_pages",
					       "nombres_total",
					       "type_telephone",
					       "telefon_typ",
					       "anzahl_adressen",
					       "tipo_documento",
					       "estado_correo",
					       "session_count",
					       "gender_count",
					       "country_code",
					       "code_pays",
					       "pays",
					       "land",
					       "pais",
					       "plan_code",
					       "phone_type",
					       "last_login_at",
					       "address_format",
					       "idioma",
					       "sprache",
					       "langue",
					       "reply_order",
					       "birth_status",
					       "contact_status",
					       "password_version",
					       NULL};
	static const char *const unknown[] = {"urbanism",
					      "trip",
					      "zipper",
					      "strip_id",
					      "recipe",
					      "ageing",
					      "page",
					      "usage",
					      "stage_manager",
					      "courage",
					      "equipo",
					      "portion",
					      "sortie",
					      "ortung",
					      "village",
					      "livraison",
					      "kantine",
					      "tiempo",
					      "gramos",
					      "nieto",
					      "adnic",
					      "latte",
					      "lone",
					      "sexagesimal",
					      "tokenizer",
					      "mailing",
					      "source_branch",
					      "country_manager",
					      "position",
					      "label",
					      "external_id",
					      "contact_type_id",
					      "ribbon",
					      "ruedas",
					      "cpu",
					      "nirvana",
					      "spin",
					      "addressee_group",
					      NULL};

	(void)state;
	check_kinds(NAME_HARMLESS, harmless);
	check_kinds(NAME_UNKNOWN, unknown);
}

/* A phone is personal as a number, a gender as an enum; a count of logins is neither. */
static void test_numbers(void **state)
{
	(void)state;
	assert_true(names_of("phone_number").number);
	assert_true(names_of("numero_securite_sociale").number);
	assert_true(names_of("konto_nummer").number);
	assert_true(names_of("birth_year").number);
	assert_true(names_of("latitude").number);
	assert_true(names_of("dni").number);
	assert_false(names_of("login_failed").number);
	assert_false(names_of("message_id").number);
	assert_false(names_of("reply_to_post_number").number);
	assert_true(names_of("sexe").trait);
	assert_true(names_of("marital_status").trait);
	assert_true(names_of("geschlecht").trait);
	assert_true(names_of("estado_civil").trait);
	assert_false(names_of("email").trait);
	assert_true(names_is_birth("fecha_nacimiento"));
	assert_true(names_is_birth("geburtsdatum"));
	assert_true(names_is_birth("dateNaissance"));
	assert_false(names_is_birth("geburtenrate"));
}

/* The habits of names in four languages: roles, pairs, numbers, and what tells staff from contacts. */
static void test_four_languages(void **state)
{
	static const char *const pairs[][2] = {{"bezug_art", "bezug_id"},
					       {"objekt_typ", "objekt_id"},
					       {"BezugArt", "BezugId"},
					       {"sujet_classe", "sujet_id"},
					       {"objeto_tipo", "objeto_id"}};
	static const char *const customers[] = {"kunde_nr",     "kundennr",   "mieter_id",
						"locataire_id", "cliente_no", "customer_number",
						"solicitante",  "kontakt_id"};
	static const char *const by[] = {"created_by", "geaendert_von", "cree_par", "creado_por"};
	static const char *const staff[] = {"Sachbearbeiterin", "admin", "gestionnaire",
					    "empleado"};
	static const char *const roles[] = {"role", "rolle", "rol", "benutzer_rolle"};
	void *ctx = talloc_new(NULL);

	(void)state;
	for (size_t i = 0; i < LENGTH(pairs); i++)
		if (!names_is_pair(pairs[i][0], pairs[i][1]))
			fail_msg("%s and %s are a pair", pairs[i][0], pairs[i][1]);
	for (size_t i = 0; i < LENGTH(customers); i++)
		if (names_role(customers[i]) != NAME_ROLE_CUSTOMER)
			fail_msg("%s is a customer", customers[i]);
	for (size_t i = 0; i < LENGTH(by); i++)
		if (names_role(by[i]) != NAME_ROLE_BY)
			fail_msg("%s is a person who did something", by[i]);
	for (size_t i = 0; i < LENGTH(staff); i++)
		if (!names_is_staff_value(staff[i]))
			fail_msg("%s is staff", staff[i]);
	for (size_t i = 0; i < LENGTH(roles); i++)
		assert_int_equal(names_staff(roles[i]), NAME_STAFF_ROLE);
	assert_true(names_is_customer_value("mieter"));
	assert_false(names_is_pair("start", "start_id"));
	assert_string_equal(names_link_stem(ctx, "vertrag_nr"), "vertrag");
	assert_string_equal(names_link_stem(ctx, "userid"), "user");
	assert_null(names_link_stem(ctx, "vorgang"));
	assert_null(names_link_stem(ctx, "nr"));
	assert_true(names_is_numbered("vertrag_nr"));
	assert_false(names_is_numbered("vertrag_id"));
	assert_false(names_is_numbered("userid"));
	assert_true(names_is_tenant("mandanten"));
	talloc_free(ctx);
}

static void test_numbered_pairs(void **state)
{
	(void)state;
	assert_true(names_is_numbered_pair("content_type_id", "object_id"));
	assert_true(names_is_numbered_pair("contentTypeId", "objectId"));
	assert_true(names_is_numbered_pair("target_content_type_id", "target_object_id"));
	assert_true(names_is_numbered_pair("res_model_id", "res_id"));
	assert_true(names_is_numbered_pair("model_id", "record_id"));
	assert_true(names_is_numbered_pair("subject_type_id", "subject_id"));
	assert_true(names_is_numbered_pair("object_lookup_id", "o_id"));
	assert_false(names_is_numbered_pair("target_content_type_id", "actor_object_id"));
	assert_false(names_is_numbered_pair("content_type_id", "contact_id"));
	assert_false(names_is_numbered_pair("content_type", "object_id"));
	assert_false(names_is_numbered_pair("contact_type_id", "request_id"));
	assert_false(names_is_numbered_pair("type_id", "id"));
	assert_false(names_is_numbered_pair("", ""));
}

static void test_secrets(void **state)
{
	static const char *const secrets[] = {
		"password", "encrypted_password", "passwordHash", "API-Key",
		"apikey",   "otp_secret",         "reset_token",  "access_keys",
		"kennwort", "jeton_acces",        "contraseña"};
	static const char *const others[] = {"email",
					     "password_status",
					     "public_key",
					     "token_count",
					     "secretary_name",
					     "keyword",
					     "passport_number",
					     "key",
					     ""};

	(void)state;
	for (size_t i = 0; i < LENGTH(secrets); i++)
		if (!names_is_secret(secrets[i]))
			fail_msg("%s is a secret", secrets[i]);
	for (size_t i = 0; i < LENGTH(others); i++)
		if (names_is_secret(others[i]))
			fail_msg("%s is no secret", others[i]);
}

static void test_states(void **state)
{
	static const char *const closed[] = {"Closed",
					     "closed_at",
					     "CLOSED (won)",
					     "Fermé",
					     "clôturée",
					     "Résolu",
					     "Erledigt",
					     "Gelöst",
					     "abgeschlossen",
					     "Cerrado",
					     "resuelta",
					     "isResolved",
					     "spam",
					     "closed successful",
					     NULL};
	static const char *const open[] = {"open",
					   "new",
					   "pending close",
					   "not done",
					   "closed_by_id",
					   "reopened",
					   "unresolved",
					   "enclosed",
					   "en attente de clôture",
					   "nicht erledigt",
					   "noch nicht gelöst",
					   "pendiente",
					   "sin resolver",
					   "close_reason",
					   "auto_close",
					   "",
					   NULL};

	(void)state;
	for (const char *const *label = closed; *label; label++)
		if (!names_says_closed(*label))
			fail_msg("%s", *label);
	for (const char *const *label = open; *label; label++)
		if (names_says_closed(*label))
			fail_msg("%s", *label);
	assert_true(names_is_state("status"));
	assert_true(names_is_state("stateId"));
	assert_true(names_is_state("statut_dossier"));
	assert_true(names_is_state("ticket_state"));
	assert_false(names_is_state("estate"));
	assert_false(names_is_state("id"));
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
		cmocka_unit_test(test_persons),        cmocka_unit_test(test_texts),
		cmocka_unit_test(test_secrets),        cmocka_unit_test(test_four_languages),
		cmocka_unit_test(test_numbered_pairs), cmocka_unit_test(test_states),
		cmocka_unit_test(test_no_persons),     cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_columns),        cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_tables),         cmocka_unit_test(test_types),
		cmocka_unit_test(test_type_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
