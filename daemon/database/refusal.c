/*
 * A message can quote a row of the CRM, which must not get into the journal or the log: an append-only journal would
 * keep it for ever.  No quotation is cut out of a message, because it can be in any language.
 */
#include "database/refusal.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"

/* Bytes: it is kept with each key that fails. */
#define LONGEST 1000

/* The longest prefix comes first. */
static const char *words_for(const char *sqlstate)
{
	static const char *const words[][2] = {
		{"23502", "a column must not be NULL"},
		{"23503", "a foreign key refuses it"},
		{"23505", "a value that must be unique is there already"},
		{"23", "a constraint refuses it"},
		{"22", "a value is not valid"},
		{"42", "a statement of a function is refused"},
		{"", "a function refuses it"},
	};
	size_t i = 0;

	while (strncmp(sqlstate, words[i][0], strlen(words[i][0])) != 0)
		i++;
	return words[i][1];
}

/* Does the message come from a procedural language?  Then a function may have written it, under any SQLSTATE. */
static bool is_raised(const PGresult *res)
{
	const char *file = PQresultErrorField(res, PG_DIAG_SOURCE_FILE);

	return file && strncmp(file, "pl", 2) == 0 && strncmp(file, "plan", 4) != 0;
}

/* May the message be told?  One about a statement that a function has put together may hold a value, too. */
static bool is_safe(const PGresult *res, const char *sqlstate)
{
	const char *id = PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);
	const enum error_class class = error_class_of_sqlstate(sqlstate);

	if (is_raised(res)) /* by a function of ours? */
		return id && strncmp(id, "retention.", 10) == 0;
	return class != ERR_DATA && (class != ERR_CONFIG || strcmp(sqlstate, "42501") == 0 ||
				     !PQresultErrorField(res, PG_DIAG_CONTEXT));
}

#define FUNCTION "PL/pgSQL function "

/* Does this line of the context (NULL: none) name a function that is not ours? */
static bool is_foreign(const char *line)
{
	return line && strncmp(line, FUNCTION, strlen(FUNCTION)) == 0 &&
	       strncmp(line + strlen(FUNCTION), "retention.", 10) != 0;
}

/* Names of the catalog; then the function's line of the context, or the place in the server's source. */
static char *place_of(void *ctx, const PGresult *res, bool safe)
{
	static const struct {
		int field;
		const char *name;
	} names[] = {{PG_DIAG_TABLE_NAME, "table"},
		     {PG_DIAG_COLUMN_NAME, "column"},
		     {PG_DIAG_CONSTRAINT_NAME, "constraint"}};
	const char *context = PQresultErrorField(res, PG_DIAG_CONTEXT);
	const char *function = context ? strstr(context, FUNCTION) : NULL;
	char *place = t_strdup(ctx, "");

	for (size_t i = 0; i < LENGTH(names) && !is_raised(res); i++)
		if (PQresultErrorField(res, names[i].field))
			t_list(&place, ", ", "%s %s", names[i].name,
			       PQresultErrorField(res, names[i].field));
	if (safe && is_raised(res))
		return place; /* a refusal of our own says all */
	if (function && (function == context || function[-1] == '\n'))
		t_list(&place, ", ", "%.*s", (int)strcspn(function, "\n"), function);
	else if (!safe && PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION))
		t_list(&place, ", ", "%s:%s", PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION),
		       PQresultErrorField(res, PG_DIAG_SOURCE_LINE));
	if (is_foreign(function) && strcmp(PQresultErrorField(res, PG_DIAG_SQLSTATE), "42501") == 0)
		return t_printf(
			ctx,
			" [%s]; unless it is SECURITY DEFINER, it runs with the rights of this role: "
			"GRANT what is missing",
			place);
	return *place ? t_printf(ctx, " [%s]", place) : place;
}

/* Cuts a text of a trigger or a module, which may have megabytes, between two characters. */
static char *cut(char *text)
{
	size_t n = strnlen(text, LONGEST);

	while (n == LONGEST && n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80)
		n--;
	text[n] = '\0';
	return text;
}

char *refusal_text(const PGresult *res)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const bool safe = message && is_safe(res, sqlstate);

	return text_one_line(cut(
		xprintf("%s%s", safe ? message : words_for(sqlstate), place_of(ctx, res, safe))));
}

bool refusal_is_memory(const PGresult *res, const char *sqlstate)
{
	static const char *const shared[] = {"lock.c", "predicate.c", "dynahash.c", "shmem.c"};
	const char *file = PQresultErrorField(res, PG_DIAG_SOURCE_FILE);

	return file && (strcmp(sqlstate, "53200") == 0
				? text_index(file, shared, LENGTH(shared)) == LENGTH(shared)
				: strcmp(sqlstate, "XX000") == 0 && strcmp(file, "mcxt.c") == 0);
}
