/*
 * The details of an event are JSON, with other members for each kind (CONTRIBUTING, journal/).  Only known members are
 * shown.  The whole event is printed by retentionctl show --json.
 */
#include "web/events.h"

#include "base/text.h"
#include "web/words.h"

#define KEYS                                                                                       \
	"CASE WHEN jsonb_typeof(e.details->'keys') = 'array' THEN e.details->'keys'\n"             \
	"     WHEN e.kind = 'sliced' THEN jsonb_build_array(e.details->'key') END"

const char events_columns[] =
	"e.id AS event, e.at, e.kind, e.actor, e.job,\n"
	"e.details->>'contact' AS contact,\n"
	"CASE WHEN e.kind = 'listed' THEN e.details->>'candidates' END AS listed,\n"
	"jsonb_array_length(" KEYS ") AS keys_n,\n"
	"(SELECT string_agg(k.key, ' ' ORDER BY k.n) || CASE WHEN max(k.n) > 10 THEN ' …' ELSE '' END\n"
	"   FROM (SELECT CASE WHEN a.n <= 10 THEN a.key END AS key, a.n\n"
	"           FROM jsonb_array_elements_text(" KEYS
	") WITH ORDINALITY AS a(key, n)) AS k) AS keys,\n"
	"CASE WHEN jsonb_typeof(e.details->'held') = 'array'\n"
	"     THEN nullif(jsonb_array_length(e.details->'held'), 0) END AS held_n,\n"
	"CASE WHEN e.kind IN ('archive_download', 'unknown_archive_deleted', 'unknown_archive_removed',\n"
	"                 'policy_saved', 'policy_validated', 'policy_retired', 'forgotten_policy')\n"
	"     THEN coalesce(e.details->>'file', e.details->>'name') END AS file,\n"
	"CASE WHEN e.kind = 'files_removed' THEN e.details->>'files' END AS files,\n"
	"CASE WHEN e.kind = 'configured' THEN e.details->>'setting' END AS setting,\n"
	"CASE WHEN e.kind = 'configured' THEN e.details->>'value' END AS setting_value,\n"
	"CASE WHEN e.kind = 'ledger_ahead' THEN e.details->>'lines' END AS lines,\n"
	"CASE WHEN e.kind IN ('asked', 'answered') THEN e.details->>'what' END AS asked,\n"
	"CASE WHEN e.kind = 'answered' AND e.details->>'outcome' <> 'ok' THEN true END AS refused,\n"
	"CASE e.kind WHEN 'failed_key' THEN e.details->>'message' WHEN 'changed' THEN e.details->>'why'\n"
	"            WHEN 'replay_waived' THEN e.details->>'reason' WHEN 'adopted' THEN e.details->>'reason'\n"
	" END AS words,\n"
	"(e.details->>'everything')::boolean AS everything";

/* What a person asks of the daemon (retention.ask). */
static const char *asked_words(const struct language *language, const char *asked)
{
	static const char *const kinds[] = {"verify_archive", "subject_export", "find_contact",
					    "measure", NULL};
	static const char *const words[] = {
		_("verify the archive"), _("document of the data about a person"),
		_("look for the contact of a hold"), _("measure again")};

	for (int i = 0; asked && kinds[i]; i++)
		if (strcmp(asked, kinds[i]) == 0)
			return language_text(language, words[i]);
	return asked;
}

/* A setting that the daemon wrote from its configuration (retention.setting), and its value in words; NULL: as it is. */
static const char *setting_value(const struct visit *v, const char *name, const char *value)
{
	if (strcmp(name, "page_policies") == 0)
		return language_text(v->language, *value ? _("yes") : _("no"));
	if (*value == '\0')
		return language_text(v->language, _("not declared"));
	if (strcmp(name, "four_eyes") == 0)
		return language_text(v->language, strcmp(value, "true") == 0 ? _("yes") : _("no"));
	if (strcmp(name, "archives_keep") == 0 || strcmp(name, "backups_keep") == 0)
		return words_filter(visit_ctx(v), v->language, "depth", value);
	return NULL;
}

static void set_setting(const struct visit *v, struct values *row)
{
	static const char *const names[] = {"timezone",      "four_eyes",    "contact_key_type",
					    "archives_keep", "backups_keep", "page_policies"};
	static const char *const words[] = {
		_("time zone"),
		_("four eyes"),
		_("type of the keys"),
		_("archives are kept for"),
		_("backups are kept for"),
		_("rules made on this page"),
	};
	const char *const name = values_get(row, "setting", NULL);
	const char *const value = values_get(row, "setting_value", NULL);
	const size_t i = name && value ? text_index(name, names, LENGTH(names)) : LENGTH(names);
	const char *said;

	if (i == LENGTH(names))
		return;
	said = setting_value(v, name, value);
	if (said)
		values_set(row, "setting_value", said);
	values_set(row, "setting", language_text(v->language, words[i]));
}

/* Something stands in the column "about": a phone leaves out an empty one. */
static bool says_more(const struct values *row)
{
	static const char *const about[] = {"job_link",   "contact", "listed",    "keys_n",
					    "file",       "files",   "setting",   "lines",
					    "asked_word", "words",   "everything"};

	for (size_t i = 0; i < LENGTH(about); i++)
		if (values_get(row, about[i], NULL))
			return true;
	return false;
}

void events_list(struct visit *v, const char *name, bool linked)
{
	const PGresult *res = visit_rows(v, name);

	values_list(v->values, name);
	for (int i = 0; i < PQntuples(res); i++) {
		struct values *row = values_add(v->values, name);

		values_row(row, res, i);
		values_set(row, "job_link", linked ? values_get(row, "job", NULL) : NULL);
		set_setting(v, row);
		values_set(row, "asked_word",
			   asked_words(v->language, values_get(row, "asked", NULL)));
		values_flag(row, "says_more", says_more(row));
	}
}
