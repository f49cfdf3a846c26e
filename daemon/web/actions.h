/* The list of actions: its filters, and the rows of the template action_table. */
#pragma once

#include "web/visit.h"

struct actions_filter {
	const char *type, *status; /* as in the database; NULL: all */
	const char *text; /* a number, or a part of a rule's or a person's name; NULL: all */
	const char *before; /* only actions with a smaller number; NULL: from the latest one */
};

/* The condition of the filter on archive_journal AS j: its members are $1 to $4. */
#define ACTIONS_FIT                                                                                \
	"($1::text IS NULL OR j.action = $1) AND ($2::text IS NULL OR j.status = $2) AND\n"        \
	"       ($3::text IS NULL OR j.id::text = $3 OR j.subject = $3 OR\n"                       \
	"        strpos(lower(j.policy), lower($3)) > 0 OR\n"                                      \
	"        strpos(lower(j.requested_by), lower($3)) > 0 OR\n"                                \
	"        strpos(lower(j.validated_by), lower($3)) > 0 OR\n"                                \
	"        strpos(lower(j.archive_deleted_by), lower($3)) > 0) AND\n"                        \
	"       ($4::int IS NULL OR j.id < $4::int)\n"

/* Reads the filter of the query string.  false: the visit has been answered, because "avant" is no number. */
bool actions_filter(struct visit *v, struct actions_filter *ret);

/* Asks for the latest n actions that fit.  Their rows come under name. */
void actions_ask(struct visit *v, const char *name, const struct actions_filter *filter, int n);
