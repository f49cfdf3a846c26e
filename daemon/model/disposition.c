#include "model/disposition.h"

#include <string.h>

const struct table *fate_subject(const struct model *model, enum action action)
{
	return action == ACTION_ANONYMIZE_REQUESTS ? model->request : model->contact;
}

static bool is_copied(const struct table *t, enum archive_mode archive)
{
	return archive == ARCHIVE_FULL || (archive == ARCHIVE_LISTED && t->archive);
}

/* A deleted parent takes along what hangs off it; a kept or detached one shields it. */
static enum fate fate_in_delete(const struct table *t)
{
	if (!t->of)
		return FATE_DELETE;
	if (fate_in_delete(t->of) != FATE_DELETE)
		return FATE_NONE;
	switch (t->on_delete) {
	case ON_DELETE_DETACH:
		return FATE_DETACH;
	case ON_DELETE_KEEP:
		return FATE_KEEP;
	case ON_DELETE_DELETE:
		break;
	}
	return FATE_DELETE;
}

static enum fate fate_in_anonymize(const struct table *t)
{
	switch (t->on_anonymize) {
	case ON_ANONYMIZE_DELETE:
		return FATE_DELETE;
	case ON_ANONYMIZE_RULES:
		/* All of it under keep is an answer too: nothing to write, new columns are refused. */
		for (size_t i = 0; i < t->n_rules; i++)
			if (t->rules[i].kind != RULE_KEEP)
				return FATE_UPDATE;
		break;
	case ON_ANONYMIZE_KEEP:
	case ON_ANONYMIZE_UNSET: /* refused by the configuration where it is reached */
		break;
	}
	return FATE_KEEP;
}

/* The request's own name is fixed (DESIGN section 3): below it lies what anonymize_requests reaches. */
static bool is_under_request(const struct table *t)
{
	for (; t; t = t->of)
		if (strcmp(t->name, "request") == 0)
			return true;
	return false;
}

enum fate fate_of(const struct table *t, enum action action, enum archive_mode archive)
{
	switch (action) {
	case ACTION_EXPORT:
		return is_copied(t, archive) ? FATE_COPY : FATE_KEEP;
	case ACTION_DELETE_CONTACTS:
		return fate_in_delete(t);
	case ACTION_ANONYMIZE_CONTACTS:
		return fate_in_anonymize(t);
	case ACTION_ANONYMIZE_REQUESTS:
		return is_under_request(t) ? fate_in_anonymize(t) : FATE_NONE;
	case ACTION_COUNT:
		break;
	}
	return FATE_NONE;
}

bool fate_has_step(const struct table *t, enum action action, enum archive_mode archive)
{
	return fate_of(t, action, archive) >= FATE_COPY;
}

bool fate_is_inner(const struct model *model, const struct table *t, enum action action,
		   enum archive_mode archive)
{
	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *child = &model->tables[i];

		if (child != t && model_is_under(child, t) && fate_has_step(child, action, archive))
			return true;
	}
	return false;
}

bool fate_is_archived(const struct table *t, enum action action, enum archive_mode archive)
{
	const enum fate fate = fate_of(t, action, archive);

	return fate == FATE_COPY || ((fate == FATE_DELETE || fate == FATE_DETACH) &&
				     action == ACTION_DELETE_CONTACTS && is_copied(t, archive));
}
