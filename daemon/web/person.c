#include "web/person.h"

#include "base/schema_version.h"
#include "web/visit_answer.h"

const char person_sql[] = "SELECT me.*, pg_catalog.set_config('TimeZone', me.timezone, false),\n"
			  "       (" SCHEMA_VERSION_SQL ") AS schema_version\n"
			  "  FROM retention.me";

bool person_check_schema(struct visit *v, int64_t version)
{
	AUTO(talloc) char *why = schema_version_judge(NULL, version, "retentiond-web");

	if (!why)
		return true;
	visit_answer_note(v, LOG_ERR, why);
	visit_fail(
		v, 503,
		language_text(
			v->language,
			schema_version_compare(version) < 0
				? _("The database is older than this page. What you entered is not saved. "
				    "The administrator has to run: retentionctl migrate")
				: _("The database is newer than this page. What you entered is not saved. "
				    "The administrator has to install the newer retentiond-web.")));
	return false;
}

static bool is_true(const PGresult *me, const char *name)
{
	const char *text = values_column(me, 0, name);

	return text && *text == 't';
}

static char *copy(void *ctx, const PGresult *me, const char *name)
{
	const char *text = values_column(me, 0, name);

	return text ? t_strdup(ctx, text) : NULL;
}

struct person *person_read(void *ctx, const PGresult *me)
{
	struct person *person;

	if (PQntuples(me) != 1 || !values_column(me, 0, "name") ||
	    !values_column(me, 0, "superuser") || is_true(me, "superuser") || is_true(me, "daemon"))
		return NULL;
	person = t_zero(ctx, struct person);
	person->name = copy(person, me, "name");
	person->auditor = is_true(me, "auditor");
	person->operator= is_true(me, "operator");
	person->approver = is_true(me, "approver");
	person->four_eyes = is_true(me, "four_eyes");
	person->timezone = copy(person, me, "timezone");
	person->key_type = copy(person, me, "key_type");
	person->today = copy(person, me, "today");
	if (person->auditor || person->operator|| person->approver)
		return person;
	talloc_free(person);
	return NULL;
}
