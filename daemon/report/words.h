/* The words and sentences of a report, in the language of its reader. */
#pragma once

#include "report/report.h"

#define N_(text) text /* for xgettext: translated where it is shown */

/* What a value is, which says how it is shown. */
enum report_kind {
	REPORT_TEXT, /* as it is */
	REPORT_NUMBER,
	REPORT_TIME, /* 2026-11-30 20:55:58 +01:00 */
	REPORT_WORD, /* one of the document's words */
	REPORT_EVENT, /* the kind of an event */
	REPORT_ACTOR, /* a role, or "policy NAME" */
	REPORT_PERIOD, /* "18 months" */
	REPORT_YES, /* yes, or nothing */
	REPORT_YES_NO,
	REPORT_LONG, /* a list of commands, of which the first ones are shown */
	REPORT_DIGEST /* the first digits, where another section has it whole */
};

const char *report_say(const struct report_words *words, const char *english);

/* The value as it is shown; NULL: there is nothing to show.  Owned by ctx, or for ever. */
const char *report_word(void *ctx, const struct report_words *words, enum report_kind kind,
			const char *value);

/* The sentence about an action in this state; NULL: there is nothing to say. */
const char *report_state(const struct report_words *words, const char *state);
