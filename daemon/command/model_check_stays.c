/* What stays, although the model looks as if it went: rows below one that stays, and links that name a person. */
#include "command/model_check_state.h"

#include "discover/names.h"
#include "discover/verdict.h"
#include "model/disposition.h"
#include "model/path.h"

#include <string.h>

const struct table *model_check_shield(const struct table *t)
{
	const struct table *above = t->of;

	if (disposition_of(t, ACTION_DELETE_CONTACTS, ARCHIVE_NONE) != DISPOSITION_NONE)
		return NULL;
	while (disposition_of(above, ACTION_DELETE_CONTACTS, ARCHIVE_NONE) == DISPOSITION_NONE)
		above = above->of;
	return above;
}

static bool looks_personal(const struct model_check *m, const struct schema_table *table,
			   const struct schema_column *c)
{
	const char *why;

	return !c->generated && verdict_of(m->ctx, table, c, &why) == VERDICT_CLEAR;
}

/* Does an anonymization erase the column? */
static bool has_erasing_rule(const struct table *t, const char *column)
{
	const struct column_rule *rule = model_rule(t, column);

	return t->on_anonymize == ON_ANONYMIZE_RULES && rule && rule->kind != RULE_KEEP;
}

/* Has the table another name whose rows are deleted?  Then one that stays is another contact's, and goes with that one. */
static bool is_anothers(const struct model_check *m, const struct table *t)
{
	for (size_t i = 0; i < m->model->n_tables; i++)
		if (m->catalog->relations[i].oid == m->catalog->relations[t->index].oid &&
		    disposition_of(&m->model->tables[i], ACTION_DELETE_CONTACTS, ARCHIVE_NONE) ==
			    DISPOSITION_DELETE)
			return true;
	return false;
}

static void find_not_reached(struct model_check *m, const struct table *t,
			     const struct schema_table *table)
{
	const struct table *shield = model_check_shield(t);
	char *left = t_strdup(m->ctx, "");

	if (!shield || is_anothers(m, shield))
		return;
	for (size_t i = 0; i < table->n_columns; i++) {
		const struct schema_column *c = &table->columns[i];
		const bool link = c->foreign || c->primary || columns_have(t->key, c->name) ||
				  (!t->match && columns_have(t->by, c->name));

		if (has_erasing_rule(t, c->name) || (!link && looks_personal(m, table, c)))
			t_list(&left, ", ", "%s", c->name);
	}
	if (*left)
		HINT(m,
		     N_("table \"%s\": a deletion does not reach it, because \"%s\" above it stays, and "
			"leaves as they are: %s"),
		     t->name, shield->name, left);
	else if (t->on_anonymize == ON_ANONYMIZE_DELETE)
		HINT(m,
		     N_("table \"%s\": a deletion does not reach it, because \"%s\" above it stays: only an "
			"anonymization deletes its rows"),
		     t->name, shield->name);
}

/* A link may only be kept. */
static void find_personal_links(struct model_check *m, const struct table *t,
				const struct schema_table *table)
{
	if (!t->by || t->match ||
	    (t->on_anonymize != ON_ANONYMIZE_KEEP && t->on_anonymize != ON_ANONYMIZE_RULES))
		return;
	for (size_t i = 0; i < table->n_columns; i++) {
		const struct schema_column *c = &table->columns[i];

		if (columns_have(t->by, c->name) && names_of(c->name).kind == NAME_PERSON &&
		    looks_personal(m, table, c))
			HINT(m,
			     N_("table \"%s\": its link \"%s\" looks personal and stays in an "
				"anonymization: only match allows a rule for it"),
			     t->name, c->name);
	}
}

void model_check_stays(struct model_check *m, const struct table *t,
		       const struct schema_table *table)
{
	find_not_reached(m, t, table);
	find_personal_links(m, t, table);
}

static bool holds_text(const struct schema_column *c)
{
	static const char *const bases[] = {"json",  "jsonb",    "xml",   "hstore",
					    "_text", "_varchar", "_json", "_jsonb"};

	for (size_t i = 0; i < LENGTH(bases); i++)
		if (strcmp(c->base, bases[i]) == 0)
			return true;
	return c->category == 'S';
}

bool model_check_has_texts(const struct model_check *m, const struct schema_table *table)
{
	bool near = false, texts = false;

	for (size_t i = 0; i < m->model->n_tables; i++)
		near = near || strcmp(m->model->tables[i].schema, table->schema) == 0;
	for (size_t i = 0; i < table->n_columns; i++)
		texts = texts || holds_text(&table->columns[i]);
	return near && texts;
}
