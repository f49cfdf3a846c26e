/*
 * The type decides first: a picture or the address of a computer is personal under any name, a date or a number only
 * under few.  Then the name does, and for names that say little (name, key, from) the columns beside it.  What is
 * left is a question for a person.
 */
#include "discover/verdict.h"

#include "discover/names.h"
#include "model/catalog.h"

/* Is there another column with one of these names? */
static bool has_beside(const struct schema_table *t, const struct schema_column *column,
		       const char *const *names)
{
	for (size_t i = 0; i < t->n_columns; i++)
		if (&t->columns[i] != column && catalog_is_among(t->columns[i].name, names))
			return true;
	return false;
}

/*
 * The name of a column that says little alone, read together with its table.  A custom field is a name and a value, and only
 * the value is the person's.  "from" is an address where a subject or a copy stands beside it, and an old status elsewhere.
 */
static struct naming named_in(const struct schema_table *t, const struct schema_column *column)
{
	static const char *const keys[] = {"name", "key",  "field", "nom",
					   "cle",  "feld", "clave", NULL};
	static const char *const values[] = {"value", "valeur", "wert", "valor", NULL};
	static const char *const ends[] = {"from", "to", "von", "an", "de", "a", NULL};
	static const char *const mails[] = {"subject", "cc",      "bcc",    "reply_to", "call_id",
					    "sujet",   "betreff", "asunto", NULL};
	const struct naming naming = names_of(column->name);

	if (catalog_is_among(column->name, keys) && has_beside(t, column, values))
		return (struct naming){.kind = NAME_HARMLESS,
				       .word = "the name of the value beside it"};
	if (catalog_is_among(column->name, ends) && has_beside(t, column, mails))
		return (struct naming){.kind = NAME_PERSON, .word = "an address"};
	return naming;
}

/* The category of the type, or for an array that of its elements. */
static char category_of(const struct schema_column *column)
{
	static const char *const numbers[] = {"_int2",   "_int4",    "_int8",  "_float4",
					      "_float8", "_numeric", "_money", NULL};
	static const char *const others[] = {"_bool",        "_date", "_timestamp",
					     "_timestamptz", "_time", NULL};

	if (column->category == 'A' && catalog_is_among(column->base, numbers))
		return 'N';
	if (column->category == 'A' && catalog_is_among(column->base, others))
		return 'D';
	return column->category;
}

/* Numbers, dates, enums and the like are personal under few names. */
static bool is_personal_as(char category, const struct schema_column *column,
			   const struct naming *naming)
{
	const size_t n = strlen(column->name);

	if (naming->kind != NAME_PERSON)
		return false;
	if (category == 'N')
		return naming->number || naming->trait;
	if (strchr("DT", category))
		return names_is_birth(column->name);
	if (category == 'E')
		return naming->trait;
	/* A uuid is a secret or a number of the CRM's own. */
	return strcmp(column->base, "uuid") == 0 &&
	       (n < 2 || strcasecmp(column->name + n - 2, "id") != 0);
}

static enum verdict by_reason(void *ctx, const struct schema_column *column,
			      const struct naming *naming, const char **ret_why)
{
	const bool list = column->checked;

	*ret_why = list ? t_printf(ctx, "\"%s\", and a CHECK lists its values", naming->word)
			: t_printf(ctx, "\"%s\": text that somebody writes, or one of a list?",
				   naming->word);
	return list ? VERDICT_KEEP : VERDICT_ASK;
}

static enum verdict by_name(void *ctx, const struct schema_column *column,
			    const struct naming *naming, const char **ret_why)
{
	if (naming->kind == NAME_REASON)
		return by_reason(ctx, column, naming, ret_why);
	if (naming->kind > NAME_HARMLESS) {
		*ret_why = t_printf(ctx, "\"%s\": by its name", naming->word);
		return VERDICT_CLEAR;
	}
	if (naming->kind == NAME_HARMLESS) {
		*ret_why = t_printf(ctx, "%s, by its name", naming->word);
		return VERDICT_KEEP;
	}
	*ret_why = t_printf(ctx, "%s, and its name does not tell", column->type);
	return VERDICT_ASK;
}

enum verdict verdict_of(void *ctx, const struct schema_table *t, const struct schema_column *column,
			const char **ret_why)
{
	static const char *const documents[] = {"json", "jsonb",  "_json", "_jsonb",
						"xml",  "hstore", NULL};
	static const char *const erased[] = {
		"inet",   "cidr",   "macaddr",  "macaddr8",  "bytea",    "tsvector",
		"oid",    "point",  "_inet",    "_cidr",     "_macaddr", "_macaddr8",
		"_bytea", "_point", "geometry", "geography", NULL};
	const char category = category_of(column);
	const struct naming naming = named_in(t, column);

	if (catalog_is_among(column->base, erased)) {
		*ret_why = t_printf(ctx, "%s: by its type", column->type);
		return VERDICT_CLEAR;
	}
	if (catalog_is_among(column->base, documents)) {
		*ret_why = t_printf(ctx, "%s, which can hold anything%s", column->type,
				    strcmp(column->base, "jsonb") == 0
					    ? "; json or json_keep can keep some of its keys"
					    : "");
		return VERDICT_ASK;
	}
	if (strchr("NBDTER", category) || strcmp(column->base, "uuid") == 0 ||
	    strcmp(column->base, "_uuid") == 0) {
		const bool personal = is_personal_as(category, column, &naming);

		*ret_why = personal          ? t_printf(ctx, "\"%s\": by its name", naming.word)
			   : category == 'E' ? "an enum"
					     : column->type;
		return personal ? VERDICT_CLEAR : VERDICT_KEEP;
	}
	return by_name(ctx, column, &naming, ret_why);
}
