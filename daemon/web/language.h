/*
 * The page's sentences in the reader's language.  Both catalogues are compiled in, because one process serves both
 * languages.  English is the original.
 */
#pragma once

#include "base/mem.h"

struct language;

#define _(text) text /* for xgettext: translated where it is shown */

/* By the name "fr" or "en"; NULL for another. */
const struct language *language_named(const char *name);
const char *language_name(const struct language *language);

/* The first one of an Accept-Language header that is known; otherwise the fallback.  header: may be NULL. */
const struct language *language_accepted(const char *header, const struct language *fallback);

/* The translated text; without a translation the text itself. */
const char *language_text(const struct language *language, const char *text);
const char *language_plural(const struct language *language, const char *one, const char *many,
			    long long n);

/*
 * A refusal by its id, as SQL gives it in CONSTRAINT (migrations/0006_api.sql), with values, one on a line, for "$1",
 * "$2" and so on.  Returns english where the catalogue has none.  Owned by ctx.
 */
char *language_refused(void *ctx, const struct language *language, const char *id,
		       const char *values, const char *english);
