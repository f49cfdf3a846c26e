/*
 * Translates messages for people (gettext; the catalogues are in daemon/po).  Programs read --json,
 * which is never translated.
 */
#pragma once

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
 * The text of a refusal, or of what verify has found, by the id that SQL gives it (migrations/0006_api.sql).  values
 * are the texts for "$1", "$2" and so on, one on a line; NULL: there are none.  Returns english where the catalogue
 * has no text for id, or id is NULL.  Owned by ctx.
 */
char *language_refusal(void *ctx, const char *id, const char *values, const char *english);
