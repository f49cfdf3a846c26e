#include "report/words.h"

#include "base/mem.h"
#include "base/text.h"

#define DIGEST_DIGITS 12

/* Before the name of a policy, where no person has validated. */
static const char by_policy[] = "policy ";

/* The words of the document, which stay as they are for programs. */
static const char *const words_table[][2] = {
	{"export", N_("export")},
	{"delete_contacts", N_("deletion of contacts")},
	{"anonymize_contacts", N_("anonymization of contacts")},
	{"anonymize_requests", N_("anonymization of requests")},
	{"manual", N_("manual")},
	{"automatic", N_("automatic")},
	{"none", N_("no archive")},
	{"listed", N_("the listed tables")},
	{"full", N_("every row that goes")},
	{"file", N_("the configuration file")},
	{"page", N_("the administration page")},
	{"listing", N_("its list is being made")},
	{"waiting", N_("waits for validation")},
	{"validated", N_("validated")},
	{"running", N_("running")},
	{"paused", N_("paused")},
	{"refused", N_("refused for now")},
	{"done", N_("done")},
	{"incomplete", N_("done, but not for all")},
	{"failed", N_("failed")},
	{"cancelled", N_("cancelled")},
	{"restored", N_("put back from its archive")},
	{"held_before", N_("on hold when the list was made")},
	{"held_unknown", N_("on hold when the list was made: not known whether anybody, and who")},
	{"held", N_("on hold")},
	{"error", N_("the database refuses it")},
	{"gone", N_("no longer there")},
	{"not_due", N_("no longer due: came back, or was changed")},
	{"locked", N_("stayed locked by other sessions")},
	{"kept", N_("kept as it is")},
	{"deleted", N_("row deleted")},
	{"anonymized", N_("anonymized")},
	{"file_removed", N_("file outside the database removed")},
	{"detached", N_("row kept, its link cleared")},
	{"copied", N_("row copied")},
	{"exported", N_("copied")},
	{"set", N_("set to a value")},
	{"clear", N_("cleared")},
	{"json", N_("keys removed from JSON")},
	{"json_keep", N_("all other keys removed from JSON")},
	{"redact", N_("names replaced in the text")},
	{"keep", N_("kept as it is")},
	{"intact", N_("intact")},
	{"damaged", N_("damaged")},
	{"not verified", N_("not verified")},
	{"hourly", N_("hourly")},
	{"daily", N_("daily")},
	{"weekly", N_("weekly")},
	{"monthly", N_("monthly")},
	{"yearly", N_("yearly")},
	{"all places", N_("all places")},
	{"live tables", N_("live tables")},
	{"pages of the tables", N_("pages of the tables")},
	{"standbys and slots", N_("standbys and slots")},
	{"backups and archived WAL", N_("backups and archived WAL")},
	{"reached", N_("reached")},
	{"pending", N_("pending")},
	{"unknown", N_("unknown")},
	{"not declared", N_("not declared")},
	{"undone", N_("undone")},
	{"removed", N_("it was removed: see retentionctl verify")},
	{"backups.keep of the configuration", N_("backups.keep of the configuration")},
};

static const char *const states[][2] = {
	{"listing", N_("Nothing was changed yet: the list is being made.")},
	{"waiting", N_("Nothing was changed yet: the action waits for validation.")},
	{"validated", N_("Nothing was changed yet: the action is validated, and has not begun.")},
	{"running", N_("This report is not final: the action has not ended.")},
	{"paused", N_("This report is not final: the action is paused.")},
	{"refused", N_("This report is not final: the action is refused for now, see the remark.")},
	{"incomplete", N_("The action has ended, but not all of its list was treated.")},
	{"failed", N_("The action has failed. What it had treated before stays treated.")},
	{"cancelled", N_("The action was cancelled. It has changed nothing.")},
	{"restored", N_("The deletion was undone: its archive was put back.")},
};

const char *report_say(const struct report_words *words, const char *english)
{
	return words->say(words->arg, english);
}

static const char *find(const char *const table[][2], size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(table[i][0], word) == 0)
			return table[i][1];
	return NULL;
}

/*
 * The document has it as ISO 8601.  People get whole seconds, and the offset, which tells apart the two hours of an
 * autumn night.
 */
static const char *time_word(void *ctx, const char *value)
{
	const char *t = strchr(value, 'T');
	const size_t clock = t ? strcspn(t + 1, ".+-Z") : 0;

	if (!t)
		return value; /* infinity */
	return t_printf(ctx, "%.*s %.*s %s", (int)(t - value), value, (int)clock, t + 1,
			t + 1 + strcspn(t + 1, "+-Z"));
}

/* "1 months 3 days" by its units, each of which is a word. */
static const char *period_word(void *ctx, const struct report_words *words, const char *value)
{
	static const char *const units[][2] = {
		{"days", N_("days")},   {"weeks", N_("weeks")}, {"months", N_("months")},
		{"years", N_("years")}, {"day", N_("day")},     {"week", N_("week")},
		{"month", N_("month")}, {"year", N_("year")},
	};
	char *text = t_strdup(ctx, "");

	for (const char *at = value; *at; at += strspn(at, " ")) {
		const size_t n = strcspn(at, " ");
		const char *word = t_printf(ctx, "%.*s", (int)n, at);
		const char *unit = find(units, LENGTH(units), word);

		t_list(&text, " ", "%s", unit ? report_say(words, unit) : word);
		at += n;
	}
	return text;
}

const char *report_word(void *ctx, const struct report_words *words, enum report_kind kind,
			const char *value)
{
	const char *word;

	switch (kind) {
	case REPORT_TIME:
		return time_word(ctx, value);
	case REPORT_PERIOD:
		return period_word(ctx, words, value);
	case REPORT_YES:
		return strcmp(value, "true") == 0 ? report_say(words, N_("yes")) : NULL;
	case REPORT_YES_NO:
		return report_say(words, strcmp(value, "true") == 0 ? N_("yes") : N_("no"));
	case REPORT_EVENT: /* the words are those of retentionctl show */
		return report_say(words, strcmp(value, "listed") == 0 ? N_("list made") : value);
	case REPORT_ACTOR:
		return strncmp(value, by_policy, strlen(by_policy)) == 0
			       ? text_fill(ctx, report_say(words, N_("policy $1")),
					   value + strlen(by_policy), NULL, NULL)
			       : value;
	case REPORT_LONG:
		return *value ? text_first_reasons(
					ctx, report_say(words, value),
					report_say(words,
						   N_("$1 and $2 more (retentionctl show -v)")))
			      : NULL;
	case REPORT_DIGEST:
		return t_printf(ctx, "%.*s", DIGEST_DIGITS, value);
	case REPORT_WORD:
		word = find(words_table, LENGTH(words_table), value);
		return word ? report_say(words, word) : value;
	case REPORT_TEXT:
	case REPORT_NUMBER:
		break;
	}
	return *value ? value : NULL;
}

const char *report_state(const struct report_words *words, const char *state)
{
	const char *sentence = find(states, LENGTH(states), state);

	return sentence ? report_say(words, sentence) : NULL;
}
