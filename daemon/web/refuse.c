/*
 * The table of SQLSTATEs:
 *
 *	22023, 22P02, 22007, 22008	422, on the field that COLUMN names
 *	55000				409: the action is in another state than the page showed
 *	P0002				404
 *	42501				403
 *	57014, 55P03			503: the database is busy
 *	class 08, 57P0x, no answer	503: the database is away
 *	others				500, with a number that is in the log
 *
 * Words of the server are shown only where CONSTRAINT has an id of schema retention, because a trigger of the CRM may
 * quote a row.  A database that is busy or away has sentences of our own: what schema retention says then is for an
 * administrator, and is in the log.
 */
#include "web/refuse.h"

#include "base/text.h"
#include "base/units.h"
#include "web/words.h"

#include <ctype.h>

#define ID_PREFIX "retention."

enum { SQLSTATE_LENGTH = 5 };

int refuse_status(const char *sqlstate)
{
	static const struct {
		const char *sqlstate; /* or its beginning */
		int status;
	} table[] = {
		{"22023", 422}, {"22P02", 422}, {"22007", 422}, {"22008", 422},
		{"55000", 409}, {"P0002", 404}, {"42501", 403}, {"57014", 503},
		{"55P03", 503}, {"08", 503},    {"57P0", 503},
	};

	for (size_t i = 0; sqlstate && i < LENGTH(table); i++)
		if (strncmp(sqlstate, table[i].sqlstate, strlen(table[i].sqlstate)) == 0)
			return table[i].status;
	return sqlstate ? 500 : 503;
}

static bool is_busy(const char *sqlstate)
{
	return sqlstate && (strcmp(sqlstate, "57014") == 0 || strcmp(sqlstate, "55P03") == 0);
}

/* Schema retention writes a day as 2024-01-31: writes it as the page does. */
static const char *with_days(void *ctx, const struct language *language, const char *text)
{
	static const char *const edges = DIGITS "-";
	const char *done = "";
	const char *rest = text;

	for (const char *c = text; *c; c += strspn(c, edges) ? strspn(c, edges) : 1) {
		const bool is_part = c > text && (isalnum((unsigned char)c[-1]) || c[-1] == '_');

		if (is_part || strspn(c, edges) != 10 || !date_is_valid(t_printf(ctx, "%.10s", c)))
			continue;
		done = t_printf(ctx, "%s%.*s%s", done, (int)(c - rest), rest,
				words_filter(ctx, language, "day", t_printf(ctx, "%.10s", c)));
		rest = c + 10;
	}
	return t_printf(ctx, "%s%s", done, rest);
}

/* The message of schema retention, and its hint, which holds the cure. */
static const char *text_of(void *ctx, const struct language *language, const PGresult *result,
			   const char *id)
{
	const char *values = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	const char *english = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
	const char *message = language_refused(ctx, language, id, values, english ? english : "");
	const char *cure;

	if (!hint)
		return message;
	cure = language_refused(ctx, language, t_printf(ctx, "%s.hint", id), values, hint);
	return t_printf(ctx, "%s. %s", message, cure);
}

/* A sentence for a state of the database; NULL: that of the status fits. */
static const char *sentence_of(const char *sqlstate, bool is_unknown)
{
	if (is_unknown)
		return _("The connection to the database was lost while it saved. Look whether it "
			 "is done before you send the form again.");
	if (is_busy(sqlstate))
		return _("The database is busy. What you entered is not saved: try again in a "
			 "minute.");
	return NULL;
}

void refuse_fill(void *ctx, const struct language *language, const PGresult *result,
		 bool is_unknown, struct refusal *ret)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *id = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
	const char *field = PQresultErrorField(result, PG_DIAG_COLUMN_NAME);
	const char *sentence = sentence_of(sqlstate, is_unknown);

	*ret = (struct refusal){.status = refuse_status(sqlstate),
				.id = id ? t_strdup(ctx, id) : NULL,
				.field = field ? t_strdup(ctx, field) : NULL};
	ret->is_away = ret->status == 503 && !sentence;
	if (id && ret->status < 500 && strncmp(id, ID_PREFIX, strlen(ID_PREFIX)) == 0) {
		ret->text = with_days(ctx, language, text_of(ctx, language, result, id));
		return;
	}
	ret->text = t_strdup(
		ctx, language_text(language, sentence ? sentence : refuse_sentence(ret->status)));
}

static const struct {
	int status;
	const char *title, *sentence;
} usual[] = {
	{400, _("Request not understood"),
	 _("The browser sent something that makes no sense here.")},
	{401, _("Session ended"), _("Your session has ended. The form is kept in this tab.")},
	{403, _("Not permitted"), _("Your account may not do this.")},
	{404, _("Not found"), _("This page does not exist.")},
	{405, _("Not possible here"), _("This address takes no such request.")},
	{409, _("Not possible now"),
	 _("The action is no longer in the state that the page showed: load it again.")},
	{421, _("Wrong address"), _("This page is not served under that name.")},
	{422, _("Refused"), _("An entry was refused.")},
	{429, _("Too many tries"), _("Too many tries: wait a minute.")},
	{500, _("Failure"),
	 _("Something failed. What you entered is not saved. The administrator finds this number "
	   "in the log.")},
	{503, _("Not available now"),
	 _("The database does not answer. What you entered is not saved.")},
};

static size_t usual_of(int status)
{
	size_t i = 0;

	while (i < LENGTH(usual) && usual[i].status != status)
		i++;
	return i < LENGTH(usual) ? i : usual_of(500);
}

const char *refuse_title(int status)
{
	return usual[usual_of(status)].title;
}

const char *refuse_sentence(int status)
{
	return usual[usual_of(status)].sentence;
}
