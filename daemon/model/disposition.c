#include "model/disposition.h"

#include <string.h>

static bool is_copied(const struct table *t, enum archive_mode archive)
{
	return archive == ARCHIVE_FULL || (archive == ARCHIVE_LISTED && t->archive);
}

/* A deleted parent takes along what hangs off it; a kept or detached one shields it. */
static enum disposition disposition_in_delete(const struct table *t)
{
	if (!t->of)
		return DISPOSITION_DELETE;
	if (disposition_in_delete(t->of) != DISPOSITION_DELETE)
		return DISPOSITION_NONE;
	return t->on_delete == ON_DELETE_DETACH ? DISPOSITION_DETACH
	       : t->on_delete == ON_DELETE_KEEP ? DISPOSITION_KEEP
						: DISPOSITION_DELETE;
}

static enum disposition disposition_in_anonymize(const struct table *t)
{
	const struct column_rules rules = disposition_rules(t, DISPOSITION_UPDATE);

	if (t->on_anonymize == ON_ANONYMIZE_DELETE)
		return DISPOSITION_DELETE;
	/* All columns under keep is an answer too: nothing is written, and new columns are refused. */
	if (t->on_anonymize == ON_ANONYMIZE_RULES && disposition_writes(&rules))
		return DISPOSITION_UPDATE;
	return DISPOSITION_KEEP; /* UNSET: the configuration refuses it where it is reached */
}

struct column_rules disposition_rules(const struct table *t, enum disposition disposition)
{
	return disposition == DISPOSITION_DETACH ? t->on_detach
						 : (struct column_rules){t->rules, t->n_rules};
}

bool disposition_writes(const struct column_rules *rules)
{
	for (size_t i = 0; i < rules->n; i++)
		if (rules->list[i].kind != RULE_KEEP)
			return true;
	return false;
}

/* The request's name is fixed.  anonymize_requests reaches the tables below it. */
static bool is_under_request(const struct table *t)
{
	for (; t; t = t->of)
		if (strcmp(t->name, "request") == 0)
			return true;
	return false;
}

enum disposition disposition_of(const struct table *t, enum action action,
				enum archive_mode archive)
{
	switch (action) {
	case ACTION_EXPORT:
		return is_copied(t, archive) ? DISPOSITION_COPY : DISPOSITION_KEEP;
	case ACTION_DELETE_CONTACTS:
		return disposition_in_delete(t);
	case ACTION_ANONYMIZE_CONTACTS:
		return disposition_in_anonymize(t);
	case ACTION_ANONYMIZE_REQUESTS:
		return is_under_request(t) ? disposition_in_anonymize(t) : DISPOSITION_NONE;
	case ACTION_COUNT:
		break;
	}
	return DISPOSITION_NONE;
}

bool disposition_is_archived(const struct table *t, enum action action, enum archive_mode archive)
{
	const enum disposition disposition = disposition_of(t, action, archive);

	return disposition == DISPOSITION_COPY ||
	       ((disposition == DISPOSITION_DELETE || disposition == DISPOSITION_DETACH) &&
		action == ACTION_DELETE_CONTACTS && is_copied(t, archive));
}
