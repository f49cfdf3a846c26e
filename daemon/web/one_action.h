/* One action, for the pages on which a person does something to it: its row, and the two answers that refuse it. */
#pragma once

#include "web/visit.h"

/* Queues the question for the action of the route's path.  Call visit_then() next. */
void one_action_ask(struct visit *v);

/* Sets the names of the action's row, among them flags for its kind.  NULL: answered with 404, as there is no such one. */
const PGresult *one_action_show(struct visit *v);

/*
 * Answers with 409: what another person has done to the action meanwhile.  It asks for the row anew.  reason: a
 * sentence in the reader's language, or NULL where the row itself tells.
 */
void one_action_changed(struct visit *v, const char *reason);

/* Sets "site", the address of this service as the person's browser knows it, for a link that is sent to somebody. */
void one_action_site(struct visit *v);

/*
 * Answers with 403: which role it takes, or that another person has to do it, with the link to send.  The row has been
 * shown.
 */
void one_action_forbidden(struct visit *v);

/*
 * Answers a refusal of an act on the action: 409 by one_action_changed(), four eyes by one_action_forbidden(), the
 * usual page otherwise.
 */
void one_action_refused(struct visit *v);

/* A number as people type it, without spaces (also U+00A0, U+202F), dots and commas.  NULL: it is no number. */
const char *one_action_number(void *ctx, const char *typed);

/*
 * A number where "6,5" would be another one than 65: digits, with spaces around them.  NULL: it is none, or has more than
 * most digits.
 */
const char *one_action_digits(void *ctx, const char *typed, size_t most);
