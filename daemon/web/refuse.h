/* From a statement that the database refused to the answer that a browser gets. */
#pragma once

#include "web/visit.h"

/* The status of an SQLSTATE; NULL: the connection was lost. */
int refuse_status(const char *sqlstate);

/*
 * Fills the refusal from a failed result; NULL: the connection was lost, while an act was committed where is_unknown.
 * The text is that of a refusal of schema retention, or else the usual one of the status.  Owned by ctx.
 */
void refuse_fill(void *ctx, const struct language *language, const PGresult *result,
		 bool is_unknown, struct refusal *ret);

/* The usual title and sentence of a status, in English. */
const char *refuse_title(int status);
const char *refuse_sentence(int status);
