/*
 * Translates messages for people (gettext; the catalogues are in daemon/po).  Programs read --json,
 * which is never translated.
 */
#ifndef RETENTION_COMMAND_LANGUAGE_H
#define RETENTION_COMMAND_LANGUAGE_H

#include <libintl.h>

#define _(text) gettext(text)
#define N_(text) text

/* Opens the catalogue of the environment's language; without a catalogue all messages are English. */
void language_open(void);

/* The translated head of a column. */
const char *language_heading(const char *column);

/* The translated value of a cell, if the column holds a fixed word such as a status or an action. */
const char *language_cell(const char *column, const char *value);

/*
 * A refusal of one of the SQL functions, which speak English: where a known sentence fits, with what
 * stands in the place of its "$"; else as it is.  Owned by ctx.
 */
char *language_message(void *ctx, const char *message);

#endif
