/*
 * What a person reads, in the person's language (gettext; catalogues in daemon/po).  Programs read
 * --json, which is never translated.
 */
#ifndef RETENTION_COMMAND_LANGUAGE_H
#define RETENTION_COMMAND_LANGUAGE_H

#include <libintl.h>

#define _(text) gettext(text)
#define N_(text) text

/* Opens the catalogue of the environment's language; without one all stays English. */
void language_open(void);

/* The head of a column. */
const char *language_heading(const char *column);

/* A cell: where the column holds one of a few words (a status, an action), that word. */
const char *language_cell(const char *column, const char *value);

/*
 * A refusal of one of the SQL functions, which speak English: where a known sentence fits, with what
 * stands in the place of its "$"; else as it is.  Owned by ctx.
 */
char *language_message(void *ctx, const char *message);

#endif
