/*
 * Values as the reader's language writes them.  Filters of templates:
 *
 *	number	1204 → "1 204" (narrow no-break space) or "1,204"
 *	bytes	12582912 → "12 Mo" or "12 MB"
 *	day	2026-11-01 → "1er nov. 2026" or "1 Nov 2026"; takes a date or a timestamp
 *	time	a timestamp → "1er nov. 2026, 00:04" or "1 Nov 2026, 00:04"
 *	ago	a number of seconds → "il y a 2 h" or "2 h ago"
 *	span	a number of seconds → "environ 2 minutes"
 *	depth	an interval such as "1 year 6 mons" → "18 mois" or "18 months"
 *	action	delete_contacts → "suppression de contacts"
 *	status	saved → "enregistrée"
 *	tag	a status → the CSS class of its frame: ok, warn, run, bad or ""
 *	archive	full → "archive complète"
 *	waiting	a wait reason of base/job_protocol.h → a sentence that says whether something is to be done
 *	event	the kind of a journal event → words
 *	answer	the daemon's answer to a request → the sentence in the reader's language
 *	lower, upper first letter: none; the sentence decides
 *
 * Timestamps come as PostgreSQL prints them in the session's zone, which is the daemon's.  A value that a filter cannot
 * read is shown as it is.
 */
#pragma once

#include "web/language.h"

#include <stdbool.h>

/* The text through the filter, owned by ctx; NULL: there is no such filter. */
char *words_filter(void *ctx, const struct language *language, const char *filter,
		   const char *text);

/* Whether there is such a filter. */
bool words_knows(const char *filter);
